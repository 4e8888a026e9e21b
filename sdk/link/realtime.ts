/**
 * `sequenced` and `unreliable`: encoded when the game sends them, copied into the next packets, never
 * kept. They are a tick's state, so they leave before anything reliable.
 */
import { MAX_LANES, MAX_REALTIME_BYTES } from '../wire/limits.ts';
import { FrameWriter, SEQUENCED_HEAD_BYTES, UNRELIABLE_HEAD_BYTES } from '../wire/frame.ts';

/** Frames waiting for their packet, back to back in one buffer. */
export class RealtimeQueue {
  #writer = new FrameWriter(2_048);
  /** Where each frame ends; the first `#count` count. Never shortened: an array that shrinks gives its memory back and asks for it again. */
  readonly #ends: number[] = [];
  #count = 0;
  #head = 0;
  #start = 0;
  readonly #nextId = new Uint32Array(MAX_LANES);

  get waiting(): boolean {
    return this.#head < this.#count;
  }

  get waitingBytes(): number {
    return this.waiting ? this.#writer.at - this.#start : 0;
  }

  #reserve(size: number): boolean {
    const need = this.#writer.at + size;
    if (need > MAX_REALTIME_BYTES) return false;
    if (need > this.#writer.bytes.length) {
      const grown = new FrameWriter(Math.min(MAX_REALTIME_BYTES, Math.max(need, this.#writer.bytes.length * 2)));
      grown.begin(grown.bytes.length);
      grown.raw(this.#writer, 0, this.#writer.at);
      this.#writer = grown;
    }
    this.#writer.limit = this.#writer.bytes.length;
    return true;
  }

  unreliable(lane: number, bytes: Uint8Array): boolean {
    if (!this.#reserve(UNRELIABLE_HEAD_BYTES + bytes.length)) return false;
    this.#writer.unreliable(lane, bytes);
    this.#ends[this.#count++] = this.#writer.at;
    return true;
  }

  sequenced(lane: number, bytes: Uint8Array): boolean {
    // A lane's numbers never wrap; 2^32 of them at 1,000 a second are 50 days of one link.
    if (this.#nextId[lane] === 0xffff_ffff || !this.#reserve(SEQUENCED_HEAD_BYTES + bytes.length)) return false;
    this.#writer.sequenced(lane, this.#nextId[lane]!++, bytes);
    this.#ends[this.#count++] = this.#writer.at;
    return true;
  }

  /** Moves as many whole frames as fit; true when any did. */
  fill(writer: FrameWriter): boolean {
    const from = this.#start;
    const { room } = writer;
    while (this.#head < this.#count && this.#ends[this.#head]! - from <= room) this.#start = this.#ends[this.#head++]!;
    if (this.#start === from) return false;
    writer.raw(this.#writer, from, this.#start);
    if (this.#head === this.#count) this.clear();
    return true;
  }

  /** Gives up on the first frame. */
  dropFirst(): void {
    if (!this.waiting) return;
    this.#start = this.#ends[this.#head++]!;
    if (this.#head === this.#count) this.clear();
  }

  clear(): void {
    this.#count = 0;
    this.#head = 0;
    this.#start = 0;
    this.#writer.at = 0;
  }
}

/** Newest wins, per lane. */
export class SequencedReceive {
  readonly #next = new Float64Array(MAX_LANES);

  /** False for an older message that comes late. */
  accept(lane: number, id: number): boolean {
    if (id < this.#next[lane]!) return false;
    this.#next[lane] = id + 1;
    return true;
  }
}
