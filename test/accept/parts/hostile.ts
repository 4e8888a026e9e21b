/** The hostile corpus: a name says what the packet pretends, `at` where it enters. */
import { nodeCrypto } from '../../../sdk/node/crypto-node.ts';
import { encodeFin, encodeHello, encodeInit, encodeResp } from '../../../sdk/wire/datagram.ts';
import { FrameWriter } from '../../../sdk/wire/frame.ts';
import { roomTagOf } from './insider.ts';
import { ROOM } from './victim.ts';

export interface Hostile {
  readonly name: string;
  /** `session` is sealed by a member first. */
  readonly at: 'payload' | 'mesh' | 'bridge' | 'dns' | 'query' | 'join' | 'session';
  readonly bytes: Uint8Array;
}

const b = (...values: readonly number[]): Uint8Array => Uint8Array.from(values);
const cat = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const fill = (size: number, value: number): Uint8Array => new Uint8Array(size).fill(value);
const text = (value: string): Uint8Array => cat(b(0xa0 | value.length), new TextEncoder().encode(value));
const repeat = (times: number, part: Uint8Array): Uint8Array => cat(...Array.from({ length: times }, () => part));
const tag = roomTagOf(nodeCrypto, ROOM);
const nonce = fill(8, 7);

const PAYLOADS: Readonly<Record<string, Uint8Array>> = {
  'msgpack empty': b(),
  'msgpack 1,200 nested arrays': fill(1_200, 0x91),
  'msgpack 64 KiB of nested arrays': fill(65_536, 0x91),
  'msgpack 600 nested maps': repeat(600, b(0x81, 0xa1, 0x61)),
  'msgpack array16 of 65,535, none there': b(0xdc, 0xff, 0xff),
  'msgpack array32 of 4 G': b(0xdd, 0xff, 0xff, 0xff, 0xff),
  'msgpack map16 of 65,535, none there': b(0xde, 0xff, 0xff),
  'msgpack map32 of 4 G': b(0xdf, 0xff, 0xff, 0xff, 0xff),
  'msgpack str32 of 4 G': b(0xdb, 0xff, 0xff, 0xff, 0xff),
  'msgpack bin32 of 4 G': b(0xc6, 0xff, 0xff, 0xff, 0xff),
  'msgpack str16 longer than allowed': cat(b(0xda, 0xff, 0xff), fill(65_535, 0x61)),
  'msgpack str8 past the end': b(0xd9, 0xff, 0x61),
  'msgpack bin16 past the end': b(0xc5, 0xff, 0xff, 1),
  'msgpack 0xc1': b(0xc1),
  'msgpack uint64': b(0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
  'msgpack int64': b(0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0),
  'msgpack fixext date': b(0xd6, 0xff, 0xff, 0xff, 0xff, 0xff),
  'msgpack ext8 of no type': b(0xc7, 0, 0),
  'msgpack ext32 of 4 G': b(0xc9, 0xff, 0xff, 0xff, 0xff, 1),
  'msgpack record definition': b(0xd4, 0x72, 0x40, 0x93, 0xa1, 0x61, 0xa1, 0x62, 0xa1, 0x63),
  'msgpack record definition whose keys are code': cat(b(0xd4, 0x72, 0x40, 0x91), text('a,b){}(){'), b(1)),
  'msgpack reference to oneself': b(0xd6, 0x69, 0, 0, 0, 1, 0x91, 0xd6, 0x70, 0, 0, 0, 1),
  'msgpack references that double 30 times': repeat(30, b(0xd6, 0x69, 0, 0, 0, 1, 0x92, 0xd6, 0x70, 0, 0, 0, 1)),
  'msgpack bundled strings': b(0xd6, 0x62, 0xff, 0xff, 0xff, 0xff, 0x91, 0xa1),
  'msgpack key __proto__': cat(b(0x81), text('__proto__'), b(0x80)),
  'msgpack key constructor': cat(b(0x81), text('constructor'), b(1)),
  'msgpack key prototype': cat(b(0x81), text('prototype'), b(1)),
  'msgpack str8 key __proto__': cat(b(0x81, 0xd9, 9), new TextEncoder().encode('__proto__'), b(0x80)),
  'msgpack map as a key': b(0x81, 0x80, 1),
  'msgpack number as a key': b(0x81, 1, 1),
  'msgpack nil as a key': b(0x81, 0xc0, 1),
  'msgpack the same key twice': cat(b(0x82), text('a'), b(1), text('a'), b(2)),
  'msgpack trailing byte': b(1, 1),
  'msgpack 5,000 nodes': cat(b(0xdc, 0x13, 0x88), fill(5_000, 1)),
  'msgpack 4,095 empty maps': cat(b(0xdc, 0x0f, 0xff), fill(4_095, 0x80)),
  'msgpack 2,047 empty maps': cat(b(0xdc, 0x07, 0xff), fill(2_047, 0x80)),
  'msgpack NaN': b(0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0),
  'msgpack infinity as float32': b(0xca, 0x7f, 0x80, 0, 0),
  'msgpack invalid UTF-8': b(0xa4, 0xff, 0xfe, 0xc0, 0x80),
  'msgpack lone surrogate': b(0xa3, 0xed, 0xa0, 0x80),
  'msgpack 4,096 bytes of overlong UTF-8': cat(b(0xda, 0x10, 0), repeat(2_048, b(0xc0, 0x80))),
};

const frames = (write: (w: FrameWriter) => void): Uint8Array => {
  const writer = new FrameWriter(1_400);
  writer.begin(1_400);
  write(writer);
  return writer.bytes.slice(0, writer.at);
};
const u16 = (value: number): readonly number[] => [value >>> 8, value & 255];
const u32 = (value: number): readonly number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
const fragment = (id: number, index: number, count: number, length: number, body: Uint8Array): Uint8Array =>
  cat(b(0x48, ...u32(id), ...u16(index), ...u16(count), ...u32(length)), body);

const SESSIONS: Readonly<Record<string, Uint8Array>> = {
  'packet empty': b(),
  'packet of zeroes': fill(1_100, 0),
  'packet of 0xff': fill(1_100, 0xff),
  'packet frame type unknown': b(0x3f, 1, 2, 3),
  'packet of 550 CLOSE frames': repeat(550, b(4, 0)),
  'packet CLOSE reason unknown': b(4, 200),
  'ack of what never left': frames((w) => w.ack(2 ** 47, 0, 0, 0)),
  'ack of the last number there is': frames((w) => w.ack(2 ** 48 - 1, 0xffff_ffff, 0xffff_ffff, 2_000)),
  'ack with bits below zero': frames((w) => w.ack(0, 0xffff_ffff, 0xffff_ffff, 0)),
  'ack cut off': b(1, 0, 0, 0),
  'ack 64 times in one packet': frames((w) => {
    for (let i = 0; i < 64; i++) w.ack(0, 0, 0, 0);
  }),
  'ping 150 times in one packet': frames((w) => {
    for (let i = 0; i < 150; i++) w.ping(i);
  }),
  'ping of the largest time': frames((w) => w.ping(2 ** 48 - 1)),
  'pong of no ping': frames((w) => w.pong(5, 5, 5)),
  'pong from the end of time': frames((w) => w.pong(2 ** 48 - 1, 2 ** 48 - 1, 0)),
  'path response to no challenge': cat(b(6), fill(8, 1)),
  'path challenge 120 times in one packet': repeat(120, cat(b(5), fill(8, 9))),
  'MTU probe that lies about its size': cat(b(7, 0xff, 0xff), fill(100, 0)),
  'MTU probe with something in its padding': cat(b(7, ...u16(1_400)), fill(1_000, 1)),
  'MTU ack of nothing': b(8, 0xff, 0xff),
  'reliable id at the end of the range': cat(b(0x40, 0xff, 0xff, 0xff, 0xff, 0, 1), b(1)),
  'reliable id one past the window': cat(b(0x40, ...u32(1_024), 0, 1), b(1)),
  'reliable size past the end': b(0x40, 0, 0, 0, 0, 0xff, 0xff, 1),
  'reliable 150 empty ones far ahead': cat(...Array.from({ length: 150 }, (_, i) => b(0x41, ...u32(1_023 - i), 0, 0))),
  'fragment count 65,535': fragment(0, 0, 65_535, 262_144, fill(100, 0)),
  'fragment count zero': fragment(0, 0, 0, 2_000, fill(1_000, 0)),
  'fragment count one': fragment(0, 0, 1, 1_000, fill(1_000, 0)),
  'fragment index beyond count': fragment(0, 8, 8, 2_000, fill(250, 0)),
  'fragment length 4 G': fragment(0, 0, 2, 0xffff_ffff, fill(1_000, 0)),
  'fragment length zero': fragment(0, 0, 2, 0, b()),
  'fragment length against count': fragment(0, 0, 200, 2_000, fill(10, 0)),
  'fragment of the largest message, once': fragment(0, 0, 979, 262_144, fill(268, 0)),
  'fragment id aliased in one packet': cat(fragment(3, 0, 5, 1_130, fill(226, 0)), fragment(3, 0, 5, 1_200, fill(240, 0))),
  'fragment under the id of a whole message': cat(b(0x40, ...u32(1), 0, 1, 9), fragment(1, 0, 5, 1_130, fill(226, 0))),
  'fragment id wraps': fragment(0xffff_ffff, 0, 5, 1_130, fill(226, 0)),
  'fragment body cut off': fragment(0, 0, 8, 2_000, fill(10, 0)),
  'sequenced id at the end of the range': cat(b(0x50, 0xff, 0xff, 0xff, 0xff, 0, 1), b(1)),
  'sequenced size past the end': b(0x50, 0, 0, 0, 1, 0xff, 0xff),
  'unreliable 450 empty ones': repeat(450, b(0x58, 0, 0)),
  'unreliable size past the end': b(0x58, 0xff, 0xff),
};

const dns = (counts: readonly number[], body: Uint8Array): Uint8Array => cat(b(0, 0, 0x84, 0, ...counts.flatMap((count) => [...u16(count)])), body);
const JOINS: Readonly<Record<string, Uint8Array>> = {
  'join empty': b(),
  'join HELLO cut off': encodeHello({ nonce, roomTag: tag }).slice(0, 20),
  'join HELLO one byte longer': cat(encodeHello({ nonce, roomTag: tag }).slice(), b(0)),
  'join HELLO with something in its padding': cat(encodeHello({ nonce, roomTag: tag }).slice(0, 63), b(1)),
  'join HELLO of another version': (() => {
    const bytes = encodeHello({ nonce, roomTag: tag }).slice();
    bytes[1] = 99;
    return bytes;
  })(),
  'join INIT with an invented cookie': encodeInit({ cid: 1, nonce, cookie: fill(20, 1), roomTag: tag, noise: fill(80, 1) }).slice(),
  'join INIT whose size lies': (() => {
    const bytes = encodeInit({ cid: 1, nonce, cookie: fill(20, 1), roomTag: tag, noise: fill(80, 1) }).slice();
    bytes[42] = 0xff;
    bytes[43] = 0xff;
    return bytes;
  })(),
  'join RESP nobody waits for': encodeResp({ cid: 1, noise: fill(96, 1) }).slice(),
  'join FIN nobody waits for': encodeFin({ cid: 1, noise: fill(64, 1) }).slice(),
  'join sealed packet on the wrong socket': cat(b(0x80), fill(100, 1)),
  'join 1,500 bytes of 0xff': fill(1_500, 0xff),
  'join 65,507 bytes': fill(65_507, 1),
};
const OTHERS: readonly Hostile[] = [
  { name: 'query WHO of zeroes', at: 'query', bytes: cat(b(6), fill(511, 0)) },
  { name: 'query WHO whose game id is longer than itself', at: 'query', bytes: cat(b(6, 1), fill(8, 0), b(2, 0xff), fill(501, 0)) },
  { name: 'query HERE with a host name', at: 'query', bytes: cat(b(7, 1), fill(8, 0), b(0x9b), fill(200, 0xc0)) },
  { name: 'mesh message of nested arrays', at: 'mesh', bytes: fill(1_000, 0x91) },
  { name: 'mesh message with 4,000 numbers', at: 'mesh', bytes: cat(b(0xdc, 0x0f, 0xa0), fill(4_000, 1)) },
  { name: 'mesh empty array', at: 'mesh', bytes: b(0x90) },
  { name: 'bridge 64 KiB of zeroes', at: 'bridge', bytes: fill(65_536, 0) },
  { name: 'bridge 64 KiB of 0xff', at: 'bridge', bytes: fill(65_536, 0xff) },
  { name: 'bridge list that says it is huge', at: 'bridge', bytes: b(0, 0xff, 0xff, 0xff, 0xff) },
  { name: 'dns name that points at itself', at: 'dns', bytes: dns([0, 1, 0, 0], b(0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 0, 0, 0)) },
  { name: 'dns pointer loop of two', at: 'dns', bytes: dns([0, 1, 0, 0], b(0xc0, 14, 0xc0, 12, 0, 12)) },
  { name: 'dns 65,535 answers, none there', at: 'dns', bytes: dns([0, 0xffff, 0xffff, 0xffff], b()) },
  { name: 'dns label past the end', at: 'dns', bytes: dns([1, 0, 0, 0], b(63, 1, 2)) },
  { name: 'dns 9,000 bytes of labels', at: 'dns', bytes: dns([1, 0, 0, 0], repeat(4_500, b(1, 0x61))) },
  { name: 'dns record length past the end', at: 'dns', bytes: dns([0, 1, 0, 0], b(0, 0, 16, 0, 1, 0, 0, 0, 0, 0xff, 0xff)) },
  { name: 'dns 700 questions that all point at one long name', at: 'dns', bytes: dns([700, 0, 0, 0], repeat(700, b(0xc0, 12, 0, 12, 0, 1))) },
];

const at = (where: Hostile['at'], table: Readonly<Record<string, Uint8Array>>): Hostile[] =>
  Object.entries(table).map(([name, bytes]) => ({ name, at: where, bytes }));

export const CORPUS: readonly Hostile[] = [...at('payload', PAYLOADS), ...at('session', SESSIONS), ...at('join', JOINS), ...OTHERS];
