/**
 * The in-memory room keeps the contract of `RoomPort`.
 */
import { expect, it } from 'vitest';
import type { RoomId } from '../sdk/base/brand.ts';
import type { LanError } from '../sdk/base/errors.ts';
import type { GameFacts, LanPort, OpenRequest } from '../sdk/port/lan-port.ts';
import { createMemoryLan, MemoryHub } from '../sdk/port/memory.ts';
import type { RoomPort } from '../sdk/port/port.ts';
import { portContract } from './port.contract.ts';

const facts: GameFacts = { id: 'contract', version: 1, schemaHash: 1 };

portContract(
  'memory',
  async (seats) => {
    const hub = new MemoryHub({ latencyMs: 3 });
    const ports: RoomPort[] = [];
    for (let i = 0; i < seats; i++)
      ports.push(await createMemoryLan(hub, facts).open({ type: 'join-or-create', name: 'room', max: 8, code: undefined, spectate: false }));
    return { ports, now: () => hub.now(), advance: (ms) => hub.advance(ms), close: () => undefined };
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
