/**
 * Bots in the room: the host creates missing ones, peers share the work of running them, and each owner
 * removes those no longer wanted. When an owner leaves, its bots go to the others and keep their places.
 */
import type { MineEntity } from 'lanista';
import { Actor } from './actor.ts';
import type { ActorWorld } from './actor.ts';
import { paintCount, startPosition, wallMask } from './arena.ts';
import { createMind, think } from './bots.ts';
import type { BotMind } from './bots.ts';
import type { ChromaGame, ChromaRoom } from './game.ts';
import { bareHue, firstBot, freeHue, paintOf } from './game.ts';

/** What a bot may shoot at. */
export interface BotTarget {
  readonly x: number;
  readonly y: number;
  readonly paint: number;
}

type OwnBot = MineEntity<ChromaGame, 'bot'>;

interface Steered {
  readonly actor: Actor;
  readonly mind: BotMind;
}

/** How often ownership and numbers are looked at. */
const tendEveryMs = 1000;

export class BotKeeper {
  readonly #room: ChromaRoom;
  readonly #steered = new Map<OwnBot['id'], Steered>();
  #tendedAt = Number.NEGATIVE_INFINITY;

  constructor(room: ChromaRoom) {
    this.#room = room;
  }

  /** The bot of this number, when this peer runs it. */
  actor(who: number): Actor | undefined {
    for (const { actor } of this.#steered.values()) if (actor.who === who) return actor;
    return undefined;
  }

  step(now: number, dtMs: number, fill: number, world: ActorWorld, targets: readonly BotTarget[]): void {
    if (now - this.#tendedAt >= tendEveryMs || now < this.#tendedAt) {
      this.#tendedAt = now;
      this.#tend(fill, world);
    }
    const own = new Set<OwnBot['id']>();
    for (const bot of this.#room.entities.mine('bot')) {
      own.add(bot.id);
      let steered = this.#steered.get(bot.id);
      if (steered === undefined) {
        steered = { actor: new Actor(bot, firstBot + bot.number, paintOf(bot.hue)), mind: createMind(world.random() * Math.PI * 2) };
        this.#steered.set(bot.id, steered);
      }
      const { actor, mind } = steered;
      actor.paint = paintOf(bot.hue);
      actor.step(
        think(mind, actor.body, actor.paint, world.floor, world.map, targets, now, () => world.random()),
        now,
        dtMs,
        world,
      );
    }
    for (const id of this.#steered.keys()) if (!own.has(id)) this.#steered.delete(id);
  }

  #tend(fill: number, world: ActorWorld): void {
    const room = this.#room;
    const present = [...room.peers.values()].filter((peer) => peer.status === 'present');
    const players = present.filter((peer) => !peer.spectator).length;
    // Bots keep a lone player company; people play among themselves.
    const wanted = players > 1 ? 0 : Math.max(0, fill - players);
    const numbers = new Set<number>();
    // Who is away comes back, and finds its paint its own.
    const hues = new Set([...room.peers.values()].map((peer) => (peer.presence.hue ?? 0) % paintCount));
    for (const bot of [...room.entities.all('bot')].sort((a, b) => a.id - b.id)) {
      const surplus = bot.number >= wanted || numbers.has(bot.number);
      numbers.add(bot.number);
      if (surplus) {
        if (bot.mine) bot.despawn();
        continue;
      }
      if (bot.mine && hues.has(bot.hue)) bot.hue = freeHue(bot.hue + 1, hues);
      hues.add(bot.hue);
      const runner = present[bot.number % present.length];
      if (runner?.isSelf === true && !bot.mine) void bot.requestAuthority({ timeoutMs: 500 }).catch(() => undefined);
    }
    if (!room.isHost) return;
    for (let number = 0; number < wanted; number++) {
      if (numbers.has(number)) continue;
      // Nor does a bot get the floor of a player who left.
      const hue = bareHue(number * 3 + 1, hues, world.floor.coverage(wallMask(world.map)));
      hues.add(hue);
      room.entities.spawn('bot', { ...startPosition(3 + number * 4), number, hue });
    }
  }
}
