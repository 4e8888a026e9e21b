/**
 * Large whole states on their way to a newcomer, at the room (`docs/spec.md`, Sync): what else is said meanwhile, and what follows them.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { defineGame, entity, message, s } from 'lanista';
import type { Room } from 'lanista';
import type { MemoryHub } from '../sdk/port/memory.ts';
import { createMemoryLan } from '../sdk/port/memory-lan.ts';
import { MemoryRoomPort } from '../sdk/port/memory.ts';
import { createLan } from '../sdk/room/lan.ts';
import { MAX_SEND_HELD_BYTES } from '../sdk/wire/limits.ts';
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
