/**
 * The floor without WebGL: cells grown four times with rounded corners (Scale2x twice, Mazzoleni 2001) and
 * a dark rim, drawn into an image. About a millisecond on a slow laptop, and only when paint moved.
 */
import { gridHeight, gridWidth } from '../../rules/arena.ts';
import { paintColor, shade } from './palette.ts';

export const plainWidth = gridWidth * 4;
export const plainHeight = gridHeight * 4;

const twice = new Uint8Array(gridWidth * gridHeight * 4);
const fourTimes = new Uint8Array(plainWidth * plainHeight);
const bare = 0x0e1122;
const colors = Array.from({ length: 9 }, (_, paint) => (paint === 0 ? bare : paintColor(paint)));
const rims = colors.map((color, paint) => (paint === 0 ? bare : shade(color, -0.42)));

/** Fills `data` (RGBA, `plainWidth` x `plainHeight`) from the paint of each cell. */
export function drawPlainFloor(cells: Uint8Array, data: Uint8ClampedArray): void {
  scaleTwice(cells, gridWidth, gridHeight, twice);
  scaleTwice(twice, gridWidth * 2, gridHeight * 2, fourTimes);
  for (let y = 0, i = 0; y < plainHeight; y++) {
    for (let x = 0; x < plainWidth; x++, i++) {
      const paint = fourTimes[i] ?? 0;
      const rim =
        paint > 0 &&
        ((x + 1 < plainWidth && fourTimes[i + 1] !== paint) ||
          (x > 0 && fourTimes[i - 1] !== paint) ||
          (y + 1 < plainHeight && fourTimes[i + plainWidth] !== paint) ||
          (y > 0 && fourTimes[i - plainWidth] !== paint));
      const color = (rim ? rims[paint] : colors[paint]) ?? bare;
      data[i * 4] = color >> 16;
      data[i * 4 + 1] = (color >> 8) & 255;
      data[i * 4 + 2] = color & 255;
      data[i * 4 + 3] = 255;
    }
  }
}

/** Scale2x: each cell becomes four, and a corner takes the colour two of its neighbours agree on. */
function scaleTwice(from: Uint8Array, width: number, height: number, to: Uint8Array): void {
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      const cell = from[i] ?? 0;
      const up = y > 0 ? (from[i - width] ?? 0) : cell;
      const down = y + 1 < height ? (from[i + width] ?? 0) : cell;
      const left = x > 0 ? (from[i - 1] ?? 0) : cell;
      const right = x + 1 < width ? (from[i + 1] ?? 0) : cell;
      const at = y * 2 * width * 2 + x * 2;
      const smooth = up !== down && left !== right;
      to[at] = smooth && left === up ? left : cell;
      to[at + 1] = smooth && up === right ? right : cell;
      to[at + width * 2] = smooth && left === down ? left : cell;
      to[at + width * 2 + 1] = smooth && down === right ? right : cell;
    }
  }
}
