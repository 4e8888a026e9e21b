/**
 * What a bot wants. It walks towards floor that is not its own, shoots at blobs in reach, and never
 * plans further than the next second: it is there to fill an arena, not to win it.
 */
import { blobRadius, cellAt, insideWall, worldHeight, worldWidth } from './arena.ts';
import type { ArenaMap } from './arena.ts';
import type { Floor } from './floor.ts';
import { wrapAngle } from './movement.ts';
import type { Body, Input } from './movement.ts';
import { shotRange } from './shots.ts';

export const botNames = ['Gus', 'Hal', 'Ivy', 'Jo', 'Kim', 'Lou', 'Max', 'Nia'] as const;

/** A bot's memory between ticks. */
export interface BotMind {
  heading: number;
  /** Time of the next decision. */
  thinkAt: number;
  fireUntil: number;
  aim: number;
}

export function createMind(heading: number): BotMind {
  return { heading, thinkAt: 0, fireUntil: 0, aim: heading };
}

/** The input of this tick. `random` gives numbers in [0, 1). */
export function think(
  mind: BotMind,
  body: Body,
  paint: number,
  floor: Floor,
  map: ArenaMap,
  targets: readonly { readonly x: number; readonly y: number; readonly paint: number }[],
  now: number,
  random: () => number,
): Input {
  if (now >= mind.thinkAt || blocked(body.x, body.y, mind.heading, map)) {
    mind.thinkAt = now + 250 + random() * 350;
    mind.heading = bestHeading(mind.heading, body, paint, floor, map, random);
    const target = nearest(body, paint, targets);
    if (target !== undefined && random() < 0.45) {
      mind.aim = Math.atan2(target.y - body.y, target.x - body.x) + (random() - 0.5) * 0.35;
      mind.fireUntil = now + 260;
    } else if (random() < 0.12) {
      mind.aim = mind.heading + (random() - 0.5);
      mind.fireUntil = now + 120;
    }
  }
  const fire = now < mind.fireUntil;
  return {
    moveX: Math.cos(mind.heading) * 0.82,
    moveY: Math.sin(mind.heading) * 0.82,
    aim: wrapAngle(fire ? mind.aim : mind.heading),
    fire,
    dash: false,
  };
}

/** Of nine directions the one with most new floor within reach, with some noise against marching in step. */
function bestHeading(current: number, body: Body, paint: number, floor: Floor, map: ArenaMap, random: () => number): number {
  let best = current + Math.PI;
  let bestScore = Number.NEGATIVE_INFINITY;
  for (let i = -4; i <= 4; i++) {
    const heading = current + (i * Math.PI) / 5;
    if (blocked(body.x, body.y, heading, map)) continue;
    let score = random() * 2.5 - Math.abs(i) * 0.35;
    for (let step = 1; step <= 6; step++) {
      const x = body.x + Math.cos(heading) * step * 45;
      const y = body.y + Math.sin(heading) * step * 45;
      if (x < 0 || y < 0 || x > worldWidth || y > worldHeight) break;
      if (floor.paint[cellAt(x, y)] !== paint) score += 1.2 - step * 0.12;
    }
    if (score > bestScore) {
      bestScore = score;
      best = heading;
    }
  }
  return wrapAngle(best);
}

function blocked(x: number, y: number, heading: number, map: ArenaMap): boolean {
  const ahead = blobRadius + 34;
  const px = x + Math.cos(heading) * ahead;
  const py = y + Math.sin(heading) * ahead;
  return px < 10 || py < 10 || px > worldWidth - 10 || py > worldHeight - 10 || insideWall(map, px, py);
}

function nearest(
  body: Body,
  paint: number,
  targets: readonly { readonly x: number; readonly y: number; readonly paint: number }[],
): { readonly x: number; readonly y: number } | undefined {
  let best: { readonly x: number; readonly y: number } | undefined;
  let bestDistance = shotRange * 0.75;
  for (const target of targets) {
    const distance = Math.hypot(target.x - body.x, target.y - body.y);
    if (target.paint !== paint && distance < bestDistance) {
      best = target;
      bestDistance = distance;
    }
  }
  return best;
}
