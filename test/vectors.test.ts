/** Official vectors, read from beside the project; skipped by name where they are not there. */
import { createCipheriv, createDecipheriv, createHash, createHmac } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../sdk/base/bytes.ts';
import { nodeCrypto } from '../sdk/node/crypto-node.ts';
import { cpaceGenerator, cpaceKey, cpaceShare } from '../sdk/secure/cpace.ts';
import { HANDSHAKE_NAME } from '../sdk/secure/handshake.ts';
import { NoiseHandshake, type NoiseSuite } from '../sdk/secure/noise.ts';
import type { Aead } from '../sdk/secure/provider.ts';

const ROOT = new URL('../../shared/vectors/', import.meta.url);
const there = existsSync(ROOT);
const read = (name: string) => JSON.parse(readFileSync(new URL(name, ROOT), 'utf8'));
const hex = (text: string) => fromHex(text)!;

const HASHES: Record<string, [string, 32 | 64]> = {
  SHA256: ['sha256', 32],
  SHA512: ['sha512', 64],
  BLAKE2s: ['blake2s256', 32],
  BLAKE2b: ['blake2b512', 64],
};

function aesGcm(key: Uint8Array): Aead {
  const nonce = (n: number) => {
    const out = Buffer.alloc(12);
    out.writeBigUInt64BE(BigInt(n), 4);
    return out;
  };
  return {
    seal(n, ad, plain, out, at) {
      const c = createCipheriv('aes-256-gcm', key, nonce(n));
      c.setAAD(ad);
      out.set(c.update(plain), at);
      c.final();
      out.set(c.getAuthTag(), at + plain.length);
      return plain.length + 16;
    },
    open(n, ad, sealed, out, at) {
      const size = sealed.length - 16;
      const d = createDecipheriv('aes-256-gcm', key, nonce(n), { authTagLength: 16 });
      d.setAAD(ad);
      d.setAuthTag(sealed.subarray(size));
      const plain = d.update(sealed.subarray(0, size));
      try {
        d.final();
      } catch {
        return -1;
      }
      out.set(plain, at);
      return size;
    },
  };
}

function suite(cipher: string, hash: string): NoiseSuite {
  const [name, hashBytes] = HASHES[hash]!;
  return {
    hashBytes,
    hash: (...parts) => new Uint8Array(parts.reduce((h, p) => h.update(p), createHash(name)).digest()),
    hmac: (key, ...parts) => new Uint8Array(parts.reduce((h, p) => h.update(p), createHmac(name, key)).digest()),
    createAead: cipher === 'ChaChaPoly' ? nodeCrypto.createAead : aesGcm,
    generateKeyPair: nodeCrypto.generateKeyPair,
    dh: nodeCrypto.dh,
  };
}

const pair = (secret: string | undefined) =>
  secret === undefined ? undefined : { secretKey: hex(secret), publicKey: nodeCrypto.publicKey(hex(secret)) };

describe.skipIf(!there)('official vectors', () => {
  it('[SE8] Noise: every fundamental 25519 pattern, with and without psk', () => {
    let total = 0;
    let passed = 0;
    let sha = 0;
    let ours = 0;
    const file = read('cacophony.txt').vectors;
    for (const v of file) {
      const match = /^Noise_([NKXI]{1,2})((?:psk\d\+?)*)_25519_(ChaChaPoly|AESGCM)_(\w+)$/.exec(v.protocol_name);
      if (match === null) continue;
      total++;
      const side = (who: 'init' | 'resp', initiator: boolean) => {
        const s = pair(v[`${who}_static`]);
        const e = pair(v[`${who}_ephemeral`]);
        const rs = v[`${who}_remote_static`];
        return new NoiseHandshake(v.protocol_name, suite(match[3]!, match[4]!), {
          initiator,
          prologue: hex(v[`${who}_prologue`] ?? ''),
          ...(s && { s }),
          ...(e && { e }),
          ...(rs && { rs: hex(rs) }),
          psks: (v[`${who}_psks`] ?? []).map(hex),
        });
      };
      const sides = [side('init', true), side('resp', false)];
      const seal = suite(match[3]!, match[4]!).createAead;
      // One-way patterns have one speaker; in the others the two take turns, after the handshake too.
      const oneWay = match[1]!.length === 1;
      const sent = [0, 0];
      let ok = true;
      for (const [i, m] of v.messages.entries()) {
        const from = oneWay ? 0 : i % 2;
        const [speaker, listener] = [sides[from]!, sides[1 - from]!];
        let wire: Uint8Array | undefined;
        let heard: Uint8Array | undefined;
        if (speaker.done) {
          const payload = hex(m.payload);
          const counter = sent[from]!++;
          wire = new Uint8Array(payload.length + 16);
          seal(speaker.split().send).seal(counter, new Uint8Array(0), payload, wire, 0);
          heard = new Uint8Array(payload.length);
          if (seal(listener.split().receive).open(counter, new Uint8Array(0), wire, heard, 0) < 0) heard = undefined;
        } else {
          wire = speaker.writeMessage(hex(m.payload));
          heard = wire && listener.readMessage(wire);
        }
        ok &&= wire !== undefined && toHex(wire) === m.ciphertext && heard !== undefined && toHex(heard) === m.payload;
      }
      ok &&= sides[0]!.done && (v.handshake_hash === undefined || toHex(sides[0]!.handshakeHash) === v.handshake_hash);
      if (!ok) continue;
      passed++;
      if (match[4]!.startsWith('SHA')) sha++;
      if (v.protocol_name === HANDSHAKE_NAME) ours++;
    }
    // What the file holds, counted another way: 12 interactive and 3 one-way patterns, 21 with a psk, times 2 ciphers and 4 hashes.
    const names: string[] = file.map((v: { protocol_name: string }) => v.protocol_name);
    const curve = names.filter((name) => name.includes('_25519_'));
    const deferred = curve.filter((name) => /1/.test(name.split('_')[1]!.replaceAll(/psk\d/g, '')));
    console.log(
      `noise vectors: ${passed} of ${total} (fundamental 25519 patterns with and without psk); with SHA-256 or SHA-512: ${sha} of 144; ${HANDSHAKE_NAME}: ${ours} of 1`,
    );
    console.log(
      `noise vectors not asked: ${deferred.length} of deferred patterns, ${names.length - curve.length} over 448, of ${names.length} in the file`,
    );
    expect(total).toBe(curve.length - deferred.length);
    expect(total).toBe((15 + 21) * 2 * 4);
    expect(passed).toBe(total);
    expect(sha).toBe((15 + 21) * 2 * 2);
    expect(ours).toBe(1);
  });

  it('[SE10] CPace draft vectors', () => {
    const { G_25519: v } = read('cpace/testvectors.json');
    const sid = hex(v.sid);
    const g = cpaceGenerator(nodeCrypto, hex(v.PRS), hex(v.CI), sid);
    const up = (bytes: Uint8Array | undefined) => toHex(bytes ?? new Uint8Array()).toUpperCase();
    const ya = cpaceShare(nodeCrypto, hex(v.ya), g)!;
    const yb = cpaceShare(nodeCrypto, hex(v.yb), g)!;
    const key = cpaceKey(nodeCrypto, {
      scalar: hex(v.ya),
      theirShare: yb,
      sid,
      initiatorShare: ya,
      initiatorData: hex(v.ADa),
      responderShare: yb,
      responderData: hex(v.ADb),
    });
    const values = { g, Ya: ya, Yb: yb, K: cpaceShare(nodeCrypto, hex(v.ya), yb), ISK_IR: key };
    const right = Object.entries(values).filter(([name, value]) => up(value) === v[name]);
    console.log(`cpace vectors: ${right.length} of ${Object.keys(values).length} values of G_X25519, initiator and responder`);
    expect(right.map(([name]) => name)).toEqual(Object.keys(values));
    // The same key from the other side.
    const mirrored = cpaceKey(nodeCrypto, {
      scalar: hex(v.yb),
      theirShare: ya,
      sid,
      initiatorShare: ya,
      initiatorData: hex(v.ADa),
      responderShare: yb,
      responderData: hex(v.ADb),
    });
    expect(up(mirrored)).toBe(v.ISK_IR);
  });
});
