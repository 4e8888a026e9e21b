/**
 * What msgpack allows and a peer could use against us, each under its name. The guard is the scan before the
 * decoder, so the bytes here say what they are but do no harm to any decoder.
 */
import assert from 'node:assert/strict';
import { describe, expect, it } from 'vitest';
import { MAX_PAYLOAD_CONTAINERS, MAX_PAYLOAD_DEPTH, MAX_PAYLOAD_NODES } from '../sdk/wire/limits.ts';
import { decodePayload, encodePayload, scanPayload } from '../sdk/wire/payload.ts';

const HONEST = encodePayload({ hp: 3, x: 4, list: [1, -2, 0.5], name: 'ü' });
const repeat = (times: number, ...values: readonly number[]): readonly number[] => Array.from({ length: times }, () => values).flat();
const key = (name: string): Uint8Array => Uint8Array.from([0x81, 0xa0 | name.length, ...Buffer.from(name), 1]);

/** Refused for the stated reason, without an exception, and nothing of it is left in the decoder. */
function refused(bytes: Uint8Array, reason: string): void {
  assert.equal(scanPayload(bytes), reason);
  assert.equal(decodePayload(bytes), undefined);
  assert.ok(Buffer.from(HONEST).equals(encodePayload(decodePayload(HONEST)!)));
  assert.deepEqual(Object.keys(Object.prototype), []);
}

describe('hostile payloads', () => {
  it('[WI9] extensions of every type in every form: dates, expressions, errors, sets, typed arrays, big numbers, records, references', () => {
    for (let type = 0; type < 256; type++) {
      for (const [form, size] of [0xd4, 0xd5, 0xd6, 0xd7, 0xd8].map((f, i) => [f, 2 ** i] as const))
        refused(Uint8Array.from([form, type, ...Array.from({ length: size }, () => 0)]), 'type');
      refused(Uint8Array.from([0xc7, 1, type, 0]), 'type');
      refused(Uint8Array.from([0xc8, 0, 1, type, 0]), 'type');
      refused(Uint8Array.from([0xc9, 0, 0, 0, 1, type, 0]), 'type');
      refused(Uint8Array.from([0x91, 0xd4, type, 0]), 'type');
    }
  });

  it('[WI9] a record definition of a peer never becomes a structure of the decoder', () => {
    refused(Uint8Array.from([0xd4, 0x72, 0x40, 0x92, 0xa1, 0x61, 0xa1, 0x62, 1, 2]), 'type');
    // The bytes that would use it are a number and something behind it.
    refused(Uint8Array.from([0x40, 3, 4]), 'trailing');
  });

  it('[WI9] keys that reach the prototype, by any length of string, at any depth', () => {
    for (const name of ['__proto__', 'constructor', 'prototype']) {
      refused(key(name), 'key');
      refused(Uint8Array.from([0x81, 0xd9, name.length, ...Buffer.from(name), 1]), 'key');
      refused(Uint8Array.from([0x91, 0x81, 0xa1, 0x61, ...key(name)]), 'key');
    }
    // A key that a careless consumer would call is an ordinary property of its own, and shadows nothing elsewhere.
    const shadow = decodePayload(key('toString')) as Record<string, unknown>;
    expect(Object.hasOwn(shadow, 'toString')).toBe(true);
    expect(typeof {}.toString).toBe('function');
  });

  it('[WI9] nesting past sixteen levels, of arrays and of maps', () => {
    for (const depth of [MAX_PAYLOAD_DEPTH + 1, 1_399, 10_000]) {
      refused(Uint8Array.from([...repeat(depth, 0x91), 1]), 'depth');
      refused(Uint8Array.from([...repeat(depth, 0x81, 0xa1, 0x61), 1]), 'depth');
    }
    expect(scanPayload(Uint8Array.from([...repeat(MAX_PAYLOAD_DEPTH, 0x91), 1]))).toBeUndefined();
  });

  it('[WI9] lengths of gigabytes, and containers that promise more than there is', () => {
    for (const type of [0xc6, 0xdb, 0xdd, 0xdf]) refused(Uint8Array.from([type, 0xff, 0xff, 0xff, 0xff]), 'type');
    for (const type of [0xdc, 0xde, 0xc5]) refused(Uint8Array.from([type, 0xff, 0xff]), 'truncated');
  });

  it('[WI9] integers of 64 bits, which would come out as another kind of number', () => {
    for (const type of [0xcf, 0xd3]) refused(Uint8Array.from([type, 0, 0, 0, 0, 0, 0, 0, 1]), 'type');
    refused(Uint8Array.from([0x91, 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), 'type');
  });

  it('[WI9] more values than a tick can use, however small', () => {
    refused(Uint8Array.from([0xdc, MAX_PAYLOAD_NODES >>> 8, MAX_PAYLOAD_NODES & 255, ...repeat(MAX_PAYLOAD_NODES, 0)]), 'nodes');
  });

  it('[WI9] more arrays and maps than anybody sends, each of which is an object to be made', () => {
    const maps = (count: number): Uint8Array => Uint8Array.from([0xdc, count >>> 8, count & 255, ...repeat(count, 0x80)]);
    refused(maps(MAX_PAYLOAD_CONTAINERS), 'nodes');
    expect(scanPayload(maps(MAX_PAYLOAD_CONTAINERS - 1))).toBeUndefined();
    // As many objects of one field as the values allow.
    const fields = Array.from({ length: 1_365 }, () => ({ x: 1 }));
    expect(decodePayload(encodePayload(fields.slice(0, 1_364)))).toEqual(fields.slice(0, 1_364));
  });

  it('[WI9] bytes behind the value, before anything is built of it', () => {
    for (const tail of [0, 1, 0x80, 0xc1]) refused(Uint8Array.from([...HONEST, tail]), 'trailing');
  });

  it('[WI9] anything but a short string as a key', () => {
    for (const bytes of [
      [0x81, 1, 1],
      [0x81, 0xc0, 1],
      [0x81, 0x80, 1],
      [0x81, 0x90, 1],
      [0x81, 0xc4, 1, 0x61, 1],
    ])
      refused(Uint8Array.from(bytes), 'key');
  });

  it('[WI12] text that is no UTF-8 becomes replacement characters, never an exception', () => {
    for (const text of [
      [0xff, 0xfe],
      [0xc0, 0x80],
      [0xed, 0xa0, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
    ]) {
      const value = decodePayload(Uint8Array.from([0xa0 | text.length, ...text]));
      expect(value).toMatch(/^\uFFFD+$/);
    }
  });

  it('[WI12] numbers that are none pass as numbers: whoever reads one checks its range', () => {
    expect(decodePayload(Uint8Array.from([0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0]))).toBeNaN();
    expect(decodePayload(Uint8Array.from([0xca, 0x7f, 0x80, 0, 0]))).toBe(Infinity);
    expect(decodePayload(Uint8Array.from([0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0]))).toBe(-0);
  });
});
