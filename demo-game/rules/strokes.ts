/**
 * Strokes on the wire: what one painter did since its last message, oldest first.
 *
 *   batch  := stroke* , at most 64
 *   stroke := late u16 (ms after the batch's base time), x u16, y u16 (1/16 world units), radius u8
 *
 * 7 bytes a stroke: a walking blob costs about 100 bytes a second.
 */
import { worldHeight, worldWidth } from './arena.ts';
import { strokeScale } from './floor.ts';
import type { Stroke } from './floor.ts';

/** Strokes of one message: two seconds of a walking blob; more means a stall, and the floor is repaired. */
export const maxBatch = 64;
const strokeBytes = 7;
export const maxBatchBytes = maxBatch * strokeBytes;

/** A disc at a point of the world, clamped to what a message can carry. */
export function strokeAt(x: number, y: number, radius: number, time: number, who: number, paint: number): Stroke {
  return {
    x: Math.min(worldWidth * strokeScale, Math.max(0, Math.round(x * strokeScale))),
    y: Math.min(worldHeight * strokeScale, Math.max(0, Math.round(y * strokeScale))),
    radius: Math.min(255, Math.max(1, Math.round(radius))),
    time: Math.round(time),
    who,
    paint,
  };
}

/** Bytes of strokes that share painter and paint. `base` is the first one's time. */
export function encodeBatch(strokes: readonly Stroke[], base: number): Uint8Array {
  const bytes = new Uint8Array(strokes.length * strokeBytes);
  const view = new DataView(bytes.buffer);
  strokes.forEach((stroke, i) => {
    const at = i * strokeBytes;
    view.setUint16(at, Math.min(0xffff, Math.max(0, stroke.time - base)));
    view.setUint16(at + 2, stroke.x);
    view.setUint16(at + 4, stroke.y);
    view.setUint8(at + 6, stroke.radius);
  });
  return bytes;
}

/** The strokes of a batch, or `undefined` when the bytes are none. */
export function decodeBatch(bytes: Uint8Array, base: number, who: number, paint: number): Stroke[] | undefined {
  if (bytes.length % strokeBytes !== 0 || bytes.length > maxBatchBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const strokes: Stroke[] = [];
  for (let at = 0; at < bytes.length; at += strokeBytes) {
    const radius = view.getUint8(at + 6);
    if (radius === 0) return undefined;
    strokes.push({ time: base + view.getUint16(at), x: view.getUint16(at + 2), y: view.getUint16(at + 4), radius, who, paint });
  }
  return strokes;
}
