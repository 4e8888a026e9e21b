/**
 * Players on the same machine, found with no network card at all: one small file per process in a
 * directory of this user, naming its join address and process id. A file whose process is gone is
 * removed by whoever sees it; that of another container, which has process ids of its own, once nobody has touched it for a while.
 *
 * The directory is ours (0700, owner checked, no link): what stands in it is still only a candidate.
 */
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Address } from '../../link/endpoint-types.ts';
import { atExit, notAtExit } from '../at-exit.ts';
import { container, isAlive } from '../profile.ts';
import { LOCAL_ENTRY_BYTES, LOCAL_FOREIGN_MS, LOCAL_REFRESH_MS, MAX_LOCAL_ENTRIES } from './bounds.ts';
import { parseIpv4 } from './interfaces.ts';

/** Undefined on Windows, where the temporary directory is the user's own. The number alone: a container's user may have no name. */
const userId = (): number | undefined => process.getuid?.();

export function localDirectory(): string {
  const uid = userId();
  return join(tmpdir(), uid === undefined ? 'lanista' : `lanista-${uid}`);
}

/** What an entry is called, by the container its process id is of. */
export function localEntryName(pid: number, port: number, space = container()): string {
  return `${pid}-${port}${space === '' ? '' : `@${space}`}.json`;
}

interface Entry {
  readonly pid: number;
  readonly address: Address;
}

/** Undefined for anything but what `LocalRegistry.publish` writes. */
export function parseLocalEntry(text: string): Entry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { pid, host, port } = value as Record<string, unknown>;
  if (!Number.isInteger(pid) || (pid as number) <= 0 || typeof host !== 'string' || parseIpv4(host) === undefined) return undefined;
  if (!Number.isInteger(port) || (port as number) <= 0 || (port as number) > 65_535) return undefined;
  return { pid: pid as number, address: { host, port: port as number } };
}

export class LocalRegistry {
  readonly directory: string;
  #failure: string | undefined;
  #publishFailure: string | undefined;
  #file: string | undefined;
  #address: Address | undefined;
  #touchedAt = 0;
  readonly #remove = (): void => this.unpublish();

  constructor(directory: string = localDirectory()) {
    this.directory = directory;
    this.#claim();
  }

  /** Makes sure that the directory is there and ours. */
  #claim(): void {
    const { directory } = this;
    this.#failure = undefined;
    try {
      mkdirSync(directory, { mode: 0o700, recursive: true });
      const stat = lstatSync(directory);
      const uid = userId();
      if (!stat.isDirectory() || (uid !== undefined && stat.uid !== uid))
        this.#failure = `Players on this machine are not found: ${directory} belongs to somebody else.`;
    } catch (error) {
      this.#failure = `Players on this machine are not found: ${directory} cannot be used (${(error as NodeJS.ErrnoException).code ?? 'error'}).`;
    }
  }

  reasons(): readonly string[] {
    return [this.#failure, this.#publishFailure].filter((reason) => reason !== undefined);
  }

  publish(address: Address): void {
    this.unpublish();
    this.#address = address;
    this.#touchedAt = Date.now();
    // Systems empty their temporary directory while a process runs for days.
    this.#claim();
    this.#publishFailure = undefined;
    if (this.#failure !== undefined) return;
    const file = join(this.directory, localEntryName(process.pid, address.port));
    try {
      // Moved into place whole, so that a reader never sees half of it.
      writeFileSync(`${file}.new`, JSON.stringify({ pid: process.pid, host: address.host, port: address.port }), { mode: 0o600 });
      renameSync(`${file}.new`, file);
      this.#file = file;
      atExit(this.#remove);
    } catch (error) {
      this.#publishFailure = `Players on this machine cannot find this room (${(error as NodeJS.ErrnoException).code ?? 'error'}).`;
    }
  }

  unpublish(): void {
    const file = this.#file;
    this.#address = undefined;
    if (file === undefined) return;
    this.#file = undefined;
    notAtExit(this.#remove);
    try {
      rmSync(file, { force: true });
    } catch {
      // A virus scanner holds it, or the disk is read-only by now: who asks there gets no answer.
    }
  }

  /** Says that we are here. Who was stopped for a while may have been taken for gone, and systems empty their temporary directory. */
  #touch(): void {
    const now = Date.now();
    if (this.#address === undefined || Math.abs(now - this.#touchedAt) < LOCAL_REFRESH_MS) return;
    this.#touchedAt = now;
    try {
      if (this.#file !== undefined) return utimesSync(this.#file, now / 1_000, now / 1_000);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return;
    }
    this.publish(this.#address);
  }

  /** Join addresses of the others, at most `MAX_LOCAL_ENTRIES`. */
  read(): readonly Address[] {
    this.#touch();
    if (this.#failure !== undefined) return [];
    const out: Address[] = [];
    let names: string[];
    try {
      names = readdirSync(this.directory);
    } catch {
      return [];
    }
    const space = container();
    for (const name of names.slice(0, MAX_LOCAL_ENTRIES)) {
      const path = join(this.directory, name);
      if (path === this.#file || !name.endsWith('.json')) continue;
      try {
        const { size, mtimeMs } = lstatSync(path);
        if (size > LOCAL_ENTRY_BYTES) continue;
        const entry = parseLocalEntry(readFileSync(path, 'utf8'));
        const isOurs = (/@(\d+)\.json$/.exec(name)?.[1] ?? '') === space;
        if (entry === undefined || !(isOurs ? isAlive(entry.pid) : Date.now() - mtimeMs < LOCAL_FOREIGN_MS)) rmSync(path, { force: true });
        else out.push(entry.address);
      } catch {
        // Removed while we read: its room is gone.
      }
    }
    return out;
  }
}
