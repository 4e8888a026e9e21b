/**
 * States that are asked for and given: when a peer asks for one, whom it gives its own, and what becomes of one that is too large to travel.
 */
import type { PeerId } from '../../base/brand.ts';
import { LanError } from '../../base/errors.ts';
import type { Comparison } from './comparison.ts';
import { Row } from './input.ts';
import type { Pace } from './pace.ts';
import type { Timeline } from './timeline.ts';
import type { TakenState } from './transfer.ts';
import { StateGiver, StateTaker } from './transfer.ts';
import type { RollbackWorld } from './types.ts';
import type { StatePiece, Words } from './words.ts';
import { EVIDENCE, NEWEST } from './words.ts';

/** A state is asked for at most this often, ms. */
const ASK_MS = 500;
/** The next piece of a state that is on its way may take so much longer, ms. */
const PIECE_MS = 1_500;
/** A state that was too large is not packed again, nor asked for again, before that, ms. */
const TOO_LARGE_MS = 10_000;

export interface ExchangeParts {
  readonly timeline: Timeline;
  readonly words: Words;
  readonly world: RollbackWorld;
  readonly pace: Pace;
  readonly comparison: Comparison;
}

export class StateExchange {
  readonly #parts: ExchangeParts;
  readonly #giver: StateGiver;
  readonly #taker = new StateTaker();
  #askedAt = Number.NEGATIVE_INFINITY;
  /** Ours, and that of whom this peer asked. */
  #tooLargeUntil = Number.NEGATIVE_INFINITY;
  #refusedUntil = Number.NEGATIVE_INFINITY;
  /** Of states, that have come. */
  pieces = 0;
  /** Who asked for a state before there was one. */
  readonly #askers = new Set<PeerId>();

  constructor(parts: ExchangeParts) {
    this.#parts = parts;
    const { world } = parts;
    this.#giver = new StateGiver(parts.words, (what, cause) => {
      if (!(cause instanceof LanError && cause.code === 'too-large')) return world.failed(what, cause);
      this.#tooLargeUntil = world.now() + TOO_LARGE_MS;
      world.tooLarge(cause.message, false);
    });
  }

  /** Asks `from` for its state, where it was not asked a moment ago. */
  ask(now: number, from: PeerId): void {
    const { world, words } = this.#parts;
    if (from === world.self || now < this.#refusedUntil || now - this.#askedAt < ASK_MS) return;
    if (world.send(from, 'reliable', words.stateAsk(undefined))) this.#askedAt = now;
  }

  askAtOnce(now: number, from: PeerId): void {
    this.#askedAt = Number.NEGATIVE_INFINITY;
    this.ask(now, from);
  }

  /** The one that was asked for is too large, and will be for a while. */
  refused(now: number): void {
    this.#refusedUntil = now + TOO_LARGE_MS;
  }

  take(now: number, piece: StatePiece): TakenState | undefined {
    if (piece.pieces > 0) this.pieces++;
    const taken = this.#taker.take(piece);
    // While it comes, it is not asked for.
    this.#askedAt = taken === undefined ? now + PIECE_MS : now;
    return taken;
  }

  /** @param accuses what is asked for at `tick` is asked for because it differs from what this peer, as host, has. */
  handleAsk(now: number, from: PeerId, tick: number | undefined, isWaiting: boolean, accuses: boolean): void {
    if (isWaiting) {
      if (tick === undefined) this.#askers.add(from);
      return;
    }
    if (tick === undefined) return this.give(now, from);
    if (this.#giver.isGiving(now, from, EVIDENCE)) return;
    const kept = accuses ? this.#parts.comparison.accuse(from, tick) : undefined;
    const head = { kind: EVIDENCE, base: this.#parts.pace.base, tick, chain: 0, row: new Row([]) };
    this.#giver.give(from, head, now < this.#tooLargeUntil ? undefined : kept?.state);
  }

  give(now: number, to: PeerId): void {
    if (this.#giver.isGiving(now, to, NEWEST)) return;
    const { timeline, pace } = this.#parts;
    const tick = timeline.final;
    const head = { kind: NEWEST, base: pace.base, tick, chain: timeline.chain(tick), row: timeline.row(tick) };
    this.#giver.give(to, head, now < this.#tooLargeUntil ? undefined : timeline.saved(tick));
  }

  /** `peer` has another page now, or another link: nothing is on its way to it. */
  forget(peer: PeerId): void {
    this.#giver.forget(peer);
  }

  run(now: number, isWaiting: boolean): void {
    if (!isWaiting && this.#askers.size > 0) {
      for (const peer of this.#askers) this.give(now, peer);
      this.#askers.clear();
    }
    const { world } = this.#parts;
    this.#giver.pump(now, world.present(), (to, bytes) => world.send(to, 'reliable', bytes));
  }
}
