/**
 * The page's end of the bridge: a `LanPort` over one WebSocket to the local process.
 *
 *     connecting ──welcome──► open ──socket lost──► waiting ──back-off──► connecting
 *          │                    │                                            │
 *          └──refused───────────┴──── closed ◄───────── refused, close() ────┘
 *
 * A lost socket ends the page's rooms (`closed`, reason `bridge`); the process keeps the seat for a while,
 * and after the reconnection `joinOrCreate` with the same name, or `claim`, takes it up again. "Refused" is
 * final: a wrong token, another tab, another build. Trying again would not change the answer.
 */
import type { PeerId, RoomId } from '../base/brand.ts';
import { LanError } from '../base/errors.ts';
import type { LanErrorCode } from '../base/errors.ts';
import { disposable } from '../base/emitter.ts';
import { BRIDGE_CLOSE, BRIDGE_VERSION, createCommandOutbox, decodeEvents } from '../bridge/index.ts';
import type { PageCommand, ProcessEvent } from '../bridge/index.ts';
import type { DiscoveryState, GameFacts, LanPort, NetworkCheck, OpenRequest, RoomListing } from '../port/lan-port.ts';
import type { RoomPort } from '../port/port.ts';
import { PageDigests } from './bridge-digests.ts';
import { BridgeRoomPort } from './bridge-room.ts';
import type { SeatLine } from './bridge-room.ts';
import { unopened } from './page-socket.ts';
import type { PageWebSocket } from './page-socket.ts';
import { ProcessClock } from './process-clock.ts';
import { HIDDEN_HZ, openPageClock, TickSource } from './tick-source.ts';
import type { PageClock } from './tick-source.ts';

export interface BridgeClientOptions {
  /** `ws://127.0.0.1:port/__lanista`. */
  readonly url: string;
  readonly token: string;
  readonly game: GameFacts;
  /** The tab's own random id: 32 hexadecimal digits. Only a guest needs one. */
  readonly pageId?: string;
  readonly page?: PageClock;
  readonly openSocket?: (url: string) => PageWebSocket;
  /** How long the first connection may take, ms in which the page could run. Default 5,000. */
  readonly timeoutMs?: number;
  /** Gives the first connection up. */
  readonly signal?: AbortSignal;
}

/** A seat the page before this one left behind; gone after about 15 s. */
export interface KeptSeat {
  readonly roomId: RoomId;
  readonly name: string;
}

export type BridgeState =
  | { readonly type: 'connecting' }
  | { readonly type: 'open' }
  | { readonly type: 'waiting'; readonly retryAt: number }
  | { readonly type: 'closed'; readonly error: LanError };

interface Opening {
  readonly resolve: (port: RoomPort) => void;
  readonly reject: (error: unknown) => void;
}

const FIRST_PATIENCE_MS = 5_000;
const PATIENCE_STEP_MS = 250;
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 5_000;
const FAST_PING_MS = 100;
const SLOW_PING_MS = 1_000;
const FAST_PINGS = 8;

const CONNECTING = 'Connecting to the game on this computer';
/** Hosts of a page whose process runs on the same computer; any other page is a guest's. */
const HERE = /^wss?:\/\/(?:127\.[\d.]+|localhost|\[::1\])[:/]/;

export class BridgeClient implements LanPort {
  readonly time: TickSource;
  /** Called after each change of `state`. */
  onState: ((state: BridgeState) => void) | undefined;
  readonly #options: BridgeClientOptions;
  readonly #page: PageClock;
  readonly #out = createCommandOutbox();
  readonly #clock = new ProcessClock();
  readonly #seats = new Map<number, BridgeRoomPort>();
  readonly #opening = new Map<number, Opening>();
  /** Who waits for the doctor; they share one examination. */
  readonly #diagnoses: { resolve: (checks: readonly NetworkCheck[]) => void; reject: (error: LanError) => void }[] = [];
  readonly #digests = new PageDigests((command) => this.#tell(command));
  readonly #watchers = new Set<(rooms: readonly RoomListing[]) => void>();
  readonly #peerIds: PeerId[] = [];
  readonly #peerNumbers = new Map<PeerId, number>();
  readonly #visibility: Disposable;
  #state: BridgeState = { type: 'connecting' };
  #socket: PageWebSocket | undefined;
  #self = '' as PeerId;
  #kept: KeptSeat | undefined;
  #discovery: DiscoveryState;
  #joinCode: string | undefined;
  #guests: string | undefined;
  #rooms: readonly RoomListing[] = [];
  #nextRoom = 1;
  #pings = 0;
  #pingTimer: unknown;
  #retryTimer: unknown;
  #patienceTimer: unknown;
  #retryMs = FIRST_RETRY_MS;
  #postAsked = false;
  #drops = 0;
  #first: { resolve: () => void; reject: (error: LanError) => void } | undefined;

  private constructor(options: BridgeClientOptions) {
    this.#options = options;
    this.#page = options.page ?? openPageClock();
    this.#discovery = { level: 'unavailable', reasons: [this.#noAnswer().message] };
    this.time = new TickSource(this.#page);
    this.#visibility = this.#page.onVisibility(() => this.#tellVisibility());
  }

  /** Connects. Rejects with `LanError` `bridge` when the process refuses or does not answer, with `aborted` when that is called off. */
  static async connect(options: BridgeClientOptions): Promise<BridgeClient> {
    const { signal } = options;
    if (signal?.aborted === true) throw aborted(signal, CONNECTING);
    const client = new BridgeClient(options);
    const welcomed = new Promise<void>((resolve, reject) => (client.#first = { resolve, reject }));
    const giveUp = (): void => client.#end(aborted(signal!, CONNECTING));
    signal?.addEventListener('abort', giveUp, { once: true });
    try {
      client.#wait(options.timeoutMs ?? FIRST_PATIENCE_MS);
      client.#connect();
      await welcomed;
      // Called off in the very moment it was let in.
      if (client.#state.type === 'closed') throw client.#state.error;
    } finally {
      signal?.removeEventListener('abort', giveUp);
      client.#page.clearTimeout(client.#patienceTimer);
    }
    return client;
  }

  /**
   * Gives up after `leftMs`, counted in short steps: a page that builds its first picture may stand still for
   * seconds, and an answer that came meanwhile is read between two steps.
   */
  #wait(leftMs: number): void {
    if (leftMs <= 0) return this.#end(this.#noAnswer());
    const stepMs = Math.min(PATIENCE_STEP_MS, leftMs);
    this.#patienceTimer = this.#page.setTimeout(() => this.#wait(leftMs - stepMs), stepMs);
  }

  get self(): PeerId {
    return this.#self;
  }

  get state(): BridgeState {
    return this.#state;
  }

  /** The seat of the page before this one, while it can still be taken up. */
  get kept(): KeptSeat | undefined {
    return this.#kept;
  }

  /** The link for phones that play along through this process; undefined when they may not. */
  get guests(): string | undefined {
    return this.#guests;
  }

  /** Batches from the process that could not be read. */
  get drops(): number {
    return this.#drops;
  }

  discovery(): DiscoveryState {
    return this.#discovery;
  }

  joinCode(): string | undefined {
    return this.#joinCode;
  }

  open(request: OpenRequest, signal?: AbortSignal): Promise<RoomPort> {
    return this.#ask((room) => ({ type: 'open', room, request }), signal);
  }

  /** Takes up the kept seat. Rejects with `closed` when it is gone. */
  claim(signal?: AbortSignal): Promise<RoomPort> {
    return this.#ask((room) => ({ type: 'claim', room }), signal);
  }

  watchRooms(onChange: (rooms: readonly RoomListing[]) => void): Disposable {
    const watcher = (rooms: readonly RoomListing[]): void => onChange(rooms);
    this.#watchers.add(watcher);
    if (this.#watchers.size === 1) this.#tell({ type: 'watch-rooms', on: true });
    watcher(this.#rooms);
    return disposable(() => {
      this.#watchers.delete(watcher);
      if (this.#watchers.size > 0) return;
      this.#rooms = [];
      this.#tell({ type: 'watch-rooms', on: false });
    });
  }

  diagnose(): Promise<readonly NetworkCheck[]> {
    if (this.#state.type !== 'open') return Promise.reject(this.#unreachable());
    return new Promise((resolve, reject) => {
      this.#diagnoses.push({ resolve, reject });
      if (this.#diagnoses.length === 1) this.#tell({ type: 'diagnose' });
    });
  }

  digest(bytes: Uint8Array): Promise<Uint8Array> {
    return this.#state.type === 'open' ? this.#digests.digest(bytes) : Promise.reject(this.#unreachable());
  }

  async close(): Promise<void> {
    for (const seat of this.#seats.values()) seat.leave(this.#page.now());
    this.#post();
    this.#end(new LanError('closed', 'The connection to the game on this computer was closed.'));
  }

  #ask(command: (room: number) => PageCommand, signal: AbortSignal | undefined): Promise<RoomPort> {
    if (signal?.aborted) return Promise.reject(aborted(signal));
    if (this.#state.type !== 'open') return Promise.reject(this.#unreachable());
    const room = this.#nextRoom++;
    return new Promise<RoomPort>((resolve, reject) => {
      const onAbort = (): void => {
        if (!this.#opening.delete(room)) return;
        this.#tell({ type: 'cancel', room });
        reject(aborted(signal!));
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      const settle = (): void => signal?.removeEventListener('abort', onAbort);
      this.#opening.set(room, {
        resolve: (port) => (settle(), resolve(port)),
        reject: (error) => (settle(), reject(error)),
      });
      this.#tell(command(room));
    });
  }

  #unreachable(): LanError {
    return this.#state.type === 'closed' ? this.#state.error : this.#noAnswer();
  }

  #noAnswer(): LanError {
    return HERE.test(this.#options.url)
      ? new LanError('bridge', 'The game on this computer does not answer.', { hint: 'Start it again, and open the link it prints.' })
      : new LanError('bridge', 'The computer this page came from does not answer.', {
          hint: 'The game must still run there, and this device be in the same network.',
        });
  }

  /** Also where the compiler believes to know the state: whoever is told of one may change it. */
  get #isClosed(): boolean {
    return this.#state.type === 'closed';
  }

  #setState(state: BridgeState): void {
    this.#state = state;
    this.onState?.(state);
  }

  #connect(): void {
    this.#setState({ type: 'connecting' });
    // By whoever was told.
    if (this.#isClosed) return;
    const open = this.#options.openSocket ?? ((url: string): PageWebSocket => new WebSocket(url) as unknown as PageWebSocket);
    let socket: PageWebSocket;
    try {
      socket = open(this.#options.url);
    } catch (cause) {
      // Another attempt would end the same way.
      return this.#end(unopened(cause));
    }
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      const { id, version, schemaHash } = this.#options.game;
      this.#out.clear();
      this.#out.add({
        type: 'hello',
        version: BRIDGE_VERSION,
        token: this.#options.token,
        game: { id, version, schemaHash },
        page: this.#options.pageId ?? '',
      });
      this.#post();
    };
    socket.onmessage = (event: { data: unknown }) => this.#receive(socket, event.data);
    socket.onclose = (event: { code: number; reason: string }) => this.#lost(socket, event.code, event.reason);
    // What went wrong is told by `close`, which always follows.
    socket.onerror = () => undefined;
  }

  #receive(socket: PageWebSocket, data: unknown): void {
    if (socket !== this.#socket || !(data instanceof ArrayBuffer)) return;
    const batch = decodeEvents(new Uint8Array(data));
    if (batch.drop !== undefined) this.#drops++;
    for (const event of batch.entries) this.#handle(event);
    for (const seat of this.#seats.values()) {
      if (seat.waiting) seat.onWake?.();
      if (seat.over) this.#seats.delete(seat.room);
    }
    this.time.pulse();
  }

  #handle(event: ProcessEvent): void {
    switch (event.type) {
      case 'welcome':
        return this.#welcome(event);
      case 'discovery':
        this.#discovery = event.state;
        this.#joinCode = event.joinCode;
        this.#kept = event.kept;
        return;
      case 'rooms':
        this.#rooms = event.rooms;
        for (const watcher of [...this.#watchers]) watcher(event.rooms);
        return;
      case 'peer':
        this.#peerIds[event.peer] = event.id;
        this.#peerNumbers.set(event.id, event.peer);
        return;
      case 'pong':
        return this.#clock.sample(this.#page.now(), event.stamp, event.now);
      case 'beat':
        return;
      case 'diagnosis': {
        const waiting = this.#diagnoses.splice(0);
        for (const { resolve, reject } of waiting) {
          if (event.problem === undefined) resolve(event.checks);
          else reject(new LanError('bridge', event.problem));
        }
        return;
      }
      case 'digested':
        return this.#digests.handle(event);
      case 'opened':
        return this.#opened(event);
      case 'failed': {
        const opening = this.#opening.get(event.room);
        this.#opening.delete(event.room);
        opening?.reject(new LanError(event.code as LanErrorCode, event.message, event.hint === undefined ? {} : { hint: event.hint }));
        return;
      }
      case 'time':
        this.#clock.guess(this.#page.now(), event.at);
        return this.#seats.get(event.room)?.handle(event);
      default:
        // The rest concerns one room only.
        this.#seats.get(event.room)?.handle(event);
    }
  }

  #opened(event: Extract<ProcessEvent, { type: 'opened' }>): void {
    const opening = this.#opening.get(event.room);
    this.#opening.delete(event.room);
    this.#kept = undefined;
    const seat = new BridgeRoomPort(this.#line, event.room, event.roster);
    if (opening === undefined) return seat.leave(this.#page.now());
    this.#seats.set(event.room, seat);
    if (this.#page.hidden) seat.setHidden(true);
    opening.resolve(seat);
  }

  get #line(): SeatLine {
    return {
      self: this.#self,
      clock: this.#clock,
      out: this.#out,
      post: () => this.#postSoon(),
      unsent: () => this.#out.bytes + (this.#socket?.bufferedAmount ?? 0),
      peerId: (number) => this.#peerIds[number],
      peerNumber: (id) => this.#peerNumbers.get(id),
    };
  }

  #welcome(event: Extract<ProcessEvent, { type: 'welcome' }>): void {
    this.#self = event.self;
    this.#kept = event.kept;
    this.#discovery = event.discovery;
    this.#joinCode = event.joinCode;
    this.#guests = event.guests;
    this.#retryMs = FIRST_RETRY_MS;
    this.#setState({ type: 'open' });
    if (this.#watchers.size > 0) this.#tell({ type: 'watch-rooms', on: true });
    if (this.#page.hidden) this.#tellVisibility();
    this.#pings = 0;
    this.#ping();
    this.#first?.resolve();
    this.#first = undefined;
  }

  #ping(): void {
    this.#page.clearTimeout(this.#pingTimer);
    if (this.#state.type !== 'open') return;
    this.#tell({ type: 'ping', stamp: this.#page.now() });
    this.#post();
    this.#pings++;
    this.#pingTimer = this.#page.setTimeout(() => this.#ping(), this.#pings < FAST_PINGS ? FAST_PING_MS : SLOW_PING_MS);
  }

  #tellVisibility(): void {
    const { hidden } = this.#page;
    this.#tell({ type: 'beat', hz: hidden ? HIDDEN_HZ : 0 });
    for (const seat of this.#seats.values()) seat.setHidden(hidden);
    this.#post();
    if (!hidden) this.time.pulse();
  }

  #tell(command: PageCommand): void {
    if (this.#state.type !== 'open') return;
    this.#out.add(command);
    this.#postSoon();
  }

  /** Everything of this turn leaves in one batch. */
  #postSoon(): void {
    if (this.#postAsked) return;
    this.#postAsked = true;
    queueMicrotask(() => this.#post());
  }

  #post(): void {
    this.#postAsked = false;
    const socket = this.#socket;
    for (let batch = this.#out.take(); batch !== undefined; batch = this.#out.take()) {
      if (socket?.readyState === 1) socket.send(batch);
    }
  }

  #lost(socket: PageWebSocket, code: number, reason: string): void {
    if (socket !== this.#socket) return;
    this.#forget(this.#noAnswer());
    if (this.#state.type === 'closed') return;
    const final: readonly number[] = [BRIDGE_CLOSE.token, BRIDGE_CLOSE.replaced, BRIDGE_CLOSE.version, BRIDGE_CLOSE.full];
    if (final.includes(code)) return this.#end(new LanError('bridge', reason === '' ? 'The game on this computer refused the page.' : reason));
    this.#setState({ type: 'waiting', retryAt: this.#page.now() + this.#retryMs });
    if (this.#isClosed) return;
    this.#retryTimer = this.#page.setTimeout(() => this.#connect(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS);
  }

  /** Ends everything that depended on the socket. */
  #forget(error: LanError): void {
    this.#socket = undefined;
    this.#out.clear();
    this.#clock.reset();
    this.#peerIds.length = 0;
    this.#peerNumbers.clear();
    this.#kept = undefined;
    this.#discovery = { level: 'unavailable', reasons: [error.message] };
    this.#joinCode = undefined;
    this.#rooms = [];
    const seats = [...this.#seats.values()];
    this.#seats.clear();
    const openings = [...this.#opening.values()];
    this.#opening.clear();
    for (const opening of openings) opening.reject(error);
    for (const { reject } of this.#diagnoses.splice(0)) reject(error);
    this.#digests.fail(error);
    for (const seat of seats) {
      seat.lose();
      seat.onWake?.();
    }
    for (const watcher of [...this.#watchers]) watcher([]);
  }

  #end(error: LanError): void {
    if (this.#state.type === 'closed') return;
    const socket = this.#socket;
    this.#setState({ type: 'closed', error });
    this.#page.clearTimeout(this.#pingTimer);
    this.#page.clearTimeout(this.#retryTimer);
    this.#visibility[Symbol.dispose]();
    this.#forget(error);
    socket?.close(1_000);
    this.#first?.reject(error);
    this.#first = undefined;
  }
}

function aborted(signal: AbortSignal, what = 'Opening the room'): LanError {
  return new LanError('aborted', `${what} was aborted.`, { cause: signal.reason });
}
