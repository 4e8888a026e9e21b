/**
 * The heartbeat: what this member says about itself to every linked peer, at least every `BEAT_MS`, at
 * once when something changed, together with words a neighbour cannot hear from their authors.
 */
import type { PeerId } from '../base/brand.ts';
import { BEAT_MS, MAX_DATAGRAM_MESSAGE_BYTES, MAX_PEERS } from '../wire/limits.ts';
import { LinkState } from './link-state.ts';
import type { Membership } from './membership.ts';
import { encodeMessage, type MeshMessage, type Word } from './messages.ts';
import type { Party } from './party.ts';

/** Changes that come closer together than this travel together (ms). */
const MIN_GAP_MS = 10;
/** Head of a beat and of a word without `heard`, generously. */
const BEAT_HEAD_BYTES = 24;
const WORD_HEAD_BYTES = 48;

export class Beats {
  readonly #party: Party;
  readonly #membership: Membership;
  readonly #times = new Map<PeerId, number>();
  #seq = 0;
  #sentAt = -Infinity;
  #hurried = false;

  constructor(party: Party, membership: Membership) {
    this.#party = party;
    this.#membership = membership;
  }

  hurry(): void {
    this.#hurried = true;
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
    return changed;
  }

  tick(now: number): void {
    const roster = this.#membership.roster;
    if (roster === undefined || now - this.#sentAt < (this.#hurried ? MIN_GAP_MS : BEAT_MS - 1)) return;
    const { self, instance, links, linkState, time } = this.#party;
    this.#hurried = false;
    this.#sentAt = now;
    const own: Word = {
      id: self,
      instance,
      seq: this.#seq++,
      host: roster.host === self && !this.#membership.isLeaving,
      eligible: this.#membership.eligible,
      left: this.#membership.isLeaving || this.#membership.isOver,
      term: roster.term,
      epoch: roster.epoch,
      heard: LinkState.encodeHeard(links.heardDirectly()),
    };
    let plain: Uint8Array | undefined;
    for (const link of links.all()) {
      const news = linkState.newsFor(now, link.peer);
      if (news.length === 0) {
        plain ??= encodeMessage({ type: 'beat', time: time.offset, words: [own] });
        links.send(now, link.peer, 'unreliable', plain);
      } else links.send(now, link.peer, 'unreliable', encodeMessage({ type: 'beat', time: time.offset, words: fitting(own, news, this.#seq) }));
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
