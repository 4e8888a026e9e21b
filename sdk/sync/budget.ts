/**
 * A budget of bytes for the state that goes to one peer in one tick, and who gets it: the priority accumulator (Glenn Fiedler, "State Synchronization",
 * gafferongames.com). Whatever has something to say gains its priority each tick, the highest go first until the bytes are spent, and what
 * was told begins at nothing again. So everything is told in the end, and what matters more is told more often.
 *
 * Acks are of ticks, not of entities: an ack of tick A says that the peer has what the body of A held. What was left out of it is not covered by the
 * ack, so of everything that was ever left out a `Debt` is kept until a body that held it is acked:
 *
 *   no debt ──left out──► owed ──ack of a body without it──► owed, stale: the baseline does not hold for it, it is told whole
 *      ▲                    └──ack of a body with it, nothing left out or changed since──► no debt
 * What no datagram takes as a whole is told in pieces instead (`pieces.ts`).
 *
 * The slow refresh and the hash say nothing to a peer that is owed something: most of what it gets is whole then, and a hash would not fit it.
 *
 * While a peer has no debts and all fits, its bodies are those everybody gets. Without a budget nothing here runs.
 */
import type { PeerId } from '../base/brand.ts';
import type { BodyHead } from './body-encoder.ts';
import { BodyEncoder } from './body-encoder.ts';
import type { Tombstone } from './delta.ts';
import type { EntityCore } from './entity.ts';
import { PIECE_BYTES, Pieces } from './pieces.ts';
import { MAX_DATAGRAM_MESSAGE_BYTES } from '../wire/limits.ts';
import { PackWriter } from '../wire/pack.ts';

/** How a peer's share of this peer's state is limited. */
export interface BudgetRule {
  readonly bytesPerTick: number;
  /** What an entity gains each tick for one peer. */
  priority(core: EntityCore, to: PeerId): number;
}

/** A despawn matters more than any movement: it is small, and what is gone must not stand about. */
const TOMB_PRIORITY = 1_000;
/** Bytes a despawn takes at most: the name of its origin, the gap, the mark and the epoch, and when it was given away. */
const TOMB_BYTES = 22;
/** Ticks after which what was told and neither acked nor overtaken by an ack is told again. */
const PATIENCE_TICKS = 15;

interface Debt {
  /** What it has gained since it was told. */
  score: number;
  /** Newest tick whose body held it, -1 for none. */
  told: number;
  /** First and newest tick whose body left it out. */
  readonly since: number;
  missed: number;
  /** The acked tick's body did not hold it: what the peer has of it is not what it was at that tick. */
  stale: boolean;
  /** Of what may be too large for a datagram. */
  readonly pieces: Pieces | undefined;
}

interface Candidate {
  /** What it is about; one of the two. */
  readonly core: EntityCore | undefined;
  readonly tomb: Tombstone | undefined;
  /** Place in the list of owned entities. */
  readonly index: number;
  readonly score: number;
  readonly whole: boolean;
  /** A bit per value that is told, where not all are; else 0. */
  piece: number;
}

/** What `choose` decided. */
export interface Choice {
  /** In order of the owned list. */
  readonly cores: EntityCore[];
  /** Those of `cores` that are to be told whole. */
  readonly whole: EntityCore[];
  /** Those of `whole` of which only some values are told. */
  readonly pieces: Map<EntityCore, number>;
  readonly tombs: Tombstone[];
  /** Something that the peer may not have was left out. */
  partial: boolean;
}

/** What one peer is owed. */
export class Debts {
  readonly #debts = new Map<EntityCore | Tombstone, Debt>();
  readonly #candidates: Candidate[] = [];
  /** What has something to say and is not to be told at this tick: told already and not acked, or of a kind that is not sampled now. */
  readonly #waiting: (EntityCore | Tombstone)[] = [];
  readonly #scratch = new PackWriter(2_048);
  readonly #measure = new BodyEncoder(this.#scratch);

  get size(): number {
    return this.#debts.size;
  }

  clear(): void {
    this.#debts.clear();
  }

  /** The peer has all of the body of `tick`, which is newer than any it acked before. */
  acked(tick: number): void {
    for (const [item, debt] of this.#debts) {
      if (tick < debt.since) continue;
      // Where it came to rest with that very tick, that it rests has to be told yet: a body that is not everything does not say so by silence.
      const isOther = debt.pieces === undefined ? tick !== debt.told && tick <= debt.missed : debt.pieces.acked(item as EntityCore, tick);
      debt.stale = isOther || ('kind' in item && item.kind.moves && item.lastChange === tick);
      if (!debt.stale && (debt.missed < tick || changedAt(item) <= tick)) this.#debts.delete(item);
    }
  }

  /**
   * Decides what goes into the body of `head.tick`, and takes note of what does not. Nothing chosen: no body is to be sent.
   * @param previous the tick before that one.
   * @param mayGoWhole what fits no datagram may be chosen: it takes everything else along.
   */
  choose(
    head: BodyHead,
    previous: number,
    baseline: number,
    to: PeerId,
    owned: readonly EntityCore[],
    tombs: readonly Tombstone[],
    budget: BudgetRule,
    mayGoWhole = true,
  ): Choice {
    const choice: Choice = { cores: [], whole: [], pieces: new Map(), tombs: [], partial: false };
    this.#gather(head.tick, previous, baseline, to, owned, tombs, budget);
    const empty = this.#bytes(head, baseline, []);
    let left = budget.bytesPerTick - empty;
    let part = empty;
    const chosen: Candidate[] = [];
    for (const candidate of this.#candidates.sort((a, b) => b.score - a.score || a.index - b.index)) {
      const { core, tomb, whole } = candidate;
      if (left <= 0) {
        this.#waiting.push(core ?? tomb!);
        continue;
      }
      let bytes = core === undefined ? TOMB_BYTES : tellWhole(whole ? [core] : [], head.tick, () => this.#bytes(head, baseline, [core])) - empty;
      // No datagram takes what is to be told of it.
      if (core !== undefined && this.#measure.short) {
        candidate.piece = (this.#debts.get(core)?.pieces ?? new Pieces()).next(core, baseline, this.#scratch);
        const pieces = new Map([[core, candidate.piece]]);
        if (candidate.piece === 0 && !mayGoWhole) {
          this.#waiting.push(core);
          continue;
        }
        if (candidate.piece !== 0) bytes = tellWhole([core], head.tick, () => this.#bytes(head, baseline, [core], pieces)) - empty;
      }
      chosen.push(candidate);
      part += bytes;
      left -= bytes;
      if (part < MAX_DATAGRAM_MESSAGE_BYTES) continue;
      // It begins another part, which has a head of its own.
      part = empty + bytes;
      left -= empty;
    }
    if (chosen.length === 0) return choice;
    for (const item of this.#waiting) this.#leaveOut(item, head.tick, baseline);
    choice.partial = this.#waiting.length > 0;
    for (const { core, tomb, whole, piece } of chosen.sort((a, b) => a.index - b.index)) {
      if (core === undefined) choice.tombs.push({ ...tomb!, tick: head.tick });
      else choice.cores.push(core);
      if (whole || piece !== 0) choice.whole.push(core!);
      if (piece !== 0) choice.pieces.set(core!, piece);
      const debt = this.#debts.get(core ?? tomb!) ?? (piece === 0 ? undefined : this.#leaveOut(core!, head.tick, baseline));
      if (debt === undefined) continue;
      debt.told = head.tick;
      debt.score = 0;
      if (debt.pieces?.tell(head.tick, piece === 0 ? undefined : piece) === true) choice.partial = true;
    }
    return choice;
  }

  #gather(
    tick: number,
    previous: number,
    baseline: number,
    to: PeerId,
    owned: readonly EntityCore[],
    tombs: readonly Tombstone[],
    budget: BudgetRule,
  ): void {
    this.#candidates.length = this.#waiting.length = 0;
    for (const item of this.#debts.keys()) if ('kind' in item && !item.mine) this.#debts.delete(item);
    owned.forEach((core, index) => {
      const changed = isChanged(core, baseline);
      const debt = this.#debts.get(core);
      if (debt !== undefined && !debt.stale && !changed) this.#debts.delete(core);
      const owed = changed || debt?.stale === true;
      if (!owed && !(core.kind.moves && core.lastChange === baseline)) return;
      const sampled = core.kind.sampledAt(tick, previous) || core.bornTick === tick;
      if (!sampled || (debt !== undefined && isUnderWay(core, debt, tick, baseline))) return void this.#waiting.push(core);
      this.#candidates.push({
        core,
        tomb: undefined,
        index,
        score: gain(debt, budget.priority(core, to)),
        whole: debt?.stale === true || !owed,
        piece: 0,
      });
    });
    for (const tomb of tombs) if (tomb.tick > baseline && !this.#debts.has(tomb)) this.#candidates.push(tombCandidate(tomb, TOMB_PRIORITY));
    for (const [item, debt] of this.#debts) {
      if ('kind' in item) continue;
      if (isUnderWay(item, debt, tick, baseline)) this.#waiting.push(item);
      else this.#candidates.push(tombCandidate(item, gain(debt, TOMB_PRIORITY)));
    }
  }

  #leaveOut(item: EntityCore | Tombstone, tick: number, baseline: number): Debt {
    let debt = this.#debts.get(item);
    if (debt === undefined) {
      const stale = 'kind' in item && !isChanged(item, baseline);
      const pieces = 'kind' in item && item.kind.maxBytes > PIECE_BYTES ? new Pieces() : undefined;
      this.#debts.set(item, (debt = { score: 0, told: -1, since: tick, missed: tick, stale, pieces }));
    }
    debt.missed = tick;
    debt.pieces?.leaveOut(item as EntityCore, baseline);
    return debt;
  }

  /** Bytes of a body of `cores`, with the head of its frame. */
  #bytes(head: BodyHead, baseline: number, cores: readonly EntityCore[], pieces?: ReadonlyMap<EntityCore, number>): number {
    this.#scratch.reset();
    this.#measure.encode(head, baseline, cores, [], undefined, pieces);
    return this.#scratch.offset;
  }
}

/** Its body entry is a difference to the baseline, or it is new: what the encoder tells by itself. */
function isChanged(core: EntityCore, baseline: number): boolean {
  return core.lastChange > baseline || core.bornTick > baseline;
}

function changedAt(item: EntityCore | Tombstone): number {
  return 'kind' in item ? item.lastChange : item.tick;
}

/** Told as it is now, and no ack has said yet what became of that. */
function isUnderWay(item: EntityCore | Tombstone, debt: Debt, tick: number, baseline: number): boolean {
  return debt.told > baseline && changedAt(item) <= debt.told && tick - debt.told < PATIENCE_TICKS;
}

function gain(debt: Debt | undefined, priority: number): number {
  if (debt === undefined) return priority;
  debt.score += priority;
  return debt.score;
}

/** Despawns come after all entities in a body. */
function tombCandidate(tomb: Tombstone, score: number): Candidate {
  return { core: undefined, tomb, index: Number.MAX_SAFE_INTEGER, score, whole: false, piece: 0 };
}

/** Runs `encode` with `cores` told whole, as at their turn of the slow refresh. */
export function tellWhole<T>(cores: readonly EntityCore[], tick: number, encode: () => T): T {
  const turns = cores.map((core) => core.refreshTick);
  for (const core of cores) core.refreshTick = tick;
  try {
    return encode();
  } finally {
    cores.forEach((core, i) => (core.refreshTick = turns[i]!));
  }
}
