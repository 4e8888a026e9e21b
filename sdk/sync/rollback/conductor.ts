/**
 * What the host does for a simulation besides playing it: it says, for each tick, who plays and what they held down. Its word is what everybody's state
 * comes from, so nobody has to agree on who was lost, or when; and one bad line holds nobody up for longer than `patienceTicks`.
 */
import type { PeerId } from '../../base/brand.ts';
import type { PortRoster } from '../../port/port.ts';
import type { InputCodec, RowEntry } from './input.ts';
import { Row } from './input.ts';
import type { Timeline } from './timeline.ts';

/** A player of whom nothing came for so long is away, though its seat is not, ms. */
const SILENT_MS = 1_000;
/** Who was heard within this time is one to play with, ms. */
const LIVELY_MS = 250;
/** A player whose page is there and plays no more is one no longer after so long, as one whose seat is gone, ms. */
const MUTE_MS = 20_000;
/** Inputs that a player sent before it quit may still be on their way for so long, ms. */
const QUIT_MS = 500;

/** One peer that has the simulation open. */
export interface Listener {
  heardAt: number;
  /** Ticks it has of the host's word; undefined while it has no state. */
  confirmed: number | undefined;
  /** It holds something down, if only nothing. */
  plays: boolean;
}

export class Conductor {
  readonly #timeline: Timeline;
  readonly #codec: InputCodec;
  readonly #self: PeerId;
  readonly #selfPlays: boolean;
  /** Who plays, by slot. */
  readonly #cast = new Map<number, PeerId>();
  readonly listeners = new Map<PeerId, Listener>();
  readonly #quit = new Map<PeerId, number>();
  /** Since when who has this slot, and is present, says nothing. */
  readonly #mute = new Map<number, number>();
  /** Ticks for which the host did not wait any longer, … */
  lateInputs = 0;
  /** … and for whom, by slot. */
  readonly passedOver = new Map<number, number>();
  /** The next tick that is confirmed begins the game anew, with this. */
  seed: number | undefined;

  /** @param plays false: the host itself only looks on. */
  constructor(timeline: Timeline, codec: InputCodec, self: PeerId, plays = true) {
    this.#timeline = timeline;
    this.#codec = codec;
    this.#self = self;
    this.#selfPlays = plays;
  }

  /** A row that is another one than that before it was confirmed, by whomever: who goes on playing keeps its part, whoever has its seat by now. */
  follow(row: Row, roster: PortRoster): void {
    // Whoever was host meanwhile has begun the game anew: it was asked for until then.
    if (row.seed !== undefined) this.seed = undefined;
    for (const slots of [this.#cast, this.passedOver]) for (const slot of slots.keys()) if (row.of(slot) === undefined) slots.delete(slot);
    for (const { slot, id } of roster.peers) if (row.of(slot) !== undefined && !this.#cast.has(slot)) this.#cast.set(slot, id);
  }

  /** Another state has begun: whoever has a seat of those who play in it is taken for who played. */
  begin(roster: PortRoster): void {
    this.seed = undefined;
    this.#cast.clear();
    const row = this.#timeline.row(this.#timeline.confirmed);
    for (const seat of roster.peers) if (row.of(seat.slot) !== undefined) this.#cast.set(seat.slot, seat.id);
  }

  /** This peer says what counts from now on. What it saw of the players when it did so before says nothing. */
  takeOver(): void {
    this.#mute.clear();
    this.passedOver.clear();
  }

  heard(now: number, peer: PeerId, confirmed: number | undefined, plays: boolean): void {
    if (now - (this.#quit.get(peer) ?? Number.NEGATIVE_INFINITY) < QUIT_MS) return;
    this.#quit.delete(peer);
    const listener = this.listeners.get(peer);
    if (listener === undefined) this.listeners.set(peer, { heardAt: now, confirmed, plays });
    else {
      listener.heardAt = now;
      listener.plays = plays;
      // It may be less than before: another state, or a datagram that was overtaken, which costs a few rows said twice.
      listener.confirmed = confirmed;
    }
  }

  /** This peer stood still for `ms`: whether anybody was silent meanwhile it cannot know. */
  slept(now: number, ms: number): void {
    for (const listener of this.listeners.values()) listener.heardAt = Math.min(now, listener.heardAt + ms);
    for (const [slot, since] of this.#mute) this.#mute.set(slot, Math.min(now, since + ms));
  }

  /** Of those who are heard playing, and of whom `asks` is true, who has come furthest. */
  furthest(now: number, asks: (peer: PeerId) => boolean): PeerId | undefined {
    let [most, found]: [number, PeerId | undefined] = [-1, undefined];
    for (const [peer, { confirmed }] of this.listeners)
      if (confirmed !== undefined && confirmed > most && this.isHeard(now, peer) && asks(peer)) [most, found] = [confirmed, peer];
    return found;
  }

  quit(now: number, peer: PeerId): void {
    this.listeners.delete(peer);
    this.#quit.set(peer, now);
  }

  /** Drops what is known of peers that have no seat any more. */
  keepOnly(roster: PortRoster): void {
    const seats = new Set(roster.peers.map((seat) => seat.id));
    for (const map of [this.listeners, this.#quit]) for (const peer of map.keys()) if (!seats.has(peer)) map.delete(peer);
  }

  /** Confirms one tick more, `limit` at most; false when there is something to wait for. */
  confirm(now: number, roster: PortRoster, due: number, limit: number, patienceTicks: number): boolean {
    const timeline = this.#timeline;
    const tick = timeline.confirmed + 1;
    if (tick > limit) return false;
    const before = timeline.row(tick - 1);
    const isLate = due - tick >= patienceTicks;
    const entries: RowEntry[] = [];
    const late: number[] = [];
    for (const seat of roster.peers) {
      const { slot, id } = seat;
      const known = this.#cast.get(slot);
      const isHere = id === this.#self || (seat.status === 'present' && this.isLively(now, id));
      if (known === undefined) {
        if (seat.spectator || !isHere || !this.#plays(id)) continue;
        entries.push({ slot, away: false, input: timeline.heard(slot, tick) ?? this.#codec.neutral });
        continue;
      }
      // Somebody else has the seat now: for one tick nobody plays there, so that the game sees one go and another come.
      if (known !== id || seat.spectator || this.#quit.has(id) || (id === this.#self && !this.#selfPlays)) continue;
      const last = before.of(slot)?.input ?? this.#codec.neutral;
      const heard = timeline.heard(slot, tick);
      if (heard !== undefined) entries.push({ slot, away: false, input: heard });
      else if (seat.status === 'away' || !this.isHeard(now, id)) {
        if (!this.#isMute(now, slot, seat.status === 'away')) entries.push({ slot, away: true, input: this.#codec.neutral });
      } else if (isLate) {
        late.push(slot);
        // What always comes too late counts late: else its player could press nothing at all.
        entries.push({ slot, away: false, input: timeline.takeLate(slot) ?? this.#codec.guess(last, slot) });
      } else return false;
    }
    this.lateInputs += late.length;
    for (const slot of late) this.passedOver.set(slot, (this.passedOver.get(slot) ?? 0) + 1);
    for (const { slot, away } of entries) if (!away) this.#mute.delete(slot);
    this.#recast(roster, entries);
    timeline.confirm(new Row(entries, this.seed));
    this.seed = undefined;
    return true;
  }

  /** Its page is there, and has not played for as long as the seat of who is gone is kept. */
  #isMute(now: number, slot: number, isAway: boolean): boolean {
    if (isAway) {
      this.#mute.delete(slot);
      return false;
    }
    const since = this.#mute.get(slot) ?? now;
    this.#mute.set(slot, since);
    return now - since >= MUTE_MS;
  }

  #recast(roster: PortRoster, entries: readonly RowEntry[]): void {
    for (const slot of [...this.#cast.keys()]) {
      if (entries.some((entry) => entry.slot === slot)) continue;
      this.#cast.delete(slot);
      this.#mute.delete(slot);
      this.passedOver.delete(slot);
      this.#timeline.forget(slot);
    }
    for (const { slot } of entries) {
      if (this.#cast.has(slot)) continue;
      const seat = roster.peers.find((one) => one.slot === slot);
      if (seat !== undefined) this.#cast.set(slot, seat.id);
    }
  }

  #plays(peer: PeerId): boolean {
    return peer === this.#self ? this.#selfPlays : this.listeners.get(peer)?.plays === true;
  }

  /** Whether anything came of `peer` within the last quarter of a second. */
  isLively(now: number, peer: PeerId): boolean {
    return now - (this.listeners.get(peer)?.heardAt ?? Number.NEGATIVE_INFINITY) < LIVELY_MS;
  }

  /** Whether anything came of `peer` within the last second. */
  isHeard(now: number, peer: PeerId): boolean {
    return peer === this.#self || now - (this.listeners.get(peer)?.heardAt ?? Number.NEGATIVE_INFINITY) < SILENT_MS;
  }
}
