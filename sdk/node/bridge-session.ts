/**
 * The process's end of the bridge: one `LanPort` given to one page at a time.
 *
 * Seats outlive their page. What happens to a seat when its page goes away:
 *
 *     held ──page goes──► kept ──next page opens or claims it──► held
 *                          │ BRIDGE_KEEP_MS, or the next page opens another room
 *                          ▼
 *                        left
 *
 * The newest page wins: a second tab takes over, the first is told. Events are collected and leave as
 * one batch per turn, at most every `BRIDGE_BATCH_MS`. Reliable messages the port cannot take yet wait
 * here, in order per peer; the page holds back by counting what was taken (`taken`).
 */
import type { PeerId } from '../base/brand.ts';
import { LanError } from '../base/errors.ts';
import type { GameFacts, LanPort, OpenRequest } from '../port/lan-port.ts';
import {
  BRIDGE_BATCH_MS,
  BRIDGE_CLOSE,
  BRIDGE_KEEP_MS,
  BRIDGE_LAG_BYTES,
  BRIDGE_LOST_BYTES,
  BRIDGE_VERSION,
  createEventOutbox,
  decodeCommands,
  MAX_BRIDGE_ROOMS,
} from '../bridge/index.ts';
import type { Outbox, PageCommand, ProcessEvent } from '../bridge/index.ts';
import { BridgeDigests } from './bridge-digests.ts';
import { BridgeSeat } from './bridge-seat.ts';
import type { PortRoster } from '../port/port.ts';

/** The part of a WebSocket this file needs; already authenticated. */
export interface PageSocket {
  send(bytes: Uint8Array): void;
  close(code: number, reason: string): void;
  /** Bytes accepted by `send` that have not left yet. */
  readonly bufferedAmount: number;
}

export interface BridgeSessionOptions {
  readonly lan: LanPort;
  /** When given, a page built for other facts is refused. */
  readonly game?: GameFacts | undefined;
  /** How long a seat outlives its page, ms. */
  readonly keepMs?: number | undefined;
  /** When given, the page is a guest's. */
  readonly guest?: GuestRules;
  /** The link for this player's own guests. */
  readonly guestsUrl?: string | undefined;
}

/** What a guest's page may do, and where it gets. */
export interface GuestRules {
  /** Whether this command is heard, now. */
  may(type: PageCommand['type']): boolean;
  /** Whether it may send more at its leisure; until it may, it is not told what was taken of what it sent. */
  hasRoom(): boolean;
  /** The only room there is for a guest, whatever its page asks for. Throws `unreachable` when there is none. */
  lead(asked: OpenRequest): OpenRequest;
}

/** Where the player of a session sits. */
export interface HeldRoom {
  readonly roster: PortRoster;
  readonly code: string | undefined;
}

export type Hello = Extract<PageCommand, { type: 'hello' }>;

export interface BridgeStats {
  /** Pages welcomed since the start. */
  readonly pages: number;
  readonly batchesIn: number;
  readonly batchesOut: number;
  readonly entriesOut: number;
  /** Refused or dropped input and output, by reason. */
  readonly drops: Readonly<Record<string, number>>;
}

const DISCOVERY_EVERY_MS = 1_000;
const CLEARING_MS = 500;
const ENDING_WORDS = 'The game on this computer was closed. Start it again to play on.';

/** Why a page with this hello cannot play here, in words. */
export function helloRefusal(hello: Hello, ours: GameFacts | undefined): string | undefined {
  if (hello.version !== BRIDGE_VERSION) return 'The page is of another version than the game on this computer. Reload it.';
  if (ours === undefined) return undefined;
  const { id, version, schemaHash } = hello.game;
  if (id === ours.id && version === ours.version && schemaHash === ours.schemaHash) return undefined;
  return 'The page was built from another version of the game than the one running. Reload it.';
}

export class BridgeSession {
  readonly #lan: LanPort;
  readonly #game: GameFacts | undefined;
  readonly #keepMs: number;
  readonly #guest: GuestRules | undefined;
  readonly #guestsUrl: string | undefined;
  readonly #seats = new Map<number, BridgeSeat>();
  readonly #opening = new Map<number, AbortController>();
  readonly #drops: Record<string, number> = {};
  readonly #peerNumbers = new Map<PeerId, number>();
  readonly #peerIds: PeerId[] = [];
  readonly #digests = new BridgeDigests({
    tell: (event) => this.#tell(event),
    hasRoom: () => this.#guest?.hasRoom() ?? true,
    drop: (reason) => this.drop(reason),
  });
  readonly #out: Outbox<ProcessEvent> = createEventOutbox();
  #page: PageSocket | undefined;
  #kept: BridgeSeat | undefined;
  #keepTimer: NodeJS.Timeout | undefined;
  #watching: Disposable | undefined;
  #sendTimer: NodeJS.Timeout | NodeJS.Immediate | undefined;
  #sentAt = -Infinity;
  #beatTimer: NodeJS.Timeout | undefined;
  /** The page asks for batches since it is hidden. */
  #isHidden = false;
  #slowTimer: NodeJS.Timeout | undefined;
  #factsTold = '';
  #pages = 0;
  #batchesIn = 0;
  #batchesOut = 0;
  #entriesOut = 0;
  #closed = false;

  constructor(options: BridgeSessionOptions) {
    this.#lan = options.lan;
    this.#game = options.game;
    this.#keepMs = options.keepMs ?? BRIDGE_KEEP_MS;
    this.#guest = options.guest;
    this.#guestsUrl = options.guestsUrl;
  }

  /** The room this player is in, also while nobody is at its seat for a moment. */
  room(): HeldRoom | undefined {
    const seat = [...this.#seats.values()].find((one) => !one.leaving) ?? this.#kept;
    return seat && { roster: seat.port.roster(), code: seat.code };
  }

  stats(): BridgeStats {
    return { pages: this.#pages, batchesIn: this.#batchesIn, batchesOut: this.#batchesOut, entriesOut: this.#entriesOut, drops: { ...this.#drops } };
  }

  drop(reason: string, count = 1): void {
    this.#drops[reason] = (this.#drops[reason] ?? 0) + count;
  }

  /** A page with the right token. Returns false when it was sent away. */
  attach(page: PageSocket, hello: Hello): boolean {
    // It was on its way in already: what it opens now nobody would leave.
    if (this.#closed) {
      page.close(BRIDGE_CLOSE.ending, ENDING_WORDS);
      return false;
    }
    const refusal = helloRefusal(hello, this.#game);
    if (refusal !== undefined) {
      this.drop('bridge-version');
      page.close(BRIDGE_CLOSE.version, refusal);
      return false;
    }
    const before = this.#page;
    if (before !== undefined) {
      this.detach(before);
      before.close(BRIDGE_CLOSE.replaced, 'This game was opened in another tab. Play on there, or reload this one.');
    }
    this.#page = page;
    this.#pages++;
    this.#peerNumbers.clear();
    this.#peerIds.length = 0;
    const { state: discovery, joinCode, kept } = this.#facts();
    this.#factsTold = JSON.stringify([discovery, joinCode, kept]);
    this.#tell({ type: 'welcome', version: BRIDGE_VERSION, self: this.#lan.self, discovery, joinCode, kept, guests: this.#guestsUrl });
    if (this.#kept !== undefined) this.#armKeep();
    this.#slowTimer = setInterval(() => this.#everySecond(), DISCOVERY_EVERY_MS);
    return true;
  }

  /** The page's socket is gone. Does nothing when another page took over already. */
  detach(page: PageSocket): void {
    if (this.#page !== page) return;
    this.#page = undefined;
    this.#out.clear();
    this.#digests.clear();
    this.#watching?.[Symbol.dispose]();
    this.#watching = undefined;
    clearInterval(this.#slowTimer);
    this.#setBeat(0);
    for (const attempt of this.#opening.values()) attempt.abort();
    this.#opening.clear();
    for (const seat of this.#seats.values()) this.#keep(seat);
    this.#seats.clear();
  }

  /** One batch from the page. `isOver`: it says too much, and what may be lost of it is. Gives how many commands there were. */
  receive(page: PageSocket, bytes: Uint8Array, isOver = false): number {
    if (this.#page !== page) return 0;
    this.#batchesIn++;
    const batch = decodeCommands(bytes);
    if (batch.drop !== undefined) this.drop(batch.drop);
    for (const command of batch.entries) {
      if (isOver && command.type === 'send' && command.channel !== 'reliable') this.drop('bridge-guest-rate');
      else this.#handle(command);
    }
    return batch.entries.length;
  }

  /** Leaves every room, and enters none that is on the way; the page stays, and is told why. */
  leaveRooms(why: LanError): void {
    for (const [room, attempt] of this.#opening) {
      attempt.abort();
      this.#fail(room, why);
    }
    for (const seat of [...this.#seats.values()]) if (!seat.leaving) seat.leave();
    void this.#letGo();
  }

  /** Leaves every room; resolves when the others were told, or after half a second. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const page = this.#page;
    const seats = [...this.#seats.values()];
    if (page !== undefined) this.detach(page);
    if (this.#kept !== undefined) seats.push(this.#kept);
    clearTimeout(this.#keepTimer);
    clearTimeout(this.#sendTimer as NodeJS.Timeout);
    this.#kept = undefined;
    page?.close(BRIDGE_CLOSE.ending, ENDING_WORDS);
    await Promise.all(seats.map((seat) => seat.clear(CLEARING_MS)));
  }

  #handle(command: PageCommand): void {
    if (this.#guest?.may(command.type) === false) return this.drop(`bridge-guest-${command.type}`);
    switch (command.type) {
      case 'hello':
        return this.drop('bridge-hello-again');
      case 'watch-rooms':
        return this.#watch(command.on);
      case 'open':
        return void this.#open(command.room, command.request);
      case 'claim':
        return this.#claim(command.room);
      case 'cancel':
        return this.#opening.get(command.room)?.abort();
      case 'ping':
        return this.#tell({ type: 'pong', stamp: command.stamp, now: this.#lan.time.now() });
      case 'beat':
        return this.#setBeat(command.hz);
      case 'diagnose':
        return void this.#diagnose();
      case 'digest':
        return this.#digests.handle(command);
      default:
        return this.#handleInRoom(command);
    }
  }

  #handleInRoom(command: Extract<PageCommand, { room: number }>): void {
    const seat = this.#seats.get(command.room);
    if (seat === undefined) return this.drop('bridge-no-room');
    switch (command.type) {
      case 'send': {
        const to = this.#peerIds[command.peer];
        if (to === undefined) return this.drop('bridge-no-peer');
        return seat.send(to, command.channel, command.lane, command.bytes);
      }
      case 'flush':
        return seat.flush();
      case 'eligible':
        return seat.port.setEligible(this.#lan.time.now(), command.eligible);
      case 'kick': {
        const peer = this.#peerIds[command.peer];
        if (peer !== undefined) seat.port.kick(this.#lan.time.now(), peer);
        return seat.drain();
      }
      case 'leave':
        return seat.leave();
      default:
        return this.drop('bridge-no-room');
    }
  }

  async #diagnose(): Promise<void> {
    try {
      this.#tell({ type: 'diagnosis', checks: await this.#lan.diagnose(), problem: undefined });
    } catch (error) {
      this.#tell({ type: 'diagnosis', checks: [], problem: error instanceof LanError ? error.message : String(error) });
    }
  }

  #watch(on: boolean): void {
    this.#watching?.[Symbol.dispose]();
    this.#watching = undefined;
    if (!on) return;
    try {
      this.#watching = this.#lan.watchRooms((rooms) => this.#tell({ type: 'rooms', rooms }));
    } catch {
      // Whoever owns it has closed it before the bridge: there are no rooms any more, and a page must not end the process by asking.
      this.drop('bridge-no-lan');
    }
  }

  async #open(room: number, asked: OpenRequest): Promise<void> {
    if (this.#seats.has(room) || this.#opening.has(room)) return this.drop('bridge-room-twice');
    if (this.#seats.size + this.#opening.size >= MAX_BRIDGE_ROOMS) {
      return this.#fail(room, new LanError('bad-argument', 'Expected one room at a time, got another.', { hint: 'Leave the room first.' }));
    }
    let request: OpenRequest;
    try {
      request = this.#guest?.lead(asked) ?? asked;
    } catch (error) {
      return this.#fail(room, error);
    }
    if (this.#kept?.answers(request) === true) return this.#claim(room);
    const attempt = new AbortController();
    this.#opening.set(room, attempt);
    try {
      await this.#letGo();
      attempt.signal.throwIfAborted();
      const port = await this.#lan.open(request, attempt.signal);
      if (attempt.signal.aborted) {
        port.leave(this.#lan.time.now());
        return;
      }
      if (this.#guest !== undefined) port.setEligible(this.#lan.time.now(), false);
      this.#hold(room, new BridgeSeat(port, () => this.#lan.time.now(), request.code));
    } catch (error) {
      if (!attempt.signal.aborted) this.#fail(room, error);
    } finally {
      if (this.#opening.get(room) === attempt) this.#opening.delete(room);
    }
  }

  #fail(room: number, error: unknown): void {
    const known = error instanceof LanError ? error : new LanError('bridge', `The room could not be opened: ${String(error)}.`);
    const hint = known.hint;
    const message = hint !== undefined && known.message.endsWith(hint) ? known.message.slice(0, -hint.length).trimEnd() : known.message;
    this.#tell({ type: 'failed', room, code: known.code, message, hint });
  }

  #claim(room: number): void {
    const seat = this.#kept;
    if (seat === undefined || this.#seats.has(room)) {
      return this.#fail(room, new LanError('closed', 'The seat of the page before this one is gone.', { hint: 'Join the room again.' }));
    }
    this.#kept = undefined;
    clearTimeout(this.#keepTimer);
    // A hidden page says of each seat that it is no host; until that comes it must not become one. A guest never is.
    if (!this.#isHidden) seat.port.setEligible(this.#lan.time.now(), this.#guest === undefined);
    // What was said to the page before this one is no business of the new one, which starts from nothing.
    seat.drain();
    this.#hold(room, seat);
  }

  #hold(room: number, seat: BridgeSeat): void {
    this.#seats.set(room, seat);
    seat.give({
      room,
      tell: (event) => this.#tell(event),
      number: (id) => this.#number(room, id),
      hasRoom: () => this.#guest?.hasRoom() ?? true,
      lagging: () => this.#unsent() > BRIDGE_LAG_BYTES,
      drop: (reason) => this.drop(reason),
      closed: () => this.#seats.delete(room),
    });
  }

  #keep(seat: BridgeSeat): void {
    seat.takeBack();
    if (seat.over || this.#closed) return;
    if (seat.leaving) return void seat.clear(CLEARING_MS);
    const before = this.#kept;
    if (before !== undefined) void before.clear(CLEARING_MS);
    this.#kept = seat;
    seat.port.setEligible(this.#lan.time.now(), false);
    seat.onOver = () => {
      if (this.#kept === seat) this.#kept = undefined;
    };
    this.#armKeep();
  }

  #armKeep(): void {
    clearTimeout(this.#keepTimer);
    this.#keepTimer = setTimeout(() => void this.#letGo(), this.#keepMs);
  }

  async #letGo(): Promise<void> {
    const seat = this.#kept;
    this.#kept = undefined;
    clearTimeout(this.#keepTimer);
    await seat?.clear(CLEARING_MS);
  }

  #number(room: number, id: PeerId): number {
    const known = this.#peerNumbers.get(id);
    if (known !== undefined) return known;
    const number = this.#peerIds.length;
    this.#peerIds.push(id);
    this.#peerNumbers.set(id, number);
    this.#tell({ type: 'peer', peer: number, id });
    return number;
  }

  /** What a page is told at first, and when it changes. */
  #facts(): Omit<Extract<ProcessEvent, { type: 'discovery' }>, 'type'> {
    const roster = this.#kept?.port.roster();
    return { state: this.#lan.discovery(), joinCode: this.#lan.joinCode(), kept: roster && { roomId: roster.roomId, name: roster.name } };
  }

  #everySecond(): void {
    const { state, joinCode, kept } = this.#facts();
    const told = JSON.stringify([state, joinCode, kept]);
    if (told !== this.#factsTold) {
      this.#factsTold = told;
      this.#tell({ type: 'discovery', state, joinCode, kept });
    }
    for (const seat of this.#seats.values()) seat.tellStats();
  }

  #setBeat(hz: number): void {
    clearTimeout(this.#beatTimer);
    this.#isHidden = hz > 0;
    if (hz === 0) return;
    const everyMs = 1_000 / hz;
    let due = this.#lan.time.now() + everyMs;
    const beat = (): void => {
      const now = this.#lan.time.now();
      if (now - this.#sentAt >= everyMs / 2) this.#tell({ type: 'beat' });
      due = Math.max(due + everyMs, now + 1);
      this.#beatTimer = setTimeout(beat, due - now);
    };
    this.#beatTimer = setTimeout(beat, everyMs);
  }

  #unsent(): number {
    return this.#out.bytes + (this.#page?.bufferedAmount ?? 0);
  }

  #tell(event: ProcessEvent): void {
    if (this.#page === undefined) return;
    this.#out.add(event);
    this.#entriesOut++;
    if (this.#sendTimer !== undefined) return;
    const wait = this.#sentAt + BRIDGE_BATCH_MS - this.#lan.time.now();
    const send = (): void => {
      this.#sendTimer = undefined;
      this.#sendBatches();
    };
    // Everything of this turn goes into the same batch; so does all that comes within BRIDGE_BATCH_MS.
    this.#sendTimer = wait > 0 ? setTimeout(send, wait) : setImmediate(send);
  }

  #sendBatches(): void {
    const page = this.#page;
    if (page === undefined) return;
    this.#sentAt = this.#lan.time.now();
    for (const seat of this.#seats.values()) seat.tellWithBatch((event) => this.#out.add(event));
    for (let batch = this.#out.take(); batch !== undefined; batch = this.#out.take()) {
      page.send(batch);
      this.#batchesOut++;
    }
    if (page.bufferedAmount <= BRIDGE_LOST_BYTES) return;
    this.drop('bridge-slow-page');
    this.detach(page);
    page.close(BRIDGE_CLOSE.slow, 'The page fell too far behind the game. Reload it.');
  }
}
