/**
 * What travels: the definition every player's copy must share. READ THIS FIRST.
 *
 *   blob, bot      own word: whoever steers it decides where it is and whether a shot hit it
 *   round, pickup  the host's word, handed on when the host leaves
 *   ball           belongs to whoever touched it last
 *   shot, strokes  events with a time on the shared clock; see shots.ts and floor.ts
 *   hashes, floor  repair of the floor; see floor-sync.ts
 *   maps           content of the room, by hash, which the round names; see map-shelf.ts
 */
import { defineGame, entity, message, request, s } from 'lanista';
import type { Room } from 'lanista';
import { paintCount, worldHeight, worldWidth } from './arena.ts';
import { chunkBytes, chunkCount } from './floor.ts';
import { nameBytes } from './names.ts';
import { idLength, mostMaps } from './rotation.ts';
import { maxBatchBytes } from './strokes.ts';

const speed = { min: -1536, max: 1536, step: 4 } as const;

/** Of a tally: 32 players and 8 bots. */
export const tallyBytes = 80;

/** Where a hue is told, and there is none. */
export const noHue = 255;

/** Later than any room time. */
const neverMs = 0xffff_ffff;

/** What a blob shows, whoever steers it. */
const bodyFields = {
  x: s.num({ min: 0, max: worldWidth, step: 1 / 16 }).lerp('hermite', { velocity: 'vx' }),
  y: s.num({ min: 0, max: worldHeight, step: 1 / 16 }).lerp('hermite', { velocity: 'vy' }),
  vx: s.num(speed).default(0),
  vy: s.num(speed).default(0),
  aim: s.angle(8).default(0).lerp('angle'),
  ink: s.u8().default(100),
  hp: s.u8().default(3),
  state: s.oneOf('alive', 'shield', 'dash', 'splat').default('alive'),
  power: s.oneOf('none', 'turbo', 'roller').default('none'),
} as const;

export const game = defineGame({
  id: 'chroma-rush',
  version: 2,
  presence: {
    name: s.text(nameBytes),
    hue: s.u8().default(0),
    /** Room time since when the hue is this player's; at first nobody's. */
    hueSince: s.u32().default(neverMs),
    ready: s.bool().default(false),
  },
  entities: {
    blob: entity({ authority: 'spawner', onOwnerLeave: 'despawn', rate: 30, fields: bodyFields }),
    bot: entity({
      authority: 'distributed',
      transfer: 'request',
      onOwnerLeave: 'redistribute',
      rate: 20,
      fields: { ...bodyFields, number: s.u8(), hue: s.u8() },
    }),
    round: entity({
      authority: 'host',
      rate: 10,
      fields: {
        phase: s.oneOf('lobby', 'match', 'scores'),
        /** Room time from which paint counts. */
        startsAt: s.u32(),
        /** Room time at which this phase ends. */
        endsAt: s.u32(),
        number: s.u16(),
        /** Content ids: of the map, and of those that come next; see rotation.ts. */
        map: s.text(idLength).default(''),
        queue: s.list(s.text(idLength), mostMaps).default([]),
        /** So many at the head of the queue were brought and have not been played. */
        waiting: s.u8().default(0),
        /** Bots fill the arena up to this many blobs. */
        fill: s.u8(),
      },
    }),
    pickup: entity({ authority: 'host', rate: 10, fields: { number: s.u16(), x: s.u16(), y: s.u16(), what: s.oneOf('bomb', 'roller', 'turbo') } }),
    ball: entity({
      authority: 'distributed',
      transfer: 'request',
      onOwnerLeave: 'redistribute',
      rate: 30,
      fields: {
        x: s.num({ min: 0, max: worldWidth, step: 1 / 16 }).lerp('hermite', { velocity: 'vx' }),
        y: s.num({ min: 0, max: worldHeight, step: 1 / 16 }).lerp('hermite', { velocity: 'vy' }),
        vx: s.num(speed).default(0),
        vy: s.num(speed).default(0),
        paint: s.u8().default(0),
      },
    }),
  },
  messages: {
    shot: message(
      { id: s.u16(), who: s.u8(), paint: s.u8(), x: s.u16(), y: s.u16(), angle: s.angle(16), at: s.u32(), range: s.u16() },
      { delivery: 'unreliable', redundancy: 2 },
    ),
    strokes: message({ at: s.u32(), who: s.u8(), paint: s.u8(), data: s.bytes(maxBatchBytes) }),
    splat: message({ who: s.u8(), by: s.u8(), paint: s.u8(), x: s.u16(), y: s.u16() }),
    emote: message({ what: s.u8() }),
    hashes: message({ before: s.u32(), data: s.bytes(chunkCount * 4) }),
  },
  requests: {
    hit: request({ shot: s.u16(), who: s.u8(), by: s.u8(), paint: s.u8(), at: s.u32(), x: s.u16(), y: s.u16() }, { ok: s.bool() }, { to: 'owner' }),
    take: request({ number: s.u16() }, { ok: s.bool() }, { to: 'host' }),
    /** Of the round so far, for who came late: splats, as pairs of `who` and how many, and the hue that who asks wore in it before. */
    tally: request({ number: s.u16() }, { pairs: s.bytes(tallyBytes), hue: s.u8() }, { to: 'peer' }),
    /** Asks that a map that was shared be the next one; `before`: so many come before it. */
    bring: request({ id: s.text(idLength) }, { answer: s.oneOf('next', 'playing', 'full', 'refused', 'busy'), before: s.u8() }, { to: 'host' }),
    floor: request({ chunk: s.u8(), cells: s.bytes(chunkBytes) }, { cells: s.bytes(chunkBytes) }, { to: 'peer' }),
  },
});

export type ChromaGame = typeof game;
export type ChromaRoom = Room<ChromaGame>;
export type Phase = 'lobby' | 'match' | 'scores';
export type Power = 'none' | 'turbo' | 'roller';
export type PickupKind = 'bomb' | 'roller' | 'turbo';

/** `who` of the bot with a number; players are their slots, below this. */
export const firstBot = 64;

/** The paint of a hue in a presence: 1 to 8, whatever the number. */
export function paintOf(hue: number): number {
  return (hue % paintCount) + 1;
}

/** Whether `a` has had its hue for longer than `b`; a seat settles equal times. */
export function hadEarlier(
  a: { readonly slot: number; readonly presence: { readonly hueSince: number } },
  b: { readonly slot: number; readonly presence: { readonly hueSince: number } },
): boolean {
  const earlier = a.presence.hueSince - b.presence.hueSince;
  return earlier === 0 ? a.slot < b.slot : earlier < 0;
}

/** As much floor of others in one's paint is nothing to speak of: 1 %. */
const pettyCells = 50;

/**
 * As `freeHue`, in a round that runs: of those not in `taken` one in which nobody has painted, or the one with least floor.
 * @param coverage cells per paint, index 0 bare.
 */
export function bareHue(wanted: number, taken: ReadonlySet<number>, coverage: readonly number[]): number {
  let best: number | undefined;
  let least = 0;
  for (let i = 0; i < paintCount; i++) {
    const hue = (wanted + i) % paintCount;
    if (taken.has(hue)) continue;
    const cells = coverage[hue + 1] ?? 0;
    if (cells <= pettyCells) return hue;
    if (best !== undefined && cells >= least) continue;
    best = hue;
    least = cells;
  }
  return best ?? wanted % paintCount;
}

/** The hue `wanted`, or the next one not in `taken`; `wanted` again when all are taken (then paints are teams). */
export function freeHue(wanted: number, taken: ReadonlySet<number>): number {
  for (let i = 0; i < paintCount; i++) {
    const hue = (wanted + i) % paintCount;
    if (!taken.has(hue)) return hue;
  }
  return wanted % paintCount;
}
