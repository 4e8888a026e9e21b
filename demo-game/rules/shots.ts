/**
 * Shots are events, not entities: a start, an angle and a time give the whole path, so one small
 * message draws the same shot everywhere. The shooter decides where its paint lands and claims hits it
 * saw; the owner of the target judges the claim against where the target really was.
 */
import { blobRadius, insideWall, worldHeight, worldWidth } from './arena.ts';
import type { ArenaMap } from './arena.ts';

export interface Shot {
  /** Counts up per shooter, u16. */
  readonly id: number;
  readonly who: number;
  readonly paint: number;
  readonly x: number;
  readonly y: number;
  readonly angle: number;
  /** Shared time it left, ms. */
  readonly at: number;
  /** How far it flies before it lands, world units. */
  readonly range: number;
}

export const shotSpeed = 900;
export const shotRange = 520;
export const shotRadius = 12;
export const shotCooldownMs = 190;
export const shotInk = 9;
/** Radius of the splash where a shot lands. */
export const splashRadius = 62;
/** Radius of the burst of a splatted blob. */
export const burstRadius = 120;
export const maxInk = 100;
/** Ink per second on own paint and elsewhere. */
export const refillOwn = 45;
export const refillElsewhere = 16;
export const maxHp = 3;
export const respawnMs = 1500;
export const shieldMs = 1500;

/** Distance to the first wall, the rim, or the end of the range. */
export function flightRange(map: ArenaMap, x: number, y: number, angle: number): number {
  const dx = Math.cos(angle);
  const dy = Math.sin(angle);
  for (let distance = 0; distance < shotRange; distance += cellStep) {
    const px = x + dx * distance;
    const py = y + dy * distance;
    if (px < 0 || py < 0 || px >= worldWidth || py >= worldHeight || insideWall(map, px, py)) return Math.max(0, distance - cellStep);
  }
  return shotRange;
}

/** Where a shot is at a time; `landed` once its range is flown. */
export function shotAt(shot: Shot, time: number): { readonly x: number; readonly y: number; readonly landed: boolean } {
  const flown = Math.max(0, ((time - shot.at) / 1000) * shotSpeed);
  const distance = Math.min(flown, shot.range);
  return { x: shot.x + Math.cos(shot.angle) * distance, y: shot.y + Math.sin(shot.angle) * distance, landed: flown >= shot.range };
}

/** Whether a shot touches a blob whose centre is at (x, y). */
export function touches(shotX: number, shotY: number, x: number, y: number): boolean {
  return Math.hypot(shotX - x, shotY - y) <= blobRadius + shotRadius;
}

/** Where a blob was, for judging claims about the past. */
export interface Moment {
  readonly time: number;
  readonly x: number;
  readonly y: number;
}

/** The last `span` ms of a blob's positions. */
export class History {
  readonly #moments: Moment[] = [];

  add(moment: Moment): void {
    this.#moments.push(moment);
    while ((this.#moments[0]?.time ?? moment.time) < moment.time - historyMs) this.#moments.shift();
  }

  clear(): void {
    this.#moments.length = 0;
  }

  /** Shortest distance from (x, y) to where the blob was within `slackMs` of `time`. */
  distance(time: number, x: number, y: number, slackMs: number): number {
    let best = Number.POSITIVE_INFINITY;
    for (const moment of this.#moments) if (Math.abs(moment.time - time) <= slackMs) best = Math.min(best, Math.hypot(moment.x - x, moment.y - y));
    return best;
  }
}

/** A claim older than this is too late: the target has moved on. */
export const claimAgeMs = 600;
/** The shooter saw the target this much in the past at worst (interpolation and transit). */
export const claimSlackMs = 250;
/** What a claim may be off in space. */
export const claimSlack = 14;
const historyMs = claimAgeMs + claimSlackMs + 150;
const cellStep = 10;

/** The judgement of the target's owner: was the blob there, about then? */
export function judgeHit(history: History, claim: { readonly at: number; readonly x: number; readonly y: number }, now: number): boolean {
  if (claim.at > now + claimSlackMs || claim.at < now - claimAgeMs) return false;
  return history.distance(claim.at, claim.x, claim.y, claimSlackMs) <= blobRadius + shotRadius + claimSlack;
}
