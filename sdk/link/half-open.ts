/**
 * Handshakes we answer, between RESP and FIN. At most `MAX_HALF_OPEN`; the oldest gives way, because a
 * finished handshake takes one round trip and the oldest is the least likely to finish.
 */
import { equalBytes } from '../base/bytes.ts';
import type { ResponderHandshake } from '../secure/handshake.ts';
import { HANDSHAKE_TIMEOUT_MS, MAX_HALF_OPEN } from '../wire/limits.ts';

/** Repeats of one INIT that are answered; an honest initiator stops when it has the answer. */
const MAX_REPLAYS = 8;

export interface HalfOpen {
  readonly cid: number;
  readonly remoteCid: number;
  readonly host: string;
  readonly port: number;
  readonly nonce: Uint8Array;
  readonly handshake: ResponderHandshake;
  /** The whole RESP datagram: every repeat of the INIT gets the same bytes, never a new ephemeral key. */
  readonly resp: Uint8Array;
  readonly startedAt: number;
  replays: number;
}

export class HalfOpenTable {
  /** By our connection id, oldest first. */
  readonly #byCid = new Map<number, HalfOpen>();

  get size(): number {
    return this.#byCid.size;
  }

  has(cid: number): boolean {
    return this.#byCid.has(cid);
  }

  /** Returns true when the oldest had to give way. */
  add(entry: HalfOpen): boolean {
    const full = this.#byCid.size >= MAX_HALF_OPEN;
    if (full) this.#byCid.delete(this.#byCid.keys().next().value!);
    this.#byCid.set(entry.cid, entry);
    return full;
  }

  /** The handshake this INIT repeats, if any. */
  find(remoteCid: number, host: string, port: number, nonce: Uint8Array): HalfOpen | undefined {
    for (const entry of this.#byCid.values()) {
      if (entry.remoteCid === remoteCid && entry.port === port && entry.host === host && equalBytes(entry.nonce, nonce)) return entry;
    }
    return undefined;
  }

  /** True while the stored answer may be given once more. */
  mayReplay(entry: HalfOpen): boolean {
    return ++entry.replays <= MAX_REPLAYS;
  }

  /** The handshake this FIN may end. Only its own address may end it. */
  match(cid: number, host: string, port: number): HalfOpen | undefined {
    const entry = this.#byCid.get(cid);
    return entry === undefined || entry.host !== host || entry.port !== port ? undefined : entry;
  }

  remove(entry: HalfOpen): void {
    this.#byCid.delete(entry.cid);
  }

  expire(now: number): void {
    for (const entry of this.#byCid.values()) {
      if (now - entry.startedAt < 2 * HANDSHAKE_TIMEOUT_MS) return;
      this.#byCid.delete(entry.cid);
    }
  }
}
