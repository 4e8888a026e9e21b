/** What waits in a link, to be sent or to be delivered: what its sender promises, what its receiver takes, and what both give back. */
import { describe, expect, it } from 'vitest';
import { SentPackets } from '../sdk/link/acks.ts';
import { HeldBudget } from '../sdk/link/held-budget.ts';
import { RealtimeQueue, SequencedReceive } from '../sdk/link/realtime.ts';
import { ReliableReceive } from '../sdk/link/reliable-receive.ts';
import { ReliableSend, type OutMessage } from '../sdk/link/reliable-send.ts';
import { FRAME_FRAGMENT, FrameReader, FrameWriter, fragmentCount, fragmentStride } from '../sdk/wire/frame.ts';
import {
  HELD_OVERHEAD_BYTES,
  LANE_WINDOW_MESSAGES,
  MAX_MESSAGE_BYTES,
  MAX_OPEN_REASSEMBLIES,
  MAX_REALTIME_BYTES,
  MAX_RECEIVE_HELD_BYTES,
  MAX_SEND_HELD_BYTES,
} from '../sdk/wire/limits.ts';
import { expectSame } from './same.ts';

const owner = { evict: () => {} };

interface Piece {
  readonly seq: number;
  readonly lane: number;
  readonly id: number;
  readonly index: number;
  readonly bytes: Uint8Array;
}

/** A sender with its packets; what is acknowledged or lost is said packet by packet. */
class Sender {
  readonly budget = new HeldBudget();
  readonly send = new ReliableSend(this.budget, owner);
  readonly sent = new SentPackets();
  readonly #writer = new FrameWriter(1_452);
  readonly #reader = new FrameReader();
  readonly #messages = new Map<string, OutMessage>();
  #seq = 0;

  constructor() {
    const piece = this.sent.piece.bind(this.sent);
    this.sent.piece = (seq, message, index, bytes) => {
      this.#messages.set(`${message.lane} ${message.id}`, message);
      piece(seq, message, index, bytes);
    };
  }

  /** One packet; what is in it. */
  packet(room = 1_173): Piece[] {
    const seq = this.#seq++;
    this.sent.begin(seq, seq, true, this.send);
    this.#writer.begin(room);
    this.send.fill(this.#writer, this.sent, seq);
    this.#reader.reset(this.#writer.bytes, this.#writer.at);
    const pieces: Piece[] = [];
    for (let type = this.#reader.next(); type > 0; type = this.#reader.next()) {
      const { lane, id, a, bodyAt, bodySize } = this.#reader;
      pieces.push({ seq, lane, id, index: type === FRAME_FRAGMENT ? a : 0, bytes: this.#writer.bytes.slice(bodyAt, bodyAt + bodySize) });
    }
    return pieces;
  }

  /** Packets until there is nothing more to send. */
  all(room?: number): Piece[] {
    const pieces: Piece[] = [];
    for (let more = this.packet(room); more.length > 0; more = this.packet(room)) pieces.push(...more);
    expect(this.send.mayFill).toBe(false);
    return pieces;
  }

  ack(...pieces: readonly Piece[]): void {
    for (const { lane, id, index } of pieces) this.send.onPieceAcked(this.#messages.get(`${lane} ${id}`)!, index);
  }

  lose(...pieces: readonly Piece[]): void {
    for (const { lane, id, index } of pieces) this.send.onPieceLost(this.#messages.get(`${lane} ${id}`)!, index);
  }
}

const ids = (pieces: readonly Piece[]): number[] => [...new Set(pieces.map((piece) => piece.id))];

describe('a reliable sender', () => {
  it('[LK20] keeps to 1,024 messages of a lane between the oldest unsettled and the newest', () => {
    const it_ = new Sender();
    for (let i = 0; i < LANE_WINDOW_MESSAGES + 10; i++) expect(it_.send.push(0, 2, new Uint8Array(0))).toBe(true);
    const first = it_.all();
    expect(first).toHaveLength(LANE_WINDOW_MESSAGES);
    // What was acknowledged out of its turn makes no room; the oldest does, for all that are settled with it.
    it_.ack(...first.slice(1, 4));
    expect([it_.packet(), it_.send.mayFill]).toEqual([[], false]);
    it_.ack(first[0]!);
    expect(it_.send.mayFill).toBe(true);
    expect(ids(it_.all())).toEqual([1_024, 1_025, 1_026, 1_027]);
    // Another lane has a window of its own.
    it_.send.push(0, 3, new Uint8Array(0));
    expect(it_.all()).toHaveLength(1);
  });

  it('[LK64] has at most eight messages in fragments under way, whatever is acknowledged twice', () => {
    const it_ = new Sender();
    for (let i = 0; i < MAX_OPEN_REASSEMBLIES + 3; i++) it_.send.push(0, i % 6, new Uint8Array(1_200));
    const first = it_.all();
    const messages = new Set(first.map((piece) => `${piece.lane} ${piece.id}`));
    expect(messages.size).toBe(MAX_OPEN_REASSEMBLIES);
    const one = first.filter((piece) => piece.lane === first[0]!.lane && piece.id === first[0]!.id);
    expect(one).toHaveLength(5);
    for (let i = 0; i < 3; i++) it_.ack(...one.slice(0, 4));
    expect(it_.send.mayFill).toBe(false);
    it_.ack(...one);
    it_.ack(...one);
    expect(new Set(it_.all().map((piece) => `${piece.lane} ${piece.id}`)).size).toBe(1);
    it_.ack(...first);
    expect(new Set(it_.all().map((piece) => `${piece.lane} ${piece.id}`)).size).toBe(2);
    // Whole ones go on meanwhile.
    it_.send.push(0, 5, new Uint8Array(10));
    expect(it_.all()).toHaveLength(1);
  });

  it('[LK65] has at most 262,144 bytes sent and not settled, or one message of the largest size', () => {
    const it_ = new Sender();
    for (const size of [100_000, 100_000, 62_016 - 64, 1]) it_.send.push(0, 0, new Uint8Array(size));
    expect(ids(it_.all())).toEqual([0, 1, 2]);
    const whole = new Sender();
    for (const size of [MAX_MESSAGE_BYTES, 0]) whole.send.push(0, 0, new Uint8Array(size));
    const pieces = whole.all();
    expect([ids(pieces), pieces.length]).toEqual([[0], fragmentCount(MAX_MESSAGE_BYTES)]);
    whole.ack(...pieces);
    const last = whole.all();
    expect(ids(last)).toEqual([1]);
    whole.ack(...last);
    expect([whole.send.heldBytes, whole.budget.usedBytes, whole.send.waiting]).toEqual([0, 0, false]);
    // And the largest waits until all before it are settled.
    whole.send.push(0, 0, new Uint8Array(0));
    whole.send.push(0, 1, new Uint8Array(MAX_MESSAGE_BYTES));
    const small = whole.all();
    expect(small).toHaveLength(1);
    whole.ack(...small);
    expect(whole.all()).toHaveLength(pieces.length);
  });

  it('[LK25] takes 768 KiB for one peer, each message with 64 bytes more, and none above the largest size', () => {
    const { send, budget } = new Sender();
    expect(send.push(0, 0, new Uint8Array(MAX_MESSAGE_BYTES + 1))).toBe(false);
    expect(send.heldBytes).toBe(0);
    const size = MAX_SEND_HELD_BYTES / 4 - HELD_OVERHEAD_BYTES;
    expect([1, 2, 3].map(() => send.push(0, 0, new Uint8Array(size)))).toEqual([true, true, true]);
    expect([send.push(0, 0, new Uint8Array(size + 1)), send.push(0, 0, new Uint8Array(size)), send.push(0, 0, new Uint8Array(0))]).toEqual([
      false,
      true,
      false,
    ]);
    expect([send.heldBytes, budget.usedBytes]).toEqual([MAX_SEND_HELD_BYTES, MAX_SEND_HELD_BYTES]);
    expect([send.laneBytes(0), send.laneBytes(1)]).toEqual([MAX_SEND_HELD_BYTES, 0]);
    send.release();
    expect([send.heldBytes, budget.usedBytes, send.waiting, send.mayFill, send.laneBytes(0)]).toEqual([0, 0, false, false, 0]);
  });

  it('[LK20] settles in order: what came early is held until all before it has come', () => {
    const it_ = new Sender();
    for (let i = 0; i < 3; i++) it_.send.push(0, 0, new Uint8Array(36));
    const pieces = it_.all();
    it_.ack(pieces[2]!);
    it_.ack(pieces[1]!);
    it_.ack(pieces[1]!);
    expect(it_.send.heldBytes).toBe(300);
    it_.ack(pieces[0]!);
    expect(it_.send.heldBytes).toBe(0);
    it_.ack(...pieces);
    expect([it_.send.heldBytes, it_.budget.usedBytes]).toEqual([0, 0]);
  });

  it('[LK20] says again what was lost and has not come since, as often as it is lost, and nothing else', () => {
    const it_ = new Sender();
    const body = new Uint8Array(1_200).map((_, i) => i);
    it_.send.push(0, 1, body);
    it_.send.push(0, 1, new Uint8Array(20).fill(7));
    const pieces = it_.all();
    expect(pieces.map((piece) => piece.index)).toEqual([0, 1, 2, 3, 4, 0]);
    it_.lose(pieces[1]!, pieces[4]!, pieces[5]!);
    expect([it_.send.hasLost, it_.send.waiting, it_.send.mayFill]).toEqual([true, true, true]);
    it_.ack(pieces[4]!);
    it_.lose(pieces[4]!);
    it_.ack(pieces[0]!);
    const again = it_.all();
    it_.lose(pieces[0]!);
    expect(it_.send.hasLost).toBe(false);
    expect(again.map((piece) => [piece.id, piece.index])).toEqual([
      [0, 1],
      [1, 0],
    ]);
    expect(again[0]!.bytes).toEqual(body.slice(240, 480));
    expect([it_.send.hasLost, it_.send.waiting]).toEqual([false, false]);
    it_.lose(again[0]!);
    // Where the large one does not fit a smaller one behind it goes, and both stay in line.
    it_.lose(again[1]!);
    expect(it_.packet(40).map((piece) => piece.id)).toEqual([1]);
    expect(it_.packet(300).map((piece) => [piece.id, piece.index])).toEqual([[0, 1]]);
    it_.ack(...pieces, ...again);
    expect([it_.send.heldBytes, it_.send.waiting]).toEqual([0, false]);
    it_.lose(...pieces);
    expect(it_.send.waiting).toBe(false);
    it_.send.push(0, 1, body);
    const more = it_.all();
    it_.send.release();
    it_.lose(...more);
    expect([it_.send.waiting, it_.send.hasLost]).toEqual([false, false]);
  });

  it('[LK20] sends what it was given, whatever becomes of the caller’s bytes', () => {
    const it_ = new Sender();
    const body = new Uint8Array(30).fill(5);
    it_.send.push(0, 0, body);
    body.fill(6);
    expect(it_.all()[0]!.bytes).toEqual(new Uint8Array(30).fill(5));
  });

  it('[LK27] the mesh’s two lanes go first, the game’s six take turns', () => {
    const it_ = new Sender();
    for (let lane = 0; lane < 6; lane++) it_.send.push(0, lane, new Uint8Array(20_000));
    it_.packet();
    for (const lane of [6, 7]) it_.send.push(0, lane, new Uint8Array(100).fill(lane));
    expect(
      it_
        .packet()
        .map((piece) => piece.lane)
        .slice(0, 2),
    ).toEqual([7, 6]);
    const firsts = Array.from({ length: 12 }, () => it_.packet()[0]!.lane);
    expect(firsts.slice(0, 6).toSorted()).toEqual([0, 1, 2, 3, 4, 5]);
    expect(firsts.slice(6)).toEqual(firsts.slice(0, 6));
  });

  it('[LK25] a queue that was long is as good as new: thousands go in and out in order', () => {
    const it_ = new Sender();
    let [next, due] = [0, 0];
    let kept: Piece | undefined;
    for (let round = 0; round < 40; round++) {
      for (let i = 0; i < 200; i++) if (it_.send.push(0, 0, Uint8Array.of(next >>> 8, next & 255))) next++;
      const pieces = it_.all();
      for (const piece of pieces) expectSame([piece.id, (piece.bytes[0]! << 8) | piece.bytes[1]!], [due, due++]);
      // Always some are left, so that the list never empties.
      it_.ack(...pieces.slice(0, round === 39 ? undefined : -1));
      if (kept !== undefined) it_.ack(kept);
      kept = pieces.at(-1);
    }
    expect(due).toBe(8_000);
    it_.ack(kept!);
    expect(it_.send.heldBytes).toBe(0);
  });
});

describe('a reliable receiver', () => {
  const source = new Uint8Array(1_452);
  const make = (budget = new HeldBudget()): { receive: ReliableReceive; got: [number, Uint8Array][]; budget: HeldBudget } => {
    const got: [number, Uint8Array][] = [];
    return { receive: new ReliableReceive(budget, owner, (lane, bytes) => got.push([lane, bytes])), got, budget };
  };
  const body = (id: number, length: number): Uint8Array => new Uint8Array(length).map((_, i) => (i + id * 7) & 255);
  /** A piece as it lies in the buffer that packets are opened into, which is used again for the next. */
  const whole = (receive: ReliableReceive, lane: number, id: number, length: number): string => {
    source.fill(0xee);
    source.set(body(id, length), 20);
    const verdict = receive.whole(0, lane, id, source, 20, length);
    source.fill(0xdd);
    return verdict;
  };
  const piece = (
    receive: ReliableReceive,
    lane: number,
    id: number,
    index: number,
    length: number,
    count = fragmentCount(length),
    at = 33,
  ): string => {
    const stride = fragmentStride(length, count);
    const bytes = body(id, length).subarray(stride * index, Math.min(length, stride * (index + 1)));
    source.fill(0xee);
    source.set(bytes, at);
    const verdict = receive.fragment(0, lane, id, index, count, length, source, at, bytes.length);
    source.fill(0xdd);
    return verdict;
  };
  const all = (receive: ReliableReceive, lane: number, id: number, length: number): string[] =>
    Array.from({ length: fragmentCount(length) }, (_, index) => piece(receive, lane, id, index, length));

  it('[LK66] takes numbers up to 1,023 ahead of the one that is due, whole or in fragments', () => {
    const { receive, got } = make();
    expect([whole(receive, 0, LANE_WINDOW_MESSAGES, 5), whole(receive, 0, LANE_WINDOW_MESSAGES - 1, 5)]).toEqual(['broken', 'ok']);
    expect([piece(receive, 1, LANE_WINDOW_MESSAGES, 0, 1_300), piece(receive, 1, LANE_WINDOW_MESSAGES - 1, 0, 1_300)]).toEqual(['broken', 'ok']);
    expect(whole(receive, 0, 0, 5)).toBe('ok');
    expect([whole(receive, 0, LANE_WINDOW_MESSAGES, 5), whole(receive, 0, LANE_WINDOW_MESSAGES + 1, 5)]).toEqual(['ok', 'broken']);
    expect(got).toHaveLength(1);
  });

  it('[LK63] one number is one message: whole or in fragments, of one length and one count, whichever came first', () => {
    const { receive, got, budget } = make();
    expect([piece(receive, 0, 1, 0, 1_300), whole(receive, 0, 1, 5), piece(receive, 0, 1, 1, 1_301), piece(receive, 0, 1, 1, 1_300, 6)]).toEqual([
      'ok',
      'broken',
      'broken',
      'broken',
    ]);
    expect([whole(receive, 0, 2, 5), piece(receive, 0, 2, 0, 1_300), whole(receive, 0, 2, 9)]).toEqual(['ok', 'broken', 'ok']);
    // Its turn has come: the one that is not complete is still in fragments.
    expect([whole(receive, 0, 0, 3), whole(receive, 0, 1, 5)]).toEqual(['ok', 'broken']);
    expect(all(receive, 0, 1, 1_300)).toEqual(['ok', 'ok', 'ok', 'ok', 'ok']);
    expect(got).toEqual([
      [0, body(0, 3)],
      [0, body(1, 1_300)],
      [0, body(2, 5)],
    ]);
    // What was delivered is old, in whatever form it comes again.
    expect([whole(receive, 0, 1, 5), piece(receive, 0, 1, 0, 1_300), piece(receive, 0, 0, 0, 2_000)]).toEqual(['ok', 'ok', 'ok']);
    expect([got.length, budget.usedBytes]).toEqual([3, 0]);
  });

  it('[LK67] counts a fragment once, wherever in a packet it lies, and keeps no view of the packet', () => {
    const { receive, got } = make();
    const length = 1_301;
    // The last one is shorter, and lies where the others lie.
    for (let i = 0; i < 3; i++) for (const index of [4, 0, 1, 3]) expect(piece(receive, 0, 0, index, length)).toBe('ok');
    expect(got).toEqual([]);
    expect(piece(receive, 0, 0, 2, length, undefined, 400)).toBe('ok');
    expect(got).toEqual([[0, body(0, length)]]);
    // Early ones are held as they were.
    expect([whole(receive, 0, 3, 30), whole(receive, 0, 2, 20), whole(receive, 0, 1, 10)]).toEqual(['ok', 'ok', 'ok']);
    expect(got.slice(1)).toEqual([1, 2, 3].map((id) => [0, body(id, id * 10)]));
  });

  it('[LK64] has eight open at once, and room again for each that is complete, delivered or not', () => {
    const { receive } = make();
    for (let id = 0; id < MAX_OPEN_REASSEMBLIES; id++) expect(piece(receive, id, 1, 0, 1_300)).toBe('ok');
    expect(piece(receive, 0, 2, 0, 1_300)).toBe('broken');
    expect(all(receive, 3, 1, 1_300).at(-1)).toBe('ok');
    expect([piece(receive, 0, 2, 0, 1_300), piece(receive, 0, 3, 0, 1_300)]).toEqual(['ok', 'broken']);
  });

  it('[LK65] holds one message of the largest size and nothing beside it; each costs 64 bytes more, also one of nothing', () => {
    const { receive, budget } = make();
    expect(piece(receive, 0, 0, 0, MAX_MESSAGE_BYTES)).toBe('ok');
    expect(budget.usedBytes).toBe(MAX_MESSAGE_BYTES + HELD_OVERHEAD_BYTES);
    expect([whole(receive, 1, 1, 0), piece(receive, 1, 1, 0, 1_300)]).toEqual(['broken', 'broken']);
    receive.release();
    expect(budget.usedBytes).toBe(0);
    const small = make();
    let held = 0;
    for (let lane = 0; lane < 8; lane++) for (let id = 1; id < LANE_WINDOW_MESSAGES; id++) if (whole(small.receive, lane, id, 0) === 'ok') held++;
    expect(held).toBe(MAX_RECEIVE_HELD_BYTES / HELD_OVERHEAD_BYTES + 1);
    // All that is delivered is given back.
    for (let lane = 0; lane < 8; lane++) whole(small.receive, lane, 0, 0);
    expect([small.got.length, small.budget.usedBytes]).toEqual([held + 8, 0]);
  });
});

describe('realtime messages', () => {
  const writer = new FrameWriter(70_000);
  const reader = new FrameReader();
  const filled = (queue: RealtimeQueue, room: number): number[] => {
    writer.begin(room);
    queue.fill(writer);
    reader.reset(writer.bytes, writer.at);
    const values: number[] = [];
    for (let type = reader.next(); type > 0; type = reader.next()) values.push(writer.bytes[reader.bodyAt]!);
    return values;
  };

  it('[LK25] wait up to 64 KiB for one peer; the rest of such a tick is refused, and the next tick is not', () => {
    const queue = new RealtimeQueue();
    for (let round = 0; round < 3; round++) {
      let taken = 0;
      while (queue.unreliable(0, new Uint8Array(997).fill(taken))) taken++;
      expect(taken).toBe(Math.floor(MAX_REALTIME_BYTES / 1_000));
      expect([queue.sequenced(0, new Uint8Array(997)), queue.waitingBytes]).toEqual([false, taken * 1_000]);
      expect(filled(queue, 70_000)).toHaveLength(taken);
      expect([queue.waiting, queue.waitingBytes]).toEqual([false, 0]);
    }
  });

  it('[LK23] leave whole and in order, as many as fit; one that fits no more is dropped alone', () => {
    const queue = new RealtimeQueue();
    for (const [value, size] of [
      [1, 100],
      [2, 200],
      [3, 50],
      [4, 900],
    ] as const)
      queue.unreliable(0, new Uint8Array(size).fill(value));
    expect(filled(queue, 102)).toEqual([]);
    expect([filled(queue, 103), filled(queue, 300), queue.waitingBytes]).toEqual([[1], [2, 3], 903]);
    expect([filled(queue, 902), queue.waiting]).toEqual([[], true]);
    queue.unreliable(0, Uint8Array.of(5));
    queue.dropFirst();
    expect([queue.waiting, queue.waitingBytes]).toEqual([true, 4]);
    queue.dropFirst();
    queue.dropFirst();
    expect([queue.waiting, queue.waitingBytes, filled(queue, 900)]).toEqual([false, 0, []]);
    queue.unreliable(0, Uint8Array.of(6));
    expect(filled(queue, 900)).toEqual([6]);
  });

  it('[LK22] have numbers of their own per lane; the newest comes once', () => {
    const queue = new RealtimeQueue();
    for (const lane of [0, 1, 1, 7, 0]) queue.sequenced(lane, Uint8Array.of(lane));
    writer.begin(1_000);
    queue.fill(writer);
    reader.reset(writer.bytes, writer.at);
    const numbers: number[][] = [];
    while (reader.next() > 0) numbers.push([reader.lane, reader.id]);
    expect(numbers).toEqual([
      [0, 0],
      [1, 0],
      [1, 1],
      [7, 0],
      [0, 1],
    ]);
    const receive = new SequencedReceive();
    expect([0, 0, 5, 4, 5, 6, 2 ** 32 - 1, 2 ** 32 - 1, 7].map((id) => receive.accept(3, id))).toEqual([
      true,
      false,
      true,
      false,
      false,
      true,
      true,
      false,
      false,
    ]);
    expect(receive.accept(4, 0)).toBe(true);
  });
});

it('[LK20] messages of every lane pass from a sender to a receiver through a path that loses every third packet', () => {
  const sender = new Sender();
  const got: [number, number][] = [];
  const receive = new ReliableReceive(new HeldBudget(), owner, (lane, bytes) => got.push([lane, bytes.length]));
  const sizes = [0, 1, 1_120, 1_121, 5_000, 30_000];
  for (const size of sizes) for (let lane = 0; lane < 8; lane++) expect(sender.send.push(0, lane, new Uint8Array(size))).toBe(true);
  for (let turn = 0; sender.send.heldBytes > 0; turn++) {
    expect(turn).toBeLessThan(2_000);
    const pieces = sender.packet();
    if (turn % 3 === 2) {
      sender.lose(...pieces);
      continue;
    }
    for (const { lane, id, index, bytes } of pieces) {
      const length = sizes[id]!;
      const verdict =
        fragmentCount(length) === 1
          ? receive.whole(0, lane, id, bytes, 0, bytes.length)
          : receive.fragment(0, lane, id, index, fragmentCount(length), length, bytes, 0, bytes.length);
      expect(verdict).toBe('ok');
    }
    sender.ack(...pieces);
  }
  for (let lane = 0; lane < 8; lane++) expect(got.filter((one) => one[0] === lane).map((one) => one[1])).toEqual(sizes);
});
