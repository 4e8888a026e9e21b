/**
 * What a game hears of people who drop out (`docs/spec.md`, Room): over the in-memory port, and over the whole network half in a simulated world.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { defineGame, entity, message, request, s } from 'lanista';
import type { Peer, Room } from 'lanista';
import type { LanPort, OpenRequest } from '../sdk/port/lan-port.ts';
import { memoryDigest } from '../sdk/port/memory-digest.ts';
import { createMemoryLan } from '../sdk/port/memory-lan.ts';
import { MemoryHub, MemoryRoomPort } from '../sdk/port/memory.ts';
import type { PortEvent, RoomPort } from '../sdk/port/port.ts';
import { createLan } from '../sdk/room/lan.ts';
import { GameRoom } from '../sdk/room/room.ts';
import { ADOPT, HELLO } from '../sdk/sync/wire.ts';
import { World } from '../sdk/testing/index.ts';
import { openRooms, settled } from './open-rooms.ts';
import { Party, only } from './room-party.ts';
import { MeshPort, WorldTime } from './sim/game-mesh.ts';
import { turns } from './sim/game-stage.ts';

const game = defineGame({
  id: 'seats',
  version: 1,
  presence: { n: s.u8().default(0) },
  entities: { blob: entity({ authority: 'spawner', fields: { n: s.u16().default(0) } }) },
  messages: { say: message({ n: s.u16() }) },
  requests: { ask: request({}, { n: s.u8() }) },
});
type G = typeof game;

/** What `room` hears of others, with the status of the seat as it hears it. */
function listen(room: Room<G>, now: () => number): string[] {
  const log: string[] = [];
  const note = (what: string, peer: Peer<G>): void =>
    void log.push(`${what} ${peer.slot} ${peer.status}${room.peers.has(peer.id) ? '' : ' no seat'} @${Math.round(now())}`);
  room.on('join', (peer) => note('join', peer));
  room.on('away', (peer) => note('away', peer));
  room.on('back', (peer) => note('back', peer));
  room.on('leave', ({ peer, reason }) => note(`leave:${reason}`, peer));
  return log;
}
const names = (log: readonly string[]): string[] => log.map((line) => line.replace(/ @.*/, ''));

describe('a host whose page is reloaded', () => {
  afterEach(() => vi.restoreAllMocks());

  it('[RO5] is told once more what it had where that is lost with the link, and opens at once', async () => {
    const party = new Party({ latencyMs: 5 });
    const [ann, bob] = [await party.add('Ann'), await party.add('Bob')];
    bob.setEligible(false);
    ann.entities.spawn('pickup', { what: 'turbo', n: 5 });
    ann.entities.spawn('rock', { x: 7 });
    await party.play(300);
    // All that is on its way to the page when it is told the first of that, and then the link starts anew.
    const { push } = MemoryRoomPort.prototype;
    let lost = 0;
    let over = false;
    vi.spyOn(MemoryRoomPort.prototype, 'push').mockImplementation(function (this: MemoryRoomPort, event: PortEvent) {
      const isTold = event.type === 'message' && this.self === ann.self.id && event.from === bob.self.id;
      if (over || !isTold || (lost === 0 && event.bytes[3] !== ADOPT)) return push.call(this, event);
      if (++lost > 1) return;
      party.hub.post(8, () => {
        over = true;
        const { seats } = only(party.hub.rooms.values());
        for (const [one, other] of [[ann, bob] as const, [bob, ann] as const])
          seats.get(one.self.id)!.port.push({ type: 'reset', peer: other.self.id });
      });
    });
    const before = party.hub.now();
    const again = await party.add('Ann', ann.self.id);
    expect(party.hub.now() - before).toBeLessThan(300);
    await party.play(500);
    expect([lost > 0, again.isHost]).toEqual([true, true]);
    for (const room of [again, bob]) expect([only(room.entities.all('pickup')).n, only(room.entities.all('rock')).x]).toEqual([5, 7]);
  });

  it.each([14, 15, 30, 40])(
    "[SY6] [RO5] while the duties move to it goes on with what is the host's, where they move %i ms after that began",
    async (ms) => {
      const party = new Party({ latencyMs: 15, jitterMs: 5 });
      const [ann, bob, cid] = [await party.add('Ann'), await party.add('Bob'), await party.add('Cid')];
      for (const room of [bob, cid]) room.setEligible(false);
      ann.entities.spawn('pickup', { what: 'turbo', n: 5 });
      await party.play(300);
      const gone: string[] = [];
      for (const room of [ann, cid]) room.entities.on('pickup', { despawn: () => void gone.push(room.self.presence.name) });
      const anew = party.add('Bob', bob.self.id);
      await party.play(ms);
      only(party.hub.rooms.values()).seats.get(bob.self.id)!.port.setEligible(party.hub.now(), true);
      ann.setEligible(false);
      const again = await anew;
      await party.play(6_000);
      expect(again.isHost).toBe(true);
      for (const room of [ann, again, cid]) expect(only(room.entities.all('pickup'))).toMatchObject({ n: 5, owner: again.self.id });
      expect(gone).toEqual([]);
    },
  );
});

describe('a newcomer', () => {
  it('[RO19] whose page is reloaded twice in a row is the newest of them, though the greeting of the one between comes last', async () => {
    const { hub, rooms } = await openRooms(game, 2, { latencyMs: 10 });
    const [ann, bob] = rooms as [Room<G>, Room<G>];
    const { port } = only(hub.rooms.values()).seats.get(ann.self.id)!;
    const push = port.push.bind(port);
    const greetings: PortEvent[] = [];
    // Processes and links are the same ones; what one lane of Bob's carries lies behind something large.
    port.push = (event) => {
      if (event.type === 'reset') return;
      if (event.type === 'message' && event.lane === 1 && event.bytes[1] === HELLO) greetings.push(event);
      if (event.type === 'message' && event.channel === 'reliable' && event.lane === 0) hub.post(700, () => push(event));
      else push(event);
    };
    const page = (): Promise<Room<G>> => {
      const port = createMemoryLan(hub, game, { id: bob.self.id });
      return createLan(game, port, { presence: {}, randomU32: () => hub.rng.u32() }).join(ann.id);
    };
    const between = page();
    between.catch(() => undefined);
    await hub.play(50);
    const newest = await settled(hub, page());
    newest.entities.spawn('blob', { n: 3 });
    await hub.play(50);
    const told: string[] = [];
    ann.entities.on('blob', { spawn: ({ n }) => told.push(`spawn ${n}`), despawn: ({ n }) => told.push(`despawn ${n}`) });
    for (let i = 0; i < 300; i++) {
      await hub.play(5);
      expect([...ann.entities.all('blob')].map(({ n }) => n)).toEqual([3]);
    }
    expect(told).toEqual(['spawn 3']);
    // Over a link that starts anew greets whoever is there, also a process that was there before, as where two have one key.
    push({ type: 'reset', peer: bob.self.id });
    push(greetings[0]!);
    await hub.play(5);
    expect(told).toEqual(['spawn 3', 'despawn 3']);
  });

  it('[RO36] is seen as its lan says at that moment, from its `join` on', async () => {
    const { hub, rooms } = await openRooms(game, 1, { latencyMs: 10 });
    const [ann] = rooms as [Room<G>];
    const seen: number[] = [];
    ann.on('join', ({ presence }) => seen.push(presence.n));
    ann.on('presence', ({ presence }) => seen.push(-presence.n));
    const lan = createLan(game, createMemoryLan(hub, game), { presence: { n: 1 }, randomU32: () => hub.rng.u32() });
    const join = async (): Promise<Room<G>> => {
      let room: Room<G> | undefined;
      void lan.joinOrCreate({ name: 'den' }).then((opened) => (room = opened));
      while (room === undefined) await hub.play(10);
      await hub.play(50);
      return room;
    };
    lan.setPresence({ n: 2 });
    const room = await join();
    expect(room.self.presence).toEqual({ n: 2 });
    // Of the room that is open, this changes nothing; nor does that room's own presence of the next.
    lan.setPresence({ n: 3 });
    room.setPresence({ n: 4 });
    await hub.play(50);
    void room.leave();
    await hub.play(100);
    await join();
    expect(seen).toEqual([2, -4, 3]);
    for (const wrong of [{ n: 'x' }, { m: 1 }]) expect(() => lan.setPresence(wrong as never)).toThrow(expect.objectContaining({ code: 'bad-value' }));
  });

  it('[RO33] is greeted before anything else is said to it, also when its seat and its greeting come in one turn of the loop', async () => {
    const { hub, rooms } = await openRooms(game, 1, { latencyMs: 10 });
    const [ann] = rooms as [Room<G>];
    ann.on('join', ({ id }) => ann.send('say', { n: 1 }, { to: id }));
    // A page that is busy for a moment.
    const busy = vi.spyOn(only(only(hub.rooms.values()).seats.values()).port, 'poll').mockReturnValue(undefined);
    let bob: Room<G> | undefined;
    void createLan(game, createMemoryLan(hub, game), { presence: {}, randomU32: () => hub.rng.u32() })
      .joinOrCreate({ name: 'den' })
      .then((room) => (bob = room));
    await hub.play(300);
    busy.mockRestore();
    await hub.play(1_000);
    expect(bob!.stats().drops).toEqual({});
    expect(bob!.stats().messageBytesIn).toBeGreaterThan(0);
  });
});

describe('what is said to a newcomer', () => {
  it('[RO34] when it joins reaches its game, which subscribes when it has the room: messages and requests, in order, whoever is slow', async () => {
    for (const latencyMs of [0, 2, 20, 80])
      for (const busyMs of [0, 300]) {
        const { hub, rooms } = await openRooms(game, 2, { latencyMs });
        const answers: unknown[] = [];
        for (const [i, room] of rooms.entries())
          room.on('join', ({ id }) => {
            for (const n of [1, 2, 3]) room.send('say', { n: 10 * i + n }, { to: id });
            void room.call('ask', {}, { to: id }).then(
              ({ n }) => answers.push(n),
              (error: unknown) => answers.push(error),
            );
          });
        const { port } = [...only(hub.rooms.values()).seats.values()][0]!;
        const busy = vi.spyOn(port, 'poll');
        if (busyMs > 0) busy.mockReturnValue(undefined);
        const heard: number[] = [];
        void createLan(game, createMemoryLan(hub, game), { presence: {}, randomU32: () => hub.rng.u32() })
          .joinOrCreate({ name: 'den' })
          .then((room) => {
            room.onMessage('say', ({ n }) => void heard.push(n));
            room.handle('ask', () => ({ n: 7 }));
          });
        await hub.play(busyMs);
        busy.mockRestore();
        await hub.play(1_000);
        const what = `${latencyMs} ms, busy for ${busyMs} ms`;
        for (const i of [0, 1])
          expect(
            heard.filter((n) => Math.floor(n / 10) === i),
            what,
          ).toEqual([1, 2, 3].map((n) => 10 * i + n));
        expect(answers, what).toEqual([7, 7]);
      }
  });

  it('[RO34] is bounded: more than 256 messages of one peer are dropped and counted, and what comes later is heard', async () => {
    const { hub, rooms } = await openRooms(game, 1);
    const [ann] = rooms as [Room<G>];
    ann.on('join', ({ id }) => {
      for (let n = 0; n < 300; n++) ann.send('say', { n }, { to: id });
    });
    let bob: Room<G> | undefined;
    const heard: number[] = [];
    void createLan(game, createMemoryLan(hub, game), { presence: {}, randomU32: () => hub.rng.u32() })
      .joinOrCreate({ name: 'den' })
      .then((room) => {
        bob = room;
        room.onMessage('say', ({ n }) => void heard.push(n));
      });
    await hub.play(1_000);
    expect(heard).toEqual(Array.from({ length: 256 }, (_, n) => n));
    expect(bob!.stats().drops).toEqual({ early: 44 });
    ann.send('say', { n: 999 });
    await hub.play(50);
    expect(heard.at(-1)).toBe(999);
  });
});

describe('presence that changed while two peers were apart', () => {
  it('[RO1] is all that a peer shows when it is printed, beside its seat', async () => {
    const { rooms } = await openRooms(game, 2);
    const [ann, bob] = [rooms[0]!, rooms[1]!];
    const shown = { id: bob.self.id, isSelf: false, slot: 1, status: 'present', spectator: false, isHost: false, presence: { n: 0 } };
    const peer = ann.peers.get(bob.self.id)!;
    expect([JSON.parse(JSON.stringify(peer)), Object.keys(peer).toSorted()]).toEqual([shown, [...Object.keys(shown), 'via'].toSorted()]);
  });

  it('[RO18] is told, whichever kind of field it is', async () => {
    const crew = defineGame({
      id: 'crew',
      version: 1,
      presence: { marks: s.flags('ready', 'away'), raw: s.bytes(4).default(new Uint8Array(0)), sets: s.list(s.flags('a', 'b'), 2).default([]) },
    });
    const { hub, rooms } = await openRooms(crew, 2);
    const [ann, bob] = rooms as [Room<typeof crew>, Room<typeof crew>];
    let told = 0;
    ann.on('presence', () => told++);
    const den = only(hub.rooms.values());
    const changes = [{ marks: new Set(['ready'] as const) }, { raw: Uint8Array.of(1) }, { sets: [new Set(['b'] as const)] }];
    for (const [i, change] of changes.entries()) {
      den.setAway(bob.self.id, true);
      await hub.play(100);
      bob.setPresence(change);
      await hub.play(100);
      den.setAway(bob.self.id, false);
      await hub.play(500);
      expect(told, Object.keys(change)[0]).toBe(i + 1);
    }
    // Nothing new is nothing to tell.
    den.setAway(bob.self.id, true);
    await hub.play(100);
    den.setAway(bob.self.id, false);
    await hub.play(500);
    expect(told).toBe(3);
  });
});

describe('away, back and leave', () => {
  it('[RO25] are three moments: the seat and its entities stay while away, are the same when back, and are gone after leave', async () => {
    const { hub, rooms } = await openRooms(game, 3);
    const [ann, bob, eve] = [rooms[0]!, rooms[1]!, rooms[2]!];
    const den = only(hub.rooms.values());
    const log = listen(ann, () => hub.now());
    eve.entities.spawn('blob', { n: 7 });
    eve.setPresence({ n: 9 });
    await hub.play(200);
    const seat = ann.peers.get(eve.self.id)!;
    den.setAway(eve.self.id, true);
    await hub.play(3_000);
    expect(names(log)).toEqual(['away 2 away']);
    expect(ann.peers.get(eve.self.id)).toBe(seat);
    expect([seat.status, seat.presence.n, only(ann.entities.all('blob')).n]).toEqual(['away', 9, 7]);
    // Nothing reaches who is away, and nobody waits for an answer.
    ann.send('say', { n: 1 });
    await expect(ann.call('ask', {}, { to: eve.self.id })).rejects.toMatchObject({ code: 'peer-gone' });
    den.setAway(eve.self.id, false);
    await hub.play(1_000);
    expect(names(log)).toEqual(['away 2 away', 'back 2 present']);
    expect([ann.peers.get(eve.self.id), seat.status]).toEqual([seat, 'present']);
    only(eve.entities.mine('blob')).n = 8;
    await hub.play(200);
    expect(only(ann.entities.all('blob')).n).toBe(8);
    den.setAway(eve.self.id, true);
    await hub.play(500);
    den.remove(eve.self.id, 'timeout');
    await hub.play(500);
    expect(names(log).slice(2)).toEqual(['away 2 away', 'leave:timeout 2 away no seat']);
    expect([...ann.peers.keys()]).toEqual([ann.self.id, bob.self.id]);
    expect([...ann.entities.all('blob')]).toEqual([]);
    // Who leaves by itself is never away.
    void bob.leave();
    await hub.play(500);
    expect(names(log).slice(4)).toEqual(['leave:bye 1 present no seat']);
  });

  it('[RO25] [ME58] come from the whole network half at their times: silence, the word again, the end of the grace period', async () => {
    const graceMs = 6_000;
    const world = new World({ seed: 5, peers: 4, graceMs, network: { delayMs: 2, jitterMs: 3, lossRatio: 0.02 } });
    const ports = new Map<number, MeshPort>();
    // What is told before the room is made waits for it, as it does in every port.
    const early = new Map<number, PortEvent[]>();
    world.watchers.push({
      onEvent: (_now, peer, event) => {
        const port = ports.get(peer.index);
        if (port === undefined) return void early.set(peer.index, [...(early.get(peer.index) ?? []), event]);
        port.events.push(event);
        port.onWake?.();
      },
    });
    const play = async (ms: number): Promise<void> => {
      for (let left = ms; left > 0; left -= 5) {
        world.run(5);
        await turns();
      }
    };
    const rooms: Room<G>[] = [];
    for (let i = 0; i < 4; i++) {
      const peer = world.start(i, i === 0 ? 'found' : 'join');
      for (let k = 0; k < 1_000 && peer.mesh!.joinState.type !== 'joined'; k++) await play(5);
      const port = new MeshPort(world, peer);
      ports.set(i, port);
      port.events.push(...(early.get(i) ?? []));
      rooms.push(
        new GameRoom<G>(game, port, {
          time: new WorldTime(world, peer),
          session: 100 + i,
          presence: {},
          digest: async (bytes) => memoryDigest(bytes),
        }),
      );
      await play(200);
    }
    await play(1_000);
    const eve = rooms[3]!;
    eve.entities.spawn('blob', { n: 7 });
    await play(300);
    const logs = rooms.slice(0, 3).map((room) => listen(room, () => world.now));
    const began = world.now;
    const at = (line: string): number => Number(line.split('@')[1]) - began;
    world.partition([0, 1, 2], [3]);
    await play(3_000);
    world.mend();
    await play(3_000);
    world.crash(3);
    await play(graceMs + 4_000);
    for (const log of logs) {
      expect(names(log)).toEqual(['away 3 away', 'back 3 present', 'away 3 away', 'leave:timeout 3 away no seat']);
      expect(at(log[0]!)).toBeLessThan(1_200);
      expect(at(log[1]!)).toBeGreaterThanOrEqual(2_900);
      expect(at(log[1]!)).toBeLessThan(5_000);
      expect(at(log[2]!) - 6_000).toBeLessThan(1_200);
      expect(at(log[3]!) - at(log[2]!)).toBeGreaterThan(graceMs - 1_500);
    }
    for (const room of rooms.slice(0, 3)) expect([...room.entities.all('blob')]).toEqual([]);
  });
});

describe('a room that is being opened', () => {
  afterEach(() => vi.restoreAllMocks());

  /** Somebody who got a seat and waits for the others' state, which does not come. */
  async function waiting() {
    const { hub, rooms } = await openRooms(game, 2);
    const lan = createLan(game, createMemoryLan(hub, game), { presence: {}, randomU32: () => hub.rng.u32() });
    const { receive } = MemoryRoomPort.prototype;
    vi.spyOn(MemoryRoomPort.prototype, 'receive').mockImplementation(function (this: MemoryRoomPort, ...args: Parameters<typeof receive>) {
      if (this.self !== lan.self) receive.apply(this, args);
    });
    const stop = new AbortController();
    const seen: { code?: string } = {};
    lan.joinOrCreate({ name: 'den', signal: stop.signal }).then(
      () => (seen.code = 'opened'),
      (error: { code: string }) => (seen.code = error.code),
    );
    await hub.play(300);
    const seats = only(hub.rooms.values()).seats;
    expect([seen.code, seats.has(lan.self)]).toEqual([undefined, true]);
    return { hub, ann: rooms[0]!, lan, stop, seats, seen };
  }

  it('[RO31] leaves no seat behind when the game changes its presence to none, before or meanwhile', async () => {
    const hub = new MemoryHub();
    const named = defineGame({ id: 'named', version: 1, presence: { name: s.text(4) } });
    const port = createMemoryLan(hub, named);
    const me = { name: 'Ann' };
    const open = async (request: OpenRequest): Promise<RoomPort> => {
      const seat = await port.open(request);
      me.name = 'Annabel';
      return seat;
    };
    const slow = Object.create(port, { open: { value: open } }) as LanPort;
    const lan = createLan(named, slow, { presence: me, randomU32: () => hub.rng.u32() });
    await expect(settled(hub, lan.joinOrCreate({ name: 'den' }))).rejects.toMatchObject({ code: 'bad-value' });
    await expect(settled(hub, lan.joinOrCreate({ name: 'den' }))).rejects.toMatchObject({ code: 'bad-value' });
    await hub.play(50);
    expect(hub.rooms.size).toBe(0);
  });

  it('[RO31] is left when that is aborted, at once', async () => {
    const { hub, lan, stop, seats, seen } = await waiting();
    stop.abort();
    await hub.play(50);
    expect([seen.code, seats.has(lan.self)]).toEqual(['aborted', false]);
  });

  it('[RO31] rejects when its seat is lost: there was nobody to tell of the end', async () => {
    const { hub, ann, lan, seen } = await waiting();
    ann.kick(lan.self);
    await hub.play(50);
    expect(seen.code).toBe('kicked');
  });

  it('[RO31] rejects when the lan is closed', async () => {
    const { hub, lan, seats, seen } = await waiting();
    void lan.close();
    await hub.play(50);
    expect([seen.code, seats.has(lan.self)]).toEqual(['closed', false]);
  });
});
