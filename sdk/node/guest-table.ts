/**
 * The guests: who they are, and how long. A guest is a page's random id, and has a `LanPort` of its own, with a key of its own.
 *
 *     hello of a new id ──► playing ──page goes──► kept ──page comes again──► playing
 *                              ▲                    │ keepMs
 *                              └── newer page       ▼
 *                                  of this id     gone: room left, sockets closed
 */
import type { WebSocket } from 'ws';
import { LanError } from '../base/errors.ts';
import { BRIDGE_CLOSE, BRIDGE_KEEP_MS, BRIDGE_PAGE_ID, GUEST_PING_MS, GUEST_SILENT_MS } from '../bridge/index.ts';
import type { GameFacts, LanPort } from '../port/lan-port.ts';
import type { PageHolder } from './bridge-door.ts';
import { BridgeSession, helloRefusal } from './bridge-session.ts';
import type { Hello, HeldRoom, PageSocket } from './bridge-session.ts';
import { GuestLan, GuestRate, guestRules, noRoom } from './guest-lan.ts';
import { monotonicMs } from './local-time.ts';

export interface GuestTableOptions {
  readonly game: GameFacts;
  readonly most: number;
  readonly keepMs: number | undefined;
  /** Opens what one guest plays through. */
  readonly lan: () => LanPort | Promise<LanPort>;
  /** The room of the player whose guests they are. */
  readonly ownRoom: () => HeldRoom | undefined;
}

const RELOAD_WORDS = 'This page does not say who it is. Reload it.';
/** How long a page that was sent away may take to go, ms. */
const GOING_MS = 1_000;

class Guest implements PageHolder {
  page: WebSocket | undefined;
  /** When its page last gave a sign of life, and was last asked for one. */
  seenAt = 0;
  askedAt = 0;
  readonly session: BridgeSession;
  readonly lan: GuestLan;
  readonly #rate: GuestRate;
  readonly #onGone: () => void;

  constructor(session: BridgeSession, rate: GuestRate, lan: GuestLan, onGone: () => void) {
    this.session = session;
    this.#rate = rate;
    this.lan = lan;
    this.#onGone = onGone;
  }

  attach(page: WebSocket, hello: Hello): boolean {
    if (!this.session.attach(page, hello)) return false;
    this.page = page;
    this.seenAt = this.askedAt = monotonicMs();
    page.on('pong', () => (this.seenAt = monotonicMs()));
    return true;
  }

  receive(page: PageSocket, bytes: Uint8Array): void {
    if (page !== this.page) return;
    const now = monotonicMs();
    this.seenAt = now;
    const answer = this.#rate.take(now, bytes.length);
    if (answer !== 'out' && this.#rate.count(now, this.session.receive(page, bytes, answer === 'over')) !== 'out') return;
    this.drop('bridge-guest-flood');
    const sent = this.page;
    this.detach(page);
    sent.close(BRIDGE_CLOSE.flood, 'This page sends more than a guest may.');
    setTimeout(() => sent.terminate(), GOING_MS).unref();
  }

  drop(reason: string): void {
    this.session.drop(reason);
  }

  detach(page: PageSocket): void {
    if (page !== this.page) return;
    this.page = undefined;
    this.session.detach(page);
    this.#onGone();
  }
}

interface Entry {
  readonly id: string;
  /** Undefined when its sockets could not be opened. */
  readonly opened: Promise<Guest | undefined>;
  guest: Guest | undefined;
  goneTimer: NodeJS.Timeout | undefined;
}

export class GuestTable {
  readonly #options: GuestTableOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #drops: Record<string, number> = {};
  readonly #ending = new Set<Promise<void>>();
  #closed = false;

  constructor(options: GuestTableOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  drops(): Record<string, number> {
    const all = { ...this.#drops };
    for (const { guest } of this.#entries.values()) addTo(all, guest?.session.stats().drops ?? {});
    return all;
  }

  drop(reason: string): void {
    addTo(this.#drops, { [reason]: 1 });
  }

  /** A page with the right token; undefined when it was sent away. Never rejects. */
  async welcome(page: WebSocket, hello: Hello): Promise<PageHolder | undefined> {
    if (this.#closed) return this.#sendAway(page, 'bridge-guest-ended', BRIDGE_CLOSE.ending, 'The game was closed.');
    const refusal = helloRefusal(hello, this.#options.game) ?? (BRIDGE_PAGE_ID.test(hello.page) ? undefined : RELOAD_WORDS);
    if (refusal !== undefined) return this.#sendAway(page, 'bridge-version', BRIDGE_CLOSE.version, refusal);
    const { most } = this.#options;
    const known = this.#entries.get(hello.page);
    if (known === undefined && this.#entries.size >= most)
      return this.#sendAway(page, 'bridge-guest-full', BRIDGE_CLOSE.full, `There are ${most} guests here already. Come again when one has left.`);
    const entry = known ?? this.#invite(hello.page);
    const guest = await entry.opened;
    if (this.#entries.get(entry.id) !== entry || guest === undefined)
      return this.#sendAway(page, 'bridge-guest-ended', BRIDGE_CLOSE.full, 'There is no place for another guest at the moment.');
    // It may be gone by now, and nobody will say so again.
    if (page.readyState !== page.OPEN || !guest.attach(page, hello)) {
      if (guest.page === undefined) this.#gone(entry);
      return undefined;
    }
    clearTimeout(entry.goneTimer);
    return guest;
  }

  #sendAway(page: WebSocket, reason: string, code: number, words: string): undefined {
    this.drop(reason);
    page.close(code, words);
  }

  #invite(id: string): Entry {
    const entry: Entry = { id, opened: this.#open(() => this.#gone(entry)), guest: undefined, goneTimer: undefined };
    this.#entries.set(id, entry);
    void entry.opened.then((guest) => {
      entry.guest = guest;
      if (guest === undefined && this.#entries.get(id) === entry) this.#entries.delete(id);
    });
    return entry;
  }

  async #open(onGone: () => void): Promise<Guest | undefined> {
    const { game, keepMs, ownRoom } = this.#options;
    try {
      const lan = new GuestLan(await this.#options.lan(), game, ownRoom);
      const rate = new GuestRate();
      return new Guest(new BridgeSession({ lan, game, keepMs, guest: guestRules(ownRoom, rate) }), rate, lan, onGone);
    } catch (error) {
      this.drop(error instanceof LanError ? `bridge-guest-${error.code}` : 'bridge-guest-unopened');
      return undefined;
    }
  }

  /** Its page is gone; it is not, yet. */
  #gone(entry: Entry): void {
    if (this.#entries.get(entry.id) !== entry) return;
    clearTimeout(entry.goneTimer);
    entry.goneTimer = setTimeout(() => this.#end(entry), this.#options.keepMs ?? BRIDGE_KEEP_MS);
  }

  #end(entry: Entry): void {
    if (this.#entries.get(entry.id) !== entry) return;
    this.#entries.delete(entry.id);
    clearTimeout(entry.goneTimer);
    const ending = entry.opened.then(async (guest) => {
      if (guest === undefined) return;
      await guest.session.close();
      // It may be anybody's.
      await guest.lan.close().catch(() => guest.drop('bridge-guest-unclosed'));
      addTo(this.#drops, guest.session.stats().drops);
    });
    this.#ending.add(ending);
    void ending.finally(() => this.#ending.delete(ending));
  }

  /** Every `GUEST_LOOK_MS`: guests are where their owner is, carry no duty, and are there at all. */
  look(now: number): void {
    const ownId = this.#options.ownRoom()?.roster.roomId;
    for (const { guest } of this.#entries.values()) {
      if (guest === undefined) continue;
      const roster = guest.session.room()?.roster;
      // A host is chosen among those who are not eligible when nobody else is left.
      if (roster !== undefined && (roster.roomId !== ownId || roster.host === guest.lan.self)) guest.session.leaveRooms(noRoom());
      guest.lan.look();
      if (guest.page !== undefined) this.#listen(now, guest, guest.page);
    }
  }

  /** A phone that is out of reach says nothing, and its connection would stand for many minutes. */
  #listen(now: number, guest: Guest, page: WebSocket): void {
    if (now - guest.seenAt >= GUEST_SILENT_MS) {
      guest.drop('bridge-guest-silent');
      return page.terminate();
    }
    if (now - guest.askedAt < GUEST_PING_MS) return;
    guest.askedAt = now;
    page.ping();
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const entry of [...this.#entries.values()]) this.#end(entry);
    await Promise.all(this.#ending);
  }
}

function addTo(all: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const [reason, count] of Object.entries(more)) all[reason] = (all[reason] ?? 0) + count;
}
