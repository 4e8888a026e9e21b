/** Messages of the mesh as `docs/protocol.md` has them, written from that page alone. Throws `Malformed` at anything else. */
import { address, isBin, isUint, items } from './decoder.ts';
import { decodePayload } from './payload.ts';
import { Malformed, base32, hex, must } from './reader.ts';

const U32 = 0xffff_ffff;
const TERM_MAX = 2 ** 53 - 1;
const REFUSALS = ['room-full', 'kicked'] as const;
const DEPARTURES = ['bye', 'timeout', 'kicked'] as const;

type Read<T> = (value: unknown) => T;

function peer(value: unknown): string {
  if (!isBin(value, 10)) throw new Malformed('a peer id');
  return base32(value);
}
function number(max: number): Read<number> {
  return (value) => {
    if (!isUint(value, max)) throw new Malformed(`a number up to ${max}`);
    return value;
  };
}
function bool(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new Malformed('a boolean');
  return value;
}
function time(value: unknown): number {
  if (typeof value !== 'number' || !(Math.abs(value) < 2 ** 48)) throw new Malformed('a time');
  return value;
}
function oneOf<T>(words: readonly T[]): Read<T> {
  return (value) => words[number(words.length - 1)(value)]!;
}
function list<T>(read: Read<T>, most: number): Read<T[]> {
  return (value) => items(value, 0, most).map(read);
}
const instance = number(U32);
const term = number(TERM_MAX);
const addresses = list(address, 4);

function flags<const N extends readonly string[]>(value: unknown, names: N): Record<N[number], boolean> {
  const bits = number(2 ** names.length - 1)(value);
  return Object.fromEntries(names.map((name, i) => [name, Math.floor(bits / 2 ** i) % 2 === 1])) as Record<N[number], boolean>;
}

function word(value: unknown) {
  const [id, inst, seq, bits, trm, epoch, heard] = items(value, 7);
  if (!isBin(heard) || heard.length % 5 !== 0 || heard.length > 160) throw new Malformed('heard');
  const names = flags(bits, ['host', 'eligible', 'left']);
  return { id: peer(id), instance: instance(inst), seq: number(U32)(seq), ...names, term: term(trm), epoch: number(U32)(epoch), heard: hex(heard) };
}

function seat(value: unknown) {
  const [id, slot, bits, inst, where] = items(value, 5);
  const { present, ...names } = flags(bits, ['present', 'spectator', 'eligible']);
  return {
    id: peer(id),
    slot: number(31)(slot),
    status: present ? 'present' : 'away',
    ...names,
    instance: instance(inst),
    addresses: addresses(where),
  };
}

function departure(value: unknown) {
  const [id, slot, reason] = items(value, 3);
  return { id: peer(id), slot: number(31)(slot), reason: oneOf(DEPARTURES)(reason) };
}

/** 20 bits of the host's id and of its instance make its terms its own. */
function isTermOf({ term: value, host, seats }: ReturnType<typeof roster>): boolean {
  const bits = host
    .slice(0, 4)
    .split('')
    .reduce((sum, char) => sum * 32 + 'abcdefghijklmnopqrstuvwxyz234567'.indexOf(char), 0);
  const { instance: process } = seats.find((one) => one.id === host)!;
  return value % 2 ** 20 === (bits ^ (process % 2 ** 20));
}

function roster(value: unknown) {
  const [roomId, name, max, locked, trm, epoch, host, seats, banned, departed, lineage, merged] = items(value, 12);
  if (!isBin(roomId, 16) || typeof name !== 'string' || Buffer.byteLength(name) > 32) throw new Malformed('a roster');
  const out = {
    roomId: hex(roomId),
    name,
    max: number(32)(max),
    locked: bool(locked),
    term: term(trm),
    epoch: number(U32)(epoch),
    host: peer(host),
    seats: list(seat, 32)(seats),
    banned: list(peer, 64)(banned),
    departed: list(departure, 16)(departed),
    lineage: list(term, 32)(lineage),
    merged: list(peer, 32)(merged),
  };
  if (!out.seats.every((one, i) => i === 0 || one.slot > out.seats[i - 1]!.slot)) throw new Malformed('slots out of order');
  if (!out.seats.some((one) => one.id === out.host)) throw new Malformed('the host of a roster');
  if (new Set(out.seats.map((one) => one.id)).size !== out.seats.length) throw new Malformed('one peer on two seats');
  return out;
}

function join(values: readonly unknown[]) {
  const [inst, spectate, port, where, trm, at] = values;
  return {
    instance: instance(inst),
    spectate: bool(spectate),
    joinPort: number(65_535)(port),
    addresses: addresses(where),
    term: term(trm),
    time: time(at),
  };
}

function relay(values: readonly unknown[]) {
  const [hops, from, to, socket, id, part, parts, bytes] = values;
  if (!isBin(bytes) || bytes.length === 0 || bytes.length > 1_500) throw new Malformed('a part');
  const count = number(2)(parts);
  if (count === 0) throw new Malformed('no parts');
  const index = number(count - 1)(part);
  return {
    hops: number(4)(hops),
    from: peer(from),
    to: peer(to),
    socket: oneOf(['join', 'session'] as const)(socket),
    id: number(0xffff)(id),
    part: index,
    parts: count,
    bytes: hex(bytes),
  };
}

function roomKey(value: unknown): string | undefined {
  if (value === null) return undefined;
  if (!isBin(value, 32)) throw new Malformed('a room key');
  return hex(value);
}

export type MeshMessage = ReturnType<typeof decodeMesh>;

export function decodeMesh(bytes: Uint8Array) {
  const [kind, ...rest] = items(decodePayload(bytes), 1, 9);
  const values = (count: number): readonly unknown[] => items(rest, count);
  switch (kind) {
    case 1:
      return { type: 'join' as const, join: join(values(6)) };
    case 2: {
      const [theirs, key] = values(2);
      return { type: 'roster' as const, roster: roster(theirs), key: roomKey(key) };
    }
    case 3:
      return { type: 'refuse' as const, reason: oneOf(REFUSALS)(values(1)[0]) };
    case 4:
      return { type: 'forward' as const, peer: peer(values(7)[0]), join: join(values(7).slice(1)) };
    case 5:
      return { type: 'refused' as const, peer: peer(values(2)[0]), reason: oneOf(REFUSALS)(values(2)[1]) };
    case 6:
      values(0);
      return { type: 'leave' as const };
    case 7:
      return { type: 'propose' as const, roster: roster(values(2)[0]), time: time(values(2)[1]) };
    case 8:
      return { type: 'decide' as const, roster: roster(values(3)[0]), time: time(values(3)[1]), term: term(values(3)[2]) };
    case 9:
      return { type: 'move' as const, addresses: addresses(values(1)[0]) };
    case 16:
      return { type: 'beat' as const, time: time(values(2)[0]), words: list(word, 32)(values(2)[1]) };
    case 17:
      return { type: 'relay' as const, relay: relay(values(8)) };
    default:
      throw new Malformed(`message ${String(kind)}`);
  }
}

/** What the page says of who sends such a message, besides its form. */
export function keepsToMesh(message: MeshMessage): void {
  if ('roster' in message) must(isTermOf(message.roster), 'a term of another host');
  if (message.type !== 'relay') return;
  const { part, parts, bytes } = message.relay;
  must(parts === 2 && part === 0 ? bytes.length === 2 * 1_040 : bytes.length <= 2 * 1_040, 'a part of a wrong size');
}
