/**
 * The heartbeat: what this member says about itself to every linked peer every `BEAT_MS`, together with
 * words a neighbour cannot hear from their authors. A change of its own word leaves at once, and twice
 * more soon after, since the others wait for it to agree; a change of a word that only we can pass on
 * leaves at once to those who need it. While a game sends, a beat that is due soon goes along in its packets.
 */
import type { PeerId } from '../base/brand.ts';
import { BEAT_MS, BEAT_RIDE_MS, MAX_DATAGRAM_MESSAGE_BYTES, MAX_PEERS } from '../wire/limits.ts';
import { LinkState, equalWords } from './link-state.ts';
import type { Membership } from './membership.ts';
import { encodeMessage, type MeshMessage, type Word } from './messages.ts';
import type { Party } from './party.ts';
import { seatOf, type Roster } from './roster.ts';

/** Changes that come closer together than this travel together (ms). */
const MIN_GAP_MS = 10;
/** A change is repeated so often, so soon after another (ms): at 10 % loss one in a thousand waits for the next beat. */
const ECHOES = 2;
const ECHO_MS = 25;
/** Head of a beat and of a word without `heard`, generously. */
const BEAT_HEAD_BYTES = 24;
const WORD_HEAD_BYTES = 48;

export class Beats {
  readonly #party: Party;
  readonly #membership: Membership;
  readonly #times = new Map<PeerId, number>();
  #seq = 0;
  /** When everybody was told, and when anybody was. */
  #sentAt = -Infinity;
  #spokeAt = -Infinity;
  #said: Word | undefined;
  /** `heard` of our word, and the lists it was made of. */
  #heardOf: readonly PeerId[] = [];
  #heardIn: Roster | undefined;
  #heard = LinkState.encodeHeard(this.#heardOf);
  #echoes = 0;
  /** The last beat went along with the game's packets; and when those last left. */
  #rode = false;
  #askedAt = -Infinity;
  #hasNews = false;
  #waits = false;

  constructor(party: Party, membership: Membership) {
    this.#party = party;
    this.#membership = membership;
  }

  /** When `tick` has something to say, if nothing changes. */
  get nextAt(): number {
    if (this.#membership.roster === undefined) return Infinity;
    if (this.#waits) return this.#spokeAt + MIN_GAP_MS;
    return this.#sentAt + this.#waitMs;
  }

  /** From one beat to the next. Where the last one rode on the game's packets, the next may wait a little for them, too (ms). */
  get #waitMs(): number {
    if (this.#echoes > 0) return ECHO_MS;
    return this.#rode ? BEAT_MS + BEAT_RIDE_MS : BEAT_MS;
  }

  /** Room time less monotonic clock, as this peer last said. */
  timeOf(peer: PeerId): number | undefined {
    return this.#times.get(peer);
  }

  /** True when something new was said. */
  handle(now: number, from: PeerId, beat: Extract<MeshMessage, { type: 'beat' }>): boolean {
    if (this.#times.size >= 2 * MAX_PEERS) this.#times.clear();
    this.#times.set(from, beat.time);
    let changed = false;
    for (const word of beat.words) if (this.#party.linkState.update(now, word, word.id === from)) changed = true;
    if (changed) this.#hasNews = true;
    return changed;
  }

  /**
   * The game's packets leave now: the last ones before a beat is due take it along. Half of what it may wait is left for ticks
   * that come late, which would make it leave alone.
   */
  ride(now: number): void {
    const everyMs = now - this.#askedAt;
    this.#askedAt = now;
    if (this.#echoes === 0 && now + everyMs > this.#sentAt + BEAT_MS + BEAT_RIDE_MS / 2) this.tick(now, true);
  }

  /** @param riding a beat leaves now, though it may not be due. */
  tick(now: number, riding = false): void {
    const roster = this.#membership.roster;
    this.#waits = false;
    if (roster === undefined) return;
    const own = this.#word(roster);
    const changed = this.#said === undefined || !equalWords(own, this.#said);
    const mayHurry = now - this.#spokeAt >= MIN_GAP_MS;
    const due = riding || now - this.#sentAt >= this.#waitMs - 1;
    const toAll = due || (changed && mayHurry);
    if (!toAll && !(this.#hasNews && mayHurry)) {
      this.#waits = changed || this.#hasNews;
      return;
    }
    if (toAll) {
      if (changed) this.#echoes = ECHOES;
      else if (this.#echoes > 0) this.#echoes--;
      this.#said = own;
      this.#sentAt = now;
      this.#rode = riding;
    }
    this.#hasNews = false;
    this.#spokeAt = now;
    this.#say(now, own, toAll);
  }

  #word(roster: Roster): Word {
    const { self, instance, links } = this.#party;
    const heard = links.heardDirectly();
    if (heard !== this.#heardOf || (roster !== this.#heardIn && heard.length > MAX_PEERS)) {
      this.#heardOf = heard;
      this.#heardIn = roster;
      this.#heard = LinkState.encodeHeard(heard.length > MAX_PEERS ? this.#worthNaming(heard, roster) : heard);
    }
    return {
      id: self,
      instance,
      seq: this.#seq,
      host: roster.host === self && !this.#membership.isLeaving,
      eligible: this.#membership.eligible,
      left: this.#membership.isLeaving || this.#membership.isOver,
      term: roster.term,
      epoch: roster.epoch,
      heard: this.#heard,
    };
  }

  /**
   * Of more than a word holds: who has a seat, then hosts of other parts of the room, then anybody. A word that named all of them
   * would be malformed to everybody, and we gone.
   */
  #worthNaming(heard: readonly PeerId[], roster: Roster): readonly PeerId[] {
    const { linkState } = this.#party;
    const place = (id: PeerId): number => (seatOf(roster, id) !== undefined ? 0 : linkState.word(id)?.host === true ? 1 : 2);
    return [...heard].sort((a, b) => place(a) - place(b)).slice(0, MAX_PEERS);
  }

  /** To everybody, or only to those who hear of somebody through us. */
  #say(now: number, own: Word, toAll: boolean): void {
    const { links, linkState, time } = this.#party;
    this.#seq++;
    let plain: Uint8Array | undefined;
    for (const link of links.all()) {
      const news = linkState.newsFor(now, link.peer);
      if (news.length > 0) {
        const words = fitting(own, news, this.#seq);
        links.send(now, link.peer, 'unreliable', encodeMessage({ type: 'beat', time: time.offset, words }));
      } else if (toAll) {
        plain ??= encodeMessage({ type: 'beat', time: time.offset, words: [own] });
        links.send(now, link.peer, 'unreliable', plain);
      }
    }
  }
}

/** As many words as fit a datagram, another choice each time. */
function fitting(own: Word, news: readonly Word[], turn: number): Word[] {
  const words = [own];
  let bytes = BEAT_HEAD_BYTES + WORD_HEAD_BYTES + own.heard.length;
  for (let i = 0; i < news.length; i++) {
    const word = news[(i + turn) % news.length]!;
    bytes += WORD_HEAD_BYTES + word.heard.length;
    if (bytes > MAX_DATAGRAM_MESSAGE_BYTES - 100) break;
    words.push(word);
  }
  return words;
}
