/** The lowest layer: datagrams of strangers, frames of packets, payloads. */
import { decode as independent } from '@msgpack/msgpack';
import type { PeerId, RoomId } from '../../../sdk/base/brand.ts';
import {
  decodeCookie,
  decodeFin,
  decodeHello,
  decodeHere,
  decodeInit,
  decodeResp,
  decodeWho,
  encodeCookie,
  encodeFin,
  encodeHello,
  encodeHere,
  encodeInit,
  encodeResp,
  encodeWho,
} from '../../../sdk/wire/datagram.ts';
import {
  FRAME_ACK,
  FRAME_CLOSE,
  FRAME_FRAGMENT,
  FRAME_MTU_ACK,
  FRAME_MTU_PROBE,
  FRAME_PATH_CHALLENGE,
  FRAME_PATH_RESPONSE,
  FRAME_PING,
  FRAME_PONG,
  FRAME_RELIABLE,
  FRAME_SEQUENCED,
  FrameReader,
  FrameWriter,
  fragmentStride,
} from '../../../sdk/wire/frame.ts';
import { PackReader, PackWriter } from '../../../sdk/wire/pack.ts';
import { decodePayload, encodePayload, scanPayload } from '../../../sdk/wire/payload.ts';
import { CORPUS } from '../../accept/parts/hostile.ts';
import { broken, expectSame, sameBytes, type Target, type TargetFile } from '../target.ts';

export const hostile = (at: string): Uint8Array[] =>
  CORPUS.filter((entry) => entry.at === at && entry.bytes.length <= 1_400).map((entry) => entry.bytes);

const eight = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const twenty = new Uint8Array(20).fill(3);
const facts = {
  roomId: '00112233445566778899aabbccddeeff' as RoomId,
  name: 'Friday',
  players: 3,
  max: 16,
  locked: false,
  gameId: 'game',
  version: 1,
  schemaHash: 0x1234_5678,
  peer: 'abcdefghijklmnop' as PeerId,
  joinPort: 29_798,
  members: [{ host: '10.0.0.7', port: 29_798 }],
};

function datagrams(): Target {
  const canonical: readonly ((bytes: Uint8Array) => Uint8Array | undefined)[] = [
    (bytes) => again(decodeHello(bytes), encodeHello),
    (bytes) => again(decodeCookie(bytes), encodeCookie),
    (bytes) => again(decodeInit(bytes), encodeInit),
    (bytes) => again(decodeResp(bytes), encodeResp),
    (bytes) => again(decodeFin(bytes), encodeFin),
    (bytes) => again(decodeWho(bytes), encodeWho),
  ];
  return {
    seeds: [
      encodeHello({ nonce: eight, roomTag: eight }).slice(),
      encodeCookie({ nonce: eight, cookie: twenty }).slice(),
      encodeInit({ cid: 7, nonce: eight, cookie: twenty, roomTag: eight, noise: new Uint8Array(85).fill(9) }).slice(),
      encodeResp({ cid: 7, noise: new Uint8Array(137).fill(9) }).slice(),
      encodeFin({ cid: 8, noise: new Uint8Array(64).fill(9) }).slice(),
      encodeWho({ nonce: eight, roomTag: eight, gameId: 'game' }).slice(),
      encodeWho({ nonce: eight, roomTag: undefined, gameId: undefined }).slice(),
      encodeHere({ nonce: eight, facts }).slice(),
      ...hostile('join'),
      ...hostile('query'),
    ],
    run: (bytes) => {
      for (const way of canonical) {
        const written = way(bytes);
        if (written !== undefined && !sameBytes(written, bytes)) broken('a datagram has two encodings');
      }
      const here = decodeHere(bytes);
      if (here === undefined) return;
      const written = decodeHere(encodeHere(here).slice());
      // Numbers and names may be encoded in more than one way; what they say is the same.
      expectSame('HERE read again', written?.facts.roomId, here.facts.roomId);
      if (written !== undefined && written.facts.members.length === here.facts.members.length) expectSame('HERE read again', written, here);
    },
  };
}

function again<T>(value: T | undefined, encode: (value: T) => Uint8Array): Uint8Array | undefined {
  return value === undefined ? undefined : encode(value);
}

/** One packet with every kind of frame. */
export function honestFrames(): Uint8Array {
  const writer = new FrameWriter(1_400);
  writer.begin(1_200);
  writer.ack(0, 0, 0, 1);
  writer.ping(5);
  writer.pong(1, 2, 3);
  writer.path(FRAME_PATH_CHALLENGE, eight);
  writer.path(FRAME_PATH_RESPONSE, eight);
  writer.mtuAck(1_452);
  writer.reliable(0, 0, eight);
  writer.fragment(1, 0, 0, 5, new Uint8Array(1_130));
  writer.fragment(1, 0, 4, 5, new Uint8Array(1_130));
  writer.sequenced(2, 1, eight);
  writer.unreliable(3, eight);
  writer.close(0);
  return writer.bytes.slice(0, writer.at);
}

function probe(): Uint8Array {
  const writer = new FrameWriter(1_400);
  writer.begin(400);
  writer.mtuProbe(427);
  return writer.bytes.slice(0, writer.at);
}

function frames(): Target {
  const reader = new FrameReader();
  const writer = new FrameWriter(1_500);
  return {
    seeds: [honestFrames(), probe(), ...hostile('session')],
    run: (bytes) => {
      reader.reset(bytes, bytes.length);
      writer.begin(1_500);
      let steps = 0;
      for (;;) {
        const type = reader.next();
        if (type <= 0) {
          if (type === 0 && !sameBytes(writer.bytes.subarray(0, writer.at), bytes)) broken('frames have two encodings');
          return;
        }
        if (++steps > bytes.length) broken('more frames than bytes');
        if (type >= FRAME_RELIABLE && reader.bodyAt + reader.bodySize > bytes.length) broken('a body beyond the packet');
        write(type, reader, writer, bytes);
      }
    },
  };
}

function write(type: number, from: FrameReader, to: FrameWriter, bytes: Uint8Array): void {
  const body = bytes.subarray(from.bodyAt, from.bodyAt + from.bodySize);
  switch (type) {
    case FRAME_ACK:
      return to.ack(from.id, from.a, from.b, from.c);
    case FRAME_PING:
      return to.ping(from.id);
    case FRAME_PONG:
      return to.pong(from.id, from.a, from.b);
    case FRAME_CLOSE:
      return to.close(from.c);
    case FRAME_PATH_CHALLENGE:
    case FRAME_PATH_RESPONSE:
      return to.path(type, body);
    case FRAME_MTU_ACK:
      return to.mtuAck(from.c);
    case FRAME_MTU_PROBE:
      to.limit = bytes.length;
      return to.mtuProbe(from.c);
    case FRAME_FRAGMENT: {
      const whole = new Uint8Array(from.c);
      whole.set(body, fragmentStride(from.c, from.b) * from.a);
      return to.fragment(from.lane, from.id, from.a, from.b, whole);
    }
    case FRAME_RELIABLE:
      return to.reliable(from.lane, from.id, body);
    case FRAME_SEQUENCED:
      return to.sequenced(from.lane, from.id, body);
    default:
      return to.unreliable(from.lane, body);
  }
}

function payload(): Target {
  return {
    seeds: [
      encodePayload({ a: [1, 2.5, 'x', null, true], b: new Uint8Array(3) }),
      encodePayload([-1, -200, -70_000, 300, 70_000, 4_000_000_000, 'y'.repeat(40), 'z'.repeat(300), new Uint8Array(300)]),
      encodePayload(Array.from({ length: 20 }, (_, i) => i)),
      Uint8Array.of(0xde, 0, 1, 0xa1, 0x61, 0xca, 0x3f, 0x80, 0, 0),
      ...hostile('payload'),
    ],
    run: (bytes) => {
      const fault = scanPayload(bytes);
      const value = decodePayload(bytes);
      if (fault !== undefined) {
        if (value !== undefined) broken('decoded what the scan refused');
        return;
      }
      if (value === undefined) broken('the scan let pass what does not decode');
      // Text that is no UTF-8 is made valid here; others read it in ways of their own.
      if (!JSON.stringify(value).includes('\ufffd')) expectSame('an independent decoder reads something else', value, independent(bytes));
      // What was accepted can be said again, unless it holds a float that we do not write (NaN, infinity).
      let written: Uint8Array;
      try {
        written = encodePayload(value);
      } catch {
        return;
      }
      // Not compared with the value itself: -0 is said as 0.
      if (!sameBytes(encodePayload(decodePayload(written)!), written)) broken('said again it is something else');
    },
  };
}

function pack(): Target {
  const writer = new PackWriter(256);
  writer.array(9);
  for (const value of [0, -1, 127, 128, -33, 40_000, -40_000, 2 ** 31, 3.5]) writer.number(value);
  writer.bool(true);
  writer.nil();
  writer.text('hällo');
  writer.binary(eight);
  return {
    seeds: [writer.view().slice(), encodePayload([1, 2, true, 3, 1.5, 'x', new Uint8Array(2)])],
    run: (bytes) => {
      const reader = new PackReader(bytes);
      let order = bytes.length;
      for (let i = 0; reader.more && i < 4_096; i++) {
        const before = reader.offset;
        order = (order * 31 + i) % 9;
        if (order === 0) reader.number();
        else if (order === 1) reader.count(1_000);
        else if (order === 2) reader.bool();
        else if (order === 3) reader.text(100);
        else if (order === 4) reader.binary(100);
        else if (order === 5) reader.array(100);
        else if (order === 6) {
          if (reader.nil() || reader.offset === before) continue;
        } else if (order === 7) reader.skip(1);
        else reader.int();
        if (reader.offset > bytes.length) broken('read past the end');
        if (reader.ok && reader.offset <= before) broken('a read that reads nothing');
      }
    },
  };
}

export const wire: TargetFile = {
  targets: { datagrams, frames, payload, pack },
  decoders: {
    'sdk/base/bytes.ts': ['class ByteReader'],
    'sdk/wire/datagram.ts': [
      'function isData',
      'function onlyPadding',
      'function open',
      'function decodeHello',
      'function decodeCookie',
      'function decodeInit',
      'function decodeResp',
      'function decodeFin',
      'function decodeWho',
      'function decodeMembers',
      'function decodeHere',
      'function readDataCid',
      'function readDataEpoch',
      'function readDataSeq',
    ],
    'sdk/wire/frame.ts': ['function fragmentCount', 'function fragmentStride', 'class FrameReader', 'function u16', 'function u32', 'function u48'],
    'sdk/wire/payload.ts': ['function scanPayload', 'function decodePayload'],
    'sdk/wire/pack.ts': ['class PackReader'],
  },
};
