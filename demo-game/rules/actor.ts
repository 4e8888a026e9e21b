/**
 * One steered blob: the player's own, or a bot this peer runs. It turns input into movement, paint and
 * shots, and judges whether it was hit. Everybody else sees only the entity it writes.
 *
 *   alive --dash--> dash --200 ms--> alive
 *   alive --third hit--> splat --1.5 s--> shield --1.5 s--> alive
 */
import { blobRadius, cellAt, cellCount, cellSize, gridWidth, insideWall, startPosition } from './arena.ts';
import type { ArenaMap } from './arena.ts';
import type { Effect } from './effects.ts';
import type { Floor, Stroke } from './floor.ts';
import type { PickupKind, Power } from './game.ts';
import { dashCooldownMs, dashFactor, dashMs, groundSpeed, moveBody, turboFactor, wrapAngle } from './movement.ts';
import type { Body, Input } from './movement.ts';
import {
  burstRadius,
  flightRange,
  History,
  judgeHit,
  maxHp,
  maxInk,
  refillElsewhere,
  refillOwn,
  respawnMs,
  shieldMs,
  shotCooldownMs,
  shotInk,
} from './shots.ts';
import type { Shot } from './shots.ts';
import { strokeAt } from './strokes.ts';

/** The entity an actor writes; own blobs and own bots both fit. */
export interface ActorEntity {
  x: number;
  y: number;
  vx: number;
  vy: number;
  aim: number;
  ink: number;
  hp: number;
  state: 'alive' | 'shield' | 'dash' | 'splat';
  power: Power;
  teleport(): void;
}

/** What an actor acts on. */
export interface ActorWorld {
  readonly floor: Floor;
  readonly map: ArenaMap;
  /** False between rounds: blobs walk, and nothing paints. */
  readonly painting: boolean;
  paint(stroke: Stroke): void;
  shoot(shot: Shot): void;
  effect(effect: Effect): void;
  random(): number;
}

const trailRadius = 34;
const rollerRadius = 62;
const dashRadius = 58;
export const bombRadius = 190;
const powerMs = 6000;
/** A blob left alone this long gets a heart back. */
const healMs = 4000;
/** Fields are sent as whole steps of 4 units per second up to this. */
const topSpeed = 1500;

export class Actor {
  readonly entity: ActorEntity;
  /** A player's slot, which a merge of rooms may change. */
  who: number;
  paint: number;
  readonly body: Body;
  readonly #history = new History();
  #ink: number;
  #facing: number;
  #fireAt = 0;
  #dashUntil = 0;
  #dashX = 0;
  #dashY = 0;
  #respawnAt = 0;
  #shieldUntil = 0;
  #powerUntil = 0;
  #hurtAt = 0;
  #shots = 0;
  /** Room time of the last step, to draw between steps. */
  steppedAt = 0;
  dashReadyAt = 0;

  constructor(entity: ActorEntity, who: number, paint: number) {
    this.entity = entity;
    this.who = who;
    this.paint = paint;
    this.body = { x: entity.x, y: entity.y, vx: entity.vx, vy: entity.vy };
    this.#ink = entity.ink;
    this.#facing = entity.aim;
  }

  get alive(): boolean {
    return this.entity.state !== 'splat';
  }

  /** How much of the wait for the next dash is over: 1 when it may. */
  dashShare(now: number): number {
    return Math.min(1, Math.max(0, 1 - (this.dashReadyAt - now) / dashCooldownMs));
  }

  /** One step of `dtMs`. */
  step(input: Input, now: number, dtMs: number, world: ActorWorld): void {
    this.steppedAt = now;
    if (this.entity.state === 'splat') {
      if (now >= this.#respawnAt) this.#respawn(now, world);
      return;
    }
    const dt = dtMs / 1000;
    this.#walk(input, now, dt, world);
    this.#history.add({ time: now, x: this.body.x, y: this.body.y });
    if (world.painting) this.#trail(now, world);
    this.#refill(dt, world);
    if (input.fire && world.painting && now >= this.#fireAt) this.#fire(now, world);
    if (this.entity.hp < maxHp && now - this.#hurtAt > healMs) {
      this.entity.hp++;
      this.#hurtAt = now;
    }
    this.#write(now);
  }

  /**
   * Judges a claim that a shot of `paint` was seen touching this blob at (x, y) at room time `at`.
   * Returns whether it counts, and whether it was the last heart.
   */
  judge(
    claim: { readonly at: number; readonly x: number; readonly y: number; readonly paint: number },
    now: number,
    world: ActorWorld,
  ): { readonly ok: boolean; readonly splat: boolean } {
    const refused = { ok: false, splat: false };
    if (this.entity.state !== 'alive' || claim.paint === this.paint || !world.painting) return refused;
    if (!judgeHit(this.#history, claim, now)) return refused;
    this.#hurtAt = now;
    this.entity.hp = Math.max(0, this.entity.hp - 1);
    world.effect({ type: 'hurt', x: this.body.x, y: this.body.y, paint: claim.paint, who: this.who });
    if (this.entity.hp > 0) return { ok: true, splat: false };
    this.entity.state = 'splat';
    this.entity.vx = 0;
    this.entity.vy = 0;
    this.#respawnAt = now + respawnMs;
    world.paint(strokeAt(this.body.x, this.body.y, burstRadius, now, this.who, claim.paint));
    for (let i = 0; i < 5; i++) {
      const turn = world.random() * Math.PI * 2;
      const far = burstRadius * (0.9 + world.random() * 0.7);
      world.paint(
        strokeAt(this.body.x + Math.cos(turn) * far, this.body.y + Math.sin(turn) * far, 22 + world.random() * 22, now, this.who, claim.paint),
      );
    }
    return { ok: true, splat: true };
  }

  /** Puts it somewhere else at once. */
  goTo(place: { readonly x: number; readonly y: number }): void {
    Object.assign(this.body, { x: place.x, y: place.y, vx: 0, vy: 0 });
    this.entity.x = place.x;
    this.entity.y = place.y;
    this.entity.teleport();
    this.#history.clear();
  }

  /** What a pickup does. */
  collect(what: PickupKind, now: number, world: ActorWorld): void {
    if (what === 'bomb') {
      if (world.painting) world.paint(strokeAt(this.body.x, this.body.y, bombRadius, now, this.who, this.paint));
      world.effect({ type: 'burst', x: this.body.x, y: this.body.y, paint: this.paint, who: this.who });
      return;
    }
    this.entity.power = what;
    this.#powerUntil = now + powerMs;
  }

  #walk(input: Input, now: number, dt: number, world: ActorWorld): void {
    const moving = Math.hypot(input.moveX, input.moveY) > 0.15;
    if (moving) this.#facing = Math.atan2(input.moveY, input.moveX);
    if (input.dash && now >= this.dashReadyAt && this.entity.state !== 'dash') {
      this.#dashX = Math.cos(this.#facing);
      this.#dashY = Math.sin(this.#facing);
      this.#dashUntil = now + dashMs;
      this.dashReadyAt = now + dashCooldownMs;
      world.effect({ type: 'dash', x: this.body.x, y: this.body.y, paint: this.paint, who: this.who });
    }
    const dashing = now < this.#dashUntil;
    const ground = world.floor.paint[cellAt(this.body.x, this.body.y)] ?? 0;
    let speed = groundSpeed(ground, this.paint);
    if (this.entity.power === 'turbo') speed *= turboFactor;
    if (dashing) {
      this.body.vx = this.#dashX * speed * dashFactor;
      this.body.vy = this.#dashY * speed * dashFactor;
      moveBody(this.body, this.#dashX, this.#dashY, speed * dashFactor, dt, world.map);
    } else {
      moveBody(this.body, input.moveX, input.moveY, speed, dt, world.map);
    }
    this.entity.aim = wrapAngle(input.aim);
    const state = dashing ? 'dash' : now < this.#shieldUntil ? 'shield' : 'alive';
    if (this.entity.state !== state) this.entity.state = state;
    if (this.entity.power !== 'none' && now >= this.#powerUntil) this.entity.power = 'none';
  }

  #trail(now: number, world: ActorWorld): void {
    const radius = this.entity.state === 'dash' ? dashRadius : this.entity.power === 'roller' ? rollerRadius : trailRadius;
    world.paint(strokeAt(this.body.x, this.body.y, radius, now, this.who, this.paint));
  }

  #refill(dt: number, world: ActorWorld): void {
    const own = world.floor.paint[cellAt(this.body.x, this.body.y)] === this.paint;
    this.#ink = Math.min(maxInk, this.#ink + (own ? refillOwn : refillElsewhere) * dt);
  }

  #fire(now: number, world: ActorWorld): void {
    if (this.#ink < shotInk) {
      this.#fireAt = now + shotCooldownMs * 2;
      world.effect({ type: 'dry', x: this.body.x, y: this.body.y, paint: this.paint, who: this.who });
      return;
    }
    this.#ink -= shotInk;
    this.#fireAt = now + shotCooldownMs;
    const angle = this.entity.aim;
    const x = this.body.x + Math.cos(angle) * blobRadius;
    const y = this.body.y + Math.sin(angle) * blobRadius;
    this.#shots = (this.#shots + 1) & 0xffff;
    world.shoot({
      id: this.#shots,
      who: this.who,
      paint: this.paint,
      x: Math.max(0, x),
      y: Math.max(0, y),
      angle,
      at: Math.round(now),
      range: flightRange(world.map, x, y, angle),
    });
  }

  #respawn(now: number, world: ActorWorld): void {
    const place = this.#home(world);
    this.goTo(place);
    this.entity.hp = maxHp;
    this.entity.state = 'shield';
    this.#ink = maxInk;
    this.#shieldUntil = now + shieldMs;
    world.effect({ type: 'respawn', x: place.x, y: place.y, paint: this.paint, who: this.who });
  }

  /** Somewhere on own paint, when a few looks find some; else the place of its number. */
  #home(world: ActorWorld): { readonly x: number; readonly y: number } {
    for (let look = 0; look < 60; look++) {
      const index = Math.floor(world.random() * cellCount);
      const x = (index % gridWidth) * cellSize + cellSize / 2;
      const y = Math.floor(index / gridWidth) * cellSize + cellSize / 2;
      if (world.floor.paint[index] === this.paint && !insideWall(world.map, x, y)) return { x, y };
    }
    return startPosition(this.who);
  }

  #write(now: number): void {
    const { entity, body } = this;
    entity.x = body.x;
    entity.y = body.y;
    entity.vx = Math.min(topSpeed, Math.max(-topSpeed, body.vx));
    entity.vy = Math.min(topSpeed, Math.max(-topSpeed, body.vy));
    entity.ink = Math.round(this.#ink);
    this.steppedAt = now;
  }
}
