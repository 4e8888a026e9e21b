/** Peers of one simulation joined by a queue, under a clock, a roster and a host that are moved by hand: what tests and fuzzing of its words share. */
import type { Rollback, RollbackOptions, Simulation } from 'lanista';
import type { PeerId, RoomId, Slot } from '../sdk/base/brand.ts';
import type { PortRoster, SeatStatus } from '../sdk/port/port.ts';
import { RollbackDesk } from '../sdk/room/rollback.ts';
import { PackReader } from '../sdk/wire/pack.ts';

export const IDS = ['aaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbb', 'cccccccccccccccc', 'dddddddddddddddd'] as unknown as readonly PeerId[];

export interface Said {
  readonly at: number;
  readonly from: number;
  readonly to: number;
  readonly how: 'reliable' | 'unreliable';
  readonly bytes: Uint8Array;
}

export class Rig {
  now = 1_000;
  host = 0;
  term = 1;
  readonly seats: RigSeat[] = [];
  readonly status: SeatStatus[];
  readonly spectators = new Set<number>();
  readonly queue: Said[] = [];
  /** Sees what one says to another; false: it is lost. */
  onSend: ((said: Said) => boolean | void) | undefined;
  /** What `send` answers. */
  takes = true;

  /** @param count of seats; those beyond `playing` only stand in the roster. */
  constructor(count: number, playing = count) {
    this.status = Array.from({ length: count }, () => 'present');
    for (let i = 0; i < playing; i++) this.seats.push(new RigSeat(this, i));
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
      peers: this.status.map((status, i) => ({
        id: IDS[i]!,
        slot: i as Slot,
        status,
        spectator: this.spectators.has(i),
        eligible: true,
        via: undefined,
      })),
    };
  }

  /** Another host, from now on. */
  moveHost(to: number): void {
    this.host = to;
    this.term++;
  }

  send(said: Said): boolean {
    if (!this.takes) return false;
    if (this.onSend?.(said) !== false && said.to < this.seats.length) this.queue.push(said);
    return true;
  }

  deliver(): void {
    for (let said = this.queue.shift(); said !== undefined; said = this.queue.shift()) this.seats[said.to]!.hear(said.from, said.bytes);
  }

  /** Lets `ms` pass, in steps of `stepMs`. */
  play(ms: number, stepMs = 10): void {
    for (let at = 0; at < ms; at += stepMs) {
      this.now += stepMs;
      for (const seat of this.seats) seat.desk.run(this.now);
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

  constructor(rig: Rig, index: number) {
    this.rig = rig;
    this.index = index;
    this.session = 100 + index;
    this.desk = new RollbackDesk({
      self: IDS[index]!,
      session: this.session,
      sessionOf: (peer) => rig.seats[IDS.indexOf(peer)]?.session ?? 100 + IDS.indexOf(peer),
      roster: () => rig.roster(),
      present: () => IDS.filter((_, i) => i !== index && rig.status[i] === 'present'),
      now: () => rig.now,
      roomTime: () => rig.now,
      transitMs: () => this.transitMs,
      send: (to, how, bytes) => rig.send({ at: rig.now, from: index, to: IDS.indexOf(to), how, bytes: bytes.slice() }),
      drop: (reason) => void this.drops.push(reason),
      failed: (what, cause) => void this.failures.push(`${what}: ${String(cause)}`),
      foreign: (peer) => void this.strangers.push(peer),
      tooLarge: (detail) => void this.tooLarge.push(detail),
      wake: () => undefined,
    });
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
