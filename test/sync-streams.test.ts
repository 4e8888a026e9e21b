/**
 * What an owner says to whom, message by message (`docs/spec.md`, Sync): whole states and when they are sent again, what an ack is worth, and what is said at rest.
 */
import { decode } from '@msgpack/msgpack';
import { describe, expect, it } from 'vitest';
import { defineGame, entity, s } from 'lanista';
import type { PeerId } from 'lanista';
import type { RoomPort } from '../sdk/port/port.ts';
import { Metronome } from '../sdk/sync/clock.ts';
import { FRAME, FULL_FRAME } from '../sdk/sync/delta.ts';
import type { EntityHome } from '../sdk/sync/entity.ts';
import { EntityCore, initialise } from '../sdk/sync/entity.ts';
import type { Inbound } from '../sdk/sync/inbound.ts';
import { Outbound } from '../sdk/sync/outbound.ts';
import { Replication } from '../sdk/sync/replication.ts';
import { EntityStore } from '../sdk/sync/store.ts';

const HZ = 30;
const SESSION = 7;
const [ANN, BOB] = ['ann', 'bob'] as PeerId[] as [PeerId, PeerId];
const home: EntityHome = { roomTime: () => 0, failed: () => undefined, despawn: () => undefined, requestAuthority: async () => undefined };
const game = defineGame({
  id: 'streams',
  version: 1,
  entities: {
    ship: entity({ authority: 'spawner', fields: { x: s.u16().lerp('linear') } }),
    rock: entity({ authority: 'spawner', fields: { n: s.u16() } }),
    page: entity({ authority: 'spawner', fields: { text: s.text(900) } }),
    cart: entity({ authority: 'spawner', rate: 3, fields: { x: s.u16().default(0).lerp('linear') } }),
    slow: entity({ authority: 'spawner', rate: 3, fields: { n: s.u16().default(0) } }),
    book: entity({ authority: 'spawner', fields: { text: s.text(900), more: s.text(900) } }),
  },
});

interface Said {
  readonly to: PeerId;
  readonly type: number;
  readonly channel: string;
  readonly tick: number;
  readonly ack: number | null;
  /** Age of the baseline, part, parts, phase, quiet, hash, entries; null for an ack alone. */
  readonly body: readonly unknown[] | null;
}

/** One owner, and what it says to the others; time is in ticks. */
class Owner {
  readonly store = new EntityStore(game);
  readonly said: Said[] = [];
  readonly replication: Replication;
  /** Which of the next messages the port does not take. */
  refused: boolean[] = [];
  /** How many messages the port takes yet. */
  room = Number.POSITIVE_INFINITY;
  tick = 100;
  #spawned = 0;

  constructor(...peers: readonly PeerId[]) {
    const send = (_now: number, to: PeerId, channel: string, bytes: Uint8Array): boolean => {
      if (this.refused.shift() === true || this.room-- <= 0) return false;
      const [type, , tick, age, body] = decode(bytes) as [number, number, number, number | null, unknown[] | null];
      this.said.push({ to, type, channel, tick, ack: age === null ? null : tick - age, body });
      return true;
    };
    this.replication = new Replication({ send, queued: () => 0 } as unknown as RoomPort, this.store, HZ, SESSION);
    for (const peer of peers) {
      this.replication.outbound.set(peer, new Outbound(peer));
      this.replication.inbound.set(peer, { completeTick: -1, wholeTick: -1 } as Inbound);
    }
  }

  spawn(kind: 'ship' | 'rock' | 'page' | 'slow' | 'cart' | 'book', values: Record<string, unknown>): EntityCore {
    const core = new EntityCore(home, this.store.kind(kind), SESSION, ++this.#spawned, 'self' as PeerId);
    initialise(core, values);
    this.replication.own(core);
    this.store.add(core);
    return core;
  }

  /** Lets a tick pass; what was said in it. */
  step(ticks = 1): Said[] {
    this.said.length = 0;
    for (let i = 0; i < ticks; i++) {
      this.tick++;
      this.replication.collect(this.tick, 0);
      this.replication.send((this.tick * 1_000) / HZ, [...this.replication.outbound.keys()]);
    }
    return this.said.splice(0);
  }

  ack(peer: PeerId, tick = this.tick): void {
    this.replication.handleAck(peer, tick);
  }

  heard(peer: PeerId, completeTick: number, wholeTick = -1): void {
    Object.assign(this.replication.inbound.get(peer)!, { completeTick, wholeTick });
  }
}

/** Frames by what they are: a whole state, a body, or an ack alone. */
const kinds = (said: readonly Said[]): string[] => said.map(({ type, body }) => (type === FULL_FRAME ? 'state' : body === null ? 'ack' : 'body'));

describe('a whole state', () => {
  it('[SY4] goes first, again every three seconds until one is acked, and at once where the link starts anew', () => {
    const owner = new Owner(ANN);
    owner.spawn('rock', { n: 1 });
    expect(owner.step()).toMatchObject([{ type: FULL_FRAME, channel: 'reliable', tick: 101, ack: null }]);
    expect(owner.step(89)).toEqual([]);
    expect(kinds(owner.step(2))).toEqual(['state']);
    owner.replication.outbound.get(ANN)!.restart();
    expect(kinds(owner.step())).toEqual(['state']);
    // On the peer's own word not more often than twice a second.
    owner.replication.outbound.get(ANN)!.restartSlowly();
    expect(kinds(owner.step(14))).toEqual([]);
    expect(kinds(owner.step())).toEqual(['state']);
  });

  it('[SY17] is acked by its tick or a later one, of one of the last four that were sent, and never by what was not said yet', () => {
    const owner = new Owner(ANN);
    const out = owner.replication.outbound.get(ANN)!;
    owner.spawn('rock', { n: 1 });
    owner.ack(ANN, 5);
    expect(out.acked).toBe(-1);
    const ticks: number[] = [];
    for (let i = 0; i < 500 && ticks.length < 5; i++) ticks.push(...owner.step().map(({ tick }) => tick));
    expect(ticks).toHaveLength(5);
    owner.ack(ANN, ticks[0]!);
    expect(out.acked).toBe(-1);
    owner.ack(ANN, owner.tick + 1);
    expect(out.acked).toBe(-1);
    owner.ack(ANN, ticks[1]!);
    expect(out.acked).toBe(ticks[1]);
    owner.ack(ANN, ticks[4]!);
    owner.ack(ANN, ticks[2]!);
    expect(out.acked).toBe(ticks[4]);
  });

  it('[SY4] whose parts the port has no room for yet comes in their order; one that is in vain does not come any more', () => {
    const owner = new Owner(ANN);
    for (let i = 0; i < 60; i++) owner.spawn('page', { text: 'x'.repeat(900) });
    owner.room = 1;
    const parts = (said: readonly Said[]): unknown[] =>
      said.filter(({ type }) => type === FULL_FRAME).map(({ tick, body }) => [tick, body![1], body![2]]);
    expect(parts(owner.step())).toEqual([[101, 0, 4]]);
    owner.room = 2;
    expect(parts(owner.step())).toEqual([
      [101, 1, 4],
      [101, 2, 4],
    ]);
    // Begun anew: from its first part, and nothing of the former one.
    owner.replication.outbound.get(ANN)!.restart();
    owner.room = 3;
    expect(parts(owner.step())).toEqual([
      [103, 0, 4],
      [103, 1, 4],
      [103, 2, 4],
    ]);
    owner.room = 9;
    expect(parts(owner.step())).toEqual([[103, 3, 4]]);
    // One that is refused holds up those after it, though there were room for them.
    owner.replication.outbound.get(ANN)!.restart();
    owner.refused = [false, true, false, false];
    expect([parts(owner.step()), parts(owner.step())]).toEqual([
      [[105, 0, 4]],
      [
        [105, 1, 4],
        [105, 2, 4],
        [105, 3, 4],
      ],
    ]);
    owner.refused = [];
    owner.room = 1;
    let again: unknown[] = [];
    for (let i = 0; i < 100 && again.length === 0; i++) {
      again = parts(owner.step());
      if (again.length === 0) owner.room = 1;
    }
    expect(again).toHaveLength(1);
    // The one before was on its way.
    owner.ack(ANN, 105);
    owner.room = 9;
    expect(parts(owner.step(2))).toEqual([]);
  });

  it('[SY84] goes where more changed than one tick may carry, twice a second at most, and acks go on meanwhile', () => {
    const owner = new Owner(ANN);
    const book = owner.spawn('book', { text: '', more: '' });
    const change = (): void => book.assign(0, `${owner.tick} `.padEnd(900, 'x'));
    book.assign(1, 'y'.repeat(900));
    owner.step();
    owner.ack(ANN);
    owner.step(20);
    owner.ack(ANN);
    change();
    book.assign(1, 'z'.repeat(900));
    expect(kinds(owner.step())).toEqual(['state']);
    owner.ack(ANN);
    change();
    book.assign(1, 'y'.repeat(900));
    owner.heard(ANN, 50);
    expect(owner.step()).toMatchObject([{ type: FRAME, channel: 'unreliable', body: null, ack: 50 }]);
    expect(kinds(owner.step(14))).toEqual(['state']);
  });

  it('[SY17] goes to who lags behind all that is remembered, but not to who lacks nothing', () => {
    const owner = new Owner(ANN, BOB);
    const rock = owner.spawn('rock', { n: 1 });
    owner.step();
    for (const peer of [ANN, BOB]) owner.ack(peer);
    const last = owner.tick;
    const wholes: PeerId[] = [];
    for (let i = 0; i < 63; i++) {
      rock.assign(0, 10 + i);
      const said = owner.step();
      wholes.push(...said.filter(({ type }) => type === FULL_FRAME).map(({ to }) => to));
      owner.ack(BOB);
    }
    expect([wholes, owner.tick - last]).toEqual([[ANN], 63]);
    // Who has all there is stays with its baseline, however old.
    owner.step(200);
    rock.assign(0, 1);
    expect(owner.step().filter(({ to, type }) => to === BOB && type === FULL_FRAME)).toEqual([]);
  });

  it('[SY17] is said to be here on the reliable channel, until the port takes it, and acks go out before a room is open', () => {
    const owner = new Owner(ANN);
    owner.heard(ANN, 40, 40);
    const opening = (): Said[] => {
      owner.tick++;
      owner.replication.collect(owner.tick, 0);
      owner.replication.sendAcks(0, [ANN]);
      return owner.said.splice(0);
    };
    owner.room = 1;
    expect(opening()).toMatchObject([{ type: FRAME, channel: 'unreliable', ack: 40, body: null }]);
    owner.room = 0;
    expect(opening()).toEqual([]);
    owner.room = 9;
    expect(opening()).toMatchObject([{ type: FRAME, channel: 'reliable', ack: 40, body: null }]);
    expect(opening()).toEqual([]);
    owner.heard(ANN, 41, 40);
    expect(opening()).toMatchObject([{ channel: 'unreliable', ack: 41 }]);
  });
});

describe('at rest', () => {
  it('[SY37] that something rests is said until it is acked, and nothing after that', () => {
    const owner = new Owner(ANN);
    const ship = owner.spawn('ship', { x: 1 });
    owner.step();
    owner.ack(ANN);
    ship.assign(0, 2);
    expect(kinds(owner.step())).toEqual(['body']);
    owner.ack(ANN);
    // By its silence.
    expect(owner.step()).toMatchObject([{ type: FRAME, body: [1, 0, 1, 0, 1, 0] }]);
    expect(owner.step()).toMatchObject([{ type: FRAME, body: [2, 0, 1, 0, 2, 0] }]);
    owner.ack(ANN, owner.tick - 1);
    expect(owner.step(8)).toEqual([]);
  });

  it('[SY37] of a kind that is sampled less often it is said with its next sample', () => {
    const owner = new Owner(ANN);
    const cart = owner.spawn('cart', { x: 1 });
    owner.step(10);
    cart.assign(0, 2);
    owner.ack(ANN);
    owner.step(9);
    // Sampled at 120 and at 130.
    expect([owner.tick, kinds(owner.step())]).toEqual([119, ['body']]);
    owner.step();
    owner.ack(ANN);
    expect(owner.step(8)).toEqual([]);
    expect(owner.step()).toMatchObject([{ type: FRAME, tick: 130, body: [9, 0, 1, 0, 10, 0] }]);
    owner.ack(ANN);
    expect(owner.step(5)).toEqual([]);
  });

  it('[SY31] how long nothing changed is said up to 127 ticks, and one where ticks were left out', () => {
    const owner = new Owner(ANN);
    const rock = owner.spawn('rock', { n: 1 });
    owner.step();
    owner.ack(ANN);
    const quiet = (): unknown => {
      rock.assign(0, owner.tick);
      const said = owner.step().find(({ body }) => body !== null)!.body![4];
      owner.ack(ANN);
      return said;
    };
    expect([quiet(), quiet()]).toEqual([1, 1]);
    owner.step(4);
    expect(quiet()).toBe(5);
    owner.step(500);
    expect(quiet()).toBe(127);
    owner.tick += 3;
    expect(quiet()).toBe(1);
    expect([owner.replication.phaseAt(5, 5_000 / HZ), owner.replication.phaseAt(5, 5_500 / HZ), owner.replication.phaseAt(5, 6_000 / HZ)]).toEqual([
      0, 64, 127,
    ]);
    expect([owner.replication.phaseAt(5, 4_900 / HZ), owner.replication.tickAt(5_999 / HZ)]).toEqual([0, 5]);
  });

  it('[SY17] what came of others is acked all the same, once', () => {
    const owner = new Owner(ANN);
    owner.step();
    owner.ack(ANN);
    owner.step(3);
    owner.heard(ANN, 50);
    expect(owner.step()).toMatchObject([{ type: FRAME, channel: 'unreliable', ack: 50, body: null }]);
    expect(owner.step(5)).toEqual([]);
  });

  it('[SY83] is refreshed once a second, but for what no datagram takes', () => {
    const owner = new Owner(ANN);
    owner.spawn('rock', { n: 1 });
    owner.step();
    owner.ack(ANN);
    const refreshed = (): number => {
      let count = 0;
      for (let i = 0; i < 300; i++) {
        count += owner.step().filter(({ type, body }) => type === FRAME && body !== null && body.length > 6).length;
        owner.ack(ANN);
      }
      return count;
    };
    expect(refreshed()).toBeGreaterThanOrEqual(9);
    const large = new Owner(ANN);
    large.spawn('book', { text: 'x'.repeat(900), more: 'y'.repeat(900) });
    large.step();
    large.ack(ANN);
    expect(large.step(300).filter(({ type, body }) => type === FULL_FRAME || (body !== null && body.length > 6))).toEqual([]);
  });
});

describe('what moves', () => {
  it('[SY44] [SY37] stood until it was sampled last, in its own past, too; a new thing waits for no sample', () => {
    const owner = new Owner(ANN);
    const ship = owner.spawn('ship', { x: 1 });
    owner.step(50);
    ship.assign(0, 9);
    owner.step();
    expect([0, 1, 2].map((age) => [ship.track.tick(age), ship.track.value(age, 0)])).toEqual([
      [151, 9],
      [150, 1],
      [101, 1],
    ]);
    const slow = owner.spawn('slow', { n: 1 });
    owner.step();
    expect([slow.bornTick, slow.lastChange]).toEqual([152, 152]);
    slow.assign(0, 2);
    owner.step(7);
    expect([slow.lastChange, slow.ints[0]]).toEqual([152, 1]);
    owner.step();
    expect([slow.lastChange, slow.ints[0]]).toEqual([160, 2]);
  });

  it('[SY37] is what is interpolated and was assigned since the last tick', () => {
    const owner = new Owner(ANN);
    const [ship, rock] = [owner.spawn('ship', { x: 1 }), owner.spawn('rock', { n: 1 })];
    owner.step();
    rock.assign(0, 2);
    expect(owner.replication.hasMoved).toBe(false);
    ship.assign(0, 2);
    expect(owner.replication.hasMoved).toBe(true);
    owner.step();
    expect(owner.replication.hasMoved).toBe(false);
  });

  it('[SY37] by ticks of the clock alone is of the last of them that ran since it was sampled, in however many turns; else of now', () => {
    const beats = new Metronome(() => undefined);
    beats.every(0, 100, () => undefined);
    expect(beats.movedAt(5)).toBe(5);
    beats.run(11, () => false);
    // What the tick before has moved is not the game's own.
    beats.run(23, () => true);
    expect(beats.movedAt(25)).toBe(20);
    expect(beats.movedAt(26)).toBe(26);
    // No tick, no question.
    beats.run(27, () => expect.unreachable());
    beats.run(31, () => true);
    expect(beats.movedAt(32)).toBe(32);
    beats.run(41, () => false);
    expect(beats.movedAt(42)).toBe(40);
  });
});

describe('a despawn', () => {
  it('[SY17] is told to each until that one has it, whatever the others have, and not of what is back', () => {
    const owner = new Owner(BOB, ANN);
    const rocks = [1, 2, 3].map((n) => owner.spawn('rock', { n }));
    owner.step();
    for (const peer of [ANN, BOB]) owner.ack(peer);
    const bury = (core: EntityCore): void => {
      owner.replication.bury(core);
      owner.store.remove(core, undefined);
    };
    bury(rocks[0]!);
    const told = (peer: PeerId): boolean =>
      owner
        .step()
        .filter(({ to, body }) => to === peer && body !== null)
        .some(({ body }) => body!.includes(-1));
    expect(told(ANN)).toBe(true);
    owner.ack(ANN);
    for (let i = 0; i < 5; i++) {
      rocks[1]!.assign(0, 50 + i);
      expect(told(BOB)).toBe(true);
      owner.ack(ANN);
    }
    owner.ack(BOB);
    rocks[1]!.assign(0, 90);
    expect(told(BOB)).toBe(false);
    // Despawned, and here again by the word of another part before the next tick.
    owner.replication.bury(rocks[2]!);
    owner.replication.own(rocks[2]!);
    expect(told(BOB)).toBe(false);
    // Despawned, told, and here again after that.
    bury(rocks[1]!);
    expect(told(BOB)).toBe(true);
    owner.replication.own(rocks[1]!);
    rocks[1]!.live[0] = 77;
    rocks[1]!.mark(1);
    expect(told(BOB)).toBe(false);
    // What was assigned and not said is nobody's when it is lost.
    rocks[2]!.assign(0, 5);
    owner.replication.disown(rocks[2]!);
    expect(rocks[2]!.dirty).toBe(0);
  });
});
