/**
 * Large whole states on their way to a newcomer, at the room (`docs/spec.md`, Sync): what else is said meanwhile, and what follows them.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { defineGame, entity, message, s } from 'lanista';
import type { PeerId, Room } from 'lanista';
import { createRng } from '../sdk/base/rng.ts';
import type { MemoryHub } from '../sdk/port/memory.ts';
import { createMemoryLan } from '../sdk/port/memory-lan.ts';
import { MemoryRoomPort } from '../sdk/port/memory.ts';
import type { RoomPort } from '../sdk/port/port.ts';
import { createLan } from '../sdk/room/lan.ts';
import { Anchor, Anchors } from '../sdk/sync/anchor.ts';
import { BodyEncoder } from '../sdk/sync/body-encoder.ts';
import { EntityCore, initialise } from '../sdk/sync/entity.ts';
import { Inbound } from '../sdk/sync/inbound.ts';
import { Replication } from '../sdk/sync/replication.ts';
import { EntityStore } from '../sdk/sync/store.ts';
import { MAX_SEND_HELD_BYTES } from '../sdk/wire/limits.ts';
import { PackReader, PackWriter } from '../sdk/wire/pack.ts';
import { soleOwnerRules } from './bench/parts/rules.ts';
import { openRooms } from './open-rooms.ts';

const TEXTS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'] as const;
const text = s.text(900).default('');
const game = defineGame({
  id: 'whole',
  version: 1,
  entities: {
    page: entity({
      authority: 'spawner',
      fields: { x: s.num({ min: 0, max: 100_000, step: 1 / 16 }), n: s.u8(), a: text, b: text, c: text, d: text, e: text, f: text, g: text, h: text },
    }),
    book: entity({ authority: 'spawner', fields: { n: s.u8(), pages: s.list(s.text(900), 250) } }),
  },
  messages: { say: message({ n: s.u16(), filler: s.list(s.text(900), 28) }) },
});
type G = typeof game;

/** Seven kilobytes. */
const spawn = (room: Room<G>, n: number) =>
  room.entities.spawn('page', { x: 0, n, ...Object.fromEntries(TEXTS.map((name) => [name, name.repeat(875)])) });

interface Held {
  readonly bytes: number;
  readonly leave: () => void;
}

/** What `from` says reliably waits in a link that holds so much, and brings it lane by lane in turns, `bytesPerS` in all. */
class SlowLink {
  readonly lanes: readonly Held[][] = [[], []];
  refused = 0;
  #room = 0;
  #turn = 0;

  constructor(hub: MemoryHub, from: Room<G>) {
    const { send } = MemoryRoomPort.prototype;
    const link = this as SlowLink;
    vi.spyOn(MemoryRoomPort.prototype, 'send').mockImplementation(function (this: MemoryRoomPort, ...args: Parameters<typeof send>) {
      const [, to, channel, bytes, lane = 0] = args;
      if (this.self !== from.self.id || channel !== 'reliable') return send.apply(this, args);
      const cost = bytes.length + 64;
      if (link.held(0) + link.held(1) + cost > MAX_SEND_HELD_BYTES) return link.refused++ < 0;
      const copy = bytes.slice();
      link.lanes[lane]!.push({ bytes: cost, leave: () => send.call(this, hub.now(), to, channel, copy, lane) });
      return true;
    });
    vi.spyOn(MemoryRoomPort.prototype, 'queued').mockImplementation(function (this: MemoryRoomPort, _to, lane) {
      return this.self === from.self.id ? link.held(lane) : 0;
    });
  }

  held(lane: number): number {
    return this.lanes[lane]!.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** As much leaves as fits into `bytes` more. */
  bring(bytes: number): void {
    this.#room = Math.min(this.#room + bytes, Math.max(40_000, bytes));
    for (let idle = 0; idle < 2; this.#turn ^= 1) {
      const next = this.lanes[this.#turn]![0];
      if (next === undefined) idle++;
      else if (next.bytes > this.#room) return;
      else {
        idle = 0;
        this.#room -= next.bytes;
        this.lanes[this.#turn]!.shift();
        next.leave();
      }
    }
  }
}

async function join(hub: MemoryHub, room: Room<G>): Promise<{ room: Room<G> | undefined }> {
  const lan = createLan(game, createMemoryLan(hub, game), { presence: {}, randomU32: () => hub.rng.u32() });
  const joined: { room: Room<G> | undefined } = { room: undefined };
  void lan.join(room.id).then((opened) => (joined.room = opened));
  return joined;
}

afterEach(() => vi.restoreAllMocks());

describe('a whole state that is more than a link holds', () => {
  it('[SY112] leaves room for what the game says meanwhile, which overtakes what is left of it', async () => {
    const { hub, rooms } = await openRooms(game, 1);
    const [ann] = rooms as [Room<G>];
    // 1.4 MB, and five seconds of the way.
    for (let n = 0; n < 200; n++) spawn(ann, n);
    await hub.play(500);
    const link = new SlowLink(hub, ann);
    const joined = await join(hub, ann);
    const sent: number[] = [];
    const late: number[] = [];
    let most = 0;
    for (let i = 0; i < 300; i++) {
      link.bring(6_000);
      // 22 kB, twice a second.
      if (i % 25 === 10) {
        ann.send('say', { n: i, filler: Array.from({ length: 28 }, () => 'z'.repeat(800)) });
        sent.push(i);
      }
      if (i === 200) joined.room!.onMessage('say', ({ n }) => late.push(n));
      most = Math.max(most, link.held(0));
      await hub.play(20);
    }
    expect(link.refused).toBe(0);
    expect(joined.room!.entities.get('page', [...ann.entities.all('page')].at(-1)!.id)?.n).toBe(199);
    // Two at most wait at any time, behind what of the state left before them.
    expect(most).toBeLessThan(2 * 23_000);
    expect(late).toEqual(sent.filter((n) => n > 200));
  });

  it('[SY112] comes also where one thing alone is more than may wait', async () => {
    const { hub, rooms } = await openRooms(game, 1);
    const [ann] = rooms as [Room<G>];
    for (let n = 0; n < 3; n++) ann.entities.spawn('book', { n, pages: Array.from({ length: 250 }, () => 'p'.repeat(850)) });
    await hub.play(500);
    const link = new SlowLink(hub, ann);
    const joined = await join(hub, ann);
    let most = 0;
    for (let i = 0; i < 150; i++) {
      most = Math.max(most, link.held(1));
      link.bring(250_000);
      await hub.play(20);
    }
    expect([...joined.room!.entities.all('book')].map(({ n, pages }) => [n, pages.length])).toEqual([0, 1, 2].map((n) => [n, 250]));
    // One at a time.
    expect(most).toBeGreaterThan(200_000);
    expect(most).toBeLessThan(300_000);
  });

  it('[SY112] is not slower for that where the room ticks twice a second', async () => {
    const lazy = defineGame({
      id: 'lazy',
      version: 1,
      entities: { page: entity({ authority: 'spawner', rate: 2, fields: { a: text, n: s.u16() } }) },
    });
    const { hub, rooms } = await openRooms(lazy, 1);
    const [ann] = rooms as [Room<typeof lazy>];
    for (let n = 0; n < 600; n++) ann.entities.spawn('page', { n, a: 'a'.repeat(900) });
    await hub.play(1_000);
    // Takes 100 kB and has got rid of them 20 ms later.
    const { send } = MemoryRoomPort.prototype;
    let held = 0;
    vi.spyOn(MemoryRoomPort.prototype, 'send').mockImplementation(function (this: MemoryRoomPort, ...args: Parameters<typeof send>) {
      const { length } = args[3];
      if (this.self !== ann.self.id || args[2] !== 'reliable') return send.apply(this, args);
      held += length;
      hub.post(20, () => (held -= length));
      return send.apply(this, args);
    });
    vi.spyOn(MemoryRoomPort.prototype, 'queued').mockImplementation(() => held);
    const began = hub.now();
    const lan = createLan(lazy, createMemoryLan(hub, lazy), { presence: {}, randomU32: () => hub.rng.u32() });
    let took = 0;
    void lan.join(ann.id).then(() => (took = hub.now() - began));
    await hub.play(3_000);
    expect(took).toBeGreaterThan(0);
    // The tick, and a few turns.
    expect(took).toBeLessThan(800);
  });
});

describe('a whole state that takes longer than the past reaches back', () => {
  it('[SY113] is followed by what changed meanwhile, though all of it did, at every tick, with a budget and without', async () => {
    for (const bytesPerTick of [undefined, 4_000]) {
      const { hub, rooms } = await openRooms(game, 1, { seed: 3 });
      const [ann] = rooms as [Room<G>];
      const pages = Array.from({ length: 100 }, (_, n) => spawn(ann, n));
      if (bytesPerTick !== undefined) ann.setStateBudget({ bytesPerTick });
      await hub.play(500);
      const link = new SlowLink(hub, ann);
      const joined = await join(hub, ann);
      hub.lossRatio = 0.1;
      // 700 kB in seven seconds: 210 ticks.
      let lag = 0;
      for (let i = 0; i < 600; i++) {
        link.bring(2_000);
        for (const page of pages) page.x = i;
        if (i === 100) pages[0]!.a = 'changed';
        // There and back, before anybody heard of it.
        if (i === 20) pages[1]!.b = 'changed';
        if (i === 40) pages[1]!.b = 'b'.repeat(875);
        if (i === 60) pages.pop()!.despawn();
        if (i === 80) pages.push(ann.entities.spawn('page', { x: 0, n: 200 }));
        await hub.play(20);
        if (i > 450) for (const { x } of joined.room!.entities.all('page')) lag = Math.max(lag, i - x);
      }
      // Of 20 ms each; within the budget their turns come round in a few ticks.
      expect(lag, String(bytesPerTick)).toBeLessThan(bytesPerTick === undefined ? 12 : 30);
      expect(ann.stats().stateBytesOut, String(bytesPerTick)).toBeLessThan(900_000);
      hub.lossRatio = 0;
      await hub.play(1_000);
      const known = new Map([...joined.room!.entities.all('page')].map((page) => [page.id, JSON.stringify(page)]));
      expect(known).toEqual(new Map(pages.map((page) => [page.id, JSON.stringify(page)])));
      expect(joined.room!.stats().drops['state-diverged'] ?? 0).toBe(0);
      vi.restoreAllMocks();
    }
  });

  it('[SY113] [SY17] what was told of it and not acked, and changed back, is told again', () => {
    const kinds = defineGame({
      id: 'back',
      version: 1,
      entities: {
        card: entity({ authority: 'spawner', rate: 60, fields: { x: s.i16(), turn: s.angle(10), text: s.text(4), a: s.u8(), b: s.u8() } }),
        slow: entity({ authority: 'spawner', rate: 20, fields: { x: s.i16(), turn: s.angle(10), text: s.text(4), a: s.u8(), b: s.u8() } }),
      },
    });
    const home = { roomTime: () => 0, failed: () => undefined, despawn: () => undefined, requestAuthority: async () => undefined };
    for (let seed = 1; seed <= 60; seed++) {
      const rng = createRng(seed);
      const store = new EntityStore(kinds);
      const replication = new Replication({} as RoomPort, store, 60, 7);
      const cores = Array.from({ length: 4 }, (_, i) => {
        const core = new EntityCore(home, store.kind(i % 2 === 0 ? 'card' : 'slow'), 7, i, 'owner' as PeerId);
        initialise(core, { x: 0, turn: 0, text: '', a: 0, b: 0 });
        replication.own(core);
        return core;
      });
      const replica = new EntityStore(kinds);
      const rules = soleOwnerRules({ self: 'viewer', home, hash: () => 0, diverged: () => undefined });
      const stream = new Inbound('owner' as PeerId, 7, 60, replica, rules);
      const out = new PackWriter(4_096);
      const encoder = new BodyEncoder(out);
      const tell = (tick: number, baseline: number, anchor?: Anchor): void => {
        out.reset();
        encoder.encode({ tick, phase: 0, quiet: 1, hash: 0, session: 7 }, baseline, replication.owned, [], anchor);
        const body = new PackReader(out.bytes, encoder.starts[0], encoder.ends[0]);
        expect(stream.handleBody((tick * 1_000) / 60, tick, baseline < 0, body)).toBeUndefined();
        for (const core of cores) {
          const seen = replica.find(7, core.counter)!;
          expect([[...seen.ints], seen.boxed[2]], `${seed}, ${tick}`).toEqual([[...core.ints], core.boxed[2]]);
        }
      };
      replication.collect(3, 0);
      tell(3, -1);
      const anchor = new Anchor(3, replication.owned);
      for (let tick = 4; tick < 320; tick++) {
        for (const core of cores) {
          const card = core.handle as { x: number; turn: number; text: string; a: number; b: number; teleport(): void };
          card.x = (tick * 37) % 1_000;
          if (rng.chance(0.3)) card.turn = rng.float() * 6;
          // Few values, which come again.
          if (tick % 3 === 0 && rng.chance(0.05)) card.text = rng.chance(0.5) ? 'here' : '';
          if (rng.chance(0.02)) card.a ^= 1;
          if (rng.chance(0.01)) card.teleport();
        }
        replication.collect(tick, 0);
        // Acked after 240 ticks; sixty later it would be told anew.
        if (tick > 243 && tick < 305 && tick % 3 === 0 && rng.chance(0.7)) tell(tick, 3, anchor);
      }
      expect(stream.completeTick).toBeGreaterThan(280);
    }
  });

  it('[SY113] is kept in mind until each peer has acked something newer, or forgets it', () => {
    const anchors = new Anchors();
    const peer = (acked: number, ...fulls: readonly number[]) => ({ acked, fulls });
    const weigh = (...peers: readonly { readonly acked: number; readonly fulls: readonly number[] }[]): number[] => {
      anchors.weigh(new Map(peers.entries()));
      return [10, 20, 30].filter((tick) => anchors.of(tick) !== undefined);
    };
    for (const tick of [10, 20, 20, 30]) anchors.drop(tick, []);
    const first = anchors.of(20);
    anchors.drop(20, []);
    expect(anchors.of(20)).toBe(first);
    expect(weigh(peer(-1, 10, 20), peer(30, 30))).toEqual([10, 20, 30]);
    expect(weigh(peer(10, 10, 20), peer(31, 30))).toEqual([10, 20]);
    expect(weigh(peer(20, 10, 20), peer(31, 30))).toEqual([20]);
    expect(weigh(peer(21, 10, 20))).toEqual([]);
  });
});
