/**
 * The trace of 901 cubes: a large one rolls through a field of small ones, pulls them along or throws them off, 60 frames a second.
 *
 * A stand-in for the captures published with Glenn Fiedler's "Snapshot Compression", in their format: per frame and cube 8 integers, the index
 * of the largest quaternion part, the other three in 9 bits, x, y and z in 1/512 m, and whether it was touched. Bodies collide as spheres, roll
 * with friction and fall asleep. Only + - * / and square roots, so it is the same to the bit in every engine; `TRACE_SHA256` is its hash.
 */
import { createHash } from 'node:crypto';

export const CUBES = 901;
export const FRAMES = 2_837;
export const PARTS = 8;
export const TRACE_SHA256 = '6c35e3b3b72a8f6541169a0f452b2ca3cf7ad5fe655e21c01d1597727bd7a8d8';

const REACH = 3.15;
const PULL = 22;
const SPIN_KEPT = 0.97;
const DT = 1 / 120;
const CELL = 1.6;
const GRID = 48;

class Field {
  readonly #position = new Float64Array(CUBES * 3);
  readonly #velocity = new Float64Array(CUBES * 3);
  readonly #spin = new Float64Array(CUBES * 3);
  readonly #turn = new Float64Array(CUBES * 4);
  readonly #radius = new Float64Array(CUBES);
  readonly #lightness = new Float64Array(CUBES);
  /** Frames a cube has been at rest; it sleeps above 30. */
  readonly #still = new Int32Array(CUBES);
  readonly #touched = new Int32Array(CUBES).fill(-1_000);
  readonly #head = new Int32Array(GRID * GRID);
  readonly #next = new Int32Array(CUBES);
  #seed = 987_654_321;
  #targetX = 0;
  #targetY = 0;
  #mode = 0;

  constructor() {
    const position = this.#position;
    for (let k = 0; k < CUBES; k++) {
      this.#turn[k * 4 + 3] = 1;
      if (k === 0) {
        this.#radius[k] = 0.75;
        this.#lightness[k] = 1 / 10;
        position[2] = 3;
        continue;
      }
      this.#radius[k] = 0.2;
      this.#lightness[k] = 1;
      position[k * 3] = ((k - 1) % 30) - 14.5;
      position[k * 3 + 1] = (((k - 1) / 30) | 0) - 14.5;
      position[k * 3 + 2] = 0.2;
      this.#still[k] = 1_000;
    }
  }

  #random(): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#seed / 4_294_967_296;
  }

  frame(f: number, out: Int32Array): void {
    const v = this.#velocity;
    if (f >= 60) this.#steer(f);
    const speed = Math.sqrt(v[0]! * v[0]! + v[1]! * v[1]! + v[2]! * v[2]!);
    if (speed > 10) for (let i = 0; i < 3; i++) v[i]! *= 10 / speed;
    this.#step();
    this.#step();
    for (let k = 0; k < CUBES; k++) this.#settle(f, k, out);
  }

  #steer(f: number): void {
    const p = this.#position;
    const v = this.#velocity;
    if (f % 50 === 0) {
      if (this.#random() < 0.15) {
        this.#targetX = p[0]!;
        this.#targetY = p[1]!;
      } else {
        this.#targetX = (this.#random() - 0.5) * 24;
        this.#targetY = (this.#random() - 0.5) * 24;
      }
      const m = this.#random();
      this.#mode = m < 0.55 ? 1 : m < 0.7 ? 2 : 0;
    }
    const dx = this.#targetX - p[0]!;
    const dy = this.#targetY - p[1]!;
    const l = Math.sqrt(dx * dx + dy * dy) + 1e-6;
    const push = ((l < 1 ? l : 1) * 25) / 60;
    v[0]! += (dx / l) * push;
    v[1]! += (dy / l) * push;
    this.#still[0] = 0;
    if (this.#mode === 0) return;
    const reach = this.#mode === 1 ? REACH : REACH * 0.8;
    for (let k = 1; k < CUBES; k++) {
      const at = k * 3;
      const ex = p[0]! - p[at]!;
      const ey = p[1]! - p[at + 1]!;
      const ez = p[2]! - p[at + 2]!;
      const d2 = ex * ex + ey * ey + ez * ez;
      if (!(d2 < reach * reach && d2 > 0.3)) continue;
      const g = (this.#mode === 1 ? PULL : -0.6 * PULL) / 60 / Math.sqrt(d2);
      v[at]! += ex * g;
      v[at + 1]! += ey * g;
      v[at + 2]! += ez * g + 0.08;
      this.#still[k] = 0;
      this.#touched[k] = f;
    }
  }

  #step(): void {
    this.#head.fill(-1);
    const p = this.#position;
    for (let k = 0; k < CUBES; k++) {
      const c = cell(p[k * 3]!) + GRID * cell(p[k * 3 + 1]!);
      this.#next[k] = this.#head[c]!;
      this.#head[c] = k;
    }
    for (let k = 0; k < CUBES; k++) if (this.#still[k]! <= 30) this.#move(k);
    for (let k = 0; k < CUBES; k++) {
      const cx = cell(p[k * 3]!);
      const cy = cell(p[k * 3 + 1]!);
      for (let dy = -1; dy <= 1; dy++)
        for (let dx = -1; dx <= 1; dx++) {
          const x = cx + dx;
          const y = cy + dy;
          if (x < 0 || y < 0 || x >= GRID || y >= GRID) continue;
          for (let o = this.#head[x + GRID * y]!; o >= 0; o = this.#next[o]!)
            if (o > k && (this.#still[k]! <= 30 || this.#still[o]! <= 30)) this.#collide(k, o);
        }
    }
    for (let k = 0; k < CUBES; k++) if (this.#still[k]! <= 30) this.#land(k);
  }

  #move(k: number): void {
    const at = k * 3;
    const v = this.#velocity;
    const w = this.#spin;
    const q = this.#turn;
    v[at + 2]! -= 10 * DT;
    for (let i = 0; i < 3; i++) {
      v[at + i]! *= 0.9965;
      w[at + i]! *= SPIN_KEPT;
      this.#position[at + i]! += v[at + i]! * DT;
    }
    const wx = w[at]!;
    const wy = w[at + 1]!;
    const wz = w[at + 2]!;
    const Q = k * 4;
    const x = q[Q]!;
    const y = q[Q + 1]!;
    const z = q[Q + 2]!;
    const W = q[Q + 3]!;
    const h = 0.5 * DT;
    const a = x + h * (wx * W + wy * z - wz * y);
    const b = y + h * (wy * W + wz * x - wx * z);
    const c = z + h * (wz * W + wx * y - wy * x);
    const d = W + h * (-wx * x - wy * y - wz * z);
    const n = 1 / Math.sqrt(a * a + b * b + c * c + d * d);
    q[Q] = a * n;
    q[Q + 1] = b * n;
    q[Q + 2] = c * n;
    q[Q + 3] = d * n;
  }

  #collide(k: number, o: number): void {
    const p = this.#position;
    const v = this.#velocity;
    const K = k * 3;
    const O = o * 3;
    let nx = p[O]! - p[K]!;
    let ny = p[O + 1]! - p[K + 1]!;
    let nz = p[O + 2]! - p[K + 2]!;
    const reach = this.#radius[k]! + this.#radius[o]!;
    const d2 = nx * nx + ny * ny + nz * nz;
    if (d2 >= reach * reach || d2 < 1e-12) return;
    const d = Math.sqrt(d2);
    nx /= d;
    ny /= d;
    nz /= d;
    const lightK = this.#lightness[k]!;
    const lightO = this.#lightness[o]!;
    const both = lightK + lightO;
    const overlap = ((reach - d) * 0.4) / both;
    for (let i = 0; i < 3; i++) {
      const n = i === 0 ? nx : i === 1 ? ny : nz;
      p[K + i]! -= n * overlap * lightK;
      p[O + i]! += n * overlap * lightO;
    }
    const closing = (v[O]! - v[K]!) * nx + (v[O + 1]! - v[K + 1]!) * ny + (v[O + 2]! - v[K + 2]!) * nz;
    if (closing >= 0) return;
    const j = (-1.15 * closing) / both;
    for (let i = 0; i < 3; i++) {
      const n = i === 0 ? nx : i === 1 ? ny : nz;
      v[K + i]! -= n * j * lightK;
      v[O + i]! += n * j * lightO;
    }
    this.#rub(k, nx, ny, nz, j * lightK, 0.5);
    this.#rub(o, -nx, -ny, -nz, j * lightO, 0.5);
    if (closing < -0.15) {
      this.#still[k] = 0;
      this.#still[o] = 0;
    }
  }

  /** Friction at a contact: what slides begins to roll. */
  #rub(k: number, nx: number, ny: number, nz: number, pressed: number, mu: number): void {
    const v = this.#velocity;
    const w = this.#spin;
    const K = k * 3;
    const r = this.#radius[k]!;
    const cx = v[K]! - (w[K + 1]! * nz - w[K + 2]! * ny) * r;
    const cy = v[K + 1]! - (w[K + 2]! * nx - w[K]! * nz) * r;
    const cz = v[K + 2]! - (w[K]! * ny - w[K + 1]! * nx) * r;
    const cn = cx * nx + cy * ny + cz * nz;
    const ax = cx - cn * nx;
    const ay = cy - cn * ny;
    const az = cz - cn * nz;
    const l = Math.sqrt(ax * ax + ay * ay + az * az);
    if (l < 1e-9) return;
    let j = l * 0.2857;
    const most = mu * pressed;
    if (j > most) j = most;
    const f = j / l;
    v[K]! -= ax * f;
    v[K + 1]! -= ay * f;
    v[K + 2]! -= az * f;
    const g = (f * 2.5) / r;
    w[K]! += (ny * az - nz * ay) * g;
    w[K + 1]! += (nz * ax - nx * az) * g;
    w[K + 2]! += (nx * ay - ny * ax) * g;
  }

  #land(k: number): void {
    const K = k * 3;
    const v = this.#velocity;
    const w = this.#spin;
    if (this.#position[K + 2]! >= this.#radius[k]!) return;
    this.#position[K + 2] = this.#radius[k]!;
    const fall = -v[K + 2]!;
    if (fall <= 0) return;
    v[K + 2] = fall > 0.5 ? 0.2 * fall : 0;
    this.#rub(k, 0, 0, -1, fall * 1.2 + 0.1, 0.9);
    w[K]! *= 0.99;
    w[K + 1]! *= 0.99;
    w[K + 2]! *= 0.96;
  }

  #settle(f: number, k: number, out: Int32Array): void {
    const K = k * 3;
    const v = this.#velocity;
    const w = this.#spin;
    const p = this.#position;
    const q = this.#turn;
    const energy =
      v[K]! * v[K]! + v[K + 1]! * v[K + 1]! + v[K + 2]! * v[K + 2]! + 0.04 * (w[K]! * w[K]! + w[K + 1]! * w[K + 1]! + w[K + 2]! * w[K + 2]!);
    if (energy < 0.02 && p[K + 2]! < this.#radius[k]! + 0.6) {
      if (++this.#still[k]! === 31) for (let i = 0; i < 3; i++) v[K + i] = w[K + i] = 0;
    } else if (this.#still[k]! <= 30) this.#still[k] = 0;
    const Q = k * 4;
    let largest = 0;
    for (let i = 1; i < 4; i++) if (Math.abs(q[Q + i]!) > Math.abs(q[Q + largest]!)) largest = i;
    const sign = q[Q + largest]! < 0 ? -1 : 1;
    let at = k * PARTS;
    out[at++] = largest;
    for (let i = 0; i < 4; i++) {
      if (i === largest) continue;
      const c = Math.floor(((sign * q[Q + i]! + 0.707_106_781_186_547_6) / 1.414_213_562_373_095_1) * 511 + 0.5);
      out[at++] = c < 0 ? 0 : c > 511 ? 511 : c;
    }
    for (let i = 0; i < 3; i++) {
      const c = Math.floor(p[K + i]! * 512 + 0.5);
      const low = i === 2 ? 0 : -16_383;
      const high = i === 2 ? 8_191 : 16_383;
      out[at++] = c < low ? low : c > high ? high : c;
    }
    out[at] = k === 0 || (this.#still[k]! <= 30 && f - this.#touched[k]! < 120) ? 1 : 0;
  }
}

function cell(x: number): number {
  const c = ((x + 38.4) / CELL) | 0;
  return c < 0 ? 0 : c >= GRID ? GRID - 1 : c;
}

/** Every frame, `CUBES * PARTS` integers each. Throws when it is not the trace it says it is. */
export function cubesTrace(): readonly Int32Array[] {
  const field = new Field();
  const hash = createHash('sha256');
  const bytes = new DataView(new ArrayBuffer(CUBES * PARTS * 4));
  const frames = Array.from({ length: FRAMES }, (_, f) => {
    const out = new Int32Array(CUBES * PARTS);
    field.frame(f, out);
    out.forEach((value, i) => bytes.setInt32(i * 4, value, true));
    hash.update(new Uint8Array(bytes.buffer));
    return out;
  });
  const digest = hash.digest('hex');
  if (digest !== TRACE_SHA256) throw new Error(`the trace of cubes differs from the published one: ${digest}`);
  return frames;
}
