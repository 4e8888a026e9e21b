/**
 * One peer's stream of state, as it arrives: order, baselines, and applying it.
 *
 * A tick is complete when all its parts were applied; only complete ticks are acked, so a baseline is always a state this
 * replica has had in full. Ticks older than the newest applied are dropped whole: no field ever goes back.
 */
import type { PeerId } from '../base/brand.ts';
import type { PackReader } from '../wire/pack.ts';
import { MAX_STATE_PARTS } from '../wire/limits.ts';
import type { RunHead } from './changed-run.ts';
import { applyChangedRun } from './changed-run.ts';
import { PARTIAL, TAKEN, bitCount, decodeChanged, decodePiece, decodeWhole } from './delta.ts';
import type { WholeValues } from './delta.ts';
import { EntityCore } from './entity.ts';
import type { BoxedCodec } from './field.ts';
import type { KindSpec } from './kind.ts';
import { BOXED } from './kind.ts';
import type { SnapshotSource } from './entity.ts';
import { Playout } from './interpolation.ts';
import { replaced } from './shelf.ts';
import { Siblings } from './siblings.ts';
import type { InboundRules } from './inbound-rules.ts';
import type { EntityStore, Grave } from './store.ts';
import type { Track } from './track.ts';

/** Why a state frame was refused. */
export type StateDrop = 'state-malformed' | 'state-old' | 'state-baseline' | 'state-session' | 'state-value' | 'state-full';

/** A peer that streams what is despawned is told so at most so often, ms; meanwhile its ticks wait for their ack. */
const TELL_EVERY_MS = 100;
/** And of at most so many entities at once. */
const MAX_TOLD = 64;

interface FrameHead extends RunHead {
  readonly time: number;
  readonly now: number;
}

export class Inbound implements SnapshotSource {
  readonly peer: PeerId;
  readonly session: number;
  readonly playout: Playout;
  completeTick = -1;
  soundTick = -1;
  /** Of the newest whole state that is here; -1 for none. */
  wholeTick = -1;
  /** The full state has arrived at least once. */
  synced = false;
  readonly #hz: number;
  readonly #store: EntityStore;
  readonly #rules: InboundRules;
  #newestTick = -1;
  #newestTime = 0;
  readonly #seen = new Uint8Array(MAX_STATE_PARTS);
  #seenCount = 0;
  #held = false;
  #fullTick = -1;
  #fullNext = 0;
  #fullHeld = false;
  #toldAt = Number.NEGATIVE_INFINITY;
  #told = 0;
  /** Of the entry being read: the tick at which its values were taken, where it tells that; else -1. */
  #taken = -1;
  /** Entities of the origin being read, by counter. */
  #known = new Siblings();
  readonly #listed = new Set<number>();
  readonly #scratch = { ints: new Int32Array(32), boxed: [] as unknown[] };

  constructor(peer: PeerId, session: number, hz: number, store: EntityStore, rules: InboundRules) {
    this.peer = peer;
    this.session = session;
    this.playout = new Playout(1_000 / hz);
    this.#hz = hz;
    this.#store = store;
    this.#rules = rules;
  }

  /**
   * Applies one body. Undefined when it was taken, else why it was dropped.
   * @param now room time.
   */
  handleBody(now: number, tick: number, full: boolean, input: PackReader): StateDrop | undefined {
    const count = input.array(0xffff);
    const baseAge = input.int();
    const part = input.count(0xffff);
    const parts = input.count(0xffff);
    const phase = input.count(127);
    const quiet = input.int();
    const hash = input.int();
    if (
      !input.ok ||
      count < 6 ||
      quiet < PARTIAL ||
      quiet > 127 ||
      part >= parts ||
      full !== baseAge < 0 ||
      (!full && (parts > MAX_STATE_PARTS || baseAge > tick))
    )
      return 'state-malformed';
    const head: FrameHead = { tick, phase, time: ((tick + phase / 128) * 1_000) / this.#hz, baseline: full ? -1 : tick - baseAge, quiet, now };
    if (full) return this.#handleFull(head, part, parts, input);
    // Without the state at the baseline the differences mean nothing.
    if (this.completeTick < 0 || head.baseline > this.completeTick) return 'state-baseline';
    if (tick < this.#newestTick || (tick === this.#newestTick && this.#seen[part] === 1)) return 'state-old';
    if (tick > this.#newestTick) this.#begin(head);
    const drop = this.#entries(head, input);
    if (drop !== undefined) return drop;
    this.#seen[part] = 1;
    this.#seenCount++;
    if (this.#seenCount === parts && !this.#held) {
      this.completeTick = tick;
      if (quiet !== PARTIAL) this.soundTick = tick;
      if (hash !== 0 && hash !== this.#rules.hash(this.peer)) this.#rules.diverged(this.peer);
    }
    return undefined;
  }

  #begin(head: FrameHead): void {
    // Nothing is lost when the sender had nothing to say since the last that came.
    const missed =
      this.#newestTick < 0 || head.quiet === PARTIAL || this.#newestTick >= head.tick - head.quiet ? 0 : head.tick - this.#newestTick - 1;
    this.#newestTick = head.tick;
    this.#newestTime = head.time;
    this.#seen.fill(0);
    this.#seenCount = 0;
    this.#held = false;
    this.playout.arrived(head.now, head.time, (missed * 1_000) / this.#hz);
  }

  /** Parts of a full state come in order, on the reliable channel. */
  #handleFull(head: FrameHead, part: number, parts: number, input: PackReader): StateDrop | undefined {
    if (part === 0) {
      this.#fullTick = head.tick;
      this.#fullNext = 0;
      this.#fullHeld = false;
      this.#listed.clear();
      // From here on nothing older may come in between, even when this state turns out not to be decidable yet.
      if (head.tick > this.#newestTick) this.#begin(head);
    }
    if (part !== this.#fullNext || head.tick !== this.#fullTick) return 'state-malformed';
    // Of a newer tick whose parts are coming meanwhile.
    const held = this.#held;
    this.#held = false;
    const drop = this.#entries(head, input, this.#listed);
    if (this.#held) this.#fullHeld = true;
    this.#held = held;
    if (drop !== undefined) return drop;
    this.#fullNext++;
    if (this.#fullNext < parts) return undefined;
    if (this.#fullHeld) {
      this.#rules.diverged(this.peer);
      return undefined;
    }
    if (head.tick >= this.#newestTick)
      // What the owner did not list, it no longer has.
      for (const core of [...this.#store.all()])
        if (core.owner === this.peer && !core.mine && !this.#listed.has(core.id) && !this.#rules.abandoned(core)) this.#rules.diverged(this.peer);
    if (head.tick > this.completeTick) this.completeTick = this.soundTick = head.tick;
    this.wholeTick = head.tick;
    this.synced = true;
    this.#rules.settled(this.peer);
    return undefined;
  }

  #entries(head: FrameHead, input: PackReader, listed?: Set<number>): StateDrop | undefined {
    let origin = this.session;
    let counter = -1;
    this.#known = this.#store.ofOrigin(origin);
    while (input.more) {
      if (head.baseline >= 0) counter = applyChangedRun(input, this, this.#known, head, counter);
      if (!input.more) break;
      const gap = input.count(0xf_ffff);
      if (gap === 0) {
        origin = input.count(0xffff_ffff);
        counter = -1;
        this.#known = this.#store.ofOrigin(origin);
        if (!input.ok) return 'state-malformed';
        continue;
      }
      counter += gap;
      if (counter > 0xf_ffff) return 'state-malformed';
      this.#taken = -1;
      let isPiece = input.nil();
      let mask = input.int();
      if (!isPiece && mask <= TAKEN) {
        this.#taken = head.tick + mask - TAKEN;
        isPiece = input.nil();
        mask = input.int();
        if (this.#taken < 0 || mask < -1) return 'state-malformed';
      }
      if (!input.ok || (isPiece && mask <= 0)) return 'state-malformed';
      const drop = isPiece
        ? this.#piece(head, counter, mask, input)
        : mask === 0
          ? this.#whole(head, origin, counter, input, listed)
          : mask === -1
            ? this.#gone(head, origin, counter, input.count(0x7fff_ffff))
            : this.#changed(head, counter, mask, input);
      if (drop !== undefined) return drop;
    }
    return input.ok ? undefined : 'state-malformed';
  }

  #whole(head: FrameHead, origin: number, counter: number, input: PackReader, listed: Set<number> | undefined): StateDrop | undefined {
    const values = decodeWhole(input, this.#store.kinds, this.#scratch);
    if (values === undefined) return 'state-value';
    let core = this.#store.find(origin, counter);
    if (core !== undefined && core.kind !== values.kind) return 'state-value';
    if (core?.owner === this.peer && values.epoch <= core.epoch && core.kind.def.authority !== 'host') {
      // The peer started anew, and what it was told of it is older than what is known here.
      const outdated = core.source !== undefined && core.source.session !== this.session && core.lastChange >= 0;
      if (outdated || values.epoch < core.epoch) {
        listed?.add(core.id);
        if (outdated && !this.#tell(head.now, () => this.#rules.tellNewer(this.peer, core!))) this.#held = true;
        return undefined;
      }
    }
    if (core === undefined || core.owner !== this.peer) {
      const grave = core === undefined ? this.#store.grave(origin, counter) : undefined;
      // What was under way when its sender despawned it.
      if (grave?.owner === this.peer && grave.session === this.session && head.tick <= grave.tick!) return undefined;
      if (core === undefined && values.kind.isFixed && origin !== this.session) return undefined;
      const claim = this.#rules.judge(this.peer, values.kind, core, grave, values.epoch, this.session);
      if (
        claim === 'later' ||
        ((claim === 'buried' || claim === 'outbid') && !this.#tell(head.now, () => this.#rules.tellBuried(this.peer, origin, counter, grave!)))
      )
        this.#held = true;
      if (claim !== 'accept') return undefined;
    }
    listed?.add(origin * 0x10_0000 + counter);
    if (core === undefined) {
      if (this.#store.full) return 'state-full';
      core = new EntityCore(this.#rules.home, values.kind, origin, counter, this.peer);
      core.epoch = values.epoch;
      core.source = this;
      this.#take(core, head, values);
      this.#store.add(core);
      return undefined;
    }
    const previous = core.owner;
    // Each owner's words are shown late by a time of their own, and what was ours was not late at all: it glides from where it was drawn.
    const handed = (previous !== this.peer || core.lastChange < 0) && core.drawnAt(head.now);
    if (handed) core.hold(head.now);
    // Given by us, who know whether it rested by then; else its former owner's words are the last that is known.
    const moving =
      core.lastChange < 0 || (previous !== this.peer && core.source !== undefined && core.track.size > 0 && core.restTick <= core.track.tick(0));
    if (previous !== this.peer) {
      core.owner = this.peer;
      core.epoch = values.epoch;
      core.yielded = false;
      this.#rules.yielded(core, previous);
      core.source = this;
      core.lastChange = -1;
    } else if (values.epoch > core.epoch || core.kind.def.authority === 'host') core.epoch = values.epoch;
    core.yielded = core.given = core.missed = false;
    core.parted = -1;
    core.source = this;
    // A full state can be overtaken by a newer body of the same stream.
    if (core.lastChange > head.tick) return undefined;
    this.#apply(core, head, (2 << core.kind.count) - 1, values.ints, values.boxed, handed, moving);
    return undefined;
  }

  /** The first values of an entity that is new here: nothing to compare, nobody to tell. */
  #take(core: EntityCore, head: FrameHead, values: WholeValues): void {
    const { kind } = core;
    for (let i = 0; i <= kind.count; i++) {
      core.ints[i] = values.ints[i]!;
      const codec = kind.fields[i]?.codec;
      if (codec === undefined) continue;
      if (codec.storage === 'boxed') core.boxed[i] = values.boxed[i];
      else core.live[i] = kind.dequantise(i, values.ints[i]!);
    }
    core.lastChange = head.tick;
    core.heardSince = this.#takenAt(kind, head);
    core.track.push(core.heardSince, head.phase, 0, replaced);
  }

  #gone(head: FrameHead, origin: number, counter: number, epoch: number): undefined {
    const core = this.#store.find(origin, counter);
    if (this.#taken >= 0) {
      // Given away, and not despawned. Whoever has it may have spoken already.
      if (core?.owner === this.peer && !core.mine && epoch >= core.epoch) core.parted = Math.max(0, this.#taken - 1);
      return;
    }
    const grave: Grave = { epoch, owner: this.peer, session: this.session, tick: head.tick };
    const claim = core === undefined ? 'refuse' : this.#rules.judgeEnd(this.peer, core, epoch);
    if (claim === 'later') this.#held = true;
    if (core === undefined) this.#store.deepen(origin, counter, grave);
    else if (claim === 'accept') this.#rules.bury(core, grave);
    return undefined;
  }

  /** False when the peer may not be told now, and has to say it again. */
  #tell(now: number, say: () => void): boolean {
    if (now - this.#toldAt >= TELL_EVERY_MS) {
      this.#toldAt = now;
      this.#told = 0;
    }
    if (++this.#told > MAX_TOLD) return false;
    say();
    return true;
  }

  #changed(head: FrameHead, counter: number, mask: number, input: PackReader): StateDrop | undefined {
    const core = this.#known.get(counter);
    if (core === undefined || core.owner !== this.peer || core.mine) {
      // Somebody with a better claim has it, or it is gone: the sender will learn.
      input.skip(bitCount(mask));
      return input.ok ? undefined : 'state-malformed';
    }
    // What this owner said before its present reign began here is no baseline: the rows of that time may be another's.
    const age = core.source !== this || core.lastChange < 0 || head.baseline < core.heardSince ? -1 : core.track.ageAtTick(head.baseline);
    if (age < 0) {
      this.#held = true;
      this.#rules.diverged(this.peer);
      input.skip(bitCount(mask));
      return input.ok ? undefined : 'state-malformed';
    }
    const { ints, boxed } = this.#scratch;
    if (!decodeChanged(input, core, mask, age, ints, boxed)) return 'state-value';
    // Nobody watches or draws it, and this owner's word came before: the commonest case by far.
    if ((mask & core.kind.boxedMask) === 0 && core.lastChange >= 0 && !core.watched && !core.drawnAt(head.now))
      this.#applyInts(core, head, mask, ints);
    else this.#apply(core, head, mask, ints, boxed);
    return undefined;
  }

  /** Some of its values, which need no baseline; but a first word is of all. */
  #piece(head: FrameHead, counter: number, mask: number, input: PackReader): StateDrop | undefined {
    const core = this.#known.get(counter);
    const isOurs = core !== undefined && core.owner === this.peer && !core.mine;
    if (!isOurs || core.source !== this || core.lastChange < 0) {
      if (isOurs) {
        this.#held = true;
        this.#rules.diverged(this.peer);
      }
      input.skip(bitCount(mask));
      return input.ok ? undefined : 'state-malformed';
    }
    const { ints, boxed } = this.#scratch;
    if (!decodePiece(input, core, mask, ints, boxed)) return 'state-value';
    this.#apply(core, head, mask, ints, boxed);
    return undefined;
  }

  /** As `#apply`, for integers alone and with nobody to tell. */
  #applyInts(core: EntityCore, head: FrameHead, given: number, ints: Int32Array): void {
    const { kind, live, track } = core;
    const own = core.ints;
    const { count } = kind;
    let mask = 0;
    for (let left = given; left !== 0; left &= left - 1) {
      const i = 31 - Math.clz32(left & -left);
      const int = ints[i]!;
      if (own[i] === int) continue;
      replaced[i] = own[i]!;
      own[i] = int;
      if (i < count) live[i] = kind.dequantise(i, int);
      mask |= 1 << i;
    }
    core.lastChange = head.tick;
    if (mask !== 0) {
      const since = Math.max(this.#takenAt(kind, head), track.tick(0));
      const phase = phaseAt(track, since, head);
      this.#rest(core, head, since);
      track.push(since, phase, mask, replaced);
    }
    this.#stands(core, head);
  }

  /**
   * Makes those of `ints` and `boxed` that `given` names the newest values, adds the rows, and tells watchers what changed.
   * @param held what is on screen is remembered already.
   * @param moving see `#write`.
   */
  #apply(core: EntityCore, head: FrameHead, given: number, ints: Int32Array, boxed: readonly unknown[], held = false, moving = false): void {
    const { kind, track } = core;
    const { count, way } = kind;
    let mask = 0;
    for (let left = given; left !== 0; left &= left - 1) {
      const i = 31 - Math.clz32(left & -left);
      const same =
        i < count && way[i] === BOXED
          ? (kind.fields[i]!.codec as BoxedCodec).same(core.boxed[i] ?? null, boxed[i] ?? null)
          : core.ints[i] === ints[i];
      if (!same) mask |= 1 << i;
    }
    // The first word of this owner here, or all of it anew: what a former one assigned and did not say any more gives way to it, too.
    const anew = core.lastChange < 0;
    if (anew || given === (2 << count) - 1)
      for (let i = 0; i < count; i++) {
        if (way[i] === BOXED || (mask & (1 << i)) !== 0) continue;
        if ((given & (1 << i)) === 0) ints[i] = core.ints[i]!;
        if (core.live[i] !== kind.dequantise(i, ints[i]!)) mask |= 1 << i;
      }
    core.lastChange = head.tick;
    const drawn = held || core.drawnAt(head.now);
    // A first word always makes a row, equal to what is held or not: what follows is coded against it.
    if (mask === 0 && track.size > 0 && head.baseline >= 0 && !anew) {
      if (drawn && !held) core.hold(head.now);
      this.#stands(core, head);
      if (drawn) core.glide(head.now, held);
      return;
    }
    const old: unknown[] | undefined = core.watched ? kind.fields.map((_, i) => core.value(i)) : undefined;
    if (drawn && !held) core.hold(head.now);
    this.#write(core, head, mask, ints, boxed, anew, moving);
    if (drawn) core.glide(head.now, held);
    if (old !== undefined) for (let i = 0; i < count; i++) if ((mask & (1 << i)) !== 0) core.changedValue(i, old[i]);
  }

  /**
   * @param anew a reign begins: what its former owner said of later ticks, before it knew, was not so.
   * @param moving it was on its way in the last word of that one, whose silence since then is not rest: the new owner's word is where that led to.
   */
  #write(core: EntityCore, head: FrameHead, mask: number, ints: Int32Array, boxed: readonly unknown[], anew: boolean, moving: boolean): void {
    const { kind, live, track } = core;
    const { count, way } = kind;
    const taken = this.#takenAt(kind, head);
    const undone = anew ? track.cut(taken, replaced) : 0;
    // Never before what is known already.
    const since = track.size === 0 ? taken : Math.max(taken, track.tick(0));
    const phase = phaseAt(track, since, head);
    if (anew) core.heardSince = since;
    if (!moving) this.#rest(core, head, since);
    for (let left = mask; left !== 0; left &= left - 1) {
      const i = 31 - Math.clz32(left & -left);
      if (i < count && way[i] === BOXED) {
        core.boxed[i] = boxed[i];
        continue;
      }
      const int = ints[i]!;
      if ((undone & (1 << i)) === 0) replaced[i] = core.ints[i]!;
      core.ints[i] = int;
      if (i < count) live[i] = kind.dequantise(i, int);
    }
    track.push(since, phase, mask | undone, replaced);
    this.#stands(core, head);
  }

  /** The tick at which the values of the entry being read were taken. */
  #takenAt(kind: KindSpec, head: FrameHead): number {
    return this.#taken < 0 ? kind.dueAt(head.tick) : this.#taken;
  }

  /**
   * At rest, and known to be, where the kind was sampled since the newest row: a row ends the movement that the row before may suggest. What was not acked
   * yet is told again between two samples, too, and that says nothing.
   */
  #stands(core: EntityCore, head: FrameHead): void {
    const { track } = core;
    const due = core.kind.dueAt(head.tick);
    if (track.size > 1 && due > track.tick(0)) track.rest(due, head.phase);
  }

  /**
   * Fills in what is known of the time since the entity's last row: that it did not change. Without it, a thing that starts
   * to move would seem to have crept since it last did.
   * @param since the tick from which on it is known to be different.
   */
  #rest(core: EntityCore, head: FrameHead, since: number): void {
    const { track } = core;
    if (track.size === 0) return;
    const tick = this.restTick(core.kind, head);
    if (tick > track.tick(0) && tick < since) track.rest(tick, head.phase);
  }

  /** The newest tick before that of `head` for which all of that kind's changes are known; -1 for none. */
  restTick(kind: KindSpec, head: RunHead): number {
    const { every } = kind;
    const nothingMissed = this.soundTick >= head.tick - head.quiet;
    const known = nothingMissed ? head.tick - every : this.soundTick;
    const tick = every === 1 ? known : known - (((known % every) + every) % every);
    return tick < head.tick ? tick : -1;
  }

  get newestTime(): number {
    return this.#newestTime;
  }
}

/** Where in tick `since` that was. Of another one than the frame's nobody is told; most likely it is where it was in the one before. */
function phaseAt(track: Track, since: number, head: FrameHead): number {
  return since === head.tick || track.size === 0 ? head.phase : track.phase(0);
}
