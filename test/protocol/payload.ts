/** Payloads as `docs/protocol.md` has them: the part of msgpack that is allowed, read without any library. */
import { Malformed, Reader, must } from './reader.ts';

const HOSTILE = new Set(['__proto__', 'constructor', 'prototype']);
const text = new TextDecoder();

/** One value and nothing after it; `most`: values that it may have where the page says another number, of any depth and length. Throws `Malformed`. */
export function decodePayload(bytes: Uint8Array, most?: number): unknown {
  const reader = new Reader(bytes);
  let values = 0;
  let containers = 0;
  const float = (size: 4 | 8): number => {
    const view = new DataView(reader.take(size).buffer);
    return size === 4 ? view.getFloat32(0) : view.getFloat64(0);
  };
  const signed = (size: number): number => {
    const value = reader.uint(size);
    return value >= 2 ** (8 * size - 1) ? value - 2 ** (8 * size) : value;
  };
  const string = (size: number): string => {
    must(most !== undefined || size <= 4_096, 'a long string');
    return text.decode(reader.take(size));
  };
  const container = (depth: number): void => {
    must(++containers <= (most ?? 2_048), 'too many containers');
    must(most !== undefined || depth < 16, 'nested too deep');
  };
  const array = (count: number, depth: number): unknown[] => {
    container(depth);
    const out: unknown[] = [];
    for (let i = 0; i < count; i++) out.push(value(depth + 1, false));
    return out;
  };
  const map = (count: number, depth: number): Record<string, unknown> => {
    container(depth);
    const out: Record<string, unknown> = {};
    for (let i = 0; i < count; i++) out[value(depth + 1, true) as string] = value(depth + 1, false);
    return out;
  };
  function value(depth: number, isKey: boolean): unknown {
    must(++values <= (most ?? 4_096), 'too many values');
    const type = reader.uint(1);
    if (!isKey) return valueOf(type, depth);
    const size = type >= 0xa0 && type <= 0xbf ? type - 0xa0 : type === 0xd9 ? reader.uint(1) : type === 0xda ? reader.uint(2) : -1;
    must(size >= 0, 'a key that is no string');
    const key = string(size);
    must(!HOSTILE.has(key), 'a hostile key');
    return key;
  }
  function valueOf(type: number, depth: number): unknown {
    if (type <= 0x7f) return type;
    if (type >= 0xe0) return type - 256;
    if (type <= 0x8f) return map(type - 0x80, depth);
    if (type <= 0x9f) return array(type - 0x90, depth);
    if (type <= 0xbf) return string(type - 0xa0);
    switch (type) {
      case 0xc0:
        return null;
      case 0xc2:
      case 0xc3:
        return type === 0xc3;
      case 0xc4:
      case 0xc5:
        return reader.take(reader.uint(type - 0xc3));
      case 0xca:
      case 0xcb:
        return float(type === 0xca ? 4 : 8);
      case 0xcc:
      case 0xcd:
      case 0xce:
        return reader.uint(2 ** (type - 0xcc));
      case 0xd0:
      case 0xd1:
      case 0xd2:
        return signed(2 ** (type - 0xd0));
      case 0xd9:
      case 0xda:
        return string(reader.uint(type - 0xd8));
      case 0xdc:
        return array(reader.uint(2), depth);
      case 0xde:
        return map(reader.uint(2), depth);
      default:
        throw new Malformed(`msgpack type ${type}`);
    }
  }
  const out = value(0, false);
  reader.end();
  return out;
}
