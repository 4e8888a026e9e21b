/** Bytes sent to an address that has proved nothing, against the bytes that came from there. */
import { createRng } from '../../sdk/base/rng.ts';
import { nodeCrypto } from '../../sdk/node/crypto-node.ts';
import { encodeHello } from '../../sdk/wire/datagram.ts';
import { HERE_RATIO } from './parts/here.ts';
import { roomTagOf } from './parts/insider.ts';
import { drain } from './parts/insider.ts';
import { JOIN_PORT, ROOM, Rig } from '../link-rig.ts';
import { createVictim } from './parts/victim.ts';
import type { AcceptOptions, AcceptResult } from './rows.ts';

export async function accept({ small, seed }: AcceptOptions): Promise<AcceptResult> {
  const packets = small ? 50_000 : 1_000_000;
  const samples = record(seed);
  const victim = createVictim(nodeCrypto, seed);
  const rng = createRng(seed);
  const worst: Record<string, number> = { HERE: HERE_RATIO };
  const kinds = ['', 'HELLO', 'COOKIE', 'INIT', 'RESP', 'FIN'];
  let garbageBytes = 0;
  let now = 1_000;
  const give = (socket: 'join' | 'session', host: string, bytes: Uint8Array, garbage: boolean): void => {
    victim.handleDatagram(now, socket, host, JOIN_PORT, bytes);
    let out = 0;
    for (const sent of drain(now, victim)) if (sent.host === host) out += sent.bytes.length;
    if (garbage) garbageBytes += out;
    const kind = socket === 'session' ? 'DATA' : (kinds[bytes[0] ?? 0] ?? 'other');
    if (bytes.length > 0) worst[kind] = Math.max(worst[kind] ?? 0, out / bytes.length);
  };
  const roomTag = roomTagOf(nodeCrypto, ROOM);
  for (let i = 0; i < packets; i++) {
    now += 0.1;
    const host = `s${rng.int(50)}`;
    const which = rng.int(4);
    if (which === 0) {
      const garbage = new Uint8Array(1 + rng.int(1_200)).map(() => rng.int(256));
      give(rng.chance(0.5) ? 'join' : 'session', host, garbage, true);
      continue;
    }
    if (which === 1) {
      give('join', host, encodeHello({ nonce: new Uint8Array(8).fill(i), roomTag }).slice(), false);
      continue;
    }
    // Real datagrams of a handshake with another process: the addresses and cookies in them are not ours to believe.
    const sample = samples[rng.int(samples.length)]!;
    let bytes = sample.bytes.slice();
    if (which === 3) {
      for (let k = 1 + rng.int(4); k > 0; k--) bytes[rng.int(bytes.length)]! ^= 1 << rng.int(8);
      if (rng.chance(0.1)) bytes = bytes.slice(0, rng.int(bytes.length));
    }
    give(sample.session ? 'session' : 'join', host, bytes, false);
  }
  worst['INIT with a true cookie'] = trueInit(seed);
  const pathChallenge = Math.max(forgedPath(seed, 1), forgedPath(seed, 2), forgedPath(seed, Infinity));
  const value = Math.max(...Object.values(worst));
  return {
    value: round(value),
    unit: 'bytes out per byte in, worst datagram kind',
    target: '<= 0.5 over 1,000,000 packets; 0 bytes to garbage',
    pass: value <= 0.5 && garbageBytes === 0,
    details: {
      packets,
      garbageBytes,
      worst: Object.fromEntries(Object.entries(worst).map(([k, v]) => [k, round(v)])),
      memberPacketUnderForgedSource: round(pathChallenge),
    },
  };
}

const round = (value: number): number => Math.round(value * 1_000) / 1_000;

/** Datagrams of an honest handshake and link. */
function record(seed: number): { bytes: Uint8Array; session: boolean }[] {
  const rig = new Rig({ seed });
  const [a, b] = [rig.add('a', undefined, undefined, undefined, nodeCrypto), rig.add('b', undefined, undefined, undefined, nodeCrypto)];
  const seen: { bytes: Uint8Array; session: boolean }[] = [];
  rig.onSend = (_from, socket, _host, _port, bytes) => {
    if (seen.length < 40) seen.push({ bytes: bytes.slice(), session: socket === 'session' });
    return true;
  };
  rig.pair(a, b);
  rig.run(500);
  return seen;
}

/** RESP against INIT of a source that did fetch its cookie, repeats included. */
function trueInit(seed: number): number {
  const rig = new Rig({ seed });
  const [a, b] = [rig.add(), rig.add()];
  let init: Uint8Array | undefined;
  let resp = 0;
  rig.onSend = (from, _socket, _host, _port, bytes) => {
    if (from === a && bytes[0] === 0x03) init = bytes.slice();
    if (from === b && bytes[0] === 0x04) resp += bytes.length;
    return bytes[0] !== 0x05 && bytes[0] !== 0x04;
  };
  rig.connect(a, b);
  rig.run(50);
  let given = init!.length;
  for (let i = 0; i < 20; i++) {
    given += init!.length;
    rig.deliver(b, 'join', a.host, JOIN_PORT, init!);
  }
  return resp / given;
}

/**
 * Somebody on the path carries packets of a member on under a forged source, one or all of them: what goes to
 * that source, per byte that seemed to come from it. QUIC allows 3; told beside the value, not part of it,
 * since it takes a packet of a live member per challenge.
 */
function forgedPath(seed: number, carried: number): number {
  const rig = new Rig({ seed, delayMs: 1 });
  const [a, b] = [rig.add('a'), rig.add('b')];
  rig.pair(a, b);
  rig.run(2_000);
  let out = 0;
  let given = 0;
  let left = carried;
  rig.onSend = (from, socket, host, _port, bytes) => {
    if (host === 'forged') out += bytes.length;
    if (from !== a || socket !== 'session' || left === 0) return true;
    left--;
    given += bytes.length;
    rig.net.handleDatagram(rig.now, { from: { host: 'forged', port: 9 }, to: { host: 'b', port: 2 }, socket, bytes });
    return false;
  };
  rig.run(4_000);
  return out / given;
}
