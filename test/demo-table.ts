/** Players of the demo at one table: rooms in memory, on a network that delays, reorders and loses, and no pictures. */
import { createRng } from 'lanista';
import type { PeerId } from 'lanista';
import type { ChromaRoom } from '../demo-game/rules/game.ts';
import { game } from '../demo-game/rules/game.ts';
import { Match } from '../demo-game/rules/match.ts';
import { createMemoryLan } from '../sdk/port/memory-lan.ts';
import { MemoryHub } from '../sdk/port/memory.ts';
import { createLan } from '../sdk/room/lan.ts';

export interface Player {
  readonly room: ChromaRoom;
  readonly match: Match;
}

export class Table {
  readonly hub: MemoryHub;
  readonly players: Player[] = [];
  readonly #rng = createRng(11);
  /** What the game's own code threw; nothing, in a match. */
  readonly #failures: string[] = [];

  /** @param latencyMs one way. */
  constructor(latencyMs = 4) {
    this.hub = new MemoryHub({ seed: 7, latencyMs, jitterMs: 6, lossRatio: 0.05 });
  }

  /** @param id of a player who was there before. */
  async join(name: string, fill = 0, hue = 0, id?: PeerId): Promise<Player> {
    const lan = createLan(game, createMemoryLan(this.hub, game, id === undefined ? {} : { id }), {
      presence: { name, hue },
      randomU32: () => this.#rng.u32(),
    });
    const opening = lan.joinOrCreate({ name: 'table', max: 16 });
    let opened: ChromaRoom | undefined;
    void opening.then((room) => (opened = room));
    for (let i = 0; i < 200 && opened === undefined; i++) await this.run(20);
    if (opened === undefined) throw new Error('the room did not open');
    opened.on('warn', ({ code, detail }) => {
      if (code === 'handler') this.#failures.push(detail);
    });
    const match = new Match(opened, { round: { lobbyMs: 1000, matchMs: 20_000, scoresMs: 2000, fill }, random: () => this.#rng.float() });
    const player = { room: opened, match };
    this.players.push(player);
    return player;
  }

  /** Lets `ms` of virtual time pass, giving promises their turn. */
  async run(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 20) {
      this.hub.advance(20);
      for (let i = 0; i < 4; i++) await Promise.resolve();
      if (this.#failures.length > 0) throw new Error(this.#failures[0]);
    }
  }

  steer(fire = true): void {
    this.players.forEach(({ match }, i) => {
      const turn = this.#rng.float() * 6.28 + i;
      match.input = { moveX: Math.cos(turn), moveY: Math.sin(turn), aim: turn, fire, dash: this.#rng.chance(0.1) };
    });
  }

  rest(): void {
    for (const { match } of this.players) match.input = { moveX: 0, moveY: 0, aim: 0, fire: false, dash: false };
  }

  hashes(): Set<number> {
    return new Set(this.players.map(({ match }) => match.floor.hash()));
  }
}

export async function party(count: number): Promise<Table> {
  const table = new Table();
  for (let i = 0; i < count; i++) await table.join(`P${i}`);
  await table.run(1500);
  return table;
}
