/**
 * What a member knows of others and how it gets there: words, ways, detours, room time, each part by itself.
 */
import { describe, expect, it } from 'vitest';
import { LinkState } from '../sdk/mesh/link-state.ts';
import { Links } from '../sdk/mesh/links.ts';
import type { Word } from '../sdk/mesh/messages.ts';
import { Relay } from '../sdk/mesh/relay.ts';
import { RoomTime } from '../sdk/mesh/room-time.ts';
import { BEAT_STALE_MS, LINK_SETTLE_MS, MAX_PEERS, MAX_RELAY_PARTIALS, SILENT_MS, TIME_SLEW_RATIO, TIME_STEP_MS } from '../sdk/wire/limits.ts';
import type { EndpointLike, LinkId } from '../sdk/link/endpoint-types.ts';
import { idOf } from './mesh-script.ts';

const [us, ann, bob, cat] = [0, 1, 2, 3].map(idOf) as [
  ReturnType<typeof idOf>,
  ReturnType<typeof idOf>,
  ReturnType<typeof idOf>,
  ReturnType<typeof idOf>,
];
let seq = 0;
const word = (id: typeof us, hears: readonly (typeof us)[], more: Partial<Word> = {}): Word => ({
  id,
  instance: 1,
  seq: ++seq,
  host: false,
  eligible: true,
  left: false,
  term: 5,
  epoch: 1,
  heard: LinkState.encodeHeard(hears),
  ...more,
});

describe('words', () => {
  it('[ME44] of a new process count from its first on, those of the old one that were overtaken do not', () => {
    const state = new LinkState(us);
    state.update(0, word(ann, [us], { seq: 500 }), true);
    expect(state.update(10, word(ann, [us], { seq: 1, instance: 2 }), true)).toBe(true);
    expect(state.update(20, word(ann, [], { seq: 1, instance: 2 }), true)).toBe(false);
    expect([state.hearsUs(ann), state.spoke(ann)]).toEqual([true, { instance: 2, at: 10 }]);
    expect(state.update(30, word(us, [ann]), false)).toBe(false);
    expect(state.word(us)).toBeUndefined();
  });

  it('[ME44] that are passed on count of one process by their number, and of another one only once the last is stale', () => {
    const state = new LinkState(us);
    state.update(0, word(ann, [], { seq: 10 }), false);
    expect(state.update(10, word(ann, [], { seq: 10, host: true }), false)).toBe(false);
    expect(state.update(20, word(ann, [], { seq: 11, host: true }), false)).toBe(true);
    expect(state.update(30, word(ann, [], { seq: 99, instance: 2 }), false)).toBe(false);
    expect(state.update(20 + BEAT_STALE_MS, word(ann, [], { seq: 1, instance: 2 }), false)).toBe(true);
  });

  it('[ME43] of the one that was heard longest ago give way first', () => {
    const state = new LinkState(us);
    for (let n = 1; n <= 2 * MAX_PEERS; n++) state.update(n, word(idOf(n), []), false);
    state.update(100, word(idOf(1), [], { host: true }), false);
    state.update(BEAT_STALE_MS + 60, word(idOf(90), []), false);
    expect([1, 2, 3, 90].map((n) => state.word(idOf(n)) !== undefined)).toEqual([true, false, true, true]);
  });

  it('[ME7] of who said goodbye are its last, whatever of it is still under way; of another process it says nothing', () => {
    const state = new LinkState(us);
    state.update(0, word(ann, [us], { seq: 5, host: true }), true);
    state.refresh(0, [ann]);
    state.markLeft(10, ann, undefined);
    expect([state.route(ann), state.speaks(10, ann), state.isHeard(10, ann)]).toEqual([undefined, false, false]);
    expect(state.word(ann)).toMatchObject({ left: true, host: false });
    expect(state.update(20, word(ann, [us], { seq: 6, host: true }), true)).toBe(false);
    state.refresh(20, [ann]);
    expect(state.route(ann)).toBeUndefined();
    // One that never spoke, and one whose predecessor did.
    state.markLeft(30, bob, 7);
    expect(state.word(bob)).toMatchObject({ instance: 7, left: true });
    state.markLeft(40, ann, 9);
    expect(state.word(ann)).toMatchObject({ instance: 9, left: true });
  });

  it('[ME65] to us ourselves, and only while they are new, say that somebody does not hear us', () => {
    const state = new LinkState(us);
    state.update(0, word(ann, [bob]), true);
    expect([0, BEAT_STALE_MS - 1, BEAT_STALE_MS].map((now) => state.isDeafToUs(now, ann))).toEqual([true, true, false]);
    expect(state.isHeard(10, bob)).toBe(true);
    expect(state.isHeard(BEAT_STALE_MS, bob)).toBe(false);
  });

  it('[ME13] are not old because we slept', () => {
    const state = new LinkState(us);
    state.update(0, word(ann, [us, bob]), true);
    state.update(0, word(bob, [ann]), false);
    state.excuse(60_000);
    state.refresh(60_000, [ann]);
    expect([state.route(ann)?.hops, state.route(bob)?.hops]).toEqual([1, 2]);
  });

  it('[ME62] make ways of those that hear each other, over a neighbour that hears us, while they are new', () => {
    const state = new LinkState(us);
    state.update(0, word(ann, [us, bob]), true);
    state.update(0, word(bob, [ann, cat]), false);
    state.update(0, word(cat, [bob]), false);
    state.refresh(0, [ann]);
    expect([ann, bob, cat].map((id) => state.route(id))).toEqual([
      { next: ann, hops: 1 },
      { next: ann, hops: 2 },
      { next: ann, hops: 3 },
    ]);
    // One of a pair that does not hear the other is no way.
    state.update(1, word(bob, [cat]), false);
    state.refresh(1, [ann]);
    expect(state.route(bob)).toBeUndefined();
    state.update(2, word(bob, [ann, cat]), false);
    state.update(2, word(ann, [us]), true);
    state.refresh(2, [ann]);
    expect(state.route(bob)).toBeUndefined();
    state.update(3, word(ann, [bob]), true);
    state.refresh(3, [ann]);
    expect([state.route(ann)?.hops, state.route(bob)]).toEqual([1, undefined]);
    // Old words are no ways; a neighbour that says nothing for longer is none itself.
    state.update(4, word(ann, [us, bob]), true);
    state.update(BEAT_STALE_MS + 10, word(ann, [us, bob]), true);
    state.refresh(BEAT_STALE_MS + 10, [ann]);
    expect([state.route(ann)?.hops, state.route(bob)]).toEqual([1, undefined]);
    state.refresh(3 * BEAT_STALE_MS + 11, [ann]);
    expect(state.route(ann)).toBeUndefined();
    state.refresh(70_000, []);
    expect(state.word(ann)).toBeUndefined();
  });

  it('[ME44] are passed on to who cannot hear their author, for a quarter of a second', () => {
    const state = new LinkState(us);
    state.update(0, word(ann, [us]), true);
    state.update(0, word(bob, [us, ann]), true);
    const news = (now: number, to: typeof us) => state.newsFor(now, to).map(({ id }) => id);
    expect([news(100, ann), news(100, bob), news(100, cat)]).toEqual([[bob], [], [ann, bob]]);
    expect(news(300, cat)).toEqual([]);
  });
});

describe('links', () => {
  const address = { host: '10.0.0.1', port: 2 };
  const linked = (peer: typeof us, link: number) =>
    ({
      type: 'linked',
      link,
      peer,
      publicKey: new Uint8Array(32),
      mode: 'open',
      address,
      door: address,
      attempt: undefined,
      replaces: undefined,
    }) as never;
  const made = () => {
    const moves: [number, string][] = [];
    const direct = new Set<number>([1, 2]);
    const endpoint = {
      hearsDirectly: (link: LinkId) => direct.has(link),
      setAddress: (_now: number, link: LinkId, { host }: { host: string }) => moves.push([link, host]),
    } as unknown as EndpointLike;
    const state = new LinkState(us);
    const links = new Links(endpoint, state);
    return { links, state, moves, direct };
  };

  it('[ME17] that fall silent, or whose far side hears nothing, go over a member, and back when there is none', () => {
    for (const how of ['silent', 'deaf', 'one-way'] as const) {
      const { links, state, moves, direct } = made();
      links.add(0, linked(ann, 1));
      links.add(0, linked(bob, 2));
      const hears = (now: number): void => {
        state.update(now, word(ann, how === 'deaf' ? [bob] : [us, bob]), true);
        state.update(now, word(bob, [us, ann]), true);
        state.refresh(now, links.neighbours(now));
      };
      hears(0);
      expect([links.neighbours(0), links.route(0)]).toEqual([[ann, bob].sort(), false]);
      if (how === 'silent') links.fellSilent(LINK_SETTLE_MS, links.get(ann)!);
      if (how === 'one-way') direct.delete(1);
      hears(LINK_SETTLE_MS);
      expect([how, links.route(LINK_SETTLE_MS), moves]).toEqual([how, true, [[1, `~${ann}`]]]);
      expect(links.heardDirectly()).toEqual([bob]);
      // Nobody is left on the way: back to where it last was.
      state.refresh(2_000, []);
      expect([links.route(2_000), moves.at(-1)]).toEqual([true, [1, address.host]]);
    }
  });

  it('[ME17] that are new, are heard again or have moved count both ways until the far side can have said so', () => {
    const { links, state } = made();
    links.add(0, linked(ann, 1));
    state.update(0, word(ann, []), true);
    expect([links.neighbours(LINK_SETTLE_MS - 1), links.neighbours(LINK_SETTLE_MS)]).toEqual([[ann], []]);
    const link = links.get(ann)!;
    links.fellSilent(1_000, link);
    expect([link.silentAt, links.neighbours(1_000)]).toEqual([1_000, []]);
    links.heard(2_000, link);
    expect([links.neighbours(2_000), links.neighbours(2_000 + LINK_SETTLE_MS)]).toEqual([[ann], []]);
    links.moved(5_000, link, { host: '10.0.0.9', port: 2 });
    expect([links.neighbours(5_000), link.direct?.host]).toEqual([[ann], '10.0.0.9']);
    links.moved(9_000, link, { host: `~${ann}`, port: 0 });
    expect([link.direct?.host, link.since, links.neighbours(9_000)]).toEqual(['10.0.0.9', 5_000, []]);
    expect([links.current(ann, 1 as LinkId), links.current(ann, 2 as LinkId)]).toEqual([link, undefined]);
  });
});

describe('what is carried', () => {
  const bytes = (n: number): Uint8Array => Uint8Array.from({ length: 1_400 }, (_, i) => (i * n) & 0xff);

  it('[ME29] is put together of the parts of one datagram of one sender', () => {
    const [from, other, to] = [new Relay(ann), new Relay(cat), new Relay(bob)];
    const [one, two] = [from.wrap(bob, 'session', bytes(1)), other.wrap(bob, 'session', bytes(3))];
    expect([to.unwrap(one[0]!), to.unwrap(two[1]!), to.unwrap(one[0]!)]).toEqual([undefined, undefined, undefined]);
    expect(to.unwrap(one[1]!)).toEqual({ from: ann, socket: 'session', bytes: bytes(1) });
    expect(to.unwrap(one[1]!)).toBeUndefined();
    expect(to.unwrap(two[0]!)).toEqual({ from: cat, socket: 'session', bytes: bytes(3) });
    const few = new Uint8Array(9);
    const ids = Array.from({ length: 70_000 }, () => from.wrap(bob, 'join', few)[0]!.id);
    expect(Math.max(...ids)).toBeLessThanOrEqual(0xffff);
  });

  it('[ME29] passes four members, and no fifth', () => {
    const hops: number[] = [];
    for (
      let part = new Relay(ann).wrap(bob, 'join', bytes(1))[0];
      part !== undefined;
      part = hops.length < 9 ? new Relay(cat).forward(part) : undefined
    )
      hops.push(part.hops);
    expect(hops).toEqual([4, 3, 2, 1]);
  });

  it('[ME43] in part is kept of the newest only', () => {
    const [from, to] = [new Relay(ann), new Relay(bob)];
    const all = Array.from({ length: MAX_RELAY_PARTIALS + 1 }, (_, n) => from.wrap(bob, 'session', bytes(n)));
    for (const parts of all) to.unwrap(parts[0]!);
    expect([to.unwrap(all[0]![1]!), to.unwrap(all[2]![1]!)?.bytes]).toEqual([undefined, bytes(2)]);
  });
});

describe('room time', () => {
  const clock = (at: number, errorMs = 1) => ({ offsetMs: 0, errorMs, at });

  it('[ME19] begins within twelve days, and goes on as the host’s, but never back', () => {
    for (const wallMs of [0, 1_700_000_000_000, -5]) {
      const time = new RoomTime(500, wallMs).time(500);
      expect([wallMs, time >= 0 && time < 2 ** 30]).toEqual([wallMs, true]);
    }
    const time = new RoomTime(0, 10_000);
    expect(time.time(1_000)).toBe(11_000);
    expect(time.time(900)).toBe(11_000);
    time.advanceTo(1_000, 10_500);
    expect(time.time(2_000)).toBe(12_000);
    time.advanceTo(2_000, 2 ** 32);
    expect(time.time(2_000)).toBe(12_000);
  });

  it('[ME19] of one who has not agreed with anybody yet goes wherever the host’s is, once', () => {
    const time = new RoomTime(0, 10_000);
    expect(time.time(0)).toBe(10_000);
    time.follow(100, 4_000, clock(100));
    expect(time.time(100)).toBe(4_100);
    time.follow(200, 3_000, clock(200));
    expect(time.time(200)).toBeGreaterThan(4_199);
  });

  it('[ME19] of one who was host does not jump back when it follows, and slews from then on', () => {
    const time = new RoomTime(0, 10_000);
    time.lead(0);
    time.lead(5_000);
    time.follow(5_100, 10_100, clock(5_100));
    expect(time.time(5_100)).toBeCloseTo(15_100 + 100 * TIME_SLEW_RATIO, 6);
    time.follow(5_200, 9_000, clock(5_200));
    expect(time.time(5_200)).toBeCloseTo(15_200, 6);
    // Far ahead of the host it slews as well: what was shown is not taken back.
    time.follow(6_200, 10_000 - 2 * TIME_STEP_MS, clock(6_200));
    expect(time.offset).toBeCloseTo(10_000 - 1_000 * TIME_SLEW_RATIO, 6);
    time.follow(6_300, 10_000 + 2 * TIME_STEP_MS, clock(6_300));
    expect(time.time(6_300)).toBe(16_300 + 2 * TIME_STEP_MS);
  });

  it('[SY50] says how far off it may be: how far behind, how old the measure, how long since', () => {
    const time = new RoomTime(0, 10_000);
    expect(time.errorMs(0)).toBe(Infinity);
    time.lead(0);
    expect([time.errorMs(0), time.errorMs(10_000)]).toEqual([0, 2]);
    time.follow(1_000, 10_040, clock(1_000, 3));
    expect(time.errorMs(1_000)).toBe(43);
    const fresh = new RoomTime(0, 10_000);
    fresh.lead(0);
    fresh.follow(20_000, 10_000, clock(10_000, 3));
    expect([fresh.errorMs(20_000), fresh.errorMs(30_000)]).toEqual([5, 7]);
    // What nobody honest says moves nothing.
    for (const offset of [2 ** 33, -(2 ** 33), NaN]) fresh.follow(20_100, offset, clock(20_100));
    expect([fresh.offset, fresh.errorMs(20_000)]).toEqual([10_000, 5]);
  });
});

it('[ME44] nobody speaks for a peer for as long as silence takes to mean something', () => {
  const state = new LinkState(us);
  state.update(0, word(ann, [us]), true);
  expect(state.update(SILENT_MS - 1, word(ann, [], { left: true }), false)).toBe(false);
  expect(state.update(SILENT_MS, word(ann, [], { left: true }), false)).toBe(true);
});
