/** One seat held for a page, by itself: what waits, what is counted, and what becomes of it when the page or the room goes. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { PeerId } from '../sdk/base/brand.ts';
import type { ProcessEvent } from '../sdk/bridge/index.ts';
import { BRIDGE_TAKEN_BYTES } from '../sdk/bridge/index.ts';
import { BridgeSeat } from '../sdk/node/bridge-seat.ts';
import type { SeatHolder } from '../sdk/node/bridge-seat.ts';
import type { PortRoster } from '../sdk/port/port.ts';
import { MAX_HELD_BYTES, MAX_HELD_BYTES_PER_PEER } from '../sdk/wire/limits.ts';
import { ME, OTHER, ScriptedRoom } from './bridge-fake.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

interface Page extends SeatHolder {
  readonly told: ProcessEvent[];
  readonly drops: string[];
  ends: number;
  lag: boolean;
  mayTell: boolean;
}

/** A page whose number for a peer is its place in this list. */
const peers = [ME, OTHER, ...Array.from({ length: 20 }, (_, i) => `${String.fromCharCode(99 + i)}`.repeat(16) as PeerId)];

function page(): Page {
  const all: Page = {
    room: 7,
    told: [],
    drops: [],
    ends: 0,
    lag: false,
    mayTell: true,
    tell: (event) => void all.told.push(event),
    number: (id) => peers.indexOf(id),
    hasRoom: () => all.mayTell,
    lagging: () => all.lag,
    drop: (reason) => void all.drops.push(reason),
    closed: () => void all.ends++,
  };
  return all;
}

function open(): { room: ScriptedRoom; seat: BridgeSeat; held: Page; batch: () => ProcessEvent[]; clock: { now: number } } {
  const room = new ScriptedRoom('den');
  const clock = { now: 1_000 };
  const seat = new BridgeSeat(room, () => clock.now, undefined);
  const held = page();
  seat.give(held);
  const batch = (): ProcessEvent[] => {
    const added: ProcessEvent[] = [];
    seat.tellWithBatch((event) => added.push(event));
    return added;
  };
  return { room, seat, held, batch, clock };
}

const words = (size: number, first = 0): Uint8Array => new Uint8Array(size).fill(first);
const roster = (room: ScriptedRoom, change: Partial<PortRoster>): void =>
  room.say({ type: 'roster', roster: { ...room.roster(), ...change }, left: [] });
/** A room of so many, all of them present. */
function crowd(room: ScriptedRoom, count: number): readonly PeerId[] {
  const [one] = room.roster().peers;
  roster(room, { peers: peers.slice(0, count).map((id, slot) => ({ ...one!, id, slot: slot as never })) });
  return peers.slice(1, count);
}
const firstBytes = (room: ScriptedRoom): (number | undefined)[] => room.sent.map(({ bytes }) => bytes[0]);

describe('what a page says reliably', () => {
  test('[BR7] waits in its order while the port takes nothing, as it was when it was said, and is tried again by itself', () => {
    const { room, seat, held } = open();
    room.room = 0;
    const mine = words(10, 1);
    seat.send(OTHER, 'reliable', 0, mine);
    mine.fill(99);
    room.room = 1;
    // There is room, but somebody waits already.
    seat.send(OTHER, 'reliable', 0, words(10, 2));
    expect(room.sent).toEqual([]);
    vi.advanceTimersByTime(10);
    expect(firstBytes(room)).toEqual([1]);
    room.room = 1;
    vi.advanceTimersByTime(10);
    expect([firstBytes(room), room.flushes, held.drops]).toEqual([[1, 2], 2, []]);
    // Nothing waits: nothing is tried.
    expect(vi.getTimerCount()).toBe(0);
  });

  test('[BR7] is counted as taken once it left or was given up, and told once, at once where it is much', () => {
    const { room, seat, held, batch, clock } = open();
    const taken = (): unknown[] => batch().flatMap((event) => (event.type === 'taken' ? [[event.room, event.peer, event.bytes]] : []));
    seat.send(OTHER, 'reliable', 0, words(100));
    expect([taken(), taken()]).toEqual([[[7, 1, 100]], []]);
    room.room = 0;
    seat.send(OTHER, 'reliable', 0, words(50));
    expect(taken()).toEqual([]);
    room.room = 1;
    vi.advanceTimersByTime(10);
    expect(taken()).toEqual([[7, 1, 150]]);
    // To somebody who is away: the page's account is even.
    const [me, other] = room.roster().peers;
    roster(room, { peers: [me!, { ...other!, status: 'away' }] });
    seat.send(OTHER, 'reliable', 0, words(30));
    expect([taken(), held.drops]).toEqual([[[7, 1, 180]], ['bridge-peer-not-present']]);
    roster(room, { peers: [me!, other!] });
    held.told.length = 0;
    room.room = 0;
    seat.send(OTHER, 'reliable', 0, words(BRIDGE_TAKEN_BYTES));
    room.room = 1;
    vi.advanceTimersByTime(10);
    expect(held.told).toEqual([{ type: 'taken', room: 7, peer: 1, bytes: 180 + BRIDGE_TAKEN_BYTES }]);
    clock.now += 1_000;
    expect(taken()).toEqual([]);
  });

  test('[BR7] to somebody who went meanwhile is dropped, and keeps nobody else waiting', () => {
    const { room, seat, held, batch } = open();
    const [bob, cat] = crowd(room, 3) as [PeerId, PeerId];
    room.room = 0;
    for (const to of [bob, bob, cat]) seat.send(to, 'reliable', 0, words(10, peers.indexOf(to)));
    const [me, , third] = room.roster().peers;
    roster(room, { peers: [me!, third!] });
    room.room = 5;
    vi.advanceTimersByTime(10);
    expect([firstBytes(room), held.drops]).toEqual([[2], ['bridge-peer-not-present', 'bridge-peer-not-present']]);
    expect(batch().flatMap((event) => (event.type === 'taken' ? [[event.peer, event.bytes]] : []))).toEqual([
      [1, 20],
      [2, 10],
    ]);
  });

  test('[BR7] is bounded, for one peer and in all, and what left makes room again', () => {
    const { room, seat, held } = open();
    const count = MAX_HELD_BYTES / MAX_HELD_BYTES_PER_PEER + 1;
    expect(Number.isInteger(count) && count <= peers.length - 1).toBe(true);
    const others = crowd(room, count + 1);
    const half = words(MAX_HELD_BYTES_PER_PEER / 2);
    for (let round = 1; round <= 2; round++) {
      room.room = 0;
      for (let i = 0; i < 2; i++) seat.send(others[0]!, 'reliable', 0, half);
      expect(held.drops).toEqual([]);
      seat.send(others[0]!, 'reliable', 0, words(1));
      expect(held.drops.splice(0)).toEqual(['bridge-queue-full']);
      for (const to of others.slice(1, -1)) for (let i = 0; i < 2; i++) seat.send(to, 'reliable', 0, half);
      expect(held.drops).toEqual([]);
      seat.send(others.at(-1)!, 'reliable', 0, words(1));
      expect(held.drops.splice(0)).toEqual(['bridge-queue-full']);
      room.room = Infinity;
      room.sent.length = 0;
      vi.advanceTimersByTime(10);
      expect(room.sent).toHaveLength(2 * (count - 1));
    }
  });

  test('[BR7] is forgotten with its page: the next one begins with nothing under way, and all the room there is', () => {
    const { room, seat, batch } = open();
    room.room = 0;
    for (let i = 0; i < 2; i++) seat.send(OTHER, 'reliable', 0, words(MAX_HELD_BYTES_PER_PEER / 2));
    seat.takeBack();
    expect(vi.getTimerCount()).toBe(0);
    room.room = 1;
    const next = page();
    seat.give(next);
    seat.send(OTHER, 'reliable', 0, words(10, 5));
    expect(firstBytes(room)).toEqual([5]);
    expect(batch().flatMap((event) => (event.type === 'taken' ? [event.bytes] : []))).toEqual([10]);
    room.room = 0;
    const others = crowd(room, MAX_HELD_BYTES / MAX_HELD_BYTES_PER_PEER + 1);
    for (const to of others) seat.send(to, 'reliable', 0, words(MAX_HELD_BYTES_PER_PEER));
    expect(next.drops).toEqual([]);
  });
});

test('[BR15] what may be lost and is refused, or finds the page behind, is counted by its channel', () => {
  const { room, seat, held } = open();
  roster(room, { peers: room.roster().peers.slice(0, 1) });
  for (const channel of ['unreliable', 'sequenced'] as const) seat.send(OTHER, channel, 0, words(1));
  held.lag = true;
  held.told.length = 0;
  for (const channel of ['unreliable', 'reliable', 'sequenced'] as const)
    room.say({ type: 'message', from: OTHER, channel, lane: 2, bytes: words(1) });
  expect(held.drops).toEqual(['bridge-unreliable-refused', 'bridge-sequenced-refused', 'bridge-page-lagging', 'bridge-page-lagging']);
  expect(held.told).toMatchObject([{ type: 'message', room: 7, peer: 1, channel: 'reliable', lane: 2 }]);
});

describe('what a page is told of its seat', () => {
  test('[BR4] at first the list with who is reached over whom, and statistics; with the next batch the time, and ten times a second', () => {
    const room = new ScriptedRoom('den');
    const [me, other] = room.roster().peers;
    roster(room, { peers: [me!, { ...other!, via: ME }] });
    const clock = { now: 5_000 };
    const seat = new BridgeSeat(room, () => clock.now, undefined);
    const times = (): number => {
      let count = 0;
      seat.tellWithBatch((event) => void (event.type === 'time' && event.at === clock.now && count++));
      return count;
    };
    for (const held of [page(), page()]) {
      seat.give(held);
      expect(held.told).toMatchObject([
        {
          type: 'opened',
          room: 7,
          roster: {
            host: 0,
            peers: [
              { peer: 0, via: undefined },
              { peer: 1, via: 0 },
            ],
          },
        },
        { type: 'stats', room: 7, peers: [{ peer: 1, packetsOut: 3 }], drops: [{ reason: 'replay', count: 3 }] },
      ]);
      expect([times(), times()]).toEqual([1, 0]);
      clock.now += 99;
      expect(times()).toBe(0);
      clock.now += 1;
      expect(times()).toBe(1);
      seat.takeBack();
    }
    expect(times()).toBe(0);
  });

  test('[BR11] of a seat that was lost before, that it is gone, and nothing else', () => {
    const room = new ScriptedRoom('den');
    const seat = new BridgeSeat(room, () => 0, undefined);
    room.say({ type: 'closed', reason: 'kicked' });
    const held = page();
    seat.give(held);
    expect([held.told, held.ends]).toEqual([
      [{ type: 'failed', room: 7, code: 'closed', message: 'The room was closed while it opened.', hint: undefined }],
      1,
    ]);
  });

  test('[BR4] the end is the last it hears, and nothing is tried after it', () => {
    const { room, seat, held } = open();
    room.room = 0;
    seat.send(OTHER, 'reliable', 0, words(10));
    held.told.length = 0;
    let over = 0;
    seat.onOver = () => over++;
    room.say({ type: 'closed', reason: 'timeout' });
    room.say({ type: 'reset', peer: OTHER });
    seat.tellStats();
    expect([held.told, held.ends, over, seat.over]).toEqual([[{ type: 'closed', room: 7, reason: 'timeout' }], 1, 1, true]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('a seat that is given up', () => {
  test('[BR11] is left once, and waited for half a second at most', async () => {
    const { room, seat } = open();
    const leave = vi.spyOn(room, 'leave').mockImplementation(() => undefined);
    let cleared = 0;
    void seat.clear(500).then(() => cleared++);
    expect([leave.mock.calls.length, seat.leaving]).toEqual([1, true]);
    await vi.advanceTimersByTimeAsync(499);
    expect(cleared).toBe(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(cleared).toBe(1);
    leave.mockRestore();
    // One that is over already is not waited for; one that goes at once neither.
    const soon = open();
    await soon.seat.clear(500);
    expect([soon.room.left, vi.getTimerCount()]).toEqual([true, 0]);
    await soon.seat.clear(500);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('[BR11] tells nobody who held it before of its end', async () => {
    const { room, seat, held } = open();
    let over = 0;
    seat.onOver = () => over++;
    held.told.length = 0;
    seat.takeBack();
    room.say({ type: 'closed', reason: 'bye' });
    expect([over, held.told, held.ends]).toEqual([0, [], 0]);
  });

  test('[BR11] answers to its own room alone', () => {
    const { room, seat } = open();
    const found = { name: 'den', max: 8, code: undefined, spectate: false } as const;
    const { roomId } = room.roster();
    expect([
      seat.answers({ type: 'join-or-create', ...found }),
      seat.answers({ type: 'join', target: roomId, code: undefined, spectate: false }),
      seat.answers({ type: 'create', ...found }),
      seat.answers({ type: 'join', target: `${roomId}x`, code: undefined, spectate: false }),
      seat.answers({ type: 'join-or-create', ...found, code: 'abcd' }),
    ]).toEqual([true, true, false, false, false]);
  });
});
