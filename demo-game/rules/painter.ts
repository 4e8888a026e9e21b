/**
 * Paint in and out: own strokes go onto the floor at once and to the others in batches; strokes of
 * others go onto the floor when they come. The floor does not care about the order.
 */
import type { ChromaRoom } from './game.ts';
import type { Floor, Stroke } from './floor.ts';
import { decodeBatch, encodeBatch, maxBatch } from './strokes.ts';
import { tell } from './tell.ts';

/** A stroke from further in the future is refused: a wrong clock must not own a cell for ever. */
export const futureMs = 2000;

/** Own strokes wait this long for company. */
const batchMs = 50;

export class Painter implements Disposable {
  readonly #tell: ChromaRoom['send'];
  readonly #floor: Floor;
  readonly #waiting = new Map<number, Stroke[]>();
  readonly #off: Disposable;
  #sentAt = 0;
  /** Strokes refused because of their bytes or their time. */
  refused = 0;

  constructor(room: ChromaRoom, floor: Floor, onStroke: (stroke: Stroke) => void) {
    this.#tell = tell(room);
    this.#floor = floor;
    this.#off = room.onMessage('strokes', ({ at, who, paint, data }) => {
      const strokes = decodeBatch(data, at, who, paint);
      if (strokes === undefined) {
        this.refused++;
        return;
      }
      const newest = room.clock.now() + futureMs;
      for (const stroke of strokes) {
        if (stroke.time > newest) this.refused++;
        else if (floor.stroke(stroke) > 0) onStroke(stroke);
      }
    });
  }

  /** Paints here and now, and remembers to tell. Strokes that would win nothing stay untold. */
  paint(stroke: Stroke): void {
    if (this.#floor.gain(stroke) === 0 || this.#floor.stroke(stroke) === 0) return;
    const key = stroke.who * 16 + stroke.paint;
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) this.#waiting.set(key, [stroke]);
    else waiting.push(stroke);
  }

  /** Sends what has waited long enough. */
  flush(now: number): void {
    if (this.#waiting.size === 0 || (now - this.#sentAt < batchMs && now >= this.#sentAt)) return;
    this.#sentAt = now;
    for (const strokes of this.#waiting.values()) {
      for (let i = 0; i < strokes.length; i += maxBatch) {
        const part = strokes.slice(i, i + maxBatch);
        const first = part[0];
        if (first !== undefined) this.#tell('strokes', { at: first.time, who: first.who, paint: first.paint, data: encodeBatch(part, first.time) });
      }
    }
    this.#waiting.clear();
  }

  [Symbol.dispose](): void {
    this.#off[Symbol.dispose]();
  }
}
