/**
 * Who hears whom. Every member says about itself, ten times a second, whom it hears directly; words
 * about members that a neighbour cannot hear itself are passed on. From the words follow the
 * component (everybody we can reach, over members if need be) and the next hop to each.
 *
 * A pair counts as connected only when each says it hears the other: a one-way path carries no
 * conversation. A peer is believed about itself, newest word first. What others pass on of it counts only
 * while it does not speak to us: newer than the last of the same instance, or once the old one is stale.
 */
import type { PeerId } from '../base/brand.ts';
import { toBase32 } from '../base/bytes.ts';
import { BEAT_MS, BEAT_STALE_MS, MAX_PEERS, SILENT_MS } from '../wire/limits.ts';
import type { Word } from './messages.ts';
import { encodeId } from './ids.ts';

/** Characters of an id that name it inside `heard`: 40 bits. */
const KEY_CHARS = 8;
/** What a peer said is forgotten so long after it fell silent (ms). */
const FORGET_MS = 60_000;

/** So long after a peer's own word nobody else speaks for it (ms): as long as silence takes to mean something. */
const HEARSAY_MS = SILENT_MS;

/** No word of the same process comes after this one. */
const LAST_SEQ = 0xffff_ffff;

const NO_WORDS: readonly Word[] = [];

const keyOf = (id: PeerId): string => id.slice(0, KEY_CHARS);

interface Known {
  readonly id: PeerId;
  /** What stands for the id in `heard`. */
  readonly key: string;
  word: Word;
  /** When the newest word came (ms), and whether from the peer itself. */
  at: number;
  direct: boolean;
  /** The newest that the peer said to us itself, and when (ms). */
  said: Pick<Word, 'instance' | 'seq'> | undefined;
  saidAt: number;
  heard: ReadonlySet<string>;
  hearsUs: boolean;
}

/** How to reach a member: over which neighbour, and over how many steps. */
export interface Route {
  readonly next: PeerId;
  readonly hops: number;
}

export class LinkState {
  readonly self: PeerId;
  readonly #selfKey: string;
  readonly #known = new Map<PeerId, Known>();
  #routes = new Map<PeerId, Route>();
  /** Everybody there is a route to. */
  #reached: Known[] = [];

  constructor(self: PeerId) {
    this.self = self;
    this.#selfKey = keyOf(self);
  }

  /** Bytes of `heard` for the given members. */
  static encodeHeard(ids: readonly PeerId[]): Uint8Array {
    const out = new Uint8Array(ids.length * 5);
    ids.forEach((id, i) => out.set(encodeId(id).subarray(0, 5), i * 5));
    return out;
  }

  /** Takes one word; `direct` when the peer said it itself. True when it says something new. */
  update(now: number, word: Word, direct: boolean): boolean {
    if (word.id === this.self) return false;
    const old = this.#known.get(word.id);
    if (old === undefined) {
      if (this.#known.size >= 2 * MAX_PEERS && !this.#makeRoom(now, direct)) return false;
      const heard = heardKeys(word.heard);
      const known: Known = {
        id: word.id,
        key: keyOf(word.id),
        word,
        at: now,
        direct,
        said: undefined,
        saidAt: -Infinity,
        heard,
        hearsUs: heard.has(this.#selfKey),
      };
      this.#known.set(word.id, known);
      if (direct) this.#said(now, known);
      return true;
    }
    const same = old.word.instance === word.instance;
    if (direct ? this.#isOld(old, word) : this.#isHearsay(now, old, word)) return false;
    const changed = !same || !equalWords(old.word, word);
    if (changed) {
      old.heard = heardKeys(word.heard);
      old.hearsUs = old.heard.has(this.#selfKey);
    }
    old.word = word;
    old.at = now;
    old.direct = direct;
    if (direct) this.#said(now, old);
    return changed;
  }

  #said(now: number, known: Known): void {
    known.said = known.word;
    known.saidAt = now;
  }

  #isOld(old: Known, word: Word): boolean {
    return old.said?.instance === word.instance && word.seq <= old.said.seq;
  }

  /** True when a word passed on is worth less than what we know: its peer speaks to us itself, or it is no newer. */
  #isHearsay(now: number, old: Known, word: Word): boolean {
    if (now - old.saidAt < HEARSAY_MS) return true;
    if (now - old.at >= BEAT_STALE_MS) return false;
    return old.word.instance !== word.instance || word.seq <= old.word.seq;
  }

  /** Forgets the oldest stale word, or for one that a peer says itself the oldest of those only passed on: a member may invent any number. */
  #makeRoom(now: number, direct: boolean): boolean {
    let oldest: Known | undefined;
    for (const known of this.#known.values()) {
      if (now - known.at < BEAT_STALE_MS && (!direct || known.direct)) continue;
      if (oldest === undefined || known.at < oldest.at) oldest = known;
    }
    if (oldest !== undefined) this.forget(oldest.id);
    return oldest !== undefined;
  }

  /** Forgets what a peer said: it left, or was started again. */
  forget(id: PeerId): void {
    this.#known.delete(id);
    this.#unreach(id);
  }

  #unreach(id: PeerId): void {
    if (this.#routes.delete(id)) this.#reached = this.#reached.filter((known) => known.id !== id);
  }

  /**
   * Writes down that a process said goodbye; passed on like its own word. One that never spoke, since it gave up before it had a
   * list, may have been given a seat: the host hears of it from us alone.
   */
  markLeft(now: number, id: PeerId, instance: number | undefined): void {
    const known = this.#known.get(id);
    if (known === undefined || (instance !== undefined && known.word.instance !== instance)) {
      if (instance === undefined) return;
      const word = { id, instance, seq: LAST_SEQ, host: false, eligible: false, left: true, term: 0, epoch: 0, heard: new Uint8Array(0) };
      this.update(now, word, true);
      return this.#unreach(id);
    }
    // Far enough ahead that no word it said before, still under way, brings it back.
    known.word = { ...known.word, left: true, host: false, seq: Math.min(known.word.seq + 1_000, LAST_SEQ) };
    known.at = now;
    this.#said(now, known);
    this.#unreach(id);
  }

  /** The last word of a peer, whatever its age. */
  word(id: PeerId): Word | undefined {
    return this.#known.get(id)?.word;
  }

  /** Which process of a peer last spoke to us itself, and when (ms). */
  spoke(id: PeerId): { readonly instance: number; readonly at: number } | undefined {
    const known = this.#known.get(id);
    return known?.said && { instance: known.said.instance, at: known.saidAt };
  }

  /** True when a peer has lately said that it is in the room. */
  speaks(now: number, id: PeerId): boolean {
    const known = this.#known.get(id);
    return known !== undefined && !known.word.left && now - known.at < BEAT_STALE_MS;
  }

  /** True when `id` has spoken lately, or somebody who has says that it hears it. */
  isHeard(now: number, id: PeerId): boolean {
    const key = keyOf(id);
    for (const known of this.#known.values())
      if (!known.word.left && now - known.at < BEAT_STALE_MS && (known.id === id || known.heard.has(key))) return true;
    return false;
  }

  /** True when `id` says it hears us. */
  hearsUs(id: PeerId): boolean {
    return this.#known.get(id)?.hearsUs ?? false;
  }

  /** True when `id` says to us itself that it does not hear us. */
  isDeafToUs(now: number, id: PeerId): boolean {
    const known = this.#known.get(id);
    return known !== undefined && now - known.saidAt < BEAT_STALE_MS && !known.hearsUs;
  }

  /** After we slept, what others said is not old: we did not listen. */
  excuse(now: number): void {
    for (const known of this.#known.values()) known.at = Math.max(known.at, now - BEAT_MS);
  }

  /** Recomputes the component from the members we are connected to directly. */
  refresh(now: number, neighbours: readonly PeerId[]): void {
    const routes = new Map<PeerId, Route>();
    const reached: Known[] = [];
    for (const id of neighbours) {
      const known = this.#known.get(id);
      // Without a word a linked peer has no roster yet, so it is nobody's neighbour. An old word may be
      // of a process that died, while its successor on the same key has not said anything.
      if (known === undefined || known.word.left || now - known.at > 2 * BEAT_STALE_MS) continue;
      const old = this.#routes.get(id);
      routes.set(id, old?.hops === 1 ? old : { next: id, hops: 1 });
      reached.push(known);
    }
    // As a rule everybody is a neighbour, and nobody is left to look for.
    const others: Known[] = [];
    for (const known of this.#known.values()) {
      if (now - known.at > FORGET_MS) this.#known.delete(known.id);
      else if (!known.word.left && now - known.at <= BEAT_STALE_MS && !routes.has(known.id)) others.push(known);
    }
    let from = 0;
    for (let hops = 2; from < reached.length && others.length > 0; hops++) {
      const end = reached.length;
      for (; from < end; from++) {
        const near = reached[from]!;
        // A neighbour that has not said yet that it hears us is believed for itself, not as a way to others: two whom nobody else
        // can answer would each vouch for the other, in turns.
        if (hops === 2 && !near.hearsUs) continue;
        for (const known of others) {
          if (routes.has(known.id) || !near.heard.has(known.key) || !known.heard.has(near.key)) continue;
          routes.set(known.id, { next: routes.get(near.id)!.next, hops });
          reached.push(known);
        }
      }
    }
    this.#routes = routes;
    this.#reached = reached;
  }

  /** Undefined when out of reach. */
  route(id: PeerId): Route | undefined {
    return this.#routes.get(id);
  }

  /** The last words of everybody in reach, ourselves not included. */
  reachable(): readonly { readonly word: Word }[] {
    return this.#reached;
  }

  /** Fresh words that `neighbour` cannot have from their authors. */
  newsFor(now: number, neighbour: PeerId): readonly Word[] {
    const heard = this.#known.get(neighbour)?.heard;
    let news: Word[] | undefined;
    for (const known of this.#known.values()) {
      if (known.id === neighbour || now - known.at > 2.5 * BEAT_MS) continue;
      if (heard?.has(known.key) === true) continue;
      (news ??= []).push(known.word);
    }
    return news ?? NO_WORDS;
  }
}

function heardKeys(heard: Uint8Array): ReadonlySet<string> {
  const keys = new Set<string>();
  for (let at = 0; at + 5 <= heard.length; at += 5) keys.add(toBase32(heard.subarray(at, at + 5)));
  return keys;
}

/** True when both say the same, whenever they say it. */
export function equalWords(a: Word, b: Word): boolean {
  if (
    a.host !== b.host ||
    a.eligible !== b.eligible ||
    a.left !== b.left ||
    a.term !== b.term ||
    a.epoch !== b.epoch ||
    a.heard.length !== b.heard.length
  )
    return false;
  if (a.heard === b.heard) return true;
  for (let i = 0; i < a.heard.length; i++) if (a.heard[i] !== b.heard[i]) return false;
  return true;
}
