/** Numbers and bytes of `docs/protocol.md`: big-endian, and nothing read twice. */

/** What the page does not allow. */
export class Malformed extends Error {}

/** What `read` reads, or why the page does not allow it; without a stack for each refusal, which would cost more than the reading. */
export function verdict<T>(read: () => T): { readonly value: T } | { readonly refusal: string } {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return { value: read() };
  } catch (error) {
    if (error instanceof Malformed) return { refusal: error.message };
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
  return { value: read() }; // Throws again, and this time says where.
}

export class Reader {
  readonly bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  take(size: number): Uint8Array {
    if (size > this.left) throw new Malformed(`${size} bytes wanted, ${this.left} left`);
    const part = this.bytes.slice(this.at, this.at + size);
    this.at += size;
    return part;
  }

  /** An unsigned number of so many bytes, at most six. */
  uint(size: number): number {
    let value = 0;
    for (const byte of this.take(size)) value = value * 256 + byte;
    return value;
  }

  rest(): Uint8Array {
    return this.take(this.left);
  }

  /** The padding: nothing but zeros may be left. */
  zeros(): void {
    if (this.rest().some((byte) => byte !== 0)) throw new Malformed('padding that is not zero');
  }

  end(): void {
    if (this.left > 0) throw new Malformed(`${this.left} bytes too many`);
  }
}

export function must(condition: boolean, what: string): void {
  if (!condition) throw new Malformed(what);
}

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

export function join(...parts: readonly (Uint8Array | string)[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part))));
}

/** A number as so many bytes, big-endian. */
export function uint(value: number, size: number): Uint8Array {
  const out = new Uint8Array(size);
  for (let i = size - 1, left = value; i >= 0; i--, left = Math.floor(left / 256)) out[i] = left % 256;
  return out;
}

/** RFC 4648 base32, lower case, no padding. */
export function base32(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{1,5}/gu) ?? []).map((five) => 'abcdefghijklmnopqrstuvwxyz234567'[Number.parseInt(five.padEnd(5, '0'), 2)]).join('');
}
