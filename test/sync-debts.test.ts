/**
 * Who gets the bytes of a budget, tick by tick (`docs/spec.md`, Sync): what one peer is owed, what an ack pays, and in which form it is told.
 */
import { describe, expect, it } from 'vitest';
import { defineGame, entity, s } from 'lanista';
import type { PeerId } from 'lanista';
import type { RoomPort } from '../sdk/port/port.ts';
import { BodyEncoder } from '../sdk/sync/body-encoder.ts';
import type { Choice } from '../sdk/sync/budget.ts';
import { Debts, tellWhole } from '../sdk/sync/budget.ts';
import type { Tombstone } from '../sdk/sync/delta.ts';
import type { EntityHome } from '../sdk/sync/entity.ts';
import { EntityCore, initialise } from '../sdk/sync/entity.ts';
import { Replication } from '../sdk/sync/replication.ts';
import { EntityStore } from '../sdk/sync/store.ts';
import { PackWriter } from '../sdk/wire/pack.ts';

const [SELF, ANN] = ['self', 'ann'] as PeerId[] as [PeerId, PeerId];
const SESSION = 7;
const home: EntityHome = { roomTime: () => 0, failed: () => undefined, despawn: () => undefined, requestAuthority: async () => undefined };
const game = defineGame({
  id: 'debts',
  version: 1,
  entities: {
    ship: entity({ authority: 'spawner', rate: 30, fields: { x: s.u16().default(0).lerp('linear') } }),
    rock: entity({ authority: 'spawner', rate: 30, fields: { n: s.u16().default(0) } }),
    page: entity({ authority: 'spawner', rate: 30, fields: { text: s.text(200).default('') } }),
    atlas: entity({
      authority: 'spawner',
      rate: 30,
      fields: {
        n: s.u16().default(0),
        a: s.text(900).default(''),
        b: s.text(900).default(''),
        c: s.text(900).default(''),
        x: s.u16().default(0).lerp('linear'),
      },
    }),
    slow: entity({ authority: 'spawner', rate: 3, fields: { n: s.u16().default(0) } }),
  },
});

/** What one owner owes Ann, who has all of tick 100. */
class Books {
  readonly store = new EntityStore(game);
  readonly replication = new Replication({} as RoomPort, this.store, 30, SESSION);
  readonly debts = new Debts();
  readonly tombs: Tombstone[] = [];
  readonly cores: EntityCore[];
  readonly priorities = new Map<EntityCore, number>();
  tick = 100;
  acked = 100;

  constructor(kinds: readonly (keyof typeof game.entities)[]) {
    this.cores = kinds.map((kind, i) => {
      const core = new EntityCore(home, this.store.kind(kind), SESSION, i + 1, SELF);
      initialise(core, {});
      this.replication.own(core);
      this.store.add(core);
      return core;
    });
    this.replication.collect(100, 0);
  }

  /** The next tick, in which those named change, within `bytesPerTick`: the places of who is told, with `!` where whole. */
  step(changed: readonly number[], bytesPerTick: number): string[] {
    this.choose(changed, bytesPerTick);
    const { cores, whole, tombs } = this.choice;
    return [
      ...cores.map((core) => `${this.cores.indexOf(core)}${whole.includes(core) ? '!' : ''}`),
      ...tombs.map(({ counter, tick }) => `-${counter} ${tick}`),
    ];
  }

  choice!: Choice;
  choose(changed: readonly number[], bytesPerTick: number): void {
    const previous = this.tick++;
    for (const i of changed) this.cores[i]!.assign(0, this.tick);
    this.replication.collect(this.tick, 0);
    const head = { tick: this.tick, phase: 0, quiet: 1, hash: 0, session: SESSION };
    this.choice = this.debts.choose(head, previous, this.acked, ANN, this.replication.owned, this.tombs, {
      bytesPerTick,
      priority: (core) => this.priorities.get(core) ?? 1,
    });
  }

  /** Bytes of what was chosen. */
  get bytes(): number {
    const body = new BodyEncoder(new PackWriter(64));
    const { cores, whole, pieces, tombs } = this.choice;
    const head = { tick: this.tick, phase: 0, quiet: 1, hash: 0, session: SESSION };
    tellWhole(whole, this.tick, () => body.encode(head, this.acked, cores, tombs, undefined, pieces));
    return body.bytes;
  }

  ack(tick = this.tick): void {
    this.acked = tick;
    this.debts.acked(tick);
  }
}
/** So little that one entity alone is told. */
const ONE = 26;
const ALL = 60_000;

describe('a debt', () => {
  it('[SY54] is paid by turns: what was told begins at nothing, what waits gains', () => {
    const books = new Books(['rock', 'rock', 'rock']);
    const told = Array.from({ length: 6 }, () => {
      const now = books.step([0, 1, 2], ONE);
      books.ack();
      return now.map((one) => one.replace('!', '')).join();
    });
    // Whoever has waited is even with who was told before it waited, once.
    expect(told).toEqual(['0', '0', '1', '2', '0', '1']);
    // Also where no ack comes.
    const silent = new Books(['rock', 'rock', 'rock']);
    const counts = [0, 0, 0];
    for (let i = 0; i < 30; i++) for (const one of silent.step([0, 1, 2], ONE)) counts[Number(one.replace('!', ''))]!++;
    for (const count of counts) expect(Math.abs(count - 10)).toBeLessThanOrEqual(1);
    const favoured = new Books(['rock', 'rock']);
    favoured.priorities.set(favoured.cores[1]!, 3);
    const turns = Array.from({ length: 40 }, () => {
      favoured.step([0, 1], ONE);
      favoured.ack();
      return favoured.cores.indexOf(favoured.choice.cores[0]!);
    });
    expect(turns.filter((turn) => turn === 1)).toHaveLength(30);
  });

  it('[SY55] is told whole where the baseline does not hold for it, and as a difference where it does', () => {
    const books = new Books(['rock', 'rock']);
    expect(books.step([0, 1], ONE)).toEqual(['0']);
    // An ack of before: nothing was left out by then.
    books.ack(100);
    expect(books.step([], ALL)).toEqual(['0', '1']);
    const stale = new Books(['rock', 'rock']);
    expect([stale.step([0, 1], ONE), stale.choice.partial]).toEqual([['0'], true]);
    stale.ack();
    expect([stale.step([], ALL), stale.choice.partial, stale.debts.size]).toEqual([['1!'], false, 1]);
    stale.ack();
    expect([stale.debts.size, stale.step([0], ALL)]).toEqual([0, ['0']]);
    // Of others nothing is told whole for it.
    expect(stale.cores.map(({ refreshTick }) => refreshTick)).toEqual([-1, -1]);
  });

  it('[SY54] is not told again while that is under way, but at once where it changed since, and after fifteen ticks', () => {
    const books = new Books(['rock', 'rock']);
    books.step([0, 1], ONE);
    books.ack();
    expect(books.step([], ALL)).toEqual(['1!']);
    expect([books.step([], ALL), books.step([], ALL)]).toEqual([[], []]);
    expect(books.step([1], ALL)).toEqual(['1!']);
    for (let i = 0; i < 14; i++) expect(books.step([], ALL), String(i)).toEqual([]);
    expect(books.step([], ALL)).toEqual(['1!']);
  });

  it('[SY43] waits for the sample of its kind', () => {
    const books = new Books(['slow', 'rock']);
    expect(books.step([1], ALL)).toEqual(['1']);
    books.ack();
    while (books.tick < 109) books.step([], ALL);
    // Sampled at 110.
    expect([books.step([0, 1], ONE), books.tick]).toEqual([['0'], 110]);
    books.cores[0]!.assign(0, 7);
    const told: number[] = [];
    for (let i = 0; i < 20; i++) if (books.step([], ALL).some((one) => one.startsWith('0'))) told.push(books.tick);
    expect(told).toEqual([120]);
  });

  it('[SY56] of rest is told whole, as silence says nothing where something is left out', () => {
    const books = new Books(['ship', 'rock', 'rock']);
    expect(books.step([0], ALL)).toEqual(['0']);
    books.ack();
    expect(books.step([1, 2], ALL)).toEqual(['0!', '1', '2']);
  });

  it('[SY56] of rest that has to wait is told when there is room, whatever was acked until then', () => {
    const books = new Books(['ship', 'rock', 'rock']);
    for (const i of [1, 2]) books.priorities.set(books.cores[i]!, 50);
    expect(books.step([0], ALL)).toEqual(['0']);
    books.ack();
    for (let i = 0; i < 3; i++) {
      expect(books.step([1, 2], ONE)).toHaveLength(1);
      books.ack();
    }
    const told: string[] = [];
    for (let i = 0; i < 4; i++) {
      told.push(...books.step([], ALL));
      books.ack();
    }
    expect(told).toContain('0!');
    expect(books.debts.size).toBe(0);
  });

  it('[SY55] of a despawn is told as one of now, however long ago it was and whatever was acked meanwhile', () => {
    const books = new Books(['rock', 'rock']);
    for (let counter = 50; counter < 56; counter++) books.tombs.push({ origin: SESSION, counter, epoch: 0, tick: 101 });
    expect(books.step([], ONE)).toEqual(['-50 101']);
    books.ack();
    const told = new Set<string>();
    for (let i = 0; i < 6; i++) {
      for (const one of books.step([], ONE)) {
        expect(one.endsWith(String(books.tick))).toBe(true);
        told.add(one.split(' ')[0]!);
      }
      books.ack();
    }
    expect([...told].sort()).toEqual(['-51', '-52', '-53', '-54', '-55']);
    expect(books.debts.size).toBe(0);
    // Once each, also of what waited.
    const twice = new Books(['rock']);
    for (const counter of [50, 51, 52]) twice.tombs.push({ origin: SESSION, counter, epoch: 0, tick: 101 });
    twice.step([], ONE);
    expect(twice.step([], ALL)).toEqual(['-50 102', '-51 102', '-52 102']);
  });

  it('[SY53] keeps to its bytes with the heads of all parts, but for one entity', () => {
    const books = new Books(Array.from({ length: 120 }, () => 'page' as const));
    for (const [i, budget] of [200, 1_000, 1_100, 2_300, 5_000, 9_000].entries()) {
      books.cores.forEach((core, k) => core.assign(0, `${i} `.padEnd(60 + (k % 30), 'x')));
      books.choose([], budget);
      expect(books.bytes, String(budget)).toBeLessThan(budget + 100);
      expect(books.bytes, String(budget)).toBeGreaterThanOrEqual(budget - 25);
    }
  });

  it('[SY53] [SY55] of what no datagram takes is told in pieces: what the peer may not have, as much as fits, the rest next, until each is acked', () => {
    const books = new Books(['atlas', 'rock', 'rock']);
    for (const i of [1, 2]) books.priorities.set(books.cores[i]!, 50);
    const [atlas] = books.cores;
    const long = (letter: string): string => letter.repeat(880);
    const [n, a, b, c, x] = [1, 2, 4, 8, 16];
    /** What the next body tells of the atlas: bits of a piece, `all`, or nothing. */
    const told = (changed: readonly number[], bytesPerTick = ALL): unknown => {
      books.choose(changed, bytesPerTick);
      return books.choice.pieces.get(atlas!) ?? (books.choice.cores.includes(atlas!) ? 'all' : undefined);
    };
    // More than a datagram takes: in pieces, though it was never left out.
    [1, 2, 3].forEach((i) => atlas!.assign(i, long('pqr'[i - 1]!)));
    expect([told([]), books.choice.partial, books.debts.size]).toEqual([a, true, 1]);
    books.ack();
    // With it, that what may move rests.
    expect([told([]), books.choice.partial]).toEqual([b! | x!, true]);
    // Not acked, and changed since: the next of them all the same, with what is small.
    expect([told([0]), books.choice.partial]).toEqual([c! | n! | x!, true]);
    books.ack();
    expect([told([]), books.choice.partial]).toEqual([b! | x!, false]);
    books.ack();
    expect([told([]), books.debts.size]).toEqual([undefined, 0]);
    // Also where all of them change at every tick: each in its turn.
    const turns = Array.from({ length: 6 }, (_, k) => {
      [1, 2, 3].forEach((i) => atlas!.assign(i, long('stuv'[(i + k) % 4]!)));
      return (told([0]) as number) & (a! | b! | c!);
    });
    expect(turns).toEqual([a, b, c, a, b, c]);
    while (books.debts.size > 0) {
      books.ack();
      told([]);
    }
    // A small difference that was left out is a small piece, be it acked late.
    expect(told([0, 1, 2], ONE)).toBeUndefined();
    books.ack();
    const first = books.tick + 1;
    expect([told([]), books.choice.partial]).toEqual([n! | x!, false]);
    expect(books.bytes).toBeLessThan(40);
    atlas!.assign(4, 9);
    expect(told([])).toBe(n! | x!);
    // Of that one all is known by now, and what changed since is a difference again.
    books.ack(first);
    expect(told([])).toBe('all');
    books.ack();
    // That it rests is told, too.
    while (books.debts.size > 0) {
      expect([undefined, x, 'all']).toContain(told([]));
      books.ack();
    }
    expect(told([])).toBeUndefined();
    // What the peer does not know yet goes whole, and one value that is too large for any datagram.
    const unknown = new Books(['atlas']);
    unknown.acked = 99;
    [1, 2].forEach((i) => unknown.cores[0]!.assign(i, long('z')));
    unknown.choose([], ALL);
    expect([unknown.choice.cores, unknown.choice.pieces.size]).toEqual([unknown.cores, 0]);
    // … also where it was left out when it came, and what was said without it is acked.
    const later = new Books(['atlas', 'rock']);
    later.acked = 99;
    [1, 2].forEach((i) => later.cores[0]!.assign(i, long('z')));
    later.priorities.set(later.cores[1]!, 50);
    expect(later.step([1], ONE)).toEqual(['1']);
    later.ack();
    later.choose([], ALL);
    expect([later.choice.whole, later.choice.pieces.size]).toEqual([[later.cores[0]], 0]);
  });

  it('[SY7] of what is somebody else’s by now is none', () => {
    const books = new Books(['rock', 'rock']);
    books.step([0, 1], ONE);
    expect(books.debts.size).toBe(1);
    books.replication.disown(books.cores[1]!);
    books.step([0], ALL);
    expect([books.debts.size, books.choice.cores]).toEqual([0, [books.cores[0]]]);
    books.debts.clear();
    expect(books.debts.size).toBe(0);
  });
});
