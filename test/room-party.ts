/**
 * Several members of one room over the in-memory port under a virtual clock: what the room's tests play with.
 */
import { expect } from 'vitest';
import { defineGame, entity, message, request, s } from 'lanista';
import type { Lan, PeerId, Room } from 'lanista';
import type { MemoryHubOptions } from '../sdk/port/memory.ts';
import { createMemoryLan } from '../sdk/port/memory-lan.ts';
import { MemoryHub } from '../sdk/port/memory.ts';
import { createLan } from '../sdk/room/lan.ts';

export const game = defineGame({
  id: 'test-game',
  version: 1,
  presence: { name: s.text(24), ready: s.bool().default(false) },
  entities: {
    blob: entity({
      authority: 'spawner',
      fields: {
        x: s.num({ min: 0, max: 1920, step: 1 / 16 }).lerp('hermite'),
        hp: s.u8().default(3),
        state: s.oneOf('alive', 'splat'),
        tag: s.text(16).default(''),
      },
    }),
    rock: entity({ authority: 'spawner', onOwnerLeave: 'host', fields: { x: s.u16() } }),
    pickup: entity({ authority: 'host', rate: 10, fields: { what: s.oneOf('bomb', 'turbo'), n: s.u16().default(0) } }),
    ball: entity({ authority: 'distributed', fields: { x: s.u16() } }),
    flag: entity({ authority: 'distributed', transfer: 'take', fields: { x: s.u16() } }),
  },
  messages: {
    chat: message({ text: s.text(200) }),
    shot: message({ n: s.u16() }, { delivery: 'unreliable', redundancy: 3 }),
    aim: message({ n: s.u16() }, { delivery: 'sequenced' }),
  },
  requests: { double: request({ n: s.u16() }, { n: s.u32() }), roll: request({}, { n: s.u8() }, { to: 'host' }) },
});
export type G = typeof game;

interface Member {
  readonly lan: Lan<G>;
  readonly room: Room<G>;
}

export class Party {
  readonly hub: MemoryHub;
  readonly members: Member[] = [];

  constructor(options: MemoryHubOptions = {}) {
    this.hub = new MemoryHub({ latencyMs: 2, ...options });
  }

  async add(name: string, id?: PeerId): Promise<Room<G>> {
    const lan = createLan(game, createMemoryLan(this.hub, game, id === undefined ? {} : { id }), {
      presence: { name },
      randomU32: () => this.hub.rng.u32(),
    });
    const room = await this.wait(lan.joinOrCreate({ name: 'den' }));
    this.members.push({ lan, room });
    return room;
  }

  /** Lets time pass until `promise` settles. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    let done = false;
    const seen = promise.finally(() => (done = true));
    seen.catch(() => undefined);
    for (let i = 0; i < 2_000 && !done; i++) await this.hub.play(5);
    if (!done) throw new Error('still waiting after 10 s');
    return seen;
  }

  play(ms: number): Promise<void> {
    return this.hub.play(ms);
  }
}

export function only<T>(items: Iterable<T>): T {
  const all = [...items];
  expect(all).toHaveLength(1);
  return all[0]!;
}

export async function pair(options: MemoryHubOptions = {}): Promise<{ party: Party; ann: Room<G>; bob: Room<G> }> {
  const party = new Party(options);
  const ann = await party.add('Ann');
  const bob = await party.add('Bob');
  await party.play(100);
  return { party, ann, bob };
}
