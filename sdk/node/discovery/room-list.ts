/**
 * The rooms that answer, by our own questions alone. Pure; time comes in.
 *
 * A room is in the list because a member of it answered a WHO of ours, and leaves it because no member
 * answers any more. Advert TTLs mean nothing here, a goodbye is only a reason to ask at once.
 *
 *              answer                       no answer           PROBE_MISSES         PROBE_AFTER
 *   (unknown) ───────► fresh ──PROBE_MS──► asked ──PROBE_RETRY_MS──► … ──► not shown ── … ──► forgotten
 *                        ▲                   │ answer                          │ answer
 *                        └───────────────────┴─────────────────────────────────┘
 *   hint: PROBE_HINT_MS apart instead, and forgotten at once
 *
 * How many misses end a member depends on how it and the others answered before: on a quiet network
 * silence is soon a death, on one that loses half of everything it is not.
 */
import type { PeerId, RoomId } from '../../base/brand.ts';
import type { Address } from '../../link/endpoint-types.ts';
import type { GameFacts, RoomListing } from '../../port/lan-port.ts';
import type { HereFacts } from '../../wire/datagram.ts';
import {
  MAX_ROOMS,
  MAX_ROOM_ADDRESSES,
  PING_SHOWN_MS,
  PROBE_AFTER,
  PROBE_CROWD,
  PROBE_CROWD_MS,
  PROBE_HINT_GAP_MS,
  PROBE_HINT_MISSES,
  PROBE_HINT_MISSES_LOSSY,
  PROBE_HINT_MS,
  PROBE_LOSSY_RATIO,
  PROBE_MISSES,
  PROBE_MISSES_LEAST,
  PROBE_MISSES_LOSSY,
  PROBE_MS,
  PROBE_QUIET_MS,
  PROBE_RETRY_FAST_MS,
  PROBE_RETRY_MAX_MS,
  PROBE_RETRY_MS,
  PROBE_SILENCE_MS,
  WHO_WAIT_MS,
} from './bounds.ts';
import { addressKey } from './candidates.ts';
import { whyIncompatible } from './words.ts';

interface Member {
  readonly address: Address;
  readonly peer: PeerId;
  /** Questions since its last answer. */
  misses: number;
  /** When the first of them was asked, monotonic ms. */
  missedFrom: number;
  askAt: number;
  hinted: boolean;
  /** Missed so often that it is not shown; asked some more in case that was bad luck. */
  gone: boolean;
  /** No hint is heeded before, monotonic ms. */
  hintAt: number;
  /** Nor is it asked because its peer answered elsewhere, monotonic ms. */
  doubtAt: number;
  /** Smoothed share of questions before the last answer that had none. */
  lossRatio: number;
  /** As shown: smoothed. */
  pingMs: number | undefined;
  /** What the last answer took, ms. */
  lastPingMs: number;
}

interface Room {
  facts: HereFacts;
  readonly members: Map<string, Member>;
}

/** Members of one room that are asked at the full rate; the others stand by at a third of it. */
const ASKED_MEMBERS = 2;
const STANDBY_FACTOR = 3;
/** Unanswered questions after which a member gives its place to another: a lossy network has that many now and then, and loses nothing by it. */
const SILENT_MISSES = 4;
/** Weight of one question in `lossRatio`: one lost answer is no loss yet, three in a row are. */
const LOSS_WEIGHT = 1 / 8;

const always = (): boolean => true;

export class RoomList {
  readonly #self: PeerId;
  readonly #game: GameFacts | undefined;
  readonly #rooms = new Map<RoomId, Room>();
  #changed = true;
  /** A ping is another than the list says; told with the next change, or alone from `#pingAt` on, monotonic ms. */
  #pingChanged = false;
  #pingAt = 0;
  #troubled = false;
  #quiet = false;
  /** As `lossRatio`, over the answers of all members: who never answers again has no part in it. */
  #lossRatio = 0;
  readonly #dropped: Address[] = [];
  #listings: readonly RoomListing[] = [];

  /** @param game undefined lists the rooms of every game, all as compatible. */
  constructor(self: PeerId, game: GameFacts | undefined) {
    this.#self = self;
    this.#game = game;
  }

  get size(): number {
    return this.#rooms.size;
  }

  /** Whether `takeChange` has a new list. */
  get isChanged(): boolean {
    return this.#changed;
  }

  /** A member at `address` answered a question of ours. False when it is not news for this list. */
  heard(now: number, address: Address, facts: HereFacts, pingMs: number | undefined): boolean {
    if (facts.peer === this.#self || (this.#game !== undefined && facts.gameId !== this.#game.id)) return false;
    this.#forgetElsewhere(address, facts.roomId);
    let room = this.#rooms.get(facts.roomId);
    if (room === undefined) {
      if (this.#rooms.size >= MAX_ROOMS) return false;
      room = { facts, members: new Map() };
      this.#rooms.set(facts.roomId, room);
      this.#changed = true;
    }
    const key = addressKey(address);
    let member = room.members.get(key);
    if (member === undefined) {
      // Another address of a member that answers already (its second interface, or loopback) is no news.
      // It may have moved, though: the first address is asked, and its silence makes this one news.
      for (const other of room.members.values()) {
        if (other.peer !== facts.peer || other.misses > 0) continue;
        if (now >= other.doubtAt) {
          other.doubtAt = now + PROBE_HINT_GAP_MS;
          other.askAt = Math.min(other.askAt, now);
        }
        return false;
      }
      if (room.members.size >= MAX_ROOM_ADDRESSES && !makeRoom(room)) return false;
      member = newMember(address, facts.peer);
      room.members.set(key, member);
      this.#changed = true;
    }
    if (!sameFacts(room.facts, facts)) this.#changed = true;
    room.facts = facts;
    for (let asked = member.misses; asked > 0; asked--) {
      member.lossRatio += ((asked > 1 ? 1 : 0) - member.lossRatio) * LOSS_WEIGHT;
      this.#lossRatio += ((asked > 1 ? 1 : 0) - this.#lossRatio) * LOSS_WEIGHT;
    }
    member.misses = 0;
    member.hinted = false;
    if (member.gone) this.#changed = true;
    member.gone = false;
    let place = 0;
    for (const other of room.members.values()) {
      if (other === member) break;
      place++;
    }
    const everyMs = this.#quiet ? PROBE_QUIET_MS : this.#rooms.size > PROBE_CROWD ? PROBE_CROWD_MS : PROBE_MS;
    member.askAt = now + (place < ASKED_MEMBERS ? everyMs : everyMs * STANDBY_FACTOR);
    if (pingMs !== undefined) {
      member.lastPingMs = pingMs;
      const smoothed = member.pingMs === undefined ? pingMs : Math.min(pingMs, member.pingMs * 0.8 + pingMs * 0.2);
      if (member.pingMs === undefined) this.#changed = true;
      else if (Math.abs(smoothed - member.pingMs) >= 1) this.#pingChanged = true;
      member.pingMs = smoothed;
      if (this.#pingChanged && now >= this.#pingAt) this.#changed = true;
      if (this.#changed) {
        this.#pingChanged = false;
        this.#pingAt = now + PING_SHOWN_MS;
      }
    }
    return true;
  }

  /** Whether we play with others: then the list may be older, and the network is theirs. */
  setQuiet(now: number, quiet: boolean): void {
    if (this.#quiet && !quiet)
      for (const room of this.#rooms.values()) for (const member of room.members.values()) member.askAt = Math.min(member.askAt, now + PROBE_MS);
    this.#quiet = quiet;
  }

  /** Somebody says that `address` left. We ask, at once or when the last such question is old enough. */
  hint(now: number, address: Address): void {
    const key = addressKey(address);
    for (const room of this.#rooms.values()) {
      const member = room.members.get(key);
      if (member === undefined || member.hinted) continue;
      const at = Math.max(now, member.hintAt);
      member.hinted = true;
      member.hintAt = at + PROBE_HINT_GAP_MS;
      member.misses = 0;
      // If it was the last one that lived, the room hangs on members not asked for a while.
      for (const other of room.members.values()) other.askAt = Math.min(other.askAt, at);
      member.askAt = at;
    }
  }

  /** The member at `address` answered our question by saying that it left that room. False when it was not in the list. */
  left(address: Address, roomId: RoomId): boolean {
    const room = this.#rooms.get(roomId);
    if (room === undefined || !room.members.delete(addressKey(address))) return false;
    if (room.members.size === 0) this.#rooms.delete(roomId);
    this.#dropped.push(address);
    this.#changed = true;
    return true;
  }

  knows(address: Address): boolean {
    const key = addressKey(address);
    for (const room of this.#rooms.values()) if (room.members.has(key)) return true;
    return false;
  }

  /** Addresses to ask now, as far as `mayAsk` lets them. Members that missed too often are removed here. */
  due(now: number, mayAsk: () => boolean = always): readonly Address[] {
    const out: Address[] = [];
    for (const [id, room] of this.#rooms) {
      for (const member of [...room.members.values()]) {
        if (member.askAt > now) continue;
        const misses = this.#missesOf(member);
        const isSilent = misses === PROBE_MISSES && member.misses >= PROBE_MISSES_LEAST && now - member.missedFrom >= PROBE_SILENCE_MS;
        if ((member.misses >= misses || isSilent) && !member.gone) {
          member.gone = true;
          // However slow it was, from here on the follow-up counts.
          member.misses = misses;
          this.#dropped.push(member.address);
          this.#changed = true;
        }
        if (member.gone && (member.hinted || member.misses >= misses + PROBE_AFTER)) {
          room.members.delete(addressKey(member.address));
          continue;
        }
        if (!mayAsk()) {
          member.askAt = now + WHO_WAIT_MS;
          continue;
        }
        member.misses++;
        if (member.misses === 1) member.missedFrom = now;
        if (member.misses === 2) {
          this.#troubled = true;
          // Shown from here on is the address of one that answers.
          if (room.members.size > 1) this.#changed = true;
        }
        const retryMs = member.hinted ? PROBE_HINT_MS : member.misses <= 2 ? PROBE_RETRY_MS : PROBE_RETRY_FAST_MS;
        member.askAt = now + Math.min(PROBE_RETRY_MAX_MS, Math.max(retryMs, 2 * member.lastPingMs));
        out.push(member.address);
      }
      if (room.members.size === 0) this.#rooms.delete(id);
    }
    return out;
  }

  /** True once after a member missed: it may answer at another address by now. */
  takeTrouble(): boolean {
    const troubled = this.#troubled;
    this.#troubled = false;
    return troubled;
  }

  /** Addresses that stopped answering since the last call. */
  takeDropped(): readonly Address[] {
    return this.#dropped.splice(0);
  }

  nextAt(): number {
    let at = Number.POSITIVE_INFINITY;
    for (const room of this.#rooms.values()) for (const member of room.members.values()) at = Math.min(at, member.askAt);
    return at;
  }

  /** Forgets every room: nobody is watching, so nothing is known any more. */
  clear(): void {
    if (this.#rooms.size > 0) this.#changed = true;
    this.#rooms.clear();
  }

  facts(id: RoomId): HereFacts | undefined {
    const room = this.#rooms.get(id);
    return room === undefined || !isShown(room) ? undefined : room.facts;
  }

  /** Where members of a room answer, quickest first, with what they say of the others. */
  addresses(id: RoomId): readonly Address[] {
    const room = this.#rooms.get(id);
    if (room === undefined) return [];
    const members = [...room.members.values()].filter((member) => !member.gone).sort(quicker);
    return [...members.map((member) => member.address), ...room.facts.members];
  }

  /** The whole list, a new array after each change; undefined when it is as it was. */
  takeChange(): readonly RoomListing[] | undefined {
    if (!this.#changed) return undefined;
    this.#changed = false;
    this.#listings = [...this.#rooms.values()]
      .filter(isShown)
      .map((room) => this.#listing(room))
      .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1));
    return this.#listings;
  }

  get listings(): readonly RoomListing[] {
    this.takeChange();
    return this.#listings;
  }

  #listing(room: Room): RoomListing {
    const { facts } = room;
    const reason = this.#game === undefined ? undefined : whyIncompatible(this.#game, facts);
    let best: Member | undefined;
    for (const member of room.members.values()) if (best === undefined || quicker(member, best) < 0) best = member;
    return {
      id: facts.roomId,
      name: facts.name,
      players: facts.players,
      max: facts.max,
      locked: facts.locked,
      pingMs: best?.pingMs === undefined ? undefined : Math.round(best.pingMs * 10) / 10,
      gameId: facts.gameId,
      version: facts.version,
      schemaHash: facts.schemaHash,
      compatible: reason === undefined,
      reason,
      address: best === undefined ? '' : addressKey(best.address),
    };
  }

  #missesOf(member: Member): number {
    const lossy = Math.max(member.lossRatio, this.#lossRatio) > PROBE_LOSSY_RATIO;
    if (member.hinted) return lossy ? PROBE_HINT_MISSES_LOSSY : PROBE_HINT_MISSES;
    return lossy ? PROBE_MISSES_LOSSY : PROBE_MISSES;
  }

  /** A process is in one room: when it answers for another, it left the first. */
  #forgetElsewhere(address: Address, roomId: RoomId): void {
    const key = addressKey(address);
    for (const [id, room] of this.#rooms) {
      if (id === roomId || !room.members.delete(key)) continue;
      this.#changed = true;
      if (room.members.size === 0) this.#rooms.delete(id);
    }
  }
}

/** Orders by the last answer: those that missed one question come after those that did not, then by ping. */
function quicker(a: Member, b: Member): number {
  return Number(a.misses > 1) - Number(b.misses > 1) || (a.pingMs ?? 1_000) - (b.pingMs ?? 1_000);
}

function newMember(address: Address, peer: PeerId): Member {
  return {
    address,
    peer,
    misses: 0,
    missedFrom: 0,
    askAt: 0,
    hinted: false,
    gone: false,
    hintAt: 0,
    doubtAt: 0,
    lossRatio: 0,
    pingMs: undefined,
    lastPingMs: 0,
  };
}

/** The member that has been silent for longest gives its place to one that answers. False when none is silent. */
function makeRoom({ members }: Room): boolean {
  let silent: [string, Member] | undefined;
  for (const entry of members) if (entry[1].misses >= SILENT_MISSES && entry[1].misses > (silent?.[1].misses ?? 0)) silent = entry;
  return silent !== undefined && members.delete(silent[0]);
}

function isShown(room: Room): boolean {
  for (const member of room.members.values()) if (!member.gone) return true;
  return false;
}

function sameFacts(a: HereFacts, b: HereFacts): boolean {
  return (
    a.name === b.name &&
    a.players === b.players &&
    a.max === b.max &&
    a.locked === b.locked &&
    a.version === b.version &&
    a.schemaHash === b.schemaHash
  );
}
