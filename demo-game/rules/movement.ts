/**
 * How a blob moves. Only its owner runs this, so it may use plain floats; everybody else sees the
 * positions it sends.
 */
import { blobRadius, insideWall, worldHeight, worldWidth } from './arena.ts';
import type { ArenaMap, Wall } from './arena.ts';
import { footingOf } from './footing.ts';

/** What a player or a bot wants, this tick. */
export interface Input {
  /** -1 to 1; longer vectors are shortened to 1. */
  readonly moveX: number;
  readonly moveY: number;
  /** Radians. */
  readonly aim: number;
  readonly fire: boolean;
  readonly dash: boolean;
}

export const idle: Input = { moveX: 0, moveY: 0, aim: 0, fire: false, dash: false };

/** A moving blob, own or bot. Positions in world units, speeds per second. */
export interface Body {
  x: number;
  y: number;
  vx: number;
  vy: number;
}

export const walkSpeed = 330;
/** How the ground changes it: own paint is quick, another's is sticky. */
export const ownGround = 1.2;
export const enemyGround = 0.7;
export const turboFactor = 1.35;
export const dashFactor = 2.7;
export const dashMs = 200;
export const dashCooldownMs = 2000;

/** How fast a blob takes up a new velocity: 1/14 s feels direct and still slides a little. */
const grip = 14;

/** Moves `body` by `dt` seconds at most at `speed`, sliding along walls and the rim. */
export function moveBody(body: Body, moveX: number, moveY: number, speed: number, dt: number, map: ArenaMap): void {
  const length = Math.hypot(moveX, moveY);
  const scale = length > 1 ? speed / length : speed;
  const blend = 1 - Math.exp(-grip * dt);
  body.vx += (moveX * scale - body.vx) * blend;
  body.vy += (moveY * scale - body.vy) * blend;
  body.x += body.vx * dt;
  body.y += body.vy * dt;
  keepOutside(body, blobRadius, map);
}

/** Pushes a disc out of walls and back into the arena. Returns true when it touched something. */
export function keepOutside(body: Body, radius: number, map: ArenaMap, bounce = 0): boolean {
  let touched = false;
  for (const wall of map.walls) {
    const nearX = Math.min(wall.x + wall.width, Math.max(wall.x, body.x));
    const nearY = Math.min(wall.y + wall.height, Math.max(wall.y, body.y));
    const dx = body.x - nearX;
    const dy = body.y - nearY;
    const distance = Math.hypot(dx, dy);
    if (distance >= radius) continue;
    touched = true;
    if (distance > 0) push(body, dx / distance, dy / distance, radius - distance, bounce);
    else leaveWall(body, wall, radius, map);
  }
  const x = Math.min(worldWidth - radius, Math.max(radius, body.x));
  const y = Math.min(worldHeight - radius, Math.max(radius, body.y));
  if (x !== body.x) body.vx *= -bounce;
  if (y !== body.y) body.vy *= -bounce;
  touched ||= x !== body.x || y !== body.y;
  body.x = x;
  body.y = y;
  return touched;
}

function push(body: Body, nx: number, ny: number, depth: number, bounce: number): void {
  body.x += nx * depth;
  body.y += ny * depth;
  const into = body.vx * nx + body.vy * ny;
  if (into >= 0) return;
  body.vx -= (1 + bounce) * into * nx;
  body.vy -= (1 + bounce) * into * ny;
}

/** A centre inside a wall (a new map appeared around it) leaves by the nearest side, or to the nearest floor where that side is the rim's or another wall's. */
function leaveWall(body: Body, wall: Wall, radius: number, map: ArenaMap): void {
  const left = body.x - wall.x;
  const right = wall.x + wall.width - body.x;
  const up = body.y - wall.y;
  const down = wall.y + wall.height - body.y;
  const least = Math.min(left, right, up, down);
  const out = { x: body.x, y: body.y };
  if (least === left) out.x = wall.x - radius;
  else if (least === right) out.x = wall.x + wall.width + radius;
  else if (least === up) out.y = wall.y - radius;
  else out.y = wall.y + wall.height + radius;
  const open = out.x >= radius && out.y >= radius && out.x <= worldWidth - radius && out.y <= worldHeight - radius && !insideWall(map, out.x, out.y);
  Object.assign(body, open ? out : footingOf(map).nearest(body.x, body.y));
}

/** Speed on this ground: `ground` is the paint underfoot, `own` the blob's. */
export function groundSpeed(ground: number, own: number): number {
  if (ground === 0) return walkSpeed;
  return walkSpeed * (ground === own ? ownGround : enemyGround);
}

/** Turns `angle` into (-pi, pi]. */
export function wrapAngle(angle: number): number {
  const turn = Math.PI * 2;
  const wrapped = ((angle % turn) + turn) % turn;
  return wrapped > Math.PI ? wrapped - turn : wrapped;
}
