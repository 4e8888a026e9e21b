/** What became of each packet that was sent, against a model that remembers all of them. */
import { expect, it } from 'vitest';
import { createRng, type Rng } from '../sdk/base/rng.ts';
import { ReceivedPackets, SentPackets } from '../sdk/link/acks.ts';
import type { OutMessage } from '../sdk/link/reliable-send.ts';
import { ACK_BITS, SENT_WINDOW_PACKETS } from '../sdk/wire/limits.ts';
import { expectSame } from './same.ts';

interface Packet {
  state: 'flight' | 'acked' | 'lost';
  readonly at: number;
  readonly eliciting: boolean;
  readonly large: boolean;
  readonly bytes: number;
}

const MESSAGE = {} as OutMessage;

/** Sends, acknowledges in any order, gives up; after each step both know the same. */
class Twin {
  readonly #sent = new SentPackets();
  readonly #packets: Packet[] = [];
  readonly #rng: Rng;
  /** What was told of pieces in this step, by the number of their packet. */
  readonly #acked: number[] = [];
  readonly #lost: number[] = [];
  readonly #expectedLost: number[] = [];
  #largeLost = 0;
  #largeAcked = -1;
  #newest = -1;
  #now = 0;

  readonly #fate = {
    onPieceAcked: (_message: OutMessage, index: number): void => void this.#acked.push(index),
    onPieceLost: (_message: OutMessage, index: number): void => void this.#lost.push(index),
  };

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  get count(): number {
    return this.#packets.length;
  }

  #lose(seq: number): void {
    const packet = this.#packets[seq]!;
    packet.state = 'lost';
    if (packet.large && seq > this.#largeAcked) this.#largeLost++;
    if (packet.bytes > 0) this.#expectedLost.push(seq);
  }

  send(): void {
    const seq = this.count;
    this.#now += this.#rng.int(4);
    const overwritten = seq - SENT_WINDOW_PACKETS;
    if (this.#packets[overwritten]?.state === 'flight') this.#lose(overwritten);
    const packet: Packet = {
      ...{ state: 'flight', at: this.#now, eliciting: this.#rng.chance(0.7), large: this.#rng.chance(0.3) },
      bytes: this.#rng.chance(0.6) ? 1 + this.#rng.int(1_000) : 0,
    };
    this.#packets.push(packet);
    this.#sent.begin(this.#now, seq, packet.eliciting, this.#fate);
    if (packet.bytes > 0) this.#sent.piece(seq, MESSAGE, seq, packet.bytes);
    if (packet.large) this.#sent.large(seq);
    this.#check();
  }

  /** An acknowledgement as its receiver wrote it, be it a while ago. */
  acknowledge(newest: number, near: number, far: number): void {
    const named = [newest];
    for (let bit = 0; bit < ACK_BITS; bit++) if (((bit < 32 ? near >>> bit : far >>> (bit - 32)) & 1) === 1) named.push(newest - 1 - bit);
    const fresh = named
      .filter((seq) => seq > this.count - 1 - SENT_WINDOW_PACKETS && this.#packets[seq]!.state !== 'acked')
      .toSorted((a, b) => a - b);
    const acked: number[] = [];
    let bytes = 0;
    let sampleAt = -1;
    for (const seq of fresh) {
      const packet = this.#packets[seq]!;
      if (packet.state === 'flight' && packet.bytes > 0) {
        acked.push(seq);
        bytes += packet.bytes;
      }
      packet.state = 'acked';
      if (packet.eliciting) sampleAt = Math.max(sampleAt, packet.at);
      if (packet.large && seq > this.#largeAcked) {
        this.#largeAcked = seq;
        this.#largeLost = 0;
      }
    }
    this.#newest = Math.max(this.#newest, newest);
    expect(this.#sent.handleAck(newest, near, far, this.#fate)).toBe('ok');
    expectSame(
      this.#acked.toSorted((a, b) => a - b),
      acked,
    );
    const { newlyAckedBytes, newlyAckedPackets, newlyLostPackets, sampleSentAt } = this.#sent;
    expectSame([newlyAckedBytes, newlyAckedPackets, newlyLostPackets, sampleSentAt], [bytes, fresh.length, 0, sampleAt]);
    this.#acked.length = 0;
    this.#check();
  }

  /** What is three behind and old, or too far behind to be named, is lost. */
  detect(agoMs: number): void {
    const before = this.#now - agoMs;
    for (let seq = Math.max(0, this.count - SENT_WINDOW_PACKETS); seq <= this.#newest - 3; seq++) {
      const packet = this.#packets[seq]!;
      if (packet.state === 'flight' && (packet.at <= before || seq < this.#newest - ACK_BITS)) this.#lose(seq);
    }
    this.#sent.detectLost(before, 3, this.#fate);
    this.#check();
  }

  /** What was sent by then and holds something reliable is lost. */
  expire(agoMs: number): void {
    const before = this.#now - agoMs;
    let count = 0;
    for (let seq = Math.max(0, this.count - SENT_WINDOW_PACKETS); seq < this.count; seq++) {
      const packet = this.#packets[seq]!;
      if (packet.state !== 'flight' || packet.bytes === 0 || packet.at > before) continue;
      this.#lose(seq);
      count++;
    }
    this.#sent.expire(before, this.#fate);
    expect(this.#sent.newlyLostPackets).toBe(count);
    this.#check();
  }

  #check(): void {
    expectSame(
      this.#lost.toSorted((a, b) => a - b),
      this.#expectedLost.toSorted((a, b) => a - b),
    );
    this.#lost.length = 0;
    this.#expectedLost.length = 0;
    let [bytes, packets, oldestAt] = [0, 0, Infinity];
    for (let seq = Math.max(0, this.count - SENT_WINDOW_PACKETS); seq < this.count; seq++) {
      const packet = this.#packets[seq]!;
      if (packet.state !== 'flight' || packet.bytes === 0) continue;
      packets++;
      bytes += packet.bytes;
      oldestAt = Math.min(oldestAt, packet.at);
    }
    const { flightBytes, flightPackets, largeLost, acked } = this.#sent;
    expectSame(
      [flightBytes, flightPackets, this.#sent.oldestReliableAt(), largeLost, acked],
      [bytes, packets, oldestAt, this.#largeLost, this.#newest],
    );
  }
}

it('[LK77] each packet is acknowledged once or lost, as the acknowledgements say in whatever order they come, and nothing else of it is counted', () => {
  for (let seed = 1; seed <= 12; seed++) {
    const rng = createRng(seed);
    const twin = new Twin(rng);
    const received = new ReceivedPackets();
    /** Of a receiver that takes some packets, some late; what it wrote comes late, too, or never. */
    const [late, written]: [number[], (readonly [number, number, number])[]] = [[], []];
    const lossRatio = rng.float() * 0.5;
    const most = seed % 6 === 0 ? 1_600 : 300;
    while (twin.count < most) {
      // A jump of any width, at times just as wide as what an acknowledgement names.
      const leap = rng.chance(0.03) ? 30 + rng.int(40) : 1;
      for (let i = 0; i < leap; i++) twin.send();
      if (!rng.chance(lossRatio)) late.push(twin.count - 1);
      while (late.length > 0 && rng.chance(0.6)) {
        const [seq] = late.splice(rng.chance(0.8) ? 0 : rng.int(late.length), 1);
        received.record(0, seq!);
        written.push([received.newest, received.near, received.far]);
      }
      while (written.length > 0 && rng.chance(0.5)) {
        const [one] = written.splice(rng.chance(0.7) ? written.length - 1 : rng.int(written.length), 1);
        if (!rng.chance(0.2)) twin.acknowledge(...one!);
        if (rng.chance(0.5)) twin.detect(rng.int(rng.chance(0.5) ? 40 : 400));
      }
      if (rng.chance(0.05)) twin.expire(rng.int(60));
      // A number of long ago, whose place another packet may have by now: what it says of that one is nothing.
      if (rng.chance(0.02)) twin.acknowledge(Math.max(0, twin.count - 1_000 - rng.int(200)), 0, 0);
    }
  }
});

it('[LK62] a gap of any width leaves what was before it at its place, on both sides', () => {
  for (let gap = 1; gap <= 70; gap++) {
    const twin = new Twin(createRng(gap));
    const received = new ReceivedPackets();
    const arrive = (seq: number): void => {
      received.record(0, seq);
      twin.acknowledge(received.newest, received.near, received.far);
    };
    for (let i = 0; i < 80; i++) twin.send();
    for (let seq = 0; seq < 80; seq += 3) arrive(seq);
    for (let i = 0; i < gap; i++) twin.send();
    const newest = 78 + gap;
    arrive(newest);
    const named: number[] = [];
    for (let bit = 0; bit < ACK_BITS; bit++)
      if (((bit < 32 ? received.near >>> bit : received.far >>> (bit - 32)) & 1) === 1) named.push(newest - 1 - bit);
    expect(named).toEqual(Array.from({ length: 27 }, (_, i) => 78 - 3 * i).filter((seq) => seq >= newest - ACK_BITS));
    // Those of the gap come late, and each is settled once.
    for (let seq = newest - 1; seq > 78; seq--) arrive(seq);
    for (const first of [1, 2]) for (let seq = first; seq < 78; seq += 3) if (seq > newest - ACK_BITS) arrive(seq);
  }
});

it('[LK77] what nobody ever acknowledged is lost when its number is forgotten', () => {
  const twin = new Twin(createRng(1));
  for (let i = 0; i < SENT_WINDOW_PACKETS + 100; i++) twin.send();
});
