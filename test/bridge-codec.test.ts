import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../sdk/base/bytes.ts';
import {
  createCommandOutbox,
  createEventOutbox,
  decodeCommands,
  decodeEvents,
  MAX_BRIDGE_BATCH_BYTES,
  MAX_BRIDGE_ENTRIES,
} from '../sdk/bridge/index.ts';
import type { PageCommand, ProcessEvent } from '../sdk/bridge/index.ts';
import type { PeerId, RoomId, Slot } from '../sdk/base/brand.ts';
import { anyText } from './any-text.ts';
import { expectSame } from './same.ts';

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u48 = fc.oneof(fc.integer({ min: 0, max: 2 ** 48 - 1 }), fc.constantFrom(0xffff_ffff, 2 ** 32, 2 ** 48 - 1));
const ms = fc.oneof(fc.integer({ min: 0, max: 2 ** 37 }), fc.constantFrom(0.001, 16.667, 999.999));
const ratio = fc.integer({ min: 0, max: 0xffff }).map((of) => of / 0xffff);
const bytes = fc.uint8Array({ maxLength: 2_000, size: 'max' });
const channel = fc.constantFrom('reliable' as const, 'sequenced' as const, 'unreliable' as const);
const word = anyText(40);
const name = anyText(128).map((text) => text.slice(0, 128));
const short = name.map((text) => text.slice(0, 64));
const maybe = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(of, { nil: undefined });
const code = maybe(fc.constantFrom('CODE', '', 'x'.repeat(64)));
const found = { name, max: fc.nat(255), code, spectate: fc.boolean() };
const message = { room: u32, peer: u16, channel, lane: fc.nat(7), bytes };
const is = <const T extends string>(type: T): fc.Arbitrary<T> => fc.constant(type);
const many = <T>(of: fc.Arbitrary<T>, maxLength: number): fc.Arbitrary<T[]> => fc.array(of, { maxLength, size: 'max' });

const commands: { readonly [K in PageCommand['type']]: fc.Arbitrary<Extract<PageCommand, { type: K }>> } = {
  hello: fc.record({
    type: is('hello'),
    version: fc.nat(255),
    token: short,
    game: fc.record({ id: short, version: u16, schemaHash: u32 }),
    page: short.map((text) => text.slice(0, 32)),
  }),
  'watch-rooms': fc.record({ type: is('watch-rooms'), on: fc.boolean() }),
  open: fc.record({
    type: is('open'),
    room: u32,
    request: fc.oneof(
      fc.record({ type: is('create'), ...found }),
      fc.record({ type: is('join-or-create'), ...found }),
      fc.record({ type: is('join'), target: word, code, spectate: fc.boolean() }),
    ),
  }),
  claim: fc.record({ type: is('claim'), room: u32 }),
  cancel: fc.record({ type: is('cancel'), room: u32 }),
  send: fc.record({ type: is('send'), ...message }),
  flush: fc.record({ type: is('flush'), room: u32 }),
  eligible: fc.record({ type: is('eligible'), room: u32, eligible: fc.boolean() }),
  kick: fc.record({ type: is('kick'), room: u32, peer: u16 }),
  leave: fc.record({ type: is('leave'), room: u32 }),
  ping: fc.record({ type: is('ping'), stamp: ms }),
  beat: fc.record({ type: is('beat'), hz: fc.nat(120) }),
  diagnose: fc.record({ type: is('diagnose') }),
  digest: fc.record({ type: is('digest'), digest: u32, bytes, isLast: fc.boolean() }),
};
const command = fc.oneof(...Object.values<fc.Arbitrary<PageCommand>>(commands));

const roomId = fc.constant('0123456789abcdef0123456789abcdef' as RoomId);
const slot = fc.nat(31).map((of) => of as Slot);
const state = fc.record({ level: fc.constantFrom('ok' as const, 'degraded' as const, 'unavailable' as const), reasons: many(word, 16) });
const joinCode = maybe(fc.constant('p4aaa-amgt4'));
const kept = maybe(fc.record({ roomId, name }));
const roster = fc.record({
  roomId,
  name,
  max: fc.nat(32),
  locked: fc.boolean(),
  epoch: u48,
  term: u48,
  host: u16,
  peers: many(
    fc.record({
      peer: u16,
      slot,
      status: fc.constantFrom('present' as const, 'away' as const),
      spectator: fc.boolean(),
      eligible: fc.boolean(),
      via: maybe(u16),
    }),
    32,
  ),
});
const listing = fc.record({
  id: roomId,
  name,
  players: fc.nat(255),
  max: fc.nat(255),
  locked: fc.boolean(),
  pingMs: maybe(ms),
  gameId: short,
  version: u16,
  schemaHash: u32,
  compatible: fc.boolean(),
  reason: maybe(word),
  address: word,
});
const peerStats = fc.record({
  peer: u16,
  rttMs: ms,
  jitterMs: ms,
  lossOutRatio: ratio,
  lossInRatio: ratio,
  bytesOut: u48,
  bytesIn: u48,
  packetsOut: u48,
  packetsIn: u48,
  queuedBytes: u32,
});

const events: { readonly [K in ProcessEvent['type']]: fc.Arbitrary<Extract<ProcessEvent, { type: K }>> } = {
  welcome: fc.record({
    type: is('welcome'),
    guests: maybe(word),
    version: fc.nat(255),
    self: short.map((text) => text as PeerId),
    kept,
    discovery: state,
    joinCode,
  }),
  discovery: fc.record({ type: is('discovery'), state, joinCode, kept }),
  rooms: fc.record({ type: is('rooms'), rooms: many(listing, 20) }),
  peer: fc.record({ type: is('peer'), peer: u16, id: short.map((text) => text as PeerId) }),
  opened: fc.record({ type: is('opened'), room: u32, roster }),
  failed: fc.record({ type: is('failed'), room: u32, code: fc.constantFrom('room-full', 'wrong-code'), message: word, hint: maybe(word) }),
  roster: fc.record({
    type: is('roster'),
    room: u32,
    roster,
    left: many(fc.record({ peer: u16, slot, reason: fc.constantFrom('bye' as const, 'timeout' as const, 'kicked' as const) }), 40),
  }),
  message: fc.record({ type: is('message'), ...message }),
  reset: fc.record({ type: is('reset'), room: u32, peer: u16 }),
  merge: fc.record({ type: is('merge'), room: u32, lost: fc.boolean(), joined: many(u16, 32) }),
  closed: fc.record({
    type: is('closed'),
    room: u32,
    reason: fc.constantFrom('bye' as const, 'timeout' as const, 'kicked' as const, 'bridge' as const, 'copied' as const),
  }),
  taken: fc.record({ type: is('taken'), room: u32, peer: u16, bytes: u48 }),
  stats: fc.record({ type: is('stats'), room: u32, peers: many(peerStats, 32), drops: many(fc.record({ reason: short, count: u48 }), 20) }),
  pong: fc.record({ type: is('pong'), stamp: ms, now: ms }),
  time: fc.record({ type: is('time'), room: u32, at: ms, time: ms, errorMs: ms }),
  beat: fc.record({ type: is('beat') }),
  diagnosis: fc.record({
    type: is('diagnosis'),
    checks: many(fc.record({ id: word, level: fc.constantFrom('ok' as const, 'warn' as const, 'fail' as const), what: word, fix: word }), 20),
    problem: maybe(word),
  }),
  digested: fc.record({ type: is('digested'), digest: u32, hash: maybe(fc.uint8Array({ minLength: 0, maxLength: 32 })) }),
};
const event = fc.oneof(...Object.values<fc.Arbitrary<ProcessEvent>>(events));

describe('bridge batches', () => {
  test('[BR1] every command and event reads back as it was written, in order', () => {
    fc.assert(
      fc.property(many(command, 20), many(event, 20), (commands, events) => {
        const pageOut = createCommandOutbox();
        for (const entry of commands) pageOut.add(entry);
        const processOut = createEventOutbox();
        for (const entry of events) processOut.add(entry);
        // Some that are drawn have no prototype, which makes them not the same.
        expectSame(decodeCommands(pageOut.take() ?? new Uint8Array(0)), { entries: structuredClone(commands), drop: undefined });
        expectSame(decodeEvents(processOut.take() ?? new Uint8Array(0)), { entries: structuredClone(events), drop: undefined });
      }),
      { numRuns: 150 },
    );
  });

  test('[BR2] no bytes make a decoder throw; what cannot be read is dropped with a reason', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400, size: 'max' }), (noise) => {
        for (const { drop } of [decodeCommands(noise), decodeEvents(noise)]) if (drop !== undefined) expectSame(drop, 'bridge-malformed');
      }),
      { numRuns: 3_000 },
    );
  });

  test('[BR2] mutated batches never throw, and entries before the damage stand', () => {
    fc.assert(
      fc.property(fc.array(command, { minLength: 1, maxLength: 6, size: 'max' }), fc.nat(), fc.nat(255), (commands, at, byte) => {
        const out = createCommandOutbox();
        for (const entry of commands) out.add(entry);
        const batch = out.take()!;
        batch[at % batch.length] = byte;
        decodeCommands(batch);
        decodeEvents(batch);
        decodeCommands(batch.subarray(0, at % batch.length));
      }),
      { numRuns: 3_000 },
    );
  });

  test('[BR2] a count or size over its bound, or over what is there, is refused before anything is allocated', () => {
    const blob = new ByteWriter();
    blob.u8(5).u32(1).u16(1).u8(0).u8(0).u32(0xffff_ffff);
    expect(decodeCommands(blob.copy())).toEqual({ entries: [], drop: 'bridge-malformed' });
    const merge = new ByteWriter();
    merge.u8(9).u32(1).u8(0).u16(33);
    expect(decodeEvents(merge.copy())).toEqual({ entries: [], drop: 'bridge-malformed' });
    expect(decodeCommands(new Uint8Array(MAX_BRIDGE_BATCH_BYTES + 1)).drop).toBe('bridge-oversized');
    const flushes = new Uint8Array((MAX_BRIDGE_ENTRIES + 1) * 5);
    for (let i = 0; i < flushes.length; i += 5) flushes[i] = 6;
    expect(decodeCommands(flushes)).toMatchObject({ drop: 'bridge-entries' });
  });

  test('[BR3] a batch is split only where it would pass its bound', () => {
    const out = createCommandOutbox();
    const big = new Uint8Array(200 * 1_024);
    for (let i = 0; i < 5; i++) out.add({ type: 'send', room: 1, peer: i, channel: 'reliable', lane: 0, bytes: big });
    const peers: number[] = [];
    let batches = 0;
    for (let batch = out.take(); batch !== undefined; batch = out.take(), batches++) {
      expect(batch.length).toBeLessThanOrEqual(MAX_BRIDGE_BATCH_BYTES);
      for (const entry of decodeCommands(batch).entries) if (entry.type === 'send') peers.push(entry.peer);
    }
    expect(batches).toBe(3);
    expect(peers).toEqual([0, 1, 2, 3, 4]);
    expect(out.bytes).toBe(0);
  });

  test('[BR3] nor has a batch more entries than are read; what is not sent any more is gone with all that waited', () => {
    const out = createCommandOutbox();
    for (let room = 0; room < 2 * MAX_BRIDGE_ENTRIES + 1; room++) out.add({ type: 'flush', room });
    expect(out.bytes).toBe(5 * (2 * MAX_BRIDGE_ENTRIES + 1));
    const first = out.take()!;
    expect(out.bytes).toBe(5 * (MAX_BRIDGE_ENTRIES + 1));
    expect(decodeCommands(first)).toMatchObject({ drop: undefined, entries: { length: MAX_BRIDGE_ENTRIES } });
    expect(decodeCommands(out.take()!)).toMatchObject({ drop: undefined, entries: { length: MAX_BRIDGE_ENTRIES } });
    out.clear();
    expect([out.bytes, out.take()]).toEqual([0, undefined]);
    out.add({ type: 'flush', room: 7 });
    expect(decodeCommands(out.take()!)).toEqual({ entries: [{ type: 'flush', room: 7 }], drop: undefined });
    // A batch that is full is never followed by an empty one.
    const large = { type: 'send', room: 1, peer: 1, channel: 'reliable', lane: 0, bytes: new Uint8Array(262_144) } as const;
    for (let i = 0; i < 3; i++) out.add(large);
    const sizes: number[] = [];
    for (let batch = out.take(); batch !== undefined; batch = out.take()) sizes.push(decodeCommands(batch).entries.length);
    expect([sizes.reduce((sum, size) => sum + size, 0), sizes.every((size) => size > 0), out.bytes]).toEqual([3, true, 0]);
  });

  test('[BR2] every value that is out of its bounds ends the reading where it stands, and what was before it is kept', () => {
    const flush = [6, 0, 0, 0, 9];
    const refused: readonly (readonly [string, readonly number[]])[] = [
      ['no such command', [13]],
      ['a flag of two', [1, 2]],
      ['a lane of eight', [5, 0, 0, 0, 1, 0, 1, 0, 8, 0, 0, 0, 0]],
      ['a channel of three', [5, 0, 0, 0, 1, 0, 1, 3, 0, 0, 0, 0, 0]],
      ['a message that is not there', [5, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1]],
      ['more than 120 beats', [11, 121]],
      ['a token of 65', [0, 1, 0, 65, ...Array.from({ length: 130 }, () => 0), 0, 0, 0, 1, 0, 0, 0, 7]],
      ['a text that is not there', [0, 1, 0, 40, 0, 0]],
      ['no such request', [2, 0, 0, 0, 1, 3]],
    ];
    for (const [what, bytes] of refused) {
      const batch = decodeCommands(Uint8Array.from([...flush, ...bytes]));
      expect([what, batch]).toEqual([what, { entries: [{ type: 'flush', room: 9 }], drop: 'bridge-malformed' }]);
    }
    const over = new ByteWriter();
    over.u8(5).u32(1).u16(1).u8(0).u8(0).u32(262_145);
    over.raw(new Uint8Array(262_145));
    expect(decodeCommands(over.copy()).drop).toBe('bridge-malformed');
    const crowd = new ByteWriter();
    crowd.u8(9).u32(1).u8(0).u16(33);
    crowd.raw(new Uint8Array(66));
    expect(decodeEvents(crowd.copy())).toEqual({ entries: [], drop: 'bridge-malformed' });
    // A count of what is not there is not walked through.
    const seats = new ByteWriter();
    seats.u8(9).u32(1).u8(0).u16(32).u16(5);
    expect(decodeEvents(seats.copy())).toEqual({ entries: [], drop: 'bridge-malformed' });
  });

  test('[BR1] what is too long, or was measured wrongly, is cut to its bounds where it is written, and breaks nothing after it', () => {
    const read = (event: ProcessEvent): ProcessEvent => {
      const out = createEventOutbox();
      out.add(event);
      out.add({ type: 'beat' });
      const { entries, drop } = decodeEvents(out.take()!);
      expect([drop, entries[1]]).toEqual([undefined, { type: 'beat' }]);
      return entries[0]!;
    };
    for (const [given, told] of [
      [-5, 0],
      [Number.NaN, 0],
      [Infinity, (2 ** 48 - 1) / 1_000],
      [1e15, (2 ** 48 - 1) / 1_000],
      [1.0004, 1],
    ] as const)
      expect(read({ type: 'pong', stamp: given, now: 1 })).toEqual({ type: 'pong', stamp: told, now: 1 });
    const stats = (lossOutRatio: number, bytesOut: number) => {
      const of = { rttMs: 1, jitterMs: 1, lossOutRatio, lossInRatio: 1, bytesOut, bytesIn: 0, packetsOut: 0, packetsIn: 0, queuedBytes: 0 };
      const event = read({ type: 'stats', room: 1, peers: [{ peer: 1, ...of }], drops: [] });
      return event.type === 'stats' ? [event.peers[0]!.lossOutRatio, event.peers[0]!.bytesOut] : [];
    };
    expect([stats(1.5, 2 ** 50), stats(-1, -1), stats(Number.NaN, 7.4)]).toEqual([
      [1, 2 ** 48 - 1],
      [0, 0],
      [0, 7],
    ]);
    const long = 'x'.repeat(2_000);
    expect(read({ type: 'failed', room: 1, code: long, message: long, hint: long })).toEqual({
      type: 'failed',
      room: 1,
      code: 'x'.repeat(32),
      message: 'x'.repeat(1_024),
      hint: 'x'.repeat(1_024),
    });
    const reasons = Array.from({ length: 20 }, (_, i) => String(i));
    expect(read({ type: 'discovery', state: { level: 'ok', reasons }, joinCode: undefined, kept: undefined })).toMatchObject({
      state: { reasons: reasons.slice(0, 16) },
    });
  });
});
