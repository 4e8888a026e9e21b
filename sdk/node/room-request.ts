/**
 * What somebody asks a room for, checked: names, codes, targets; and the words for what went wrong.
 */
import { lookup } from 'node:dns/promises';

import { LanError } from '../base/errors.ts';
import type { Address } from '../link/endpoint-types.ts';
import { copied } from '../room/lan.ts';
import { MAX_PEERS, MAX_ROOM_NAME_BYTES } from '../wire/limits.ts';
import { DATA_PORT_FIRST } from './discovery/bounds.ts';
import { isLocalOnly } from './discovery/interfaces.ts';
import { decodeJoinCode, normaliseRoomCode } from './discovery/join-code.ts';

/** The code as it is compared: without case and spaces. Throws `bad-argument`. */
export function normaliseCode(code: string | undefined): string | undefined {
  if (code === undefined) return undefined;
  const plain = normaliseRoomCode(code);
  if (plain.length === 0 || plain.length > 64)
    throw new LanError('bad-argument', `Expected a room code of 1 to 64 characters, got ${plain.length}.`, {
      hint: 'Four letters or digits are a good code.',
    });
  return plain;
}

/** Throws `bad-argument` unless name, number of players and code are within their bounds. */
export function checkRoom(request: { name: string; max: number; code: string | undefined }): void {
  const bytes = new TextEncoder().encode(request.name).length;
  if (bytes === 0 || bytes > MAX_ROOM_NAME_BYTES)
    throw new LanError('bad-argument', `Expected a room name of 1 to ${MAX_ROOM_NAME_BYTES} bytes, got ${bytes}.`, {
      hint: 'Choose a shorter name.',
    });
  if (!Number.isInteger(request.max) || request.max < 1 || request.max > MAX_PEERS)
    throw new LanError('bad-argument', `Expected 1 to ${MAX_PEERS} players, got ${request.max}.`);
  normaliseCode(request.code);
}

/** An address from `host:port`, `host`, or a join code. Rejects with `bad-argument`, `unreachable` or `aborted`. */
export async function resolveTarget(target: string, signal?: AbortSignal): Promise<Address> {
  const byCode = decodeJoinCode(target);
  const match = /^([^\s:/]+)(?::(\d{1,5}))?$/.exec(target.trim());
  // A machine may be called `livingroom`, which is a code as well, for an address somewhere on the internet: then the name goes first.
  if (byCode !== undefined && (match === null || isLocalOnly(byCode.host))) return byCode;
  const port = match?.[2] === undefined ? DATA_PORT_FIRST : Number(match[2]);
  if (match?.[1] === undefined || port === 0 || port > 65_535) {
    throw new LanError('bad-argument', `Expected a room id, host:port or a join code, got ${JSON.stringify(target)}.`, {
      hint: 'Like "192.168.1.5:29798" or "abcde-fghij".',
    });
  }
  try {
    const { address } = await untilAborted(lookup(match[1], 4), signal);
    return { host: address, port };
  } catch (cause) {
    if (signal?.aborted === true) throw aborted(signal);
    if (byCode !== undefined) return byCode;
    throw noMachine(match[1], cause);
  }
}

/** The system takes seconds to give a name up, and cannot be told to stop. */
async function untilAborted<T>(result: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return result;
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(aborted(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    result.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** A word without a dot may be a join code with a slip in it. */
export function noMachine(name: string, cause?: unknown): LanError {
  const hint = name.includes('.') ? 'Use its IP address.' : 'Use its IP address, or check the join code: ten letters and digits like p4aaa-amgt4.';
  return new LanError('unreachable', `No machine is called ${name}.`, { hint, cause });
}

export function aborted(signal: AbortSignal | undefined): LanError {
  return new LanError('aborted', 'Opening the room was aborted.', { cause: signal?.reason });
}

export function incompatible(reason: string | undefined): LanError {
  return new LanError('incompatible', `That room ${reason ?? 'is not compatible'}.`, { hint: 'Everybody has to run the same version of the game.' });
}

export function joinError(reason: 'unreachable' | 'wrong-code' | 'room-full' | 'kicked' | 'incompatible' | 'copied'): LanError {
  switch (reason) {
    case 'unreachable':
      return new LanError('unreachable', 'The room stopped answering while joining.', {
        hint: 'Try again; "lanista doctor" tells when a firewall is in the way.',
      });
    case 'wrong-code':
      return new LanError('wrong-code', 'That is not the code of this room.', { hint: 'Ask somebody in the room for it.' });
    case 'room-full':
      return new LanError('room-full', 'The room has no free seat.', { hint: 'Watch as a spectator, or create another room.' });
    case 'kicked':
      return new LanError('kicked', 'This player was removed from that room.', { hint: 'Create another room.' });
    case 'incompatible':
      return incompatible(undefined);
    case 'copied':
      return copied();
  }
}
