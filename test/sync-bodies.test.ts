/**
 * One peer's stream of state, body by body (`docs/spec.md`, Sync): what is refused and why, what is acked, what is gone, and whose word counts. The bodies are
 * written by hand, as any peer may write them.
 */
import { describe, expect, it } from 'vitest';
import { defineGame, entity, s } from 'lanista';
import type { PeerId } from 'lanista';
import { PARTIAL } from '../sdk/sync/delta.ts';
import type { EntityCore, EntityHome } from '../sdk/sync/entity.ts';
import type { Claim } from '../sdk/sync/inbound-rules.ts';
import { Inbound } from '../sdk/sync/inbound.ts';
import type { Grave } from '../sdk/sync/store.ts';
import { EntityStore } from '../sdk/sync/store.ts';
import { MAX_STATE_PARTS } from '../sdk/wire/limits.ts';
import { PackReader, PackWriter } from '../sdk/wire/pack.ts';

const HZ = 30;
const PEER = 'peer' as PeerId;
const OTHER = 'other' as PeerId;
const home: EntityHome = { roomTime: () => 0, failed: () => undefined, despawn: () => undefined, requestAuthority: async () => undefined };
const game = defineGame({
  id: 'bodies',
  version: 1,
  entities: {
    ship: entity({ authority: 'distributed', fields: { x: s.u8().lerp('linear'), hp: s.u8() } }),
    sign: entity({ authority: 'distributed', fields: { text: s.text(8) } }),
  },
});

/** A replica with a stream of each of a few peers; what its rules were asked and told is in `told`. */
class Replica {
  readonly store = new EntityStore(game);
  readonly told: string[] = [];
  claim: Claim = 'accept';
  end: Claim = 'accept';
  now = 0;

  stream(peer: PeerId, session: number): Inbound {
    const note = (what: string): void => void this.told.push(what);
    return new Inbound(peer, session, HZ, this.store, {
      home,
      self: 'viewer' as PeerId,
      judge: () => this.claim,
      judgeEnd: () => this.end,
      tellBuried: (_to, _origin, counter) => note(`buried ${counter}`),
      tellNewer: (_to, core) => note(`newer ${core.counter}`),
      bury: (core: EntityCore, grave: Grave) => this.store.remove(core, grave),
      abandoned: (core) => (note(`abandoned ${core.counter}`), true),
      yielded: (core, previous) => note(`${core.counter} from ${previous}`),
      settled: () => note('settled'),
      diverged: () => note('diverged'),
      hash: () => 77,
    });
  }

  take(
    stream: Inbound,
    tick: number,
    values: readonly (number | string | null)[],
    full = Number(values[0]) < 0,
    count = values.length,
  ): string | undefined {
    const out = new PackWriter(64);
    out.array(count);
    for (const value of values)
      if (typeof value === 'string') out.text(value);
      else if (value === null) out.nil();
      else out.int(value);
    return stream.handleBody(this.now || (tick * 1_000) / HZ, tick, full, new PackReader(out.view()));
  }

  /** What was told since the last look. */
  heard(): readonly string[] {
    return this.told.splice(0);
  }
}

/** Heads: [age of the baseline, part, parts, phase, quiet, hash]. */
const body = (age: number, ...entries: readonly number[]): number[] => [age, 0, 1, 0, 1, 0, ...entries];
const state = (...entries: readonly number[]): number[] => [-1, 0, 1, 0, 1, 0, ...entries];
/** A ship told whole, `gap` after the one before. */
const whole = (gap: number, x: number, epoch = 1): number[] => [gap, 0, 0, epoch, 0, x, 3];
const BIAS = 48;

function open(): { readonly replica: Replica; readonly stream: Inbound; take(tick: number, values: readonly number[]): string | undefined } {
  const replica = new Replica();
  const stream = replica.stream(PEER, 7);
  return { replica, stream, take: (tick, values) => replica.take(stream, tick, values) };
}

describe('a body', () => {
  it('[SY21] whose head contradicts itself is refused, and nothing of it is applied', () => {
    const { replica, stream, take } = open();
    expect(take(10, state(...whole(1, 5)))).toBeUndefined();
    const moved = [1, 1, 4 + BIAS];
    const wrong: readonly (readonly [string, readonly (number | string)[], boolean?, number?])[] = [
      ['count', body(1, ...moved), false, 5],
      ['quiet', [1, 0, 1, 0, PARTIAL - 1, 0, ...moved]],
      ['quiet', [1, 0, 1, 0, 128, 0, ...moved]],
      ['phase', [1, 0, 1, 128, 1, 0, ...moved]],
      ['part', [1, 1, 1, 0, 1, 0, ...moved]],
      ['parts', [1, 0, MAX_STATE_PARTS + 1, 0, 1, 0, ...moved]],
      ['before the first tick', [12, 0, 1, 0, 1, 0, ...moved]],
      ['no baseline', [-1, 0, 1, 0, 1, 0, ...moved], false],
      ['a baseline', [1, 0, 1, 0, 1, 0, ...whole(1, 9)], true],
      ['another kind', [...body(1, 1, 0, 1, 1, 0), 'abc']],
      ['a field that is none', body(1, 1, 8)],
      ['a value', body(1, 1, 1, 300)],
      ['a value below', body(1, 1, 1, -6 + BIAS)],
      ['a counter', body(1, ...whole(0xf_ffff, 9), ...whole(2, 9))],
    ];
    for (const [what, values, full, count] of wrong) {
      expect(replica.take(stream, 11, values, full ?? false, count ?? values.length), what).toMatch(/^state-(malformed|value)$/);
      expect([stream.completeTick, replica.store.find(7, 0)!.ints[0]], what).toEqual([10, 5]);
    }
    // As many parts as there may be, and a whole state of more.
    expect(take(11, [1, 0, MAX_STATE_PARTS, 0, 1, 0, ...moved])).toBeUndefined();
    expect(take(12, [-1, 0, MAX_STATE_PARTS + 1, 0, 1, 0, ...whole(1, 9)])).toBeUndefined();
    // The largest counter there is.
    expect(take(13, body(3, ...whole(0xf_ffff, 9)))).toBeUndefined();
    expect(replica.store.find(7, 0xf_fffe)!.ints[0]).toBe(9);
  });

  it('[SY21] [SY55] that tells some values as they are needs no baseline for them, but the entity, and a first word of it', () => {
    const { replica, stream, take } = open();
    take(10, state(...whole(1, 5), ...whole(1, 6)));
    const [first, second] = [0, 1].map((counter) => replica.store.find(7, counter)!);
    const piece = (...entries: readonly (number | null)[]): string | undefined =>
      replica.take(stream, stream.completeTick + 1, [...body(1), ...entries]);
    expect([piece(1, null, 3, 200, 9), [...first!.ints]]).toEqual([undefined, [200, 9, 0]]);
    // Taken at a tick before, with a count of teleports, and what is not known here passed over.
    expect([piece(1, -3, null, 5, 100, 4, 4, null, 2, 9, 1, 1, 1 + BIAS), [...first!.ints], second!.ints[0]]).toEqual([undefined, [100, 9, 4], 6]);
    for (const wrong of [
      [1, null, 0],
      [1, null, -1, 1],
      [1, null, -2, 1, 5],
      [1, null, 8, 1],
      [1, null, 1, 256],
      [1, null, 1, -1],
      [1, null, 4, -1],
      [1, null, 3, 5],
      [1, null],
      [1, -2 - 99, null, 1, 5],
    ])
      expect(piece(...wrong), wrong.join()).toMatch(/^state-(malformed|value)$/);
    expect([[...first!.ints], replica.heard()]).toEqual([[100, 9, 4], ['settled']]);
    // Of a new page nothing was heard that the rest of it could be.
    const anew = replica.stream(PEER, 8);
    replica.take(anew, 20, state(), true);
    replica.heard();
    expect([replica.take(anew, 21, [...body(1, 0, 7, 1), null, 1, 50]), replica.heard(), anew.completeTick]).toEqual([undefined, ['diverged'], 20]);
  });

  it('[SY84] is acked when each of its parts is there, once each, and read against no state that was not', () => {
    const { replica, stream, take } = open();
    expect(take(9, body(0))).toBe('state-baseline');
    take(10, state(...whole(1, 5)));
    expect(take(12, [2, 0, 2, 0, 1, 0, 1, 1, 1 + BIAS])).toBeUndefined();
    expect([stream.completeTick, replica.store.find(7, 0)!.ints[0]]).toEqual([10, 6]);
    expect(take(12, [2, 0, 2, 0, 1, 0, 1, 1, 9 + BIAS])).toBe('state-old');
    expect([stream.completeTick, replica.store.find(7, 0)!.ints[0]]).toEqual([10, 6]);
    expect(take(11, body(1, 1, 1, 7 + BIAS))).toBe('state-old');
    expect(take(12, [2, 1, 2, 0, 1, 0])).toBeUndefined();
    expect(stream.completeTick).toBe(12);
    expect(take(13, [0, 0, 1, 0, 1, 0])).toBe('state-baseline');
    // Not the first nor the last part of a tick counts for the next.
    expect([take(14, [2, 0, 2, 0, 1, 0]), take(15, [3, 0, 2, 0, 1, 0]), stream.completeTick]).toEqual([undefined, undefined, 12]);
  });

  it('[SY84] of which something cannot be decided or read yet is not acked, and its sender is asked for all of it', () => {
    const { replica, stream, take } = open();
    take(10, state(...whole(1, 5), ...whole(1, 5)));
    replica.heard();
    replica.claim = 'later';
    expect([take(11, body(1, ...whole(9, 1))), stream.completeTick]).toEqual([undefined, 10]);
    // What comes later is not held for it.
    expect([take(12, body(2)), stream.completeTick]).toEqual([undefined, 12]);
    replica.claim = 'accept';
    replica.end = 'later';
    expect([take(13, body(1, 2, -1, 1)), stream.completeTick]).toEqual([undefined, 12]);
    replica.end = 'accept';
    expect(replica.heard()).toEqual([]);
    // Born at 14: a difference to 12 says nothing of it.
    expect([take(14, body(2, ...whole(9, 1))), take(15, body(3, 9, 1, 1 + BIAS)), stream.completeTick]).toEqual([undefined, undefined, 14]);
    expect(replica.heard()).toEqual(['diverged']);
    // A whole state with such a thing is none.
    replica.claim = 'later';
    expect([take(16, state(...whole(1, 5), ...whole(1, 5), ...whole(19, 5))), stream.completeTick, stream.wholeTick]).toEqual([undefined, 14, 10]);
    expect(replica.heard()).toEqual(['diverged']);
    // And the next one is not held for it.
    expect([take(17, state(...whole(1, 5), ...whole(1, 5), ...whole(7, 1))), stream.completeTick, stream.wholeTick]).toEqual([undefined, 17, 17]);
    expect(replica.heard()).toEqual(['settled']);
  });

  it('[SY20] is compared by its hash when it is whole and has one', () => {
    const { replica, take } = open();
    take(10, state(...whole(1, 5)));
    replica.heard();
    for (const [tick, hash, said] of [
      [11, 0, []],
      [12, 77, []],
      [13, 78, ['diverged']],
    ] as const) {
      take(tick, [1, 0, 1, 0, 1, hash]);
      expect(replica.heard(), String(hash)).toEqual(said);
    }
  });

  it('[SY31] that is missing widens the delay by its interval, and none does that may have left things out, or before which nothing happened', () => {
    for (const [quiet, lost] of [
      [1, 2],
      [2, 2],
      [3, 0],
      [PARTIAL, 0],
    ] as const) {
      const { stream, take } = open();
      take(1, state(...whole(1, 5)));
      for (let tick = 2; tick < 40; tick++)
        if (tick !== 20 && tick !== 21) take(tick, [1 + (tick === 22 ? 2 : 0), 0, 1, 0, tick === 22 ? quiet : 1, 0]);
      expect(stream.playout.delayMs, String(quiet)).toBeCloseTo(((1 + lost) * 1_000) / HZ + 2, 3);
    }
  });

  it('[SY56] from which things were left out does not say of anything that it rests', () => {
    const { stream, take } = open();
    take(10, state(...whole(1, 5)));
    expect(stream.soundTick).toBe(10);
    take(11, [1, 0, 1, 0, PARTIAL, 0]);
    expect([stream.completeTick, stream.soundTick]).toEqual([11, 10]);
    take(12, body(1));
    expect([stream.completeTick, stream.soundTick]).toEqual([12, 12]);
  });
});

describe('a whole state', () => {
  it('[SY19] comes part by part, in order, of one tick; a part that is refused is not counted', () => {
    const { replica, stream, take } = open();
    const part = (n: number, of: number, ...entries: readonly number[]): number[] => [-1, n, of, 0, 1, 0, ...entries];
    expect(take(10, part(1, 2))).toBe('state-malformed');
    expect([take(10, part(0, 3, ...whole(1, 5))), take(11, part(1, 3)), take(10, part(2, 3))]).toEqual([
      undefined,
      'state-malformed',
      'state-malformed',
    ]);
    // From its first part on nothing older comes in between.
    expect([take(10, part(0, 3, ...whole(1, 5))), take(10, part(1, 3, ...whole(2, 256)))]).toEqual([undefined, 'state-value']);
    expect([take(10, part(2, 3)), stream.synced]).toEqual(['state-malformed', false]);
    expect([take(10, part(1, 3, ...whole(2, 6))), take(10, part(2, 3, ...whole(3, 7)))]).toEqual([undefined, undefined]);
    expect([stream.synced, stream.completeTick, stream.wholeTick, stream.soundTick, replica.heard()]).toEqual([true, 10, 10, 10, ['settled']]);
    expect(take(20, part(0, 2))).toBeUndefined();
    expect(take(19, body(9, 1, 1, 1 + BIAS))).toBe('state-old');
  });

  it('[SY17] ends what it does not have, unless something newer came before it, and takes no value back', () => {
    const { replica, stream, take } = open();
    take(10, state(...whole(1, 5), ...whole(1, 5)));
    expect(replica.heard()).toEqual(['settled']);
    take(11, state(...whole(1, 6)));
    expect(replica.heard()).toEqual(['abandoned 1', 'settled']);
    expect(replica.store.find(7, 0)!.track.tick(0)).toBe(11);
    // Told whole with nothing new in it, it is a row all the same: what follows is coded against it.
    take(12, state(...whole(1, 6), ...whole(1, 5)));
    expect(replica.store.find(7, 0)!.track.tick(0)).toBe(12);
    replica.heard();
    take(14, body(2, 1, 1, 3 + BIAS, ...whole(4, 8)));
    take(13, state(...whole(1, 6)));
    expect([replica.heard(), replica.store.find(7, 0)!.ints[0], stream.completeTick, stream.wholeTick]).toEqual([['settled'], 9, 14, 13]);
  });

  it('[SY17] takes no more than a room holds', () => {
    const { replica, take } = open();
    Object.defineProperty(replica.store, 'full', { value: true });
    expect(take(10, state(...whole(1, 5)))).toBe('state-full');
    expect(replica.store.size).toBe(0);
  });
});

describe('whose word it is', () => {
  it('[SY87] a despawn holds for what was said until that very tick, in that session', () => {
    const { replica, stream, take } = open();
    take(10, state(...whole(1, 5)));
    take(12, [2, 0, 3, 0, 1, 0, 1, -1, 1]);
    expect(replica.store.size).toBe(0);
    expect([take(12, [2, 1, 3, 0, 1, 0, ...whole(1, 5)]), replica.store.size]).toEqual([undefined, 0]);
    take(12, [2, 2, 3, 0, 1, 0]);
    expect(stream.completeTick).toBe(12);
    take(13, body(1, ...whole(1, 5)));
    expect(replica.store.size).toBe(1);
    take(20, body(7, 1, -1, 1));
    // The page after it counts its ticks alike, and says of itself what it says.
    const page = replica.stream(PEER, 8);
    replica.take(page, 15, state(0, 7, ...whole(1, 9)));
    expect(replica.store.find(7, 0)?.ints[0]).toBe(9);
  });

  it('[SY81] a despawn of what is gone here already deepens its grave', () => {
    const { replica, take } = open();
    take(10, state(...whole(1, 5)));
    replica.store.remove(replica.store.find(7, 0)!, { epoch: 1, owner: PEER, lost: true });
    take(11, body(1, 1, -1, 1));
    expect(replica.store.grave(7, 0)).toMatchObject({ epoch: 1, owner: PEER, session: 7, tick: 11 });
    expect(replica.store.grave(7, 0)!.lost).toBeUndefined();
  });

  it('[SY88] a page that started anew is told of its newer reigns, is not believed meanwhile, and loses nothing by it', () => {
    const { replica, take } = open();
    const count = 70;
    const ships = (x: number, epoch: number): number[] => Array.from({ length: count }, () => whole(1, x, epoch)).flat();
    take(10, state(...ships(5, 3)));
    replica.heard();
    const page = replica.stream(PEER, 8);
    // 64 at once; the others are told when it says them again.
    replica.now = 1_000;
    replica.take(page, 20, state(0, 7, ...ships(6, 3)));
    expect(replica.heard()).toEqual([...Array.from({ length: 64 }, (_, i) => `newer ${i}`), 'diverged']);
    expect([page.synced, replica.store.size, replica.store.find(7, 0)!.ints[0]]).toEqual([false, count, 5]);
    replica.now = 1_099;
    replica.take(page, 21, state(0, 7, ...whole(1, 6, 3)));
    expect(replica.heard()).toEqual(['diverged']);
    replica.now = 1_100;
    replica.take(page, 22, state(0, 7, ...whole(1, 6, 2)));
    expect(replica.heard()).toEqual(['newer 0', ...Array.from({ length: count - 1 }, (_, i) => `abandoned ${i + 1}`), 'settled']);
    // By a newer reign it has it, and what its former page said is no baseline.
    replica.take(page, 23, [1, 0, 1, 0, 1, 0, 0, 7, ...whole(1, 9, 4)]);
    const core = replica.store.find(7, 0)!;
    expect([core.ints[0], core.epoch, core.source]).toEqual([9, 4, page]);
  });

  it('[SY81] one that streams what is despawned is told so, 64 at once, and waits for its ack until it has been', () => {
    const { replica, stream, take } = open();
    take(10, state());
    for (const claim of ['buried', 'outbid'] as const) {
      replica.claim = claim;
      replica.now += 1_000;
      replica.heard();
      const tick = claim === 'buried' ? 11 : 12;
      expect(take(tick, body(tick - 10, ...Array.from({ length: 65 }, () => whole(1, 5)).flat()))).toBeUndefined();
      expect([replica.heard().length, stream.completeTick]).toEqual([64, 10]);
    }
    replica.now += 1_000;
    take(13, body(3, ...Array.from({ length: 64 }, () => whole(1, 5)).flat()));
    expect([replica.heard().length, stream.completeTick, replica.store.size]).toEqual([64, 13, 0]);
  });

  it('[SY85] the first word of an owner is a whole one: what is coded against ticks before it, or comes from the owner before, changes nothing', () => {
    const { replica, stream, take } = open();
    const next = replica.stream(OTHER, 9);
    take(10, state(...whole(1, 5)));
    replica.take(next, 10, state());
    const core = replica.store.find(7, 0)!;
    Object.assign(core, { yielded: true, given: true });
    // Assigned here and not said any more.
    core.live[0] = 99;
    replica.heard();
    // Equal to what is held.
    replica.take(next, 20, [10, 0, 1, 0, 1, 0, 0, 7, ...whole(1, 5, 2)]);
    expect([core.owner, core.epoch, core.yielded, core.given, core.source, core.live[0], replica.heard()]).toEqual([
      OTHER,
      2,
      false,
      false,
      next,
      5,
      [`0 from ${PEER}`],
    ]);
    expect([core.heardSince, core.track.tick(0)]).toEqual([20, 20]);
    // The former owner has not heard of it.
    expect([take(21, body(11, 1, 1, 7 + BIAS)), stream.completeTick, core.ints[0], replica.heard()]).toEqual([undefined, 21, 5, []]);
    // Coded against a tick before the reign.
    expect([replica.take(next, 21, [11, 0, 1, 0, 1, 0, 0, 7, 1, 1, 7 + BIAS]), next.completeTick, core.ints[0], replica.heard()]).toEqual([
      undefined,
      20,
      5,
      ['diverged'],
    ]);
    expect([replica.take(next, 22, [2, 0, 1, 0, 1, 0, 0, 7, 1, 1, 7 + BIAS]), next.completeTick, core.ints[0]]).toEqual([undefined, 22, 12]);
    // Nor by another page of its owner.
    const page = replica.stream(OTHER, 10);
    replica.take(page, 22, state(0, 7, ...whole(1, 12, 2)));
    replica.heard();
    expect([replica.take(page, 23, [1, 0, 1, 0, 1, 0, 0, 7, 1, 1, 7 + BIAS]), page.completeTick, core.ints[0], replica.heard()]).toEqual([
      undefined,
      22,
      12,
      ['diverged'],
    ]);
    // Its owner's word ends what a merge or a grant had left open.
    Object.assign(core, { yielded: true, given: true });
    replica.take(next, 23, [1, 0, 1, 0, 1, 0, 0, 7, ...whole(1, 12, 2)]);
    expect([core.yielded, core.given]).toEqual([false, false]);
  });

  it('[SY44] the past is the former owner’s up to the first word of the next one, and rest only where that is known', () => {
    const { replica, stream, take } = open();
    const next = replica.stream(OTHER, 9);
    replica.take(next, 10, state());
    take(10, state(...whole(1, 5), ...whole(1, 5), ...whole(1, 5), ...whole(1, 5)));
    take(11, body(1, 1, 1, 1 + BIAS, 1, 1, 1 + BIAS));
    take(12, body(2, 1, 3, 3 + BIAS, 6 + BIAS, 1, 3, 1 + BIAS, 6 + BIAS));
    // Of 11, which the former owner had not heard of at 12: two fields of the first, and of the second what it had before.
    replica.take(next, 11, [1, 0, 1, 0, 1, 0, 0, 7, 1, 0, 0, 2, 0, 20, 4, 1, 0, 0, 2, 0, 6, 9]);
    // Equal to what it says, and not said before 12.
    expect([0, 1].map((age) => replica.store.find(7, 1)!.track.value(age, 1))).toEqual([9, 3]);
    const track = replica.store.find(7, 0)!.track;
    expect([track.size, [0, 1].map((age) => [track.tick(age), track.value(age, 0), track.value(age, 1)])]).toEqual([
      2,
      [
        [11, 20, 4],
        [10, 5, 3],
      ],
    ]);
    // On its way in the former one's last word: nothing says that it stood. At rest: it stood until it was taken.
    for (let tick = 13; tick < 20; tick++) take(tick, body(1, 3, 1, 1 + BIAS));
    replica.take(next, 25, [15, 0, 1, 0, 15, 0, 0, 7, ...whole(3, 90, 2), ...whole(1, 90, 2)]);
    const [moving, resting] = [2, 3].map((counter) => replica.store.find(7, counter)!.track);
    expect([moving!.tick(0), moving!.tick(1), resting!.tick(0), resting!.tick(1)]).toEqual([25, 19, 25, 24]);
    expect(stream.completeTick).toBe(19);
  });
});
