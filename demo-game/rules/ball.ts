/**
 * The beach ball: a toy that belongs to whoever touched it last. Touching asks for authority; the owner
 * rolls it, and it drags the paint of its last kicker across the floor.
 */
import type { MineEntity } from 'lanista';
import type { Actor, ActorWorld } from './actor.ts';
import { blobRadius, worldHeight, worldWidth } from './arena.ts';
import type { ChromaGame, ChromaRoom } from './game.ts';
import { keepOutside } from './movement.ts';
import type { Body } from './movement.ts';
import { strokeAt } from './strokes.ts';

export const ballRadius = 44;
const trailRadius = 36;
const topSpeed = 1100;
/** Speed left after a second of rolling. */
const roll = 0.45;
/** Slower than this it rests and paints nothing. */
const restSpeed = 24;
const askEveryMs = 300;
/** A ball that is held against a wall is kicked at each step, and heard this often. */
const kickEveryMs = 300;

type OwnBall = MineEntity<ChromaGame, 'ball'>;

export class BallKeeper {
  readonly #room: ChromaRoom;
  #askedAt = 0;
  #kickedAt = Number.NEGATIVE_INFINITY;

  constructor(room: ChromaRoom) {
    this.#room = room;
  }

  step(now: number, dtMs: number, me: Actor | undefined, world: ActorWorld): void {
    const balls = [...this.#room.entities.all('ball')];
    const first = balls.reduce<(typeof balls)[number] | undefined>(
      (best, ball) => (best === undefined || ball.id < best.id ? ball : best),
      undefined,
    );
    if (first === undefined) {
      if (this.#room.isHost) this.#room.entities.spawn('ball', { x: worldWidth / 2, y: worldHeight * 0.28 });
      return;
    }
    for (const ball of balls) if (ball !== first && ball.mine) ball.despawn();
    if (me !== undefined && me.alive && Math.hypot(first.view.x - me.body.x, first.view.y - me.body.y) < ballRadius + blobRadius) {
      if (first.mine) this.#kick(first, me, now, world);
      else if (now - this.#askedAt > askEveryMs) {
        this.#askedAt = now;
        void first.requestAuthority({ timeoutMs: 250 }).then(
          (own) => own !== undefined && this.#kick(own, me, now, world),
          () => undefined,
        );
      }
    }
    if (first.mine) rollOn(first, now, dtMs / 1000, world);
  }

  #kick(ball: OwnBall, by: Actor, now: number, world: ActorWorld): void {
    kick(ball, by);
    if (now >= this.#kickedAt && now - this.#kickedAt < kickEveryMs) return;
    this.#kickedAt = now;
    world.effect({ type: 'kick', x: ball.x, y: ball.y, paint: by.paint, who: by.who });
  }
}

function kick(ball: OwnBall, by: Actor): void {
  const dx = ball.x - by.body.x;
  const dy = ball.y - by.body.y;
  const distance = Math.hypot(dx, dy) || 1;
  const push = Math.min(topSpeed, Math.max(260, Math.hypot(by.body.vx, by.body.vy) * 1.7));
  ball.vx = (dx / distance) * push;
  ball.vy = (dy / distance) * push;
  if (ball.paint !== by.paint) ball.paint = by.paint;
}

function rollOn(ball: OwnBall, now: number, dt: number, world: ActorWorld): void {
  const rests = Math.hypot(ball.vx, ball.vy) < restSpeed;
  const slow = rests ? 0 : Math.pow(roll, dt);
  const way = rests ? 0 : dt;
  const body: Body = { x: ball.x + ball.vx * way, y: ball.y + ball.vy * way, vx: ball.vx * slow, vy: ball.vy * slow };
  // At rest, too: the next map may have a wall where it lies.
  keepOutside(body, ballRadius, world.map, 0.85);
  ball.x = body.x;
  ball.y = body.y;
  ball.vx = Math.min(topSpeed, Math.max(-topSpeed, body.vx));
  ball.vy = Math.min(topSpeed, Math.max(-topSpeed, body.vy));
  if (!rests && world.painting && ball.paint > 0) world.paint(strokeAt(ball.x, ball.y, trailRadius, now, 200, ball.paint));
}
