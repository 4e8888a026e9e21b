/** Behind the encryption: packets of a member, reassembly, acknowledgements, and the handshake before it. */
import type { PeerId } from '../../../sdk/base/brand.ts';
import { createRng } from '../../../sdk/base/rng.ts';
import { SentPackets, ReceivedPackets } from '../../../sdk/link/acks.ts';
import { DROP_REASONS } from '../../../sdk/link/drops.ts';
import { Endpoint } from '../../../sdk/link/endpoint.ts';
import type { LinkId } from '../../../sdk/link/endpoint-types.ts';
import { HeldBudget } from '../../../sdk/link/held-budget.ts';
import { Link } from '../../../sdk/link/link.ts';
import { ReliableReceive } from '../../../sdk/link/reliable-receive.ts';
import type { OutMessage } from '../../../sdk/link/reliable-send.ts';
import { Session } from '../../../sdk/secure/session.ts';
import { NonceRegistry, createSimCrypto } from '../../../sdk/testing/sim-crypto.ts';
import { FrameWriter, fragmentCount, fragmentStride } from '../../../sdk/wire/frame.ts';
import { LANE_WINDOW_MESSAGES, MAX_MESSAGE_BYTES, MAX_RECEIVE_HELD_BYTES, REPLAY_WINDOW_PACKETS } from '../../../sdk/wire/limits.ts';
import { PROLOGUE, ROOM } from '../../accept/parts/victim.ts';
import { Insider, drain } from '../../accept/parts/insider.ts';
import { broken, sameBytes, type Target, type TargetFile } from '../target.ts';
import { honestFrames, hostile } from './wire.ts';

const REASONS: ReadonlySet<string> = new Set(DROP_REASONS);

/**
 * One link, fed the packets of one input: `kind, size u16, bytes` again and again, where kind picks what
 * happens around the packet (time passes, we send, the source changes). Then an honest packet has to be
 * understood, unless the link was closed for what came before.
 */
function link(): Target {
  const pieces = (...packets: readonly (readonly [kind: number, bytes: Uint8Array])[]): Uint8Array =>
    new Uint8Array(Buffer.concat(packets.map(([kind, bytes]) => Buffer.concat([Buffer.from([kind, bytes.length >>> 8, bytes.length]), bytes]))));
  const fragments = (length: number, order: readonly number[]): Uint8Array => {
    const writer = new FrameWriter(1_400);
    writer.begin(1_400);
    for (const index of order) writer.fragment(1, 0, index, fragmentCount(length), new Uint8Array(length).fill(index));
    return writer.bytes.slice(0, writer.at);
  };
  const frames = (write: (w: FrameWriter) => void): Uint8Array => {
    const writer = new FrameWriter(1_400);
    writer.begin(1_400);
    write(writer);
    return writer.bytes.slice(0, writer.at);
  };
  const writer = new FrameWriter(1_400);
  writer.begin(1_400);
  writer.unreliable(5, Uint8Array.of(9, 9, 9));
  const honest = writer.bytes.slice(0, writer.at);
  const room = new Uint8Array(1_600);
  return {
    seeds: [
      pieces([0, honestFrames()], [1, honestFrames()]),
      pieces([2, frames((w) => w.ack(1, 1, 0, 0.5))], [3, frames((w) => w.ack(3, 7, 0, 0.5))]),
      pieces([0, fragments(1_300, [0, 2])], [0, fragments(1_300, [1, 3, 4])]),
      pieces(
        [0, frames((w) => w.reliable(0, 2, honest))],
        [4, frames((w) => w.reliable(0, 1, honest))],
        [0, frames((w) => w.reliable(0, 0, honest))],
      ),
      pieces([5, frames((w) => w.ping(1))], [6, frames((w) => w.path(6, new Uint8Array(8)))], [7, frames((w) => w.mtuAck(1_452))]),
      pieces([0, frames((w) => w.mtuProbe(1_427))]),
      pieces([0, frames((w) => w.close(0))]),
      ...hostile('session').map((bytes) => pieces([0, bytes.subarray(0, 1_380)])),
    ],
    run: (bytes) => {
      const budget = new HeldBudget();
      let delivered = 0;
      let last = 0;
      let closed: string | undefined;
      const it = new Link(0, {
        id: 1 as LinkId,
        peer: 'abcdefghijklmnop' as PeerId,
        address: { host: 'h', port: 1 },
        rng: createRng(5),
        random: (size) => new Uint8Array(size),
        budget,
        sink: {
          onMessage: (_link, _channel, lane, body) => {
            delivered += body.length;
            last = lane;
          },
          onSilent: () => {},
          onMoved: () => {},
          onClosed: (_link, reason) => (closed = reason),
          onDrop: (reason) => {
            if (!REASONS.has(reason)) broken(`unknown reason ${reason}`);
          },
        },
      });
      let now = 0;
      let fed = 0;
      let sent = 0;
      let seq = 0;
      let at = 0;
      const settle = (): void => {
        for (let n = 0; it.pollPacket(now); n++) {
          sent++;
          if (n > 64) broken('more packets at once than anything asks for');
        }
        if (it.nextTimeout() <= now) it.handleTimeout(now);
      };
      settle();
      while (at + 3 <= bytes.length && fed < 60) {
        const kind = bytes[at]!;
        const size = Math.min((bytes[at + 1]! << 8) | bytes[at + 2]!, bytes.length - at - 3, 1_425);
        room.set(bytes.subarray(at + 3, at + 3 + size));
        at += 3 + size;
        now += kind & 1 ? 40 : 3;
        if (kind & 2) it.send(now, 'reliable', new Uint8Array(100 + (kind >>> 4) * 100), kind >>> 5);
        if (kind & 2) it.flush();
        settle();
        if (kind & 8) seq += kind >>> 4;
        it.handlePacket(now, seq++, room, size, size + 27, kind & 4 ? 'elsewhere' : 'h', kind & 4 ? kind : 1);
        fed++;
        settle();
        if (budget.usedBytes > MAX_RECEIVE_HELD_BYTES + 64 + 64 * 4_000) broken(`holds ${budget.usedBytes} bytes`);
      }
      if (sent > 200 + 40 * (fed + 1)) broken(`${sent} packets for ${fed}`);
      if (delivered > bytes.length + MAX_MESSAGE_BYTES) broken('delivered more than came');
      if (closed !== undefined || it.finished) {
        it.handleTimeout(now + 30_000);
        while (it.pollPacket(now + 30_000));
        if (it.finished && budget.usedBytes !== 0) broken('holds memory after the end');
        return;
      }
      room.set(honest);
      const before = delivered;
      it.handlePacket(now + 1, seq, room, honest.length, honest.length + 27, 'h', 1);
      if (delivered !== before + 3 || last !== 5) broken('the next honest packet was not understood');
    },
  };
}

/** The same through a whole endpoint: sealed by a member, opened by its session. Slower, so run less often. */
function sealed(): Target {
  const crypto = createSimCrypto(createRng(9), new NonceRegistry());
  let now = 1_000;
  let lives = 0;
  const victim = (): Endpoint => {
    const made = new Endpoint({
      crypto,
      rng: createRng(lives),
      identity: crypto.generateKeyPair(),
      roomId: ROOM,
      joinPort: 1,
      sessionPort: 2,
      prologue: PROLOGUE,
    });
    made.setDoor({ open: true, code: undefined, roomKey: undefined });
    return made;
  };
  let target = victim();
  let insider: Insider | undefined;
  return {
    seeds: [honestFrames(), ...hostile('session')],
    run: (bytes) => {
      now += 3;
      if (insider === undefined || !insider.linked || insider.events.length > 5_000) {
        if (lives++ % 20 === 0) target = victim();
        now += 1_000;
        target.handleTimeout(now);
        drain(now, target);
        insider = new Insider(crypto, target, ROOM, PROLOGUE, `h${lives}`);
        if (!insider.connect(now)) return;
      }
      insider.inbox.length = 0;
      // Half of the inputs are the packet inside, half are the sealed datagram itself, spoilt.
      const inside = bytes.subarray(0, 1_400);
      if (bytes.length % 2 === 0) insider.send(now, inside);
      else {
        const datagram = insider.seal(now, inside.subarray(8));
        for (let i = 0; i < 8 && i < bytes.length; i++) datagram[(bytes[i]! * 7 + i) % datagram.length]! ^= bytes[i]!;
        target.handleDatagram(now, 'session', insider.host, 2, datagram);
      }
      if (target.pollTimeout() <= now) target.handleTimeout(now);
      insider.collect(now);
      if (target.load.heldBytes > MAX_RECEIVE_HELD_BYTES * 2) broken('more held than allowed');
    },
  };
}

/** Sealed datagrams at a session: what is not authentic changes nothing. */
function session(): Target {
  const crypto = createSimCrypto(createRng(3), new NonceRegistry());
  const key = new Uint8Array(32).fill(7);
  const other = new Uint8Array(32).fill(8);
  const sender = new Session({ crypto, sendKey: key, receiveKey: other, remoteCid: 5, now: 0 });
  const out = new Uint8Array(1_600);
  const sealedBytes = (plain: Uint8Array): Uint8Array => out.slice(0, sender.seal(0, plain, out));
  const seeds = Array.from({ length: 12 }, (_, i) => sealedBytes(new Uint8Array(i * 20).fill(i)));
  const receiver = new Session({ crypto, sendKey: other, receiveKey: key, remoteCid: 6, now: 0 });
  const plain = new Uint8Array(1_600);
  const opened = new Set<string>();
  let honest = 12;
  return {
    seeds,
    run: (bytes) => {
      const size = receiver.open(1, bytes, plain);
      if (typeof size === 'number') {
        const name = Buffer.from(bytes).toString('hex');
        if (opened.has(name)) broken('opened twice');
        if (!seeds.some((seed) => sameBytes(seed, bytes))) broken('opened what was never sealed');
        opened.add(name);
      }
      // Now and then an honest one, so that the window moves on.
      if (bytes.length % 16 !== 3) return;
      const next = sealedBytes(bytes.subarray(0, 64));
      const got = receiver.open(1, next, plain);
      if (typeof got !== 'number' || !sameBytes(plain.subarray(0, got), bytes.subarray(0, 64))) broken('the next honest packet does not open');
      if (receiver.open(1, next, plain) !== 'replayed') broken('opened a second time');
      if (++honest < REPLAY_WINDOW_PACKETS) return;
      opened.clear();
    },
  };
}

/**
 * Reassembly against a model: what is delivered is each message once, in order, with the bytes that its
 * pieces had; what is held stays within the bound. An input is a list of pieces: lane, id, index (255: whole), length.
 */
function reassembly(): Target {
  const source = new Uint8Array(MAX_MESSAGE_BYTES);
  const op = (lane: number, id: number, index: number, length: number): number[] => [lane, id >>> 8, id, index, length >>> 8, length];
  const many = (...ops: readonly number[][]): Uint8Array => new Uint8Array(ops.flat());
  return {
    seeds: [
      many(op(0, 0, 255, 10), op(0, 2, 255, 10), op(0, 1, 255, 10)),
      many(op(1, 0, 0, 1_300), op(1, 0, 1, 1_300), op(1, 0, 2, 1_300), op(1, 0, 3, 1_300), op(1, 0, 4, 1_300)),
      many(...Array.from({ length: 10 }, (_, i) => op(i, i, 0, 2_000 + i))),
      many(op(2, 1_023, 255, 5), op(2, 1_024, 255, 5)),
      many(op(3, 1, 255, 20), op(3, 1, 0, 1_300), op(3, 1, 0, 1_500)),
      many(...Array.from({ length: 120 }, (_, i) => op(4, 1 + i, 255, 60_000))),
    ],
    run: (bytes) => {
      const budget = new HeldBudget();
      const lanes = Array.from({ length: 8 }, () => ({ next: 0, open: new Map<number, Claim>() }));
      const came: string[] = [];
      const receive = new ReliableReceive(budget, { evict: () => {} }, (lane, body) => {
        const id = lanes[lane]!.next + came.length;
        came.push(`${lane} ${body.length} ${body.some((byte) => byte !== ((id * 7 + lane) & 255)) ? 'spoilt' : 'whole'}`);
      });
      for (let at = 0; at + 6 <= bytes.length; at += 6) {
        const laneIndex = bytes[at]! & 7;
        const lane = lanes[laneIndex]!;
        const id = (bytes[at + 1]! << 8) | bytes[at + 2]!;
        const length = (bytes[at + 4]! << 8) | bytes[at + 5]!;
        const whole = bytes[at + 3] === 255 || fragmentCount(length) === 1;
        const count = whole ? 1 : fragmentCount(length);
        const stride = fragmentStride(length, count);
        const index = whole ? 0 : bytes[at + 3]! % count;
        const size = whole ? Math.min(length, 1_400) : index === count - 1 ? length - stride * index : stride;
        const claim: Claim = { whole, length: whole ? size : length, count, seen: new Set() };
        source.fill((id * 7 + laneIndex) & 255, 0, size);
        came.length = 0;
        const verdict = whole
          ? receive.whole(at, laneIndex, id, source, 0, size)
          : receive.fragment(at, laneIndex, id, index, count, length, source, 0, size);
        const due: string[] = [];
        const known = lane.open.get(id);
        if (id < lane.next) {
          if (verdict !== 'ok') broken('an old piece was not taken for one');
        } else if (id >= lane.next + LANE_WINDOW_MESSAGES) {
          if (verdict !== 'broken') broken('took a message beyond the window');
        } else if (known !== undefined && (known.whole !== whole || (!whole && known.length !== length))) {
          if (verdict !== 'broken') broken('two messages under one number');
        } else if (verdict === 'ok') {
          const entry = known ?? claim;
          entry.seen.add(index);
          lane.open.set(id, entry);
          for (
            let head = lane.open.get(lane.next);
            head !== undefined && head.seen.size === head.count;
            head = lane.open.get(lane.next + due.length)
          ) {
            due.push(`${laneIndex} ${head.length} whole`);
          }
        }
        if (came.join() !== due.join()) broken(`delivered [${came.join()}] where [${due.join()}] was due`);
        for (let n = 0; n < due.length; n++) lane.open.delete(lane.next++);
        if (budget.usedBytes > MAX_RECEIVE_HELD_BYTES + 128) broken(`holds ${budget.usedBytes} bytes`);
      }
      receive.release();
      if (budget.usedBytes !== 0) broken('holds memory after the end');
    },
  };
}

/** A message that the model knows of. */
interface Claim {
  readonly whole: boolean;
  readonly length: number;
  readonly count: number;
  readonly seen: Set<number>;
}

/** Acknowledgements of anything: accounts stay right, and only what was sent is ever acknowledged. */
function acks(): Target {
  const message = (open: number): OutMessage =>
    ({ lane: 0, id: 0, cost: 1, count: open, bytes: new Uint8Array(0), next: 0, open, done: undefined }) as unknown as OutMessage;
  const op = (kind: number, a: number, near: number, far: number): number[] => [kind, a, ...u32(near), ...u32(far)];
  return {
    seeds: [
      new Uint8Array([...op(0, 5, 0, 0), ...op(1, 0, 0xffff_ffff, 0), ...op(2, 9, 0, 0)]),
      new Uint8Array([...op(0, 90, 0, 0), ...op(1, 20, 0xffff_fffe, 0xffff_ffff), ...op(3, 4, 0, 0), ...op(1, 0, 5, 9)]),
      new Uint8Array([...op(0, 255, 0, 0), ...op(4, 3, 0, 0), ...op(0, 255, 0, 0), ...op(1, 200, 1, 1), ...op(1, 1, 0xffff_ffff, 0xffff_ffff)]),
      new Uint8Array([...op(1, 255, 0, 0)]),
    ],
    run: (bytes) => {
      const sent = new SentPackets();
      const received = new ReceivedPackets();
      const fates = new Map<number, string>();
      const fate = {
        onPieceAcked: (_message: OutMessage, index: number) => {
          if (fates.get(index) === 'acked') broken('a piece was acknowledged twice');
          fates.set(index, 'acked');
        },
        onPieceLost: (_message: OutMessage, index: number) => {
          if (fates.get(index) === 'acked') broken('a piece was lost after it was acknowledged');
          fates.set(index, 'lost');
        },
      };
      const out = message(1);
      let seq = 0;
      let now = 0;
      const skipped = new Set<number>();
      for (let at = 0; at + 10 <= bytes.length; at += 10) {
        const [kind, a] = [bytes[at]! % 6, bytes[at + 1]!];
        const near = read32(bytes, at + 2);
        const far = read32(bytes, at + 6);
        now += 1;
        if (kind === 0) {
          for (let i = 0; i <= a; i++) {
            sent.begin(now, seq, true, fate);
            if ((i & 3) !== 3) sent.piece(seq, out, seq, 100);
            seq++;
          }
        } else if (kind === 1) {
          const newest = seq - 1 - a + (a === 255 ? 300 : 0);
          if (newest < 0) continue;
          const lies = newest >= seq || named(newest, near, far).some((n) => skipped.has(n) && n > seq - 1_024);
          const verdict = sent.handleAck(newest, near, far, fate);
          if (newest >= seq && verdict !== 'unsent') broken('took an acknowledgement of what never left');
          if (lies && verdict !== 'unsent') broken('took an acknowledgement of a number that was skipped');
          if (verdict === 'unsent' && !lies && newest - 64 >= 0) broken('called an honest acknowledgement a lie');
          if (verdict === 'unsent') return;
        } else if (kind === 2) sent.detectLost(now - a / 16, 3, fate);
        else if (kind === 3) sent.expire(now - a / 16, fate);
        else if (kind === 4) {
          skipped.add(seq);
          sent.skip(seq++, fate);
        } else received.record(now, near >>> (a & 31));
        if (sent.flightBytes < 0 || sent.flightPackets < 0) broken('less than nothing in flight');
        if (sent.flightPackets === 0 && sent.flightBytes !== 0) broken('bytes in flight without a packet');
        if ((sent.oldestReliableAt() === Infinity) !== (sent.flightPackets === 0)) broken('the oldest packet in flight is not found');
      }
    },
  };
}

function named(newest: number, near: number, far: number): number[] {
  const out = [newest];
  for (let bit = 0; bit < 32; bit++) {
    if ((near >>> bit) & 1) out.push(newest - 1 - bit);
    if ((far >>> bit) & 1) out.push(newest - 33 - bit);
  }
  return out;
}

const u32 = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
const read32 = (b: Uint8Array, at: number): number => ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0;

export const links: TargetFile = {
  targets: { link, sealed, session, reassembly, acks },
  decoders: {
    'sdk/link/inbound.ts': ['class Inbound'],
    'sdk/link/reliable-receive.ts': ['class ReliableReceive'],
    'sdk/link/acks.ts': ['class ReceivedPackets', 'class NamedPackets', 'class SentPackets'],
    'sdk/link/realtime.ts': ['class SequencedReceive'],
    'sdk/secure/session.ts': ['open('],
    'sdk/secure/replay-window.ts': ['class ReplayWindow'],
  },
};
