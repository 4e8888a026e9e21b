/**
 * The in-memory room keeps the contract of `RoomPort`.
 */
import { expect, it } from 'vitest';
import type { GameFacts } from '../sdk/port/lan-port.ts';
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
