/**
 * What is fuzzed: every decoder by itself, and the link entered behind its AEAD, where a member's bytes
 * arrive. A target throws when a promise is broken.
 */
import { ByteWriter } from '../../sdk/base/bytes.ts';
import { decodeCommands, decodeEvents } from '../../sdk/bridge/batch.ts';
import { decodeRoster } from '../../sdk/mesh/roster-codec.ts';
import { decodeMessage } from '../../sdk/mesh/messages.ts';
import { decodeJoinCode } from '../../sdk/node/discovery/join-code.ts';
import { parseLocalEntry } from '../../sdk/node/discovery/local.ts';
import { walkDns } from '../../sdk/node/discovery/dns-walker.ts';
import { createRng } from '../../sdk/base/rng.ts';
import { NonceRegistry, createSimCrypto } from '../../sdk/testing/sim-crypto.ts';
import {
  decodeCookie,
  decodeFin,
  decodeHello,
  decodeHere,
  decodeInit,
  decodeResp,
  decodeWho,
  encodeHello,
  encodeWho,
} from '../../sdk/wire/datagram.ts';
import { FrameReader, FrameWriter } from '../../sdk/wire/frame.ts';
import { MAX_HELD_BYTES_PER_PEER } from '../../sdk/wire/limits.ts';
import { PackReader } from '../../sdk/wire/pack.ts';
import { decodePayload, encodePayload } from '../../sdk/wire/payload.ts';
import { CORPUS } from '../accept/parts/hostile.ts';
import { Insider, drain } from '../accept/parts/insider.ts';
import { PROLOGUE, ROOM, createVictim } from '../accept/parts/victim.ts';

export interface Target {
  readonly seeds: readonly Uint8Array[];
  run(bytes: Uint8Array): void;
}

const hostile = (at: string): Uint8Array[] => CORPUS.filter((entry) => entry.at === at && entry.bytes.length <= 1_400).map((entry) => entry.bytes);
const plain = (run: (bytes: Uint8Array) => unknown, seeds: readonly Uint8Array[]) => (): Target => ({ seeds, run: (bytes) => void run(bytes) });
const eight = new Uint8Array(8);
const honestFrames = (): Uint8Array => {
  const writer = new FrameWriter(1_200);
  writer.begin(1_200);
  writer.ack(0, 0, 0, 1);
  writer.ping(5);
  writer.pong(1, 2, 3);
  writer.reliable(0, 0, eight);
  writer.fragment(1, 0, 0, 5, new Uint8Array(1_130));
  writer.sequenced(2, 1, eight);
  writer.unreliable(3, eight);
  return writer.bytes.slice(0, writer.at);
};

export const TARGETS: Readonly<Record<string, () => Target>> = {
  payload: plain(
    (bytes) => {
      const value = decodePayload(bytes);
      // What we accept we must be able to say again.
      if (value !== undefined) encodePayload(value);
    },
    [encodePayload({ a: [1, 2.5, 'x', null, true], b: new Uint8Array(3) }), ...hostile('payload')],
  ),
  datagrams: plain(
    (bytes) => [decodeHello(bytes), decodeCookie(bytes), decodeInit(bytes), decodeResp(bytes), decodeFin(bytes), decodeWho(bytes), decodeHere(bytes)],
    [
      encodeHello({ nonce: eight, roomTag: eight }).slice(),
      encodeWho({ nonce: eight, roomTag: eight, gameId: 'game' }).slice(),
      ...hostile('join'),
      ...hostile('query'),
    ],
  ),
  frames: plain(
    (bytes) => {
      const reader = new FrameReader();
      reader.reset(bytes, bytes.length);
      let steps = 0;
      for (let type = reader.next(); type > 0; type = reader.next()) {
        if (++steps > bytes.length) throw new Error('more frames than bytes');
        if (type >= 0x40 && reader.bodyAt + reader.bodySize > bytes.length) throw new Error('a body beyond the packet');
      }
    },
    [honestFrames(), ...hostile('session')],
  ),
  pack: plain(
    (bytes) => {
      const reader = new PackReader(bytes);
      for (let i = 0; reader.more && i < 4_096; i++) {
        const before = reader.offset;
        if ((i & 3) === 0) reader.number();
        else if ((i & 3) === 1) reader.count(1_000);
        else if ((i & 3) === 2) reader.bool();
        else reader.int();
        if (reader.ok && reader.offset <= before) throw new Error('a read that reads nothing');
      }
    },
    [new ByteWriter(8).u32(5).copy(), encodePayload([1, 2, true, 3, 1.5])],
  ),
  mesh: plain(decodeMessage, [encodePayload([1, 2, 3]), encodePayload([0, 'a', []]), ...hostile('mesh')]),
  roster: plain(
    (bytes) => {
      const value = decodePayload(bytes);
      if (value !== undefined) decodeRoster(value);
    },
    [encodePayload([1, 'x', [], 2])],
  ),
  bridge: plain((bytes) => [decodeCommands(bytes), decodeEvents(bytes)], [new Uint8Array([0, 1, 2, 3]), ...hostile('bridge')]),
  dns: plain(walkDns, hostile('dns')),
  'join-code': plain(
    (bytes) => [decodeJoinCode(Buffer.from(bytes).toString('latin1')), parseLocalEntry(Buffer.from(bytes).toString('utf8'))],
    [Buffer.from('7F3-K2M-9QX'), Buffer.from('{"port":5}')],
  ),
  'behind-the-seal': behindTheSeal,
};

/** A link of an endpoint, fed plaintext that a member sealed. A new link whenever the old one is closed. */
function behindTheSeal(): Target {
  const crypto = createSimCrypto(createRng(9), new NonceRegistry());
  let now = 1_000;
  let lives = 0;
  let victim = createVictim(crypto, 1);
  let insider: Insider | undefined;
  return {
    seeds: [honestFrames(), ...hostile('session')],
    run: (bytes) => {
      now += 3;
      if (insider === undefined || !insider.linked || insider.events.length > 5_000) {
        // A fresh endpoint now and then, so that closing links do not add up.
        if (lives++ % 20 === 0) victim = createVictim(crypto, lives);
        now += 1_000;
        victim.handleTimeout(now);
        drain(now, victim);
        insider = new Insider(crypto, victim, ROOM, PROLOGUE, `h${lives}`);
        if (!insider.connect(now)) return;
      }
      insider.inbox.length = 0;
      insider.send(now, bytes.subarray(0, 1_400));
      victim.handleTimeout(now);
      insider.collect(now);
      if (victim.load.heldBytes > 21 * MAX_HELD_BYTES_PER_PEER) throw new Error('more held than allowed');
    },
  };
}
