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

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const ms = fc.integer({ min: 0, max: 2 ** 37 });
const bytes = fc.uint8Array({ maxLength: 2_000 });
const channel = fc.constantFrom('reliable' as const, 'sequenced' as const, 'unreliable' as const);
const word = fc.string({ maxLength: 40, unit: 'binary' });
const name = word.filter((text) => text.length <= 128);

const command: fc.Arbitrary<PageCommand> = fc.oneof(
  fc.record({
    type: fc.constant('hello' as const),
    version: fc.nat(255),
    token: name.filter((text) => text.length <= 64),
    game: fc.record({ id: fc.constant('g'), version: u16, schemaHash: u32 }),
  }),
  fc.record({
    type: fc.constant('open' as const),
    room: u32,
    request: fc.record({
      type: fc.constant('create' as const),
      name,
      max: fc.nat(32),
      code: fc.option(fc.constant('CODE'), { nil: undefined }),
      spectate: fc.boolean(),
    }),
  }),
  fc.record({ type: fc.constant('send' as const), room: u32, peer: u16, channel, lane: fc.nat(7), bytes }),
  fc.record({ type: fc.constant('flush' as const), room: u32 }),
  fc.record({ type: fc.constant('ping' as const), stamp: ms }),
);

const event: fc.Arbitrary<ProcessEvent> = fc.oneof(
  fc.record({ type: fc.constant('message' as const), room: u32, peer: u16, channel, lane: fc.nat(7), bytes }),
  fc.record({ type: fc.constant('peer' as const), peer: u16, id: name.map((text) => text.slice(0, 64) as PeerId) }),
  fc.record({ type: fc.constant('merge' as const), room: u32, lost: fc.boolean(), joined: fc.array(u16, { maxLength: 32 }) }),
  fc.record({ type: fc.constant('pong' as const), stamp: ms, now: ms }),
  fc.record({
    type: fc.constant('discovery' as const),
    state: fc.record({ level: fc.constantFrom('ok' as const, 'degraded' as const), reasons: fc.array(word, { maxLength: 4 }) }),
    joinCode: fc.option(fc.constant('p4aaa-amgt4'), { nil: undefined }),
    kept: fc.option(fc.record({ roomId: fc.constant('ab' as RoomId), name }), { nil: undefined }),
  }),
  fc.record({
    type: fc.constant('opened' as const),
    room: u32,
    roster: fc.record({
      roomId: fc.constant('ab' as RoomId),
      name,
      max: fc.nat(32),
      locked: fc.boolean(),
      epoch: u32,
      term: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
      host: u16,
      peers: fc.array(
        fc.record({
          peer: u16,
          slot: fc.nat(31).map((slot) => slot as Slot),
          status: fc.constantFrom('present' as const, 'away' as const),
          spectator: fc.boolean(),
          eligible: fc.boolean(),
          via: fc.option(u16, { nil: undefined }),
        }),
        { maxLength: 32 },
      ),
    }),
  }),
);

describe('bridge batches', () => {
  test('[BR1] every command and event reads back as it was written, in order', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 20 }), fc.array(event, { maxLength: 20 }), (commands, events) => {
        const pageOut = createCommandOutbox();
        for (const entry of commands) pageOut.add(entry);
        const processOut = createEventOutbox();
        for (const entry of events) processOut.add(entry);
        expect(decodeCommands(pageOut.take() ?? new Uint8Array(0))).toEqual({ entries: commands, drop: undefined });
        expect(decodeEvents(processOut.take() ?? new Uint8Array(0))).toEqual({ entries: events, drop: undefined });
      }),
      { numRuns: 150 },
    );
  });

  test('[BR2] no bytes make a decoder throw; what cannot be read is dropped with a reason', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
        for (const batch of [decodeCommands(noise), decodeEvents(noise)]) expect([undefined, 'bridge-malformed']).toContain(batch.drop);
      }),
      { numRuns: 3_000 },
    );
  });

  test('[BR2] mutated batches never throw, and entries before the damage stand', () => {
    fc.assert(
      fc.property(fc.array(command, { minLength: 1, maxLength: 6 }), fc.nat(), fc.nat(255), (commands, at, byte) => {
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
});
