/**
 * The game that is played in the simulator: one kind of entity for every way authority can lie and move, and every
 * value written is a stamp, a number that grows with each write anywhere, so that an older value is known when it is seen.
 */
import { defineGame, entity, message, request, s } from 'lanista';
import type { Room } from 'lanista';

const stamps = { a: s.u32().default(0), b: s.u32().default(0), x: s.num({ min: 0, max: 1_000_000, step: 1 / 16 }).lerp('linear'), t: s.text(12) };

export const simGame = defineGame({
  id: 'sim',
  version: 1,
  presence: { n: s.u32().default(0) },
  entities: {
    blob: entity({ authority: 'spawner', onOwnerLeave: 'despawn', fields: stamps }),
    rock: entity({ authority: 'spawner', onOwnerLeave: 'host', rate: 10, fields: stamps }),
    weed: entity({ authority: 'spawner', onOwnerLeave: 'redistribute', fields: stamps }),
    post: entity({ authority: 'host', rate: 15, fields: stamps }),
    ball: entity({ authority: 'distributed', transfer: 'request', onOwnerLeave: 'redistribute', fields: stamps }),
    cup: entity({ authority: 'distributed', transfer: 'request', onOwnerLeave: 'despawn', fields: stamps }),
    flag: entity({ authority: 'distributed', transfer: 'take', onOwnerLeave: 'redistribute', fields: stamps }),
    egg: entity({ authority: 'distributed', transfer: 'take', onOwnerLeave: 'host', rate: 20, fields: stamps }),
    sign: entity({ authority: 'distributed', transfer: 'never', onOwnerLeave: 'host', fields: stamps }),
  },
  messages: {
    say: message({ n: s.u32() }),
    shot: message({ n: s.u32() }, { delivery: 'unreliable', redundancy: 3 }),
    aim: message({ n: s.u32() }, { delivery: 'sequenced' }),
  },
  requests: { double: request({ n: s.u32() }, { n: s.u32() }), rule: request({ n: s.u32() }, { n: s.u32() }, { to: 'host' }) },
});

export type SimGame = typeof simGame;
export type SimRoom = Room<SimGame>;

export const KINDS = ['blob', 'rock', 'weed', 'post', 'ball', 'cup', 'flag', 'egg', 'sign'] as const;
export type SimKind = (typeof KINDS)[number];
/** Kinds that somebody may ask for. */
export const MOVING: readonly SimKind[] = ['ball', 'cup', 'flag', 'egg'];
export const FIELDS = ['a', 'b', 'x', 't'] as const;
export type SimField = (typeof FIELDS)[number];

/** What is assigned to `field` at stamp `stamp`; stamps stay below 16 million. */
export function stamped(field: SimField, stamp: number): number | string {
  return field === 'x' ? stamp / 16 : field === 't' ? String(stamp) : stamp;
}

/** The stamp a value stands for. */
export function stampOf(field: SimField, value: unknown): number {
  return field === 'x' ? Number(value) * 16 : Number(value);
}
