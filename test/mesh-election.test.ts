/**
 * Who should be host, when a step is taken, and which of two with one key gives way: decisions over what is known.
 */
import { describe, expect, it } from 'vitest';
import type { PeerId } from '../sdk/base/brand.ts';
import { nextStep, type ElectionView, type Step } from '../sdk/mesh/election.ts';
import { LinkState } from '../sdk/mesh/link-state.ts';
import type { Word } from '../sdk/mesh/messages.ts';
import { Rivalry } from '../sdk/mesh/rivalry.ts';
import { claimRoster, removeSeat, seatPeer, updateSeat, type Roster } from '../sdk/mesh/roster.ts';
import { StandingStep } from '../sdk/mesh/standing-step.ts';
import { CLAIM_RANK_MS, LONE_CLAIM_MS, MEET_HOST_MS, MERGE_HOLD_MS } from '../sdk/wire/limits.ts';
import { idOf, listOf, newcomer } from './mesh-script.ts';

/** What peer `self` sees: the list, and the words of those in reach. */
function view(
  self: number,
  roster: Roster,
  words: readonly (Partial<Word> & { readonly n: number })[],
  more: Partial<ElectionView> = {},
): ElectionView {
  const linkState = new LinkState(idOf(self));
  const heard = LinkState.encodeHeard([idOf(self)]);
  for (const { n, ...word } of words) {
    const own = { id: idOf(n), instance: n, seq: 1, host: false, eligible: true, left: false, term: roster.term, epoch: roster.epoch, heard };
    linkState.update(0, { ...own, ...word }, true);
  }
  linkState.refresh(
    0,
    words.map(({ n }) => idOf(n)),
  );
  return { self: idOf(self), instance: self, eligible: true, asked: false, roster, linkState, ...more };
}

describe('the next step', () => {
  const roster = listOf(1, newcomer(2), newcomer(3), newcomer(4));
  const later = claimRoster(roster, idOf(2), 0, () => true).term;
  const claim = (holdMs: number, alone = false): Step => ({ type: 'claim', holdMs, alone });
  const none: Step = { type: 'none' };

  it('[ME6] after a host that is gone is the claim of who is next in line among those in reach', () => {
    expect(nextStep(view(2, roster, [{ n: 1, host: true }, { n: 3 }]))).toEqual(none);
    expect(nextStep(view(2, roster, [{ n: 3 }, { n: 4 }]))).toEqual(claim(0));
    expect(nextStep(view(4, roster, [{ n: 2 }, { n: 3 }]))).toEqual(claim(2 * CLAIM_RANK_MS));
    expect(nextStep(view(4, roster, [{ n: 3 }]))).toEqual(claim(CLAIM_RANK_MS));
    // One started anew has no seat yet, a hidden one comes only where nobody else is.
    expect(nextStep(view(4, roster, [{ n: 2, instance: 99 }, { n: 3 }]))).toEqual(claim(CLAIM_RANK_MS));
    expect(nextStep(view(4, roster, [{ n: 2, eligible: false }, { n: 3 }]))).toEqual(claim(CLAIM_RANK_MS));
    expect(nextStep(view(4, roster, [{ n: 3 }], { eligible: false }))).toEqual(none);
    expect(nextStep(view(4, roster, [{ n: 3, eligible: false }], { eligible: false }))).toEqual(claim(CLAIM_RANK_MS));
    expect(nextStep(view(3, roster, [{ n: 4, eligible: false }], { eligible: false }))).toEqual(claim(0));
  });

  it('[ME64] follows no other process of the host, none that has moved on, and none that is host no more', () => {
    for (const word of [{ instance: 99 }, { instance: 99, term: roster.term - 1 }, { term: later }, {}])
      expect(nextStep(view(2, roster, [{ n: 1, host: false, ...word }, { n: 3 }]))).toEqual(claim(0));
    expect(nextStep(view(3, roster, [{ n: 1, host: true, term: later }, { n: 2 }])).type).toBe('join');
    // A word from before it was host says nothing.
    expect(nextStep(view(2, roster, [{ n: 1, term: roster.term - 1, host: false }, { n: 3 }]))).toEqual(none);
  });

  it('[ME8] where the host is hidden is the claim of the first that is not; what it said in another term does not count', () => {
    expect(nextStep(view(2, roster, [{ n: 1, host: true, eligible: false }, { n: 3 }]))).toEqual(claim(0));
    expect(nextStep(view(3, roster, [{ n: 1, host: true, eligible: false }, { n: 2 }]))).toEqual(claim(CLAIM_RANK_MS));
    expect(nextStep(view(2, roster, [{ n: 1, host: true, eligible: false }], { eligible: false }))).toEqual(none);
    expect(nextStep(view(2, roster, [{ n: 1, eligible: false, term: roster.term - 1 }]))).toEqual(none);
  });

  it('[ME49] of who lost its host is to ask another part’s: the one that most follow, then the lowest id', () => {
    const joins = (words: Parameters<typeof view>[2]): PeerId | undefined => {
      const step = nextStep(view(4, roster, words));
      return step.type === 'join' ? step.host : undefined;
    };
    const hosts = [7, 8].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1)) as [number, number];
    const [first, second] = hosts;
    const both = [
      { n: second, host: true, term: 50 },
      { n: first, host: true, term: 60 },
    ];
    expect(joins(both)).toBe(idOf(first));
    expect(joins([...both].reverse())).toBe(idOf(first));
    expect(joins([...both, { n: 9, term: 50 }])).toBe(idOf(second));
    expect(joins([{ n: 9, term: 50 }])).toBeUndefined();
    expect(nextStep(view(4, roster, both))).toMatchObject({ type: 'join', holdMs: MERGE_HOLD_MS });
  });

  it('[ME15] of a host is to propose to a better one: more followers, then the lower id', () => {
    const proposes = (self: number, other: number, words: Parameters<typeof view>[2] = []): boolean =>
      nextStep(view(self, listOf(self), [{ n: other, host: true, term: 50 }, ...words])).type === 'propose';
    for (const [a, b] of [
      [1, 2],
      [2, 1],
    ] as const) {
      expect(proposes(a, b)).toBe(idOf(b) < idOf(a));
      expect(proposes(a, b, [{ n: 9, term: 50 }])).toBe(true);
      expect(proposes(a, b, [{ n: 9, term: listOf(a).term }])).toBe(false);
    }
    expect(nextStep(view(1, roster, [{ n: 2 }]))).toEqual(none);
  });

  it('[ME63] of who finds another process in its seat is to ask the host; where there is none, to take over after a while', () => {
    const taken = seatPeer(roster, { ...newcomer(4), instance: 99 }) as Roster;
    expect(nextStep(view(4, taken, [{ n: 1, host: true }]))).toEqual({ type: 'join', host: idOf(1), holdMs: 0 });
    expect(nextStep(view(4, taken, [{ n: 2 }]))).toEqual(claim(LONE_CLAIM_MS, true));
    expect(nextStep(view(4, removeSeat(roster, idOf(4), 'timeout'), [{ n: 1, host: true }])).type).toBe('join');
  });

  it('[ME38] of who is alone is to wait, unless nobody else was there, or somebody asks for a seat', () => {
    expect(nextStep(view(2, roster, []))).toEqual(claim(LONE_CLAIM_MS, true));
    expect(nextStep(view(2, roster, [], { asked: true }))).toEqual(claim(0, true));
    expect(nextStep(view(2, listOf(1, newcomer(2)), []))).toEqual(claim(0, true));
    // A stranger is no company; who is away is not missed.
    expect(nextStep(view(2, roster, [{ n: 9, term: 5 }]))).toEqual(claim(LONE_CLAIM_MS, true));
    const away = [3, 4].reduce((list, n) => updateSeat(list, idOf(n), { status: 'away' }), roster);
    expect(nextStep(view(2, away, []))).toEqual(claim(0, true));
  });

  it('[ME58] is taken when it has stood: anew for another host, for a host never met, and for who was alone', () => {
    const takenAfterMs = (before: ElectionView | undefined, then: ElectionView, met = true, stallMs = 0): number => {
      const standing = new StandingStep();
      if (met) standing.tick(0, view(2, roster, [{ n: 1, host: true }]));
      if (before !== undefined) for (let now = 0; now < 1_000; now += 10) standing.tick(now, before);
      if (stallMs > 0) {
        standing.tick(1_000, then);
        standing.excuse(stallMs);
      }
      for (let now = 1_000 + stallMs; now < 20_000; now += 10) if (standing.tick(now, then) !== undefined) return now - 1_000 - stallMs;
      return Infinity;
    };
    const gone = view(2, roster, [{ n: 3 }]);
    const alone = view(2, roster, []);
    expect(takenAfterMs(undefined, gone)).toBe(0);
    expect(takenAfterMs(undefined, gone, false)).toBe(MEET_HOST_MS);
    expect(takenAfterMs(undefined, alone)).toBe(LONE_CLAIM_MS);
    expect(takenAfterMs(alone, gone)).toBe(MERGE_HOLD_MS);
    expect(takenAfterMs(undefined, alone, true, 5_000)).toBe(LONE_CLAIM_MS);
    const [one, other] = [7, 8].map((n) => view(2, roster, [{ n, host: true, term: 50 }])) as [ElectionView, ElectionView];
    expect(takenAfterMs(one, other)).toBe(MERGE_HOLD_MS);
    const third = view(3, roster, [{ n: 2 }]);
    expect(takenAfterMs(undefined, third)).toBe(CLAIM_RANK_MS);
    const standing = new StandingStep();
    standing.tick(0, view(3, roster, [{ n: 1, host: true }]));
    standing.tick(10, third);
    expect(standing.tick(10 + CLAIM_RANK_MS, third)).toBeDefined();
    standing.clear();
    expect(standing.tick(20 + CLAIM_RANK_MS, third)).toBeUndefined();
  });
});

describe('a double', () => {
  /** One that has sat here since 0. */
  const settled = (): Rivalry => {
    const rivalry = new Rivalry();
    rivalry.onHeld(0);
    return rivalry;
  };

  it('[ME77] that answers takes the seat from who was there first once, and from who came later not even once', () => {
    const first = settled();
    first.onHeld(19_000);
    expect(first.onLost(20_000)).toBe(false);
    expect(first.onMet(20_100, false)).toBe(false);
    expect(first.onLost(20_200)).toBe(false);
    first.onHeld(27_000);
    expect(first.onMet(27_000, false)).toBe(false);
    expect(first.onLost(28_000)).toBe(true);
    const late = settled();
    late.onMet(5_000, false);
    expect(late.onLost(5_100)).toBe(true);
    // Before it had a seat there was none to lose.
    const never = new Rivalry();
    never.onMet(0, false);
    expect([never.onLost(10), never.onReplaced(20), never.onMet(30, true)]).toEqual([false, false, false]);
  });

  it('[ME77] that never answered, or not for a minute, is none', () => {
    const rivalry = settled();
    for (let at = 20_000; at < 200_000; at += 10_000) {
      expect([rivalry.onLost(at), rivalry.onReplaced(at + 10)]).toEqual([false, false]);
      rivalry.onHeld(at + 100);
    }
    const gone = settled();
    gone.onMet(20_000, false);
    expect(gone.onLost(20_000)).toBe(false);
    gone.onHeld(21_000);
    expect([gone.onLost(81_000), gone.onReplaced(81_100)]).toEqual([false, false]);
  });

  it('[ME77] takes link and seat in one go: that is one loss, until it has answered again', () => {
    const rivalry = settled();
    rivalry.onMet(20_000, false);
    expect([rivalry.onReplaced(20_100), rivalry.onLost(20_200), rivalry.onReplaced(25_000)]).toEqual([false, false, false]);
    // It has not answered since: links are only made anew.
    expect(rivalry.onReplaced(27_000)).toBe(false);
    rivalry.onMet(27_100, false);
    expect(rivalry.onReplaced(27_200)).toBe(true);
  });

  it('[ME77] takes nothing by a list that comes again, nor by a link that went before it answered', () => {
    const rivalry = settled();
    rivalry.onMet(20_000, false);
    expect(rivalry.onLost(20_010)).toBe(false);
    rivalry.onMet(27_000, false);
    expect(rivalry.onLost(27_010)).toBe(false);
    const early = settled();
    early.onReplaced(20_000);
    early.onMet(27_000, false);
    expect(early.onReplaced(27_010)).toBe(false);
    const old = new Rivalry();
    old.onMet(0, false);
    old.onHeld(95_000);
    expect(old.onReplaced(100_000)).toBe(false);
    expect([early.suspects(86_000), early.suspects(90_000), settled().suspects(20_000)]).toEqual([true, false, false]);
  });

  it('[ME77] is forgiven anew once its last loss is a minute old', () => {
    const rivalry = settled();
    for (const at of [20_000, 90_000, 160_000]) {
      rivalry.onMet(at, false);
      expect([at, rivalry.onReplaced(at + 10)]).toEqual([at, false]);
    }
    rivalry.onMet(170_000, false);
    expect(rivalry.onReplaced(170_010)).toBe(true);
  });

  it('[ME77] of who is alone counts each time it answers', () => {
    const rivalry = settled();
    expect([rivalry.onMet(20_000, true), rivalry.onMet(21_000, true), rivalry.onMet(27_000, true)]).toEqual([false, false, true]);
    const company = settled();
    expect([20_000, 27_000, 34_000].map((at) => company.onMet(at, false))).toEqual([false, false, false]);
  });
});
