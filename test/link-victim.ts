/** One link without a network: packets are handed in as a member who holds the keys would send them. */
import { createRng } from '../sdk/base/rng.ts';
import type { PeerId } from '../sdk/base/brand.ts';
import type { CloseReason, LinkId } from '../sdk/link/endpoint-types.ts';
import { HeldBudget } from '../sdk/link/held-budget.ts';
import { Link } from '../sdk/link/link.ts';
import { FRAME_ACK, FrameReader, FrameWriter } from '../sdk/wire/frame.ts';

export interface Victim {
  readonly link: Link;
  readonly drops: string[];
  readonly messages: Uint8Array[];
  closed: CloseReason | undefined;
  /** How often that was told. */
  closes: number;
  /** Each time it fell silent, true; each time it was heard again, false. */
  readonly silences: boolean[];
  seq: number;
}

export function victim(budget = new HeldBudget(), seed = 1, host = 'h'): Victim {
  const drops: string[] = [];
  const messages: Uint8Array[] = [];
  const it: Victim = {
    drops,
    messages,
    closed: undefined,
    closes: 0,
    silences: [],
    seq: 0,
    link: new Link(0, {
      id: 1 as LinkId,
      peer: 'abcdefghijklmnop' as PeerId,
      address: { host, port: 1 },
      rng: createRng(seed),
      random: (size) => new Uint8Array(size),
      budget,
      sink: {
        onMessage: (_l, _c, _n, bytes) => messages.push(bytes),
        onSilent: (_l, silent) => it.silences.push(silent),
        onMoved: () => {},
        onClosed: (_l, reason) => {
          it.closed = reason;
          it.closes++;
        },
        onDrop: (reason) => drops.push(reason),
      },
    }),
  };
  return it;
}

const writer = new FrameWriter(1_500);

export function feed(it: Victim, write: (w: FrameWriter) => void, now = 1): void {
  writer.begin(1_400);
  write(writer);
  it.link.handlePacket(now, it.seq++, writer.bytes.slice(0, writer.at), writer.at, writer.at + 27, 'h', 1);
}

/** Newest number that the next packet acknowledges. */
export function acked(it: Victim, now: number): number {
  const reader = new FrameReader();
  let newest = -1;
  while (it.link.pollPacket(now)) {
    reader.reset(it.link.packetBuffer, it.link.packetBytes);
    if (reader.next() === FRAME_ACK) newest = reader.id;
  }
  return newest;
}

export function drain(it: Victim, now: number): number[] {
  const seqs: number[] = [];
  while (it.link.pollPacket(now)) seqs.push(it.link.outSeq);
  return seqs;
}
