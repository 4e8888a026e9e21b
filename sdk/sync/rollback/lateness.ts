/** Who holds things up: how late what each player says comes, and for whom everybody waits. */
import type { PeerId } from '../../base/brand.ts';
import type { PortRoster } from '../../port/port.ts';
import { ROLLBACK_AHEAD_TICKS } from '../../wire/limits.ts';
import type { Conductor } from './conductor.ts';
import type { RowEntry } from './input.ts';
import type { Timeline } from './timeline.ts';
import type { PlayerStats } from './types.ts';

/** A word counts for so much of the average. */
const WEIGHT = 1 / 8;

interface Line {
  newest: number;
  late: number;
}

export class Lateness {
  readonly #timeline: Timeline;
  readonly #conductor: Conductor;
  readonly #self: PeerId;
  readonly #lines = new Map<PeerId, Line>();

  constructor(timeline: Timeline, conductor: Conductor, self: PeerId) {
    this.#timeline = timeline;
    this.#conductor = conductor;
    this.#self = self;
  }

  /** `peer` has said what it holds down until tick `last`, as `due` was the newest that should be over. */
  heard(peer: PeerId, last: number, due: number): void {
    // Of another past, whose ticks have come further.
    if (last > due + ROLLBACK_AHEAD_TICKS) return;
    const line = this.#lines.get(peer);
    if (line === undefined) return void this.#lines.set(peer, { newest: last, late: due - last });
    // Overtaken by a later word.
    if (last < line.newest) return;
    line.newest = last;
    line.late += (due - last - line.late) * WEIGHT;
  }

  forget(peer: PeerId): void {
    this.#lines.delete(peer);
  }

  /** Drops what is known of peers that have no seat any more. */
  keepOnly(roster: PortRoster): void {
    const seats = new Set(roster.peers.map((seat) => seat.id));
    for (const peer of this.#lines.keys()) if (!seats.has(peer)) this.#lines.delete(peer);
  }

  /** Another state has begun, and ticks with it. */
  clear(): void {
    this.#lines.clear();
  }

  /** The host; where that is heard, a player of whom nobody knows here what it holds down at the tick that is to be confirmed. */
  waitsFor(now: number, roster: PortRoster): PeerId {
    const timeline = this.#timeline;
    if (roster.host !== this.#self && !this.#conductor.isLively(now, roster.host)) return roster.host;
    const tick = timeline.confirmed + 1;
    const isMissing = ({ slot, away }: RowEntry): boolean => !away && timeline.heard(slot, tick) === undefined;
    const slots = timeline
      .row(tick - 1)
      .entries.filter(isMissing)
      .map(({ slot }) => slot);
    return roster.peers.find(({ id, slot }) => id !== this.#self && slots.includes(slot))?.id ?? roster.host;
  }

  stats(now: number, roster: PortRoster): PlayerStats[] {
    const timeline = this.#timeline;
    return timeline.row(timeline.confirmed).entries.map(({ slot }) => {
      const peer = roster.peers.find((seat) => seat.slot === slot)?.id;
      const isSelf = peer === this.#self;
      const heardAt = peer === undefined ? undefined : this.#conductor.listeners.get(peer)?.heardAt;
      return {
        slot,
        lateTicks: isSelf || peer === undefined ? 0 : (this.#lines.get(peer)?.late ?? 0),
        passedOver: this.#conductor.passedOver.get(slot) ?? 0,
        silentMs: isSelf ? 0 : now - (heardAt ?? Number.NEGATIVE_INFINITY),
      };
    });
  }
}
