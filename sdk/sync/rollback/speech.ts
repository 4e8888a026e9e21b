/**
 * What a peer says at each tick. A player: what it holds down, a few ticks before they count, to the host, and to the others where they would guess
 * otherwise. The host: what counted, to everybody, from where each has come.
 */
import type { PeerId } from '../../base/brand.ts';
import type { Comparison } from './comparison.ts';
import type { Conductor } from './conductor.ts';
import type { StateExchange } from './exchange.ts';
import type { Input, InputCodec, Row } from './input.ts';
import type { Pace } from './pace.ts';
import type { Timeline } from './timeline.ts';
import type { RollbackWorld } from './types.ts';
import type { Words } from './words.ts';

/** The input delay follows the network at this pace, ms. */
const DELAY_MS = 1_000;
/** Everybody is told at least this often that this peer is here, ms. */
const HERE_MS = 90;

export interface SpeechParts {
  readonly timeline: Timeline;
  readonly world: RollbackWorld;
  readonly codec: InputCodec;
  readonly words: Words;
  readonly pace: Pace;
  readonly hz: number;
  readonly conductor: Conductor;
  readonly comparison: Comparison;
  readonly exchange: StateExchange;
}

export class Speech {
  readonly #parts: SpeechParts;
  readonly #isAuto: boolean;
  #held: Input;
  /** Newest tick for which this player has said what it holds down. */
  #sampled = 0;
  /** The tick that was due when the others were last spoken to. */
  #said = -1;
  #saidAllAt = Number.NEGATIVE_INFINITY;
  #delayAt = Number.NEGATIVE_INFINITY;
  inputDelay: number;

  constructor(parts: SpeechParts, inputDelay: number | 'auto') {
    this.#parts = parts;
    this.#isAuto = inputDelay === 'auto';
    this.inputDelay = inputDelay === 'auto' ? 2 : inputDelay;
    this.#held = parts.codec.neutral;
  }

  setInput(values: unknown): void {
    this.#held = this.#parts.codec.change(this.#held, values);
  }

  /** Another state has begun. */
  beginAnew(): void {
    this.#sampled = 0;
  }

  /** @param slot of this player; undefined while it only looks on. */
  sample(slot: number | undefined, due: number): void {
    if (slot === undefined) return;
    const { timeline, pace } = this.#parts;
    const reach = Math.min(due, timeline.confirmed + pace.aheadTicks) + this.inputDelay;
    for (let tick = Math.max(this.#sampled, timeline.confirmed) + 1; tick <= reach; tick++) timeline.hear(slot, tick, this.#held);
    this.#sampled = Math.max(this.#sampled, reach);
  }

  /** Once for each tick that is due; false when that was done. */
  say(now: number, slot: number | undefined, host: PeerId, due: number): boolean {
    if (due === this.#said) return false;
    this.#said = due;
    const { timeline, world, words, hz } = this.#parts;
    if (this.#isAuto && now - this.#delayAt >= DELAY_MS) {
      this.#delayAt = now;
      this.inputDelay = Math.min(3, Math.max(1, Math.ceil((world.transitMs() * hz) / 1_000)));
    }
    const last = slot === undefined ? 0 : this.#sampled;
    const bytes = words.inputs(timeline.confirmed, timeline.confirmed + 1, last, (tick) => timeline.heard(slot!, tick));
    // The host waits for it; to the others it says something when they would guess otherwise.
    const toAll = now - this.#saidAllAt >= HERE_MS || !(slot === undefined || timeline.isAsGuessed(slot, last));
    if (toAll) this.#saidAllAt = now;
    for (const peer of world.present()) if (toAll || peer === host) world.send(peer, 'unreliable', bytes);
    return true;
  }

  /** Who is further behind than rows are kept is given the state. */
  sayConfirmed(now: number): void {
    const { timeline, world, words, pace, conductor, comparison, exchange } = this.#parts;
    const row = (tick: number): Row => timeline.row(tick);
    const chain = (tick: number): number => timeline.chain(tick);
    // Mostly all have come as far.
    const said = new Map<number, readonly Uint8Array[]>();
    for (const peer of world.present()) {
      const confirmed = conductor.listeners.get(peer)?.confirmed;
      if (confirmed === undefined) continue;
      const first = Math.min(confirmed, timeline.confirmed) + 1;
      if (first - 1 < timeline.oldest) {
        if (conductor.isHeard(now, peer)) exchange.give(now, peer);
        continue;
      }
      let datagrams = said.get(first);
      if (datagrams === undefined) said.set(first, (datagrams = words.confirms(pace.base, comparison.newest, first, timeline.confirmed, row, chain)));
      for (const bytes of datagrams) world.send(peer, 'unreliable', bytes);
    }
  }
}
