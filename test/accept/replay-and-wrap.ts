/** A sealed packet is taken once, wherever in the sequence it stands, and a late one is not lost for it. */
import { createRng } from '../../sdk/base/rng.ts';
import { loadCrypto } from '../../sdk/node/crypto.ts';
import { MAX_SEQ, Session } from '../../sdk/secure/session.ts';
import { REPLAY_WINDOW_PACKETS } from '../../sdk/wire/limits.ts';
import type { AcceptOptions, AcceptResult } from './rows.ts';

/** How far the random network holds packets back; past it, the window may say "stale". */
const SPREAD = 600;

export async function accept({ small, seed }: AcceptOptions): Promise<AcceptResult> {
  const crypto = await loadCrypto();
  const perStart = small ? 20_000 : 333_300;
  const counts = { packets: 0, deliveries: 0, replaysAccepted: 0, validRejected: 0, staleAccepted: 0, sealedPastTheEnd: 0, exhausted: 0 };
  for (const first of [0, 2 ** 16 - 100, 2 ** 32 - 100, 2 ** 48 - 100]) run(first, Math.min(perStart, MAX_SEQ - first + 1));
  const value = counts.replaysAccepted + counts.validRejected + counts.staleAccepted + counts.sealedPastTheEnd;
  return {
    value,
    unit: 'replays accepted, plus valid packets rejected',
    target: '0 of 1,000,000 packets from 0, 2^16-100, 2^32-100, 2^48-100',
    pass: value === 0,
    details: { ...counts, provider: crypto.name },
  };

  function run(first: number, total: number): void {
    const rng = createRng(seed + (first % 1_000_003));
    const [k1, k2] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
    const sender = new Session({ crypto, sendKey: k1, receiveKey: k2, remoteCid: 7, now: 0, firstSeq: first });
    const receiver = new Session({ crypto, sendKey: k2, receiveKey: k1, remoteCid: 8, now: 0 });
    const plain = new Uint8Array(20);
    const out = new Uint8Array(100);
    const opened = new Uint8Array(100);
    const flight: { at: number; seq: number; bytes: Uint8Array }[] = [];
    const taken = new Set<number>();
    let newest = -1;
    const deliver = (item: { seq: number; bytes: Uint8Array }): void => {
      counts.deliveries++;
      const took = typeof receiver.open(0, item.bytes, opened) === 'number';
      if (took && taken.has(item.seq)) counts.replaysAccepted++;
      if (took && newest - item.seq >= REPLAY_WINDOW_PACKETS) counts.staleAccepted++;
      if (!took && !taken.has(item.seq) && newest - item.seq < REPLAY_WINDOW_PACKETS) counts.validRejected++;
      if (!took) return;
      taken.add(item.seq);
      newest = Math.max(newest, item.seq);
      if (taken.size > 8_192) for (const seq of taken) if (newest - seq > 4_096) taken.delete(seq);
    };
    const wheel: (typeof flight)[] = Array.from({ length: 4_096 }, () => []);
    for (let step = 0; step < total + 4_096; step++) {
      if (step < total) {
        const seq = sender.nextSeq;
        const bytes = out.slice(0, sender.seal(0, plain, out));
        counts.packets++;
        const copies = 1 + (rng.chance(0.3) ? 1 + rng.int(3) : 0);
        for (let c = 0; c < copies; c++) {
          // Most come soon, some are held back, a few copies come long after the window has moved on.
          const delay = rng.chance(0.5) ? 0 : c > 0 && rng.chance(0.2) ? 1_000 + rng.int(3_000) : rng.int(SPREAD);
          wheel[(step + delay) % wheel.length]!.push({ at: step, seq, bytes });
        }
      }
      const due = wheel[step % wheel.length]!;
      for (const item of due.splice(0)) deliver(item);
    }
    if (!sender.exhausted) return;
    counts.exhausted++;
    try {
      sender.seal(0, plain, out);
      counts.sealedPastTheEnd++;
    } catch {
      // The invariant that a nonce is never repeated stopped it.
    }
  }
}
