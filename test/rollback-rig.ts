/**
 * Peers of one simulation joined by a queue, under a clock, a list and a host that are moved by hand: what tests and fuzzing of one peer's part share. Words
 * arrive with the step in which they were said, or as late as a test has them; and a peer may sleep, or be busy for longer than a step.
 */
import type { Rollback, RollbackOptions, Simulation } from 'lanista';
import type { PeerId, RoomId, Slot } from '../sdk/base/brand.ts';
import type { PortPeer, PortRoster } from '../sdk/port/port.ts';
import { RollbackDesk } from '../sdk/room/rollback.ts';
import type { RollbackSession } from '../sdk/sync/rollback/session.ts';
import { PackReader } from '../sdk/wire/pack.ts';

export const IDS = ['aaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbb', 'cccccccccccccccc', 'dddddddddddddddd'] as unknown as readonly PeerId[];

export interface Said {
  readonly at: number;
  readonly from: number;
  readonly to: number;
  readonly how: 'reliable' | 'unreliable';
  readonly type: number;
  readonly bytes: Uint8Array;
}

export class Rig {
  now = 1_000;
  host = 0;
  term = 1;
  /** The list, as everybody sees it. */
  readonly list: { -readonly [K in keyof PortPeer]: PortPeer[K] }[];
  readonly seats: RigSeat[] = [];
  /** What is on its way, and when it arrives. */
  queue: (Said & { readonly dueAt: number })[] = [];
  /** Sees what one says to another; false: it is lost. */
  onSend: ((said: Said) => boolean | void) | undefined;
  /** What `send` answers: false as by a full queue. */
  takes: (said: Said) => boolean = () => true;
  /** How long it takes, ms. */
  delay: (said: Said) => number = () => 0;

  /** @param count of seats; those beyond `playing` only stand in the list. */
  constructor(count: number, playing = count) {
    this.list = IDS.slice(0, count).map((id, i) => ({
      ...{ id, slot: i as Slot, status: 'present', spectator: false, eligible: true, via: undefined },
    }));
    for (let i = 0; i < playing; i++) this.sit(i);
  }

  /** A new page of this peer; of one that has one, as after a reload. */
  sit(index: number): RigSeat {
    const session = (this.seats[index]?.session ?? 100 + index - 16) + 16;
    return (this.seats[index] = new RigSeat(this, index, session));
  }

  roster(): PortRoster {
    return {
      roomId: '00112233445566778899aabbccddeeff' as RoomId,
      name: 'r',
      max: 8,
      locked: false,
      epoch: this.term,
      term: this.term,
      host: IDS[this.host]!,
      peers: this.list.map((seat) => ({ ...seat })),
    };
  }

  /** Another host, from now on. */
  moveHost(to: number): void {
    this.host = to;
    this.term++;
  }

  send(from: number, to: PeerId, how: Said['how'], view: Uint8Array): boolean {
    const bytes = view.slice();
    const said: Said = { at: this.now, from, to: IDS.indexOf(to), how, type: bytes[3]!, bytes };
    if (!this.takes(said)) return false;
    if (this.onSend?.(said) !== false && this.seats[said.to] !== undefined) this.queue.push({ ...said, dueAt: this.now + this.delay(said) });
    return true;
  }

  /** The next word that arrives by now at somebody who can read it. */
  next(): Said | undefined {
    const at = this.queue.findIndex(({ dueAt, to }) => dueAt <= this.now && this.seats[to]!.isFree);
    return at < 0 ? undefined : this.queue.splice(at, 1)[0];
  }

  deliver(): void {
    for (let said = this.next(); said !== undefined; said = this.next()) this.seats[said.to]!.hear(said.from, said.bytes);
  }

  /** Lets `ms` pass, in steps of `stepMs`. */
  play(ms: number, stepMs = 10): void {
    for (let at = 0; at < ms; at += stepMs) {
      this.now += stepMs;
      for (const seat of this.seats) seat.busyMs = Math.max(0, seat.busyMs - stepMs);
      // What waited for who slept is read before its turn.
      this.deliver();
      for (const seat of this.seats) if (seat.isFree) seat.desk.run(this.now);
      this.deliver();
    }
  }
}

export class RigSeat {
  readonly desk: RollbackDesk;
  readonly index: number;
  readonly rig: Rig;
  readonly drops: string[] = [];
  readonly failures: string[] = [];
  readonly strangers: PeerId[] = [];
  readonly tooLarge: string[] = [];
  transitMs = 10;
  session: number;
  /** False: its loop does not turn, and what is said to it waits. */
  awake = true;
  /** So long its last turn takes, ms: as `awake`, and its clock has gone on within that turn. */
  busyMs = 0;

  constructor(rig: Rig, index: number, session: number) {
    this.rig = rig;
    this.index = index;
    this.session = session;
    this.desk = new RollbackDesk({
      self: IDS[index]!,
      session,
      sessionOf: (peer) => rig.seats[IDS.indexOf(peer)]?.session ?? 100 + IDS.indexOf(peer),
      roster: () => rig.roster(),
      present: () => rig.list.flatMap(({ id, status }) => (id !== IDS[index] && status === 'present' ? [id] : [])),
      now: () => rig.now + this.busyMs,
      roomTime: () => rig.now + this.busyMs,
      transitMs: () => this.transitMs,
      send: (to, how, bytes) => rig.send(index, to, how, bytes),
      drop: (reason) => void this.drops.push(reason),
      failed: (what, cause) => void this.failures.push(`${what}: ${String(cause)}`),
      foreign: (peer) => void this.strangers.push(peer),
      tooLarge: (detail) => void this.tooLarge.push(detail),
      wake: () => undefined,
    });
  }

  get id(): PeerId {
    return IDS[this.index]!;
  }

  get isFree(): boolean {
    return this.awake && this.busyMs === 0;
  }

  /** What is played here, from within. */
  get playing(): RollbackSession {
    return this.desk.session!;
  }

  open<S>(simulation: Simulation<any, S>, options: RollbackOptions = {}): Rollback<any, S> {
    return this.desk.open(simulation, options) as Rollback<any, S>;
  }

  hear(from: number, bytes: Uint8Array): void {
    const reader = new PackReader(bytes);
    const count = reader.array(0xffff);
    const type = reader.int();
    if (reader.ok && count > 0) this.desk.receive(IDS[from]!, type, count, reader);
    else this.drops.push('malformed');
  }
}
