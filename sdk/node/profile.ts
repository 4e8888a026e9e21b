/**
 * A profile: the secret key that makes this player the same peer tomorrow, in a small directory on disk.
 *
 * Two processes with one key would be one peer in two places, so each profile is locked by its process;
 * a second process takes `default-2`, a third `default-3`. A lock names its owner's process id and machine; it
 * is broken when that process is gone, so `kill -9` costs nothing.
 */
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { homedir, hostname, uptime } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { threadId } from 'node:worker_threads';

import { LanError } from '../base/errors.ts';
import { fromHex, toHex } from '../base/bytes.ts';
import type { CryptoProvider, KeyPair } from '../secure/provider.ts';
import { atExit, notAtExit } from './at-exit.ts';

export interface Profile {
  readonly name: string;
  readonly identity: KeyPair;
  /** Where other small files of this profile live; undefined when nothing may be kept. */
  readonly directory: string | undefined;
  /** Why nothing is kept, in words; undefined when it is. */
  readonly warning: string | undefined;
  /** Forgets the key: the next process has another one. For one that somebody else has as well. */
  renew(): void;
  /** Lets another process take it. */
  release(): void;
}

/** Profiles of one name tried before giving up on keeping an identity. */
const MAX_PROFILES = 64;

/** How long a process may take to fill the lock it made, ms; they are two system calls in a row. */
const EMPTY_LOCK_MS = 10_000;

/**
 * A home may lie on a server, for many machines. How long the lock of another one counts, ms: it breaks its own sooner. Not for ever, since a
 * machine that has another name on another network leaves such a lock when it is switched off.
 */
const FOREIGN_LOCK_MS = 24 * 3_600_000;
/** How often who holds a lock says so, ms. */
const LOCK_REFRESH_MS = 3_600_000;

/**
 * Containers may share a home and the name of their machine and have process ids of their own; and nobody can ask whether a thread of a
 * process still runs. How long the lock of one counts for the others, ms, and how often it says that it is there: a container that was killed and is
 * started again has other process ids, too, and a thread another number.
 */
const CONTAINER_LOCK_MS = 20_000;
const CONTAINER_REFRESH_MS = 5_000;

/** Locks this thread holds, and what is written there (a machine may change its name): our own process id in a lock file is only alive if it is here. */
const held = new Map<string, string>();

/** `$LANISTA_HOME`, or the place the operating system has for settings. */
export function profileHome(env: NodeJS.ProcessEnv = process.env, platform: NodeJS.Platform = process.platform): string {
  if (env['LANISTA_HOME'] !== undefined && env['LANISTA_HOME'] !== '') return env['LANISTA_HOME'];
  const [roaming = '', config = ''] = [env['APPDATA'], env['XDG_CONFIG_HOME']];
  if (platform === 'win32') return join(roaming === '' ? join(homedir(), 'AppData', 'Roaming') : roaming, 'lanista');
  if (platform === 'darwin') return join(homedir(), 'Library', 'Application Support', 'lanista');
  // An empty or relative one is none, as its specification says: the key would lie wherever the game is started.
  return join(isAbsolute(config) ? config : join(homedir(), '.config'), 'lanista');
}

/** True when a process of that id runs, ours or anybody's. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * A process id comes again after a reboot; on Linux the start time tells the two apart. Elsewhere a lock that is older than the system's
 * start is of a process before it, since who holds one refreshes it; by so much, ms, a clock may be set after the start.
 */
const START_MARGIN_MS = 120_000;

/** When a process began; empty where the system does not tell. */
function startMark(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

function isLockStale(path: string, text: string): boolean {
  const [pidText = '', mark = '', host = '', thread = '0'] = text.split(' ');
  const pid = Number(pidText);
  if (!Number.isInteger(pid) || pid <= 0) return true;
  // Process ids of another machine, or another container, say nothing here.
  if (host !== '' && host !== hostName()) return isOlder(path, host.startsWith(`${machineName()}/`) ? CONTAINER_LOCK_MS : FOREIGN_LOCK_MS);
  if (!isAlive(pid)) return true;
  const current = startMark(pid);
  if (mark !== '' && current !== '' && mark !== current) return true;
  if (current === '' && isOlder(path, uptime() * 1_000 + START_MARGIN_MS)) return true;
  // What another thread of ours holds is told by its own list alone.
  if (pid === process.pid && Number(thread) === threadId) return !isHeld(path);
  return thread !== '0' && isOlder(path, CONTAINER_LOCK_MS);
}

/** Whether this thread holds that lock, by whatever name: on many disks `Ann` is the file of `ann`. */
function isHeld(path: string): boolean {
  if (held.has(path)) return true;
  const asked = statSync(path, { throwIfNoEntry: false });
  if (asked === undefined) return false;
  for (const one of held.keys()) {
    const ours = statSync(one, { throwIfNoEntry: false });
    if (ours?.ino === asked.ino && ours.dev === asked.dev) return true;
  }
  return false;
}

const machineName = (): string => hostname().replace(/[\s/]/g, '_');

/** Which process ids we see: Linux numbers each set of them, and the first one always so. Empty for that one, and where they are not told apart. */
export function container(): string {
  try {
    const id = readlinkSync('/proc/self/ns/pid').replace(/\D/g, '');
    return id === '4026531836' ? '' : id;
  } catch {
    return '';
  }
}

const hostName = (): string => [machineName(), ...(container() === '' ? [] : [container()])].join('/');

/** Of a thread beside the first one its number, too: the threads of a process are different players. */
const lockText = (): string => [process.pid, startMark(process.pid), hostName(), ...(threadId === 0 ? [] : [threadId])].join(' ');

/** Throws as `openSync` does. On a full disk a file can be made and not filled: that one is taken away again. */
function createLock(path: string, text: string): void {
  const file = openSync(path, 'wx', 0o600);
  try {
    writeSync(file, text);
  } catch (error) {
    closeSync(file);
    rmSync(path, { force: true });
    throw error;
  }
  closeSync(file);
}

function isOlder(path: string, ms: number): boolean {
  const made = statSync(path, { throwIfNoEntry: false });
  return made !== undefined && Date.now() - made.mtimeMs > ms;
}

function tryLock(path: string): boolean {
  const mine = lockText();
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      createLock(path, mine);
      held.set(path, mine);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch {
      continue;
    }
    // An empty lock was created this instant and is about to be filled, or its process or its machine ended right then.
    if (text === '' ? !isOlder(path, EMPTY_LOCK_MS) : !isLockStale(path, text)) return false;
    // Only who makes this file may replace this very lock, and the lock is looked at once more, since who made the file
    // before us has done so. A process that dies right here leaves the profile locked, never shared.
    const right = `${path}.${text === '' ? 'empty' : text.replace(/\W/g, '_').slice(0, 40)}`;
    try {
      closeSync(openSync(right, 'wx', 0o600));
    } catch {
      return false;
    }
    try {
      if (readFileSync(path, 'utf8') !== text) return false;
      const ours = `${path}.${process.pid}`;
      writeFileSync(ours, mine, { mode: 0o600 });
      renameSync(ours, path);
      held.set(path, mine);
      return true;
    } catch {
      continue;
    } finally {
      rmSync(right, { force: true });
    }
  }
  return false;
}

/** False when another machine took the lock over: this one slept for days, say. */
function isOurs(path: string): boolean {
  return readFileSync(path, 'utf8') === held.get(path);
}

function refreshLock(path: string): void {
  try {
    const now = new Date();
    if (isOurs(path)) utimesSync(path, now, now);
  } catch {
    // Gone, or the disk is read-only by now: it counts as old sooner.
  }
}

/** The secret key that a profile's file holds, or undefined when it holds something else. */
export function parseSecretKey(text: string): Uint8Array | undefined {
  const secretKey = fromHex(text.trim());
  return secretKey?.length === 32 ? secretKey : undefined;
}

function loadKey(path: string, crypto: CryptoProvider): KeyPair {
  try {
    const secretKey = parseSecretKey(readFileSync(path, 'utf8'));
    if (secretKey !== undefined) {
      chmodSync(path, 0o600);
      return { publicKey: crypto.publicKey(secretKey), secretKey };
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const fresh = crypto.generateKeyPair();
  // Written aside and moved: a crash in between must not leave half a key.
  writeFileSync(`${path}.new`, `${toHex(fresh.secretKey)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
  return fresh;
}

/**
 * Takes the first free profile of that name. With `false`, or where nothing can be written, the identity
 * lives as long as the process: everything works, only the seat is not regained after a restart.
 * Throws `bad-argument` for a name that is no file name.
 */
export function openProfile(crypto: CryptoProvider, name: string | false = 'default', wantedHome?: string): Profile {
  if (name === false) return passing(crypto);
  if (!/^[a-z0-9][a-z0-9_-]{0,31}$/i.test(name)) {
    throw new LanError('bad-argument', `Expected a profile name of letters, digits, "-" and "_", got ${JSON.stringify(name)}.`, {
      hint: 'Use something like "ann".',
    });
  }
  let home = wantedHome;
  try {
    home ??= profileHome();
    const directory = home;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (let i = 1; i <= MAX_PROFILES; i++) {
      const chosen = i === 1 ? name : `${name}-${i}`;
      const lock = join(directory, `${chosen}.lock`);
      if (!tryLock(lock)) continue;
      const isAsked = container() === '' && threadId === 0;
      const refresh = setInterval(() => refreshLock(lock), isAsked ? LOCK_REFRESH_MS : CONTAINER_REFRESH_MS).unref();
      const release = (): void => {
        if (!held.has(lock)) return;
        clearInterval(refresh);
        notAtExit(release);
        try {
          if (isOurs(lock)) rmSync(lock, { force: true });
        } catch {
          // A virus scanner holds it, or the disk is read-only by now: the next process sees that we are gone.
        }
        held.delete(lock);
      };
      try {
        const path = join(directory, `${chosen}.key`);
        const identity = loadKey(path, crypto);
        atExit(release);
        return { name: chosen, identity, directory, warning: undefined, renew: () => rmSync(path, { force: true }), release };
      } catch (error) {
        release();
        throw error;
      }
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A user that the system does not know, as containers have them, has no home.
    const warning = `The profile in ${home ?? 'the home folder'} cannot be used (${code ?? String(error)}); a seat is not regained after a restart.`;
    return passing(crypto, warning);
  }
  return passing(crypto, `More than ${MAX_PROFILES} players run on this machine.`);
}

/** A profile that lasts as long as the process. */
function passing(crypto: CryptoProvider, warning?: string): Profile {
  return { name: '', identity: crypto.generateKeyPair(), directory: undefined, warning, renew: () => undefined, release: () => undefined };
}
