/**
 * The in-memory room keeps the contract of `RoomPort`.
 */
import { describe, expect, it } from 'vitest';
import type { RoomId } from '../sdk/base/brand.ts';
import type { LanError } from '../sdk/base/errors.ts';
import type { GameFacts, LanPort, OpenRequest } from '../sdk/port/lan-port.ts';
import { createMemoryLan } from '../sdk/port/memory-lan.ts';
import { MemoryHub } from '../sdk/port/memory.ts';
import type { MemoryHubOptions } from '../sdk/port/memory.ts';
import type { PortEvent, RoomPort } from '../sdk/port/port.ts';
import { MAX_PEERS } from '../sdk/wire/limits.ts';
import { portContract } from './port.contract.ts';

const facts: GameFacts = { id: 'contract', version: 1, schemaHash: 1 };

portContract(
  'memory',
  async (seats) => {
    const hub = new MemoryHub({ latencyMs: 3 });
    const ports: RoomPort[] = [];
    const lans = Array.from({ length: seats }, () => createMemoryLan(hub, facts));
    for (const lan of lans) ports.push(await lan.open({ type: 'join-or-create', name: 'room', max: 8, code: undefined, spectate: false }));
    return { ports, lans, now: () => hub.now(), advance: (ms) => hub.advance(ms), close: () => undefined };
  },
  200,
);

it('[RO14] a spectator becomes host by its slot, as it does over the network', async () => {
  const hub = new MemoryHub({ latencyMs: 3 });
  const ports: RoomPort[] = [];
  for (const spectate of [false, true, false])
    ports.push(await createMemoryLan(hub, facts).open({ type: 'join-or-create', name: 'room', max: 8, code: undefined, spectate }));
  ports[0]!.leave(hub.now());
  hub.advance(50);
  expect(ports[2]!.roster().host).toBe(ports[1]!.self);
});

/** Opens what is asked for, or says the code of the refusal. */
async function asks(lan: LanPort, request: OpenRequest): Promise<string> {
  return lan.open(request).then(
    () => 'in',
    (error: LanError) => error.code,
  );
}

it('[RO38] a code opens the room that has it, is no matter for an open one, and makes another room for who looks by name', async () => {
  const hub = new MemoryHub();
  const member = (): LanPort => createMemoryLan(hub, facts);
  const found = { type: 'join-or-create', name: 'room', max: 8, code: undefined, spectate: false } as const;
  expect(await asks(member(), found)).toBe('in');
  expect(await asks(member(), { ...found, code: 'abcd' })).toBe('in');
  expect([...hub.rooms.values()].map(({ code, players }) => [code, players])).toEqual([
    [undefined, 1],
    ['abcd', 1],
  ]);
  const [open, locked] = [...hub.rooms.keys()] as [RoomId, RoomId];
  const joined = (target: string, code: string | undefined): Promise<string> => asks(member(), { type: 'join', target, code, spectate: false });
  expect([await joined(open, 'abcd'), await joined(open, undefined)]).toEqual(['in', 'in']);
  expect([await joined(locked, 'abcd'), await joined(locked, undefined), await joined(locked, 'abce')]).toEqual(['in', 'wrong-code', 'wrong-code']);
  expect([await joined('nowhere', undefined), await asks(member(), found)]).toEqual(['unreachable', 'in']);
});

it('[RO38] a full room takes spectators, and back who plays in it, but no spectator that wants to play', async () => {
  const hub = new MemoryHub();
  const [ann, bob, eve, new_] = Array.from({ length: 4 }, () => createMemoryLan(hub, facts)) as [LanPort, LanPort, LanPort, LanPort];
  const request = { type: 'join-or-create', name: 'room', max: 2, code: undefined, spectate: false } as const;
  for (const lan of [ann, bob]) expect(await asks(lan, request)).toBe('in');
  expect([await asks(eve, request), await asks(eve, { ...request, spectate: true })]).toEqual(['room-full', 'in']);
  expect([await asks(eve, request), await asks(bob, request), await asks(new_, request)]).toEqual(['room-full', 'in', 'room-full']);
  const room = [...hub.rooms.values()][0]!;
  expect([room.players, room.seats.size]).toEqual([2, 3]);
  room.remove(bob.self, 'bye');
  expect([await asks(eve, request), room.players]).toEqual(['in', 2]);
  // Who was kicked stays out, and another build never gets in.
  room.remove(eve.self, 'kicked');
  expect([
    await asks(eve, request),
    await asks(createMemoryLan(hub, { ...facts, schemaHash: 2 }), { ...request, type: 'join', target: room.id }),
  ]).toEqual(['kicked', 'incompatible']);
});

describe('a seat', () => {
  async function seats(count: number, options: MemoryHubOptions = {}) {
    const hub = new MemoryHub({ latencyMs: 3, ...options });
    const lans = Array.from({ length: count }, () => createMemoryLan(hub, facts));
    const request = { type: 'join-or-create', name: 'room', max: 8, code: undefined, spectate: false } as const;
    const ports: RoomPort[] = [];
    for (const lan of lans) ports.push(await lan.open(request));
    const [room] = hub.rooms.values();
    const drain = (port: RoomPort): PortEvent[] => {
      const events: PortEvent[] = [];
      for (let event = port.poll(); event !== undefined; event = port.poll()) events.push(event);
      return events;
    };
    for (const port of ports) drain(port);
    return { hub, lans, ports, room: room!, request, drain };
  }

  it('[RO13] that was taken up anew is dead to its former port: it hears, sends and leaves no more', async () => {
    const { hub, lans, ports, room, request, drain } = await seats(2);
    const [ann, bob] = ports as [RoomPort, RoomPort];
    bob.send(0, ann.self, 'reliable', Uint8Array.of(1));
    const again = await lans[0]!.open(request);
    hub.advance(50);
    expect(drain(ann).at(-1)).toEqual({ type: 'closed', reason: 'timeout' });
    expect(drain(bob).filter(({ type }) => type === 'reset')).toEqual([{ type: 'reset', peer: ann.self }]);
    expect([ann.send(0, bob.self, 'reliable', Uint8Array.of(1)), ann.kick(0, bob.self)]).toEqual([false, false]);
    ann.leave(0);
    ann.setEligible(0, false);
    bob.send(0, again.self, 'reliable', Uint8Array.of(2));
    hub.advance(50);
    expect([room.seats.size, drain(ann), again.roster().peers.map(({ eligible }) => eligible)]).toEqual([2, [], [true, true]]);
    expect(drain(again).flatMap((event) => (event.type === 'message' ? [event.bytes[0]] : []))).toEqual([2]);
  });

  it('[RO25] that was away hears of its links anew, on both sides, and heard nothing meanwhile', async () => {
    const { hub, ports, room, drain } = await seats(3);
    const [ann, bob, cat] = ports as [RoomPort, RoomPort, RoomPort];
    room.setAway(cat.self, true);
    expect([ann.send(0, cat.self, 'reliable', Uint8Array.of(1)), cat.send(0, ann.self, 'reliable', Uint8Array.of(1))]).toEqual([false, false]);
    for (const port of ports) drain(port);
    bob.leave(0);
    hub.advance(50);
    expect(drain(cat)).toEqual([]);
    drain(ann);
    room.setAway(cat.self, false);
    hub.advance(50);
    const resets = (port: RoomPort): unknown[] => drain(port).flatMap((event) => (event.type === 'reset' ? [event.peer] : []));
    expect([resets(ann), resets(cat)]).toEqual([[cat.self], [ann.self]]);
  });

  it('[RO12] drops what is sequenced and comes late, and forgets that with the link', async () => {
    const { hub, ports, room, drain } = await seats(2, { jitterMs: 200 });
    const [ann, bob] = ports as [RoomPort, RoomPort];
    const heard = (): number[] => drain(bob).flatMap((event) => (event.type === 'message' ? [event.bytes[0]!] : []));
    for (let i = 0; i < 50; i++) ann.send(0, bob.self, 'sequenced', Uint8Array.of(i));
    hub.advance(500);
    const got = heard();
    expect(got.length).toBeLessThan(50);
    expect([...got].sort((a, b) => a - b)).toEqual(got);
    room.setAway(ann.self, true);
    room.setAway(ann.self, false);
    ann.send(0, bob.self, 'sequenced', Uint8Array.of(99));
    hub.advance(500);
    expect(heard()).toEqual([99]);
  });

  it('[RO14] is host by its slot among those who are there and willing; where nobody is, who was stays', async () => {
    const { hub, ports, room, drain } = await seats(3);
    const [ann, bob, cat] = ports as [RoomPort, RoomPort, RoomPort];
    const host = (): number => ports.findIndex(({ self }) => self === room.roster.host);
    const { term } = room.roster;
    room.setAway(ann.self, true);
    expect([host(), room.roster.term]).toEqual([1, term + 1]);
    room.setAway(ann.self, false);
    expect(host()).toBe(1);
    bob.setEligible(0, false);
    expect(host()).toBe(0);
    for (const port of [ann, cat]) port.setEligible(0, false);
    // Ann gave it away when somebody could take it; then nobody could.
    expect(host()).toBe(2);
    const settledAt = room.roster.term;
    for (const port of ports) drain(port);
    cat.setEligible(0, false);
    hub.advance(50);
    expect([host(), room.roster.term, ports.flatMap(drain)]).toEqual([2, settledAt, []]);
    expect([cat.kick(0, cat.self), cat.kick(0, 'nobody' as never), room.seats.size]).toEqual([false, false, 3]);
    const late = cat.send(0, bob.self, 'reliable', Uint8Array.of(1));
    room.setAway(bob.self, true);
    hub.advance(50);
    expect([late, drain(bob).filter(({ type }) => type === 'message')]).toEqual([true, []]);
  });

  it('[RO9] hears what is reliable in its order, whatever else is late', async () => {
    const { hub, ports, drain } = await seats(2, { jitterMs: 100 });
    for (let i = 0; i < 50; i++) ports[0]!.send(0, ports[1]!.self, 'reliable', Uint8Array.of(i), 2);
    hub.advance(500);
    const heard = drain(ports[1]!).flatMap((event) => (event.type === 'message' ? [event.bytes[0]] : []));
    expect(heard).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });

  it('[RO38] is not to be had after it was called off, in another build of the room, or where there are as many as can be', async () => {
    const { hub, room, request } = await seats(1);
    await expect(createMemoryLan(hub, facts).open(request, AbortSignal.abort())).rejects.toMatchObject({ code: 'aborted' });
    expect(await asks(createMemoryLan(hub, { ...facts, version: 2 }), request)).toBe('in');
    expect([hub.rooms.size, room.seats.size]).toEqual([2, 1]);
    const watching = { ...request, type: 'join', target: room.id, spectate: true } as const;
    while (room.seats.size < MAX_PEERS) expect(await asks(createMemoryLan(hub, facts), watching)).toBe('in');
    expect(await asks(createMemoryLan(hub, facts), watching)).toBe('room-full');
  });

  it('[RO13] goes with the lan that has it; one clock of many comes no sooner than its time', async () => {
    const { hub, lans, ports, room, drain } = await seats(2);
    const came: number[] = [];
    lans[0]!.time.schedule(hub.now() + 10, () => came.push(hub.now()));
    lans[1]!.time.schedule(hub.now() + 30, () => came.push(hub.now()));
    const began = hub.now();
    hub.advance(20);
    await lans[1]!.close();
    hub.advance(100);
    expect(came.map((at) => at - began)).toEqual([10]);
    expect([[...room.seats.keys()], drain(ports[1]!).at(-1)]).toEqual([[ports[0]!.self], { type: 'closed', reason: 'bye' }]);
  });
});
