/** A room over a port and a clock that the test makes up: what the network half says, when it says it, and what it is told. */
import { pack, unpack } from 'msgpackr';
import type { PeerId, RoomId, Slot } from '../sdk/base/brand.ts';
import type { LocalTime } from '../sdk/port/lan-port.ts';
import { memoryDigest } from '../sdk/port/memory-digest.ts';
import type { Channel, PortEvent, PortPeer, PortRoster, PortStats, RoomPort } from '../sdk/port/port.ts';
import { GameRoom } from '../sdk/room/room.ts';
import { game } from './room-party.ts';
import type { G } from './room-party.ts';

export const [ANN, BOB, CAT] = ['aaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbb', 'cccccccccccccccc'] as PeerId[] as [PeerId, PeerId, PeerId];

export const person = (id: PeerId, slot: number, more: Partial<PortPeer> = {}): PortPeer => ({
  id,
  slot: slot as Slot,
  status: 'present',
  spectator: false,
  eligible: true,
  via: undefined,
  ...more,
});

export class FakePort implements RoomPort {
  readonly self = ANN;
  onWake: (() => void) | undefined;
  readonly sent: { readonly to: PeerId; readonly channel: Channel; readonly lane: number; readonly words: unknown[] }[] = [];
  flushes = 0;
  leaves = 0;
  takes = true;
  over = false;
  readonly eligible: boolean[] = [];
  drops: Record<string, number> = {};
  readonly #events: PortEvent[] = [];
  /** Called when everything was polled. */
  onDrained: (() => void) | undefined;
  #roster: PortRoster = {
    roomId: '00' as RoomId,
    name: 'den',
    max: 8,
    locked: false,
    epoch: 1,
    term: 1,
    host: ANN,
    peers: [person(ANN, 0), person(BOB, 1)],
  };

  say(...events: PortEvent[]): void {
    for (const event of events) {
      if (event.type === 'roster') this.#roster = event.roster;
      if (event.type === 'closed') this.over = true;
      this.#events.push(event);
    }
    this.onWake?.();
  }
  seats(peers: readonly PortPeer[], more: Partial<PortRoster> = {}): void {
    this.say({ type: 'roster', roster: { ...this.#roster, ...more, epoch: this.#roster.epoch + 1, peers }, left: [] });
  }
  hear(from: PeerId, words: unknown[], lane = 0, channel: Channel = 'reliable'): void {
    this.say({ type: 'message', from, channel, lane, bytes: new Uint8Array(pack(words)) });
  }
  roster(): PortRoster {
    return this.#roster;
  }
  send(_now: number, to: PeerId, channel: Channel, bytes: Uint8Array, lane = 0): boolean {
    if (!this.takes) return false;
    this.sent.push({ to, channel, lane, words: unpack(bytes) as unknown[] });
    return true;
  }
  queued(): number {
    return 0;
  }
  flush(): void {
    this.flushes++;
  }
  poll(): PortEvent | undefined {
    const event = this.#events.shift();
    if (event === undefined) this.onDrained?.();
    return event;
  }
  time(now: number): number {
    return now + 1_000_000;
  }
  timeErrorMs(): number {
    return 0;
  }
  setEligible(_now: number, eligible: boolean): void {
    this.eligible.push(eligible);
  }
  kick(): boolean {
    return false;
  }
  leave(): void {
    this.leaves++;
  }
  stats(): PortStats {
    const none = { rttMs: 1, jitterMs: 0, lossOutRatio: 0, lossInRatio: 0, bytesOut: 0, bytesIn: 0, packetsOut: 0, packetsIn: 0, queuedBytes: 0 };
    return { peers: new Map([[BOB, none]]), drops: this.drops };
  }
  /** What was sent to `to`, the type of each in front. */
  types(to: PeerId): unknown[] {
    return this.sent.filter((one) => one.to === to).map(({ words }) => words[0]);
  }
}

class HandTime implements LocalTime {
  at = Number.POSITIVE_INFINITY;
  clock = 0;
  #tick: (() => void) | undefined;
  now(): number {
    return this.clock;
  }
  schedule(at: number, tick: () => void): void {
    this.at = at;
    this.#tick = tick;
  }
  cancel(): void {
    this.at = Number.POSITIVE_INFINITY;
    this.#tick = undefined;
  }
  /** One turn: what is due now is done, once. */
  turn(): void {
    const tick = this.at <= this.clock ? this.#tick : undefined;
    if (tick === undefined) return;
    this.cancel();
    tick();
  }
  /** Time passes; promises get their turns. */
  async pass(ms: number): Promise<void> {
    for (let i = 0; i < ms; i++) {
      this.clock++;
      for (let turns = 0; turns < 20 && this.at <= this.clock; turns++) this.turn();
      for (let turns = 0; turns < 4; turns++) await Promise.resolve();
    }
  }
}

export function open(): { port: FakePort; time: HandTime; room: GameRoom<G> } {
  const port = new FakePort();
  const time = new HandTime();
  return {
    port,
    time,
    room: new GameRoom<G>(game, port, { time, session: 77, presence: { name: 'Ann' }, digest: async (bytes) => memoryDigest(bytes) }),
  };
}

/** What Bob's page says first; `ready`: it has the room already. */
export function hello(session: number, ready: boolean, presence: readonly unknown[] = ['Bob', 0]): unknown[] {
  return [1, session, game.schemaHash, ready, ready, 77, presence];
}

/** A room with Bob in it, who has just come. */
export async function opened() {
  const all = open();
  await all.time.pass(5);
  for (const lane of [0, 1]) all.port.hear(BOB, hello(5, false), lane);
  await all.time.pass(200);
  all.port.sent.length = 0;
  return all;
}
