/**
 * Who should be host, and what this peer has to do about it now. A pure decision over what is known;
 * `standing-step.ts` asks it at every tick, `membership.ts` acts once the answer has stood for its hold time.
 *
 *   no seat in the room's list ----------------------------> join(host)
 *   host in reach ------------------------------------------> none
 *   host gone, another part's host in reach ---------------> join(that host)
 *   host gone, nobody's host in reach, we are next in line -> claim
 *   we are host, a better host is in reach -----------------> propose(that host)
 *
 * The host stays host while it is present and eligible: a peer that comes back does not take over.
 * Next in line is the lowest slot that is in reach and eligible; when it does not act, the one after.
 */
import type { PeerId } from '../base/brand.ts';
import { CLAIM_RANK_MS, LONE_CLAIM_MS, MERGE_HOLD_MS } from '../wire/limits.ts';
import type { LinkState } from './link-state.ts';
import type { Word } from './messages.ts';
import { seatOf, type Roster } from './roster.ts';

export type Step =
  | { readonly type: 'none' }
  | { readonly type: 'join'; readonly host: PeerId; readonly holdMs: number }
  /** `alone`: no other member is in reach. */
  | { readonly type: 'claim'; readonly holdMs: number; readonly alone: boolean }
  | { readonly type: 'propose'; readonly host: PeerId; readonly holdMs: number };

export interface ElectionView {
  readonly self: PeerId;
  /** Of this process: a seat of another one is not ours. */
  readonly instance: number;
  readonly eligible: boolean;
  /** Somebody linked asks us for a seat: alone in the room we may be, but not cut off. */
  readonly asked: boolean;
  readonly roster: Roster;
  readonly linkState: LinkState;
}

const NONE: Step = { type: 'none' };

/** Members in reach that follow `term`, ourselves included. */
export function followers(view: ElectionView, term: number): number {
  let count = view.roster.term === term ? 1 : 0;
  for (const { word } of view.linkState.reachable()) if (word.term === term) count++;
  return count;
}

/** The word of a host in reach that we could follow: most followers, then lowest id. */
function bestOtherHost(view: ElectionView): Word | undefined {
  let best: Word | undefined;
  let bestCount = 0;
  for (const { word } of view.linkState.reachable()) {
    if (!word.host) continue;
    const count = followers(view, word.term);
    if (best === undefined || count > bestCount || (count === bestCount && word.id < best.id)) {
      best = word;
      bestCount = count;
    }
  }
  return best;
}

/** True while the host of our list is in reach, runs the same process, and has not moved on. */
export function isHostAlive(view: ElectionView): boolean {
  const { roster, linkState, self } = view;
  if (roster.host === self) return true;
  if (linkState.route(roster.host) === undefined) return false;
  const word = linkState.word(roster.host);
  if (word === undefined || word.instance !== seatOf(roster, roster.host)?.instance) return false;
  // An older term is a word from before it became host.
  if (word.term < roster.term) return true;
  return word.term === roster.term && word.host;
}

/** Position of this peer among those who may take over; undefined when it may not. */
function rank(view: ElectionView, without: PeerId | undefined): number | undefined {
  let before = 0;
  let eligibleSeen = false;
  for (const onlyEligible of [true, false]) {
    if (!onlyEligible && eligibleSeen) return undefined;
    before = 0;
    for (const seat of view.roster.seats) {
      if (seat.id === without) continue;
      const own = seat.id === view.self;
      if (!own && view.linkState.route(seat.id) === undefined) continue;
      const word = view.linkState.word(seat.id);
      if (!own && word !== undefined && word.instance !== seat.instance) continue;
      const eligible = own ? view.eligible : (word?.eligible ?? seat.eligible);
      if (onlyEligible && !eligible) continue;
      if (eligible) eligibleSeen = true;
      if (own) return before;
      before++;
    }
  }
  return undefined;
}

export function nextStep(view: ElectionView): Step {
  const { roster, linkState, self } = view;
  const other = bestOtherHost(view);
  if (roster.host === self) {
    if (other === undefined) return NONE;
    const mine = followers(view, roster.term);
    const theirs = followers(view, other.term);
    const better = theirs > mine || (theirs === mine && other.id < self);
    return better ? { type: 'propose', host: other.id, holdMs: MERGE_HOLD_MS } : NONE;
  }
  const given = seatOf(roster, self);
  const seat = given?.instance === view.instance ? given : undefined;
  if (isHostAlive(view)) {
    if (seat === undefined) return { type: 'join', host: roster.host, holdMs: 0 };
    const word = linkState.word(roster.host);
    const idle = word !== undefined && word.term === roster.term && !word.eligible;
    if (!idle || !view.eligible) return NONE;
    const place = rank(view, roster.host);
    return place === undefined ? NONE : { type: 'claim', holdMs: place * CLAIM_RANK_MS, alone: false };
  }
  if (other !== undefined) return { type: 'join', host: other.id, holdMs: MERGE_HOLD_MS };
  if (seat === undefined) return { type: 'claim', holdMs: LONE_CLAIM_MS, alone: true };
  const place = rank(view, roster.host);
  if (place === undefined) return NONE;
  let alone = true;
  for (const { word } of linkState.reachable()) if (seatOf(roster, word.id) !== undefined) alone = false;
  const others = roster.seats.filter((one) => one.status === 'present' && one.id !== self && one.id !== roster.host).length;
  const cutOff = alone && others > 0 && !view.asked;
  return { type: 'claim', holdMs: cutOff ? LONE_CLAIM_MS : place * CLAIM_RANK_MS, alone };
}
