/** What the project's own decoders read, in the words of the page's decoder, so that the two can be compared. */
import { toHex } from '../../sdk/base/bytes.ts';
import * as wire from '../../sdk/wire/datagram.ts';
import * as frames from '../../sdk/wire/frame.ts';
import type { Frame } from './decoder.ts';
import { hex } from './reader.ts';

/** The project's own reading of a datagram, in the decoder's words. */
export function ours(bytes: Uint8Array): unknown {
  const h = (part: Uint8Array): string => toHex(part);
  switch (bytes[0]) {
    case wire.KIND_HELLO: {
      const d = wire.decodeHello(bytes)!;
      return { kind: 'HELLO', nonce: h(d.nonce), roomTag: h(d.roomTag) };
    }
    case wire.KIND_COOKIE: {
      const d = wire.decodeCookie(bytes)!;
      return { kind: 'COOKIE', nonce: h(d.nonce), cookie: h(d.cookie) };
    }
    case wire.KIND_INIT: {
      const d = wire.decodeInit(bytes)!;
      return { kind: 'INIT', cid: d.cid, nonce: h(d.nonce), cookie: h(d.cookie), roomTag: h(d.roomTag), noise: d.noise.slice() };
    }
    case wire.KIND_RESP: {
      const d = wire.decodeResp(bytes)!;
      return { kind: 'RESP', receiver: d.cid, noise: d.noise.slice() };
    }
    case wire.KIND_FIN: {
      const d = wire.decodeFin(bytes)!;
      return { kind: 'FIN', receiver: d.cid, noise: d.noise.slice() };
    }
    case wire.KIND_WHO: {
      const d = wire.decodeWho(bytes)!;
      return { kind: 'WHO', nonce: h(d.nonce), roomTag: d.roomTag && h(d.roomTag), gameId: d.gameId };
    }
    case wire.KIND_HERE: {
      const d = wire.decodeHere(bytes)!;
      return { kind: 'HERE', nonce: h(d.nonce), facts: d.facts };
    }
    default:
      return {
        kind: 'DATA',
        epoch: wire.readDataEpoch(bytes),
        receiver: wire.readDataCid(bytes),
        seq: wire.readDataSeq(bytes),
        sealed: bytes.slice(wire.DATA_HEADER_BYTES),
      };
  }
}

/** The project's own reading of a packet's frames; undefined for a packet it refuses. */
export function oursFrames(packet: Uint8Array): Frame[] | undefined {
  const reader = new frames.FrameReader();
  reader.reset(packet, packet.length);
  const out: Frame[] = [];
  for (let type = reader.next(); type !== 0; type = reader.next()) {
    if (type < 0) return undefined;
    const bytes = packet.slice(reader.bodyAt, reader.bodyAt + reader.bodySize);
    const { lane, id, a, b, c } = reader;
    if (type === frames.FRAME_ACK)
      out.push({ type: 'ACK', newest: id, bits: (BigInt(b) << 32n) | BigInt(a), delay: Math.round(c * frames.ACK_DELAY_UNITS) });
    else if (type === frames.FRAME_PING) out.push({ type: 'PING', t1: id });
    else if (type === frames.FRAME_PONG) out.push({ type: 'PONG', t1: id, received: a, sent: b });
    else if (type === frames.FRAME_CLOSE) return [...out, { type: 'CLOSE', reason: frames.CLOSE_REASONS[c]! }];
    else if (type === frames.FRAME_PATH_CHALLENGE) out.push({ type: 'PATH_CHALLENGE', token: hex(bytes) });
    else if (type === frames.FRAME_PATH_RESPONSE) out.push({ type: 'PATH_RESPONSE', token: hex(bytes) });
    else if (type === frames.FRAME_MTU_PROBE) out.push({ type: 'MTU_PROBE', size: c });
    else if (type === frames.FRAME_MTU_ACK) out.push({ type: 'MTU_ACK', size: c });
    else if (type === frames.FRAME_RELIABLE) out.push({ type: 'RELIABLE', lane, id, bytes });
    else if (type === frames.FRAME_FRAGMENT) out.push({ type: 'FRAGMENT', lane, id, index: a, count: b, length: c, bytes });
    else if (type === frames.FRAME_SEQUENCED) out.push({ type: 'SEQUENCED', lane, id, bytes });
    else if (type === frames.FRAME_UNRELIABLE) out.push({ type: 'UNRELIABLE', lane, bytes });
  }
  return out;
}
