/**
 * Players on the same machine, found with no network card at all: one small file per process in a
 * directory of this user, naming its join address and process id. A file whose process is gone is
 * removed by whoever sees it.
 *
 * The directory is ours (0700, owner checked, no link): what stands in it is still only a candidate.
 */
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Address } from '../../link/endpoint-types.ts';
import { atExit, notAtExit } from '../at-exit.ts';
import { isAlive } from '../profile.ts';
import { LOCAL_ENTRY_BYTES, MAX_LOCAL_ENTRIES } from './bounds.ts';
import { parseIpv4 } from './interfaces.ts';

/** Undefined on Windows, where the temporary directory is the user's own. The number alone: a container's user may have no name. */
const userId = (): number | undefined => process.getuid?.();

export function localDirectory(): string {
  const uid = userId();
  return join(tmpdir(), uid === undefined ? 'lanista' : `lanista-${uid}`);
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
    // Systems empty their temporary directory while a process runs for days.
    this.#claim();
    this.#publishFailure = undefined;
    if (this.#failure !== undefined) return;
    const file = join(this.directory, `${process.pid}-${address.port}.json`);
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
    if (file === undefined) return;
    this.#file = undefined;
    notAtExit(this.#remove);
    try {
      rmSync(file, { force: true });
    } catch {
      // A virus scanner holds it, or the disk is read-only by now: who asks there gets no answer.
    }
  }

  /** Join addresses of the others, at most `MAX_LOCAL_ENTRIES`. */
  read(): readonly Address[] {
    if (this.#failure !== undefined) return [];
    const out: Address[] = [];
    let names: string[];
    try {
      names = readdirSync(this.directory);
    } catch {
      return [];
    }
    for (const name of names.slice(0, MAX_LOCAL_ENTRIES)) {
      const path = join(this.directory, name);
      if (path === this.#file || !name.endsWith('.json')) continue;
      try {
        if (lstatSync(path).size > LOCAL_ENTRY_BYTES) continue;
        const entry = parseLocalEntry(readFileSync(path, 'utf8'));
        if (entry === undefined || !isAlive(entry.pid)) rmSync(path, { force: true });
        else out.push(entry.address);
      } catch {
        // Removed while we read: its room is gone.
      }
    }
    return out;
  }
}
