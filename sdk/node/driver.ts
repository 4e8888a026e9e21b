/**
 * The run loop: puts sockets and time into meshes, takes datagrams and deadlines out.
 *
 * A datagram is told to the room as it comes. What it causes to leave does so at the end of the turn of the
 * event loop, bundled with what other datagrams of the turn cause; most cause nothing, and cost no turn's end.
 * Wake-ups are absolute deadlines, never an interval: a late turn does not push the ones after it.
 *
 *   socket 'message' ──► handleDatagram ──► wake the room ── nothing waits: deadline
 *                                                         └─ something waits ─┐
 *   timer            ──► handleTimeout ───────────────────────────────────────┼─► drain: transmit until empty,
 *   room (send, …)   ──► DrivenPort ──────────────────────────────────────────┘   wake the room, next deadline
 */
import type { PeerId } from '../base/brand.ts';
import type { SocketKind } from '../link/endpoint-types.ts';
import type { MeshLike } from '../mesh/mesh-types.ts';
import type { LocalTime } from '../port/lan-port.ts';
import type { Channel, PortEvent, PortRoster, PortStats, RoomPort } from '../port/port.ts';
import { DatagramSender } from './datagram-sender.ts';
import type { Udp } from './udp.ts';

/** What is due within this time (ms) is done in the next turn: no timer is as fine. */
export const NEXT_TURN_MS = 0.05;

export class Driver {
  readonly #sender: DatagramSender;
  readonly #time: LocalTime;
  readonly #rooms = new Set<DrivenPort>();
  #turn: NodeJS.Immediate | undefined;
  /** When the timer is set to drain. */
  #wakeAt = Number.POSITIVE_INFINITY;
  /** A mesh is at work and its room will be told after it: no turn is needed for that. */
  #busy = false;
  readonly #onDeadline = (): void => this.drain();

  /** @param time owned by this driver alone: its one wake-up is the next deadline. */
  constructor(udp: Pick<Udp, 'send'>, time: LocalTime) {
    this.#sender = new DatagramSender(udp);
    this.#time = time;
  }

  /** Starts driving `mesh`; `onLeave` is called once, when its seat is being left or gone. */
  add(mesh: MeshLike, onLeave: () => void): DrivenPort {
    const soon = (): void => this.soon();
    const port = new DrivenPort(mesh, soon, () => (this.#busy ? undefined : this.soon()), onLeave);
    this.#rooms.add(port);
    this.soon();
    return port;
  }

  remove(port: DrivenPort): void {
    this.#rooms.delete(port);
  }

  handleDatagram(socket: SocketKind, host: string, port: number, bytes: Uint8Array): void {
    const now = this.#time.now();
    // A datagram of another room is silent by its tag or connection id, so every mesh may see it.
    for (const room of this.#rooms) {
      this.#busy = true;
      room.mesh.handleDatagram(now, socket, host, port, bytes);
      this.#busy = false;
      this.#settle(room, now);
    }
  }

  /** Tells the room; the rest is for the end of the turn, if there is any. */
  #settle(room: DrivenPort, now: number): void {
    // Somebody asked for that already.
    if (this.#turn !== undefined) return;
    room.wake();
    if (room.mesh.waiting) return this.soon();
    const at = room.mesh.pollTimeout();
    if (at - now < NEXT_TURN_MS) this.soon();
    // Most deadlines move away with a datagram; a timer that fires too early finds that out.
    else if (at < this.#wakeAt) this.#schedule(at);
  }

  /** Drains at the end of this turn of the event loop. */
  soon(): void {
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined;
      this.drain();
    });
  }

  /** Drains now; also the timer's callback. */
  drain(): void {
    // Whatever a room's handler throws: the next datagram sets the timer.
    this.#wakeAt = Number.POSITIVE_INFINITY;
    let next = Number.POSITIVE_INFINITY;
    let sentAt = 0;
    for (const room of [...this.#rooms]) {
      const { mesh } = room;
      const now = this.#time.now();
      this.#busy = true;
      if (mesh.pollTimeout() <= now) mesh.handleTimeout(now);
      this.#busy = false;
      this.#sender.drain(mesh, now);
      room.wake();
      // The room above may have answered at once; its datagrams leave in the same turn.
      sentAt = this.#time.now();
      this.#sender.drain(mesh, sentAt);
      if (this.#rooms.has(room)) next = Math.min(next, mesh.pollTimeout());
    }
    // A transfer that goes on: what came in meanwhile is heard first, and a tick that fell due goes first.
    if (next - sentAt < NEXT_TURN_MS) this.soon();
    else this.#schedule(next);
  }

  #schedule(at: number): void {
    this.#wakeAt = at;
    this.#time.schedule(at, this.#onDeadline);
  }

  /** Stops; nothing is sent any more. */
  close(): void {
    if (this.#turn !== undefined) clearImmediate(this.#turn);
    this.#turn = undefined;
    this.#rooms.clear();
    this.#time.cancel();
  }
}

/** A mesh as the game half sees it: every command is followed by a drain. */
export class DrivenPort implements RoomPort {
  readonly mesh: MeshLike;
  onWake: (() => void) | undefined;
  readonly #soon: () => void;
  readonly #onLeave: () => void;
  #pending = false;
  #left = false;

  /** @param onEvent called when `wake` has something to tell. */
  constructor(mesh: MeshLike, soon: () => void, onEvent: () => void, onLeave: () => void) {
    this.mesh = mesh;
    this.#soon = soon;
    this.#onLeave = onLeave;
    mesh.onWake = () => {
      this.#pending = true;
      onEvent();
    };
  }

  get self(): PeerId {
    return this.mesh.self;
  }

  roster(): PortRoster {
    return this.mesh.roster();
  }

  get over(): boolean {
    return this.mesh.over;
  }

  send(now: number, to: PeerId, channel: Channel, bytes: Uint8Array, lane?: number): boolean {
    return this.mesh.send(now, to, channel, bytes, lane);
  }

  queued(to: PeerId, lane: number): number {
    return this.mesh.queued(to, lane);
  }

  flush(now: number): void {
    this.mesh.flush(now);
    this.#soon();
  }

  poll(): PortEvent | undefined {
    const event = this.mesh.poll();
    if (event?.type === 'closed') this.#ended();
    return event;
  }

  time(now: number): number {
    return this.mesh.time(now);
  }

  timeErrorMs(now: number): number {
    return this.mesh.timeErrorMs(now);
  }

  setEligible(now: number, eligible: boolean): void {
    this.mesh.setEligible(now, eligible);
    this.#soon();
  }

  kick(now: number, peer: PeerId): boolean {
    const done = this.mesh.kick(now, peer);
    this.#soon();
    return done;
  }

  leave(now: number): void {
    this.mesh.leave(now);
    this.#ended();
    this.#soon();
  }

  stats(now: number): PortStats {
    return this.mesh.stats(now);
  }

  /** Called by the driver after each datagram and drain: tells the room that `poll` may have something. */
  wake(): void {
    if (this.#pending) {
      this.#pending = false;
      this.onWake?.();
    }
    const { type } = this.mesh.joinState;
    if (type === 'left' || type === 'failed') this.#ended();
  }

  #ended(): void {
    if (this.#left) return;
    this.#left = true;
    this.#onLeave();
  }
}
