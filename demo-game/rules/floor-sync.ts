/**
 * Keeps floors equal. Strokes already make them so unless somebody came late, or was cut off: the host
 * says every two seconds what its 48 chunks hash to; whoever sees a difference sends its own cells of
 * those chunks and gets the host's. Both sides merge, newest paint winning, so a repair can only add what
 * was missing and either side may be the one that missed it.
 */
import type { Floor } from './floor.ts';
import { chunkCount } from './floor.ts';
import type { ChromaRoom } from './game.ts';
import { Held } from './held.ts';
import { futureMs } from './painter.ts';
import { tell } from './tell.ts';

const hashEveryMs = 2000;
/** Strokes younger than this may still be under way, so their cells are left out of the hashes. */
const settleMs = 1000;
/** A page that draws one frame a second answers after two: a busy machine without a graphics chip. */
export const answerMs = 6000;
/** Chunks under way at once: a whole floor takes four round trips. */
const atOnce = 12;

export class FloorSync implements Disposable {
  readonly #room: ChromaRoom;
  readonly #floor: Floor;
  readonly #off = new Held();
  #busy = false;
  #hashedAt = Number.NEGATIVE_INFINITY;
  /** Chunks asked for since the start, and cells they changed here. */
  readonly counts = { chunks: 0, cells: 0 };

  constructor(room: ChromaRoom, floor: Floor) {
    this.#room = room;
    this.#floor = floor;
    this.#off.use(room.onMessage('hashes', ({ before, data }, { from }) => this.#compare(before, data, from)));
    this.#off.use(
      room.handle('floor', ({ chunk, cells }) => {
        floor.mergeChunks(cells, room.clock.now() + futureMs);
        return { cells: floor.encodeChunks(chunk < chunkCount ? [chunk] : []) };
      }),
    );
    this.#off.use(room.on('merge', () => void this.fetchAll()));
    this.#off.use(room.on('host', () => void this.fetchAll()));
  }

  /** Gets the whole floor: on joining, and after the host changed or halves merged. */
  async fetchAll(): Promise<void> {
    await this.#repair(
      Array.from({ length: chunkCount }, (_, chunk) => chunk),
      this.#room.host,
    );
  }

  /** The host's part. */
  step(now: number): void {
    if (!this.#room.isHost || this.#room.peers.size < 2) return;
    if (now >= this.#hashedAt && now - this.#hashedAt < hashEveryMs) return;
    this.#hashedAt = now;
    // A tick is at 1000 / 60 of a ms: the message carries whole ones.
    const before = Math.max(0, Math.floor(now) - settleMs);
    const data = new Uint8Array(chunkCount * 4);
    const view = new DataView(data.buffer);
    for (let chunk = 0; chunk < chunkCount; chunk++) view.setUint32(chunk * 4, this.#floor.chunkHash(chunk, before));
    tell(this.#room)('hashes', { before, data });
  }

  #compare(before: number, data: Uint8Array, from: ChromaRoom['host']): void {
    if (data.length !== chunkCount * 4 || from !== this.#room.host) return;
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const differing: number[] = [];
    for (let chunk = 0; chunk < chunkCount; chunk++) if (view.getUint32(chunk * 4) !== this.#floor.chunkHash(chunk, before)) differing.push(chunk);
    if (differing.length > 0) void this.#repair(differing, from);
  }

  async #repair(chunks: readonly number[], from: ChromaRoom['host']): Promise<void> {
    if (this.#busy || from === this.#room.self.id) return;
    this.#busy = true;
    try {
      for (let i = 0; i < chunks.length; i += atOnce) await Promise.all(chunks.slice(i, i + atOnce).map((chunk) => this.#exchange(chunk, from)));
    } catch {
      // The host left or was slow. The next hashes start a new repair.
    } finally {
      this.#busy = false;
    }
  }

  async #exchange(chunk: number, from: ChromaRoom['host']): Promise<void> {
    const answer = await this.#room.call('floor', { chunk, cells: this.#floor.encodeChunks([chunk]) }, { to: from, timeoutMs: answerMs });
    this.counts.chunks++;
    this.counts.cells += this.#floor.mergeChunks(answer.cells, this.#room.clock.now() + futureMs) ?? 0;
  }

  [Symbol.dispose](): void {
    this.#off[Symbol.dispose]();
  }
}
