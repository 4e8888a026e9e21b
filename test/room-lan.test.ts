/** `Lan`: the ways into rooms, over a port that the test holds back. */
import { describe, expect, it } from 'vitest';
import type { LanPort, OpenRequest, RoomListing } from '../sdk/port/lan-port.ts';
import { createMemoryLan } from '../sdk/port/memory-lan.ts';
import { MemoryHub } from '../sdk/port/memory.ts';
import type { PortCloseReason, RoomPort } from '../sdk/port/port.ts';
import { createLan } from '../sdk/room/lan.ts';
import { MAX_ROOM_NAME_BYTES } from '../sdk/wire/limits.ts';
import { settled } from './open-rooms.ts';
import { FakePort } from './room-port-fake.ts';
import { game, only } from './room-party.ts';

function start(change: Partial<LanPort> = {}) {
  const hub = new MemoryHub({ latencyMs: 2 });
  const memory = createMemoryLan(hub, game);
  const port = Object.create(memory, Object.getOwnPropertyDescriptors(change)) as LanPort;
  return { hub, memory, lan: createLan(game, port, { presence: { name: 'Ann' }, randomU32: () => hub.rng.u32() }) };
}

describe('opening', () => {
  it('[RO31] says in the code why a seat was lost before the room was there', async () => {
    const reasons: readonly (readonly [PortCloseReason, string])[] = [
      ['bridge', 'bridge'],
      ['copied', 'refused'],
      ['kicked', 'kicked'],
      ['timeout', 'closed'],
      ['bye', 'closed'],
    ];
    for (const [reason, code] of reasons) {
      const seat = new FakePort();
      const { hub, lan } = start({ open: () => Promise.resolve(seat) });
      const opening = lan.joinOrCreate({ name: 'den' });
      opening.catch(() => undefined);
      await hub.play(100);
      seat.say({ type: 'closed', reason });
      await expect(settled(hub, opening), reason).rejects.toMatchObject({ code });
    }
  });

  it('[RO31] leaves a seat that comes after it was called off, or after the lan was closed', async () => {
    for (const how of ['abort', 'close'] as const) {
      let give = (_seat: RoomPort): void => undefined;
      const { hub, lan } = start({ open: () => new Promise((resolve) => (give = resolve)), close: () => Promise.resolve() });
      const stop = new AbortController();
      const opening = lan.create({ name: 'den', signal: stop.signal });
      opening.catch(() => undefined);
      await hub.play(10);
      if (how === 'abort') stop.abort();
      else void lan.close();
      const seat = new FakePort();
      seat.leave = () => {
        seat.leaves++;
        seat.say({ type: 'closed', reason: 'bye' });
      };
      give(seat);
      await expect(settled(hub, opening), how).rejects.toMatchObject({ code: how === 'abort' ? 'aborted' : 'closed' });
      expect(seat.leaves, how).toBe(1);
    }
  });

  it('[RO31] asks for no seat with a presence that fits no more, and is over when it is over: what aborts then does nothing', async () => {
    const { hub, memory } = start();
    let asked = 0;
    const open = (request: OpenRequest): Promise<RoomPort> => {
      asked++;
      return memory.open(request);
    };
    const me = { name: 'Ann' };
    const lan = createLan(game, Object.create(memory, { open: { value: open } }) as LanPort, { presence: me, randomU32: () => 7 });
    const stop = new AbortController();
    const room = await settled(hub, lan.create({ name: 'den', signal: stop.signal }));
    stop.abort();
    await hub.play(100);
    expect([room.signal.aborted, hub.rooms.size]).toEqual([false, 1]);
    me.name = 'x'.repeat(99);
    await expect(lan.create({ name: 'other' })).rejects.toMatchObject({ code: 'bad-value' });
    expect(asked).toBe(1);
  });

  it('[RO28] asks for what was meant: the name in bytes, a target without blanks, to watch or to play', async () => {
    const asked: OpenRequest[] = [];
    const { lan } = start({
      open: (request) => {
        asked.push(request);
        return Promise.reject(new Error('no'));
      },
    });
    const tell = (opening: Promise<unknown>): Promise<unknown> => opening.catch(({ code }: { code?: string }) => code);
    expect(await tell(lan.create({ name: 'ä'.repeat(MAX_ROOM_NAME_BYTES / 2 + 1) }))).toBe('bad-argument');
    await tell(lan.create({ name: 'ä'.repeat(MAX_ROOM_NAME_BYTES / 2), spectate: true }));
    await tell(lan.join('  p4aaa-amgt4 ', { spectate: true }));
    await tell(lan.join({ id: '00' } as unknown as RoomListing));
    expect(asked).toEqual([
      { type: 'create', name: 'ä'.repeat(MAX_ROOM_NAME_BYTES / 2), max: 16, code: undefined, spectate: true },
      { type: 'join', target: 'p4aaa-amgt4', code: undefined, spectate: true },
      { type: 'join', target: '00', code: undefined, spectate: false },
    ]);
  });
});

describe('a list', () => {
  it('[RO7] is yielded once, the newest alone, and ends when the lan is closed, with its watch', async () => {
    let tell = (_rooms: readonly RoomListing[]): void => undefined;
    let watched = 0;
    const { lan } = start({
      watchRooms: (onChange) => {
        watched++;
        tell = onChange;
        onChange([]);
        return { [Symbol.dispose]: () => void watched-- };
      },
    });
    const lists: number[] = [];
    let isOver = false;
    const reading = (async () => {
      for await (const rooms of lan.browse()) lists.push(rooms.length);
      isOver = true;
    })();
    const turns = async (): Promise<void> => {
      for (let i = 0; i < 20; i++) await Promise.resolve();
    };
    await turns();
    expect([lists, isOver, watched]).toEqual([[0], false, 1]);
    const room = {} as RoomListing;
    tell([room]);
    tell([room, room]);
    await turns();
    expect(lists).toEqual([0, 2]);
    await lan.close();
    await reading;
    expect([isOver, watched]).toEqual([true, 0]);
  });
});

it('[RO2] a lan that is closed twice is closed once, and lets go of its network', async () => {
  let closes = 0;
  const { lan } = start({ close: async () => void closes++ });
  expect(lan.close()).toBe(lan.close());
  await lan[Symbol.asyncDispose]();
  expect(closes).toBe(1);
});

it('[SY16] two rooms of one lan have their ticks each at its own time', async () => {
  const { hub, lan } = start();
  const rooms = [await settled(hub, lan.create({ name: 'a' })), await settled(hub, lan.create({ name: 'b' }))];
  await hub.play(500);
  const ticks: number[][] = [[], []];
  for (const [i, room] of rooms.entries()) room.clock.every(i === 0 ? 50 : 4, (_tick, time) => ticks[i]!.push(time));
  const seats = [...hub.rooms.values()].map((den) => only(den.seats.values()).port);
  const polls = [0, 0];
  for (const [i, port] of seats.entries()) {
    const poll = port.poll.bind(port);
    port.poll = () => {
      polls[i]!++;
      return poll();
    };
  }
  await hub.play(1_000);
  expect(ticks.map(({ length }) => length)).toEqual([50, 4]);
  expect(polls[1]!).toBeLessThan(polls[0]!);
  await settled(hub, lan.close());
  expect(hub.rooms.size).toBe(0);
});
