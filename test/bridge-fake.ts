/**
 * A scripted network half for the bridge's tests: a `LanPort` that opens one scripted room, and a page made of
 * `ws` instead of a browser. What the port was told is recorded; what it says is pushed by the test.
 */
import { createHash } from 'node:crypto';
import { WebSocket } from 'ws';
import type { PeerId, RoomId, Slot } from '../sdk/base/brand.ts';
import { LanError } from '../sdk/base/errors.ts';
import { BridgeClient } from '../sdk/browser/bridge-client.ts';
import type { BridgeClientOptions } from '../sdk/browser/bridge-client.ts';
import type { PageWebSocket } from '../sdk/browser/page-socket.ts';
import { startBridge } from '../sdk/node/bridge-server.ts';
import type { Bridge, StartBridgeOptions } from '../sdk/node/bridge-server.ts';
import type { GameFacts, LanPort, NetworkCheck, OpenRequest, RoomListing } from '../sdk/port/lan-port.ts';
import type { Channel, PortEvent, PortRoster, PortStats, RoomPort } from '../sdk/port/port.ts';

export const GAME: GameFacts = { id: 'test-game', version: 1, schemaHash: 7 };
export const ME = 'aaaaaaaaaaaaaaaa' as PeerId;
export const OTHER = 'bbbbbbbbbbbbbbbb' as PeerId;
const ROOM = '0123456789abcdef0123456789abcdef' as RoomId;

export interface Sent {
  readonly to: PeerId;
  readonly channel: Channel;
  readonly lane: number;
  readonly bytes: Uint8Array;
}

export class ScriptedRoom implements RoomPort {
  readonly self = ME;
  onWake: (() => void) | undefined;
  readonly sent: Sent[] = [];
  readonly eligible: boolean[] = [];
  readonly kicked: PeerId[] = [];
  flushes = 0;
  left = false;
  over = false;
  /** Reliable messages the port still takes; the rest is refused until raised. */
  room = Infinity;
  readonly #events: PortEvent[] = [];
  #roster: PortRoster;

  constructor(name: string) {
    const seat = (id: PeerId, slot: number) => ({
      id,
      slot: slot as Slot,
      status: 'present' as const,
      spectator: false,
      eligible: true,
      via: undefined,
    });
    this.#roster = { roomId: ROOM, name, max: 8, locked: false, epoch: 1, term: 1 + 2 ** 30, host: ME, peers: [seat(ME, 0), seat(OTHER, 1)] };
  }

  say(...events: PortEvent[]): void {
    for (const event of events) {
      if (event.type === 'roster') this.#roster = event.roster;
      if (event.type === 'closed') this.over = true;
      this.#events.push(event);
    }
    this.onWake?.();
  }

  roster(): PortRoster {
    return this.#roster;
  }
  send(_now: number, to: PeerId, channel: Channel, bytes: Uint8Array, lane = 0): boolean {
    if (!this.#roster.peers.some((peer) => peer.id === to && peer.status === 'present')) return false;
    if (channel === 'reliable' && this.room <= 0) return false;
    if (channel === 'reliable') this.room--;
    this.sent.push({ to, channel, lane, bytes: bytes.slice() });
    return true;
  }
  queued(): number {
    return 0;
  }
  flush(): void {
    this.flushes++;
  }
  poll(): PortEvent | undefined {
    return this.#events.shift();
  }
  time(now: number): number {
    return now + 1_000_000;
  }
  timeErrorMs(): number {
    return 2;
  }
  setEligible(_now: number, eligible: boolean): void {
    this.eligible.push(eligible);
  }
  kick(_now: number, peer: PeerId): boolean {
    this.kicked.push(peer);
    return true;
  }
  leave(): void {
    if (this.left) return;
    this.left = true;
    this.say({ type: 'closed', reason: 'bye' });
  }
  stats(): PortStats {
    const of = {
      rttMs: 1.5,
      jitterMs: 0.25,
      lossOutRatio: 0,
      lossInRatio: 1,
      bytesOut: 5_000_000_000,
      bytesIn: 2,
      packetsOut: 3,
      packetsIn: 4,
      queuedBytes: 5,
    };
    return { peers: new Map([[OTHER, of]]), drops: { replay: 3 } };
  }
}

export class ScriptedLan implements LanPort {
  readonly self = ME;
  readonly time = { now: () => performance.now(), schedule: () => undefined, cancel: () => undefined };
  readonly rooms: ScriptedRoom[] = [];
  readonly requests: OpenRequest[] = [];
  readonly watchers = new Set<(rooms: readonly RoomListing[]) => void>();
  listings: readonly RoomListing[] = [];
  aborts = 0;
  /** What the next room's port has to say before anybody takes it. */
  early: readonly PortEvent[] = [];

  async open(request: OpenRequest, signal?: AbortSignal): Promise<RoomPort> {
    this.requests.push(request);
    if (request.type === 'join' && request.target === 'never') {
      return new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => {
          this.aborts++;
          reject(new LanError('aborted', 'Aborted.'));
        });
      });
    }
    if (request.type === 'join' && request.target === 'full')
      throw new LanError('room-full', 'The room has no free seat.', { hint: 'Watch instead.' });
    const room = new ScriptedRoom(request.type === 'join' ? 'joined' : request.name);
    this.rooms.push(room);
    room.say(...this.early);
    return room;
  }
  watchRooms(onChange: (rooms: readonly RoomListing[]) => void): Disposable {
    this.watchers.add(onChange);
    onChange(this.listings);
    return { [Symbol.dispose]: () => void this.watchers.delete(onChange) };
  }
  discovery() {
    return { level: 'degraded' as const, reasons: ['Multicast does not come through.'] };
  }
  code: string | undefined = 'p4aaa-amgt4';
  joinCode(): string | undefined {
    return this.code;
  }
  /** What the doctor finds; an error when it cannot look. */
  diagnosis: readonly NetworkCheck[] | LanError = [{ id: 'multicast:eth0', level: 'warn', what: 'Multicast is not heard.', fix: 'Allow it.' }];
  diagnoses = 0;
  async diagnose(): Promise<readonly NetworkCheck[]> {
    this.diagnoses++;
    if (this.diagnosis instanceof LanError) throw this.diagnosis;
    return this.diagnosis;
  }
  async digest(bytes: Uint8Array): Promise<Uint8Array> {
    return createHash('sha256').update(bytes).digest();
  }
  async close(): Promise<void> {}
}

/** Everything a test opened, closed in reverse order. */
interface PageParts {
  readonly sockets: WebSocket[];
  crash(): void;
}

/** Of a page that is gone: it never opens. */
const NO_SOCKET: PageWebSocket = {
  binaryType: 'arraybuffer',
  readyState: 0,
  bufferedAmount: 0,
  send: () => undefined,
  close: () => undefined,
  onopen: null,
  onmessage: null,
  onclose: null,
  onerror: null,
};

export class Bench {
  readonly lan = new ScriptedLan();
  readonly #open: (() => unknown)[] = [];

  async start(options: Partial<StartBridgeOptions> = {}): Promise<Bridge> {
    const bridge = await startBridge({ lan: this.lan, ...options });
    this.#open.push(() => bridge.close());
    return bridge;
  }

  /** `crash`: the page is gone without a word, and does not come back by itself as one does whose socket broke. */
  async page(bridge: Pick<Bridge, 'port' | 'token'>, options: Partial<BridgeClientOptions> = {}): Promise<BridgeClient & PageParts> {
    const sockets: WebSocket[] = [];
    let isGone = false;
    const crash = (): void => {
      isGone = true;
      sockets.at(-1)?.terminate();
    };
    const openSocket = (url: string): PageWebSocket => {
      if (isGone) return { ...NO_SOCKET };
      const socket = new WebSocket(url, { origin: `http://127.0.0.1:${bridge.port}` });
      sockets.push(socket);
      return socket as unknown as PageWebSocket;
    };
    const client = await BridgeClient.connect({
      url: `ws://127.0.0.1:${bridge.port}/__lanista`,
      token: bridge.token,
      game: GAME,
      openSocket,
      ...options,
    });
    this.#open.push(() => client.close());
    return Object.assign(client, { sockets, crash });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#open.reverse()) await close();
  }
}

export function join(name = 'Friday'): OpenRequest {
  return { type: 'join-or-create', name, max: 8, code: undefined, spectate: false };
}

/** Waits until `check` holds; the test's own time limit ends it. */
export async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 5_000;
  while (!(await check())) {
    if (performance.now() > end) throw new Error('waited 5 s in vain');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export function drain(port: RoomPort): PortEvent[] {
  const events: PortEvent[] = [];
  for (let event = port.poll(); event !== undefined; event = port.poll()) events.push(event);
  return events;
}
