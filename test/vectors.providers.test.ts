/** Wycheproof and CPace's low-order points against every crypto provider that loads here. */
import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatBytes, fromHex, toHex } from '../sdk/base/bytes.ts';
import { loadCrypto, type CryptoChoice } from '../sdk/node/crypto.ts';
import type { CryptoProvider } from '../sdk/secure/provider.ts';
import { expectSame } from './same.ts';

const ROOT = new URL('../../shared/vectors/', import.meta.url);
const read = (name: string) => JSON.parse(readFileSync(new URL(name, ROOT), 'utf8'));
const hex = (text: string) => fromHex(text)!;

const loaded: [CryptoChoice, CryptoProvider][] = [];
for (const choice of ['native', 'wasm', 'node'] as const) {
  const crypto = await loadCrypto(choice);
  if (crypto.name === choice) loaded.push([choice, crypto]);
}

it('[SE14] a provider is always found; WebAssembly needs nothing from the machine', () => {
  const names = loaded.map(([name]) => name);
  console.log(`crypto providers here: ${names.join(', ')}`);
  expect(names).toContain('wasm');
  expect(names).toContain('node');
});

it.each(loaded)('[SE15] %s seals and opens the same whatever the size, and wherever in a buffer the bytes lie', (_name, crypto) => {
  const [, node] = loaded.at(-1)!;
  const key = crypto.randomBytes(32);
  const [mine, theirs, other] = [crypto.createAead(key), node.createAead(key), crypto.createAead(crypto.randomBytes(32))];
  const ad = crypto.randomBytes(11);
  fc.assert(
    fc.property(fc.nat(3_000), fc.nat(40), fc.nat(2_000), fc.nat(40), fc.nat(2 ** 40), (size, before, after, at, counter) => {
      const plain = crypto.randomBytes(before + size + after);
      const want = plain.slice(before, before + size);
      const sealed = new Uint8Array(at + size + 16 + 5).fill(9);
      expectSame(mine.seal(counter, ad, plain, sealed, at, before, before + size), size + 16);
      // Another cipher of the same provider between the two: they share the memory they work in.
      other.seal(counter, ad, plain, new Uint8Array(size + 16), 0, before, before + size);
      const opened = new Uint8Array(at + size + 5).fill(9);
      expectSame(theirs.open(counter, ad, sealed, opened, at, at, at + size + 16), size);
      expectSame(Buffer.compare(opened.subarray(at, at + size), want), 0);
      opened.fill(9);
      expectSame(mine.open(counter, ad, sealed, opened, at, at, at + size + 16), size);
      expectSame(Buffer.compare(opened.subarray(at, at + size), want), 0);
      // Nothing around what was asked for is written.
      for (const bytes of [sealed, opened])
        expectSame(
          [...bytes.subarray(0, at), ...bytes.subarray(-5)].every((byte) => byte === 9),
          true,
        );
      sealed[at + (counter % (size + 16))]! ^= 1;
      expectSame(mine.open(counter, ad, sealed, opened, at, at, at + size + 16), -1);
    }),
    { numRuns: 300 },
  );
});

/** HKDF (RFC 5869) out of the provider's HMAC: it is what Noise and the ratchet rest on. */
function hkdf(crypto: CryptoProvider, salt: Uint8Array, secret: Uint8Array, info: Uint8Array, size: number): Uint8Array {
  const key = crypto.hmacSha256(salt.length === 0 ? new Uint8Array(32) : salt, secret);
  let block = new Uint8Array(0);
  let all = new Uint8Array(0);
  for (let i = 1; all.length < size; i++) {
    block = new Uint8Array(crypto.hmacSha256(key, block, info, Uint8Array.of(i)));
    all = new Uint8Array(concatBytes(all, block));
  }
  return all.slice(0, size);
}

describe.skipIf(!existsSync(ROOT)).each(loaded)('official vectors by %s', (name, crypto) => {
  it('[SE9] X25519', () => {
    let total = 0;
    let passed = 0;
    const file = read('wycheproof/x25519_test.json');
    for (const group of file.testGroups) {
      for (const t of group.tests) {
        total++;
        const shared = crypto.dh(hex(t.private), hex(t.public));
        if (/^0*$/.test(t.shared) ? shared === undefined : shared !== undefined && toHex(shared) === t.shared) passed++;
      }
    }
    console.log(`wycheproof x25519 (${name}): ${passed} of ${total}`);
    expect(total).toBe(file.numberOfTests);
    expect(passed).toBe(total);
  });

  it('[SE9] ChaCha20-Poly1305, sealing and opening', () => {
    let total = 0;
    let passed = 0;
    let otherNonces = 0;
    const file = read('wycheproof/chacha20_poly1305_test.json');
    for (const group of file.testGroups) {
      for (const t of group.tests) {
        if (group.ivSize !== 96) {
          // RFC 8439 has no other nonce and the provider cannot be given one; the file calls all of these invalid.
          if (t.result === 'invalid') otherNonces++;
          continue;
        }
        total++;
        const aead = crypto.createAead(hex(t.key), hex(t.iv));
        const text = hex(t.msg);
        const sealed = hex(t.ct + t.tag);
        const out = new Uint8Array(text.length + 20);
        const size = aead.open(0, hex(t.aad), concatBytes(Uint8Array.of(1, 2), sealed, Uint8Array.of(3)), out, 1, 2, 2 + sealed.length);
        if (t.result === 'invalid') {
          if (size === -1) passed++;
          continue;
        }
        const opened = size === text.length && toHex(out.subarray(1, 1 + size)) === t.msg;
        const written = aead.seal(0, hex(t.aad), concatBytes(Uint8Array.of(9), text), out, 2, 1, 1 + text.length);
        if (opened && written === sealed.length && toHex(out.subarray(2, 2 + written)) === t.ct + t.tag) passed++;
      }
    }
    console.log(
      `wycheproof chacha20-poly1305 (${name}): ${passed} of ${total}, and ${otherNonces} invalid for a nonce size that the provider cannot be given`,
    );
    expect(total + otherNonces).toBe(file.numberOfTests);
    expect(otherNonces).toBe(9);
    expect(passed).toBe(total);
  });

  it('[SE9] HKDF-SHA256', () => {
    let total = 0;
    let passed = 0;
    const file = read('wycheproof/hkdf_sha256_test.json');
    for (const group of file.testGroups) {
      for (const t of group.tests) {
        total++;
        if (t.result === 'invalid' ? t.size > 255 * 32 : toHex(hkdf(crypto, hex(t.salt), hex(t.ikm), hex(t.info), t.size)) === t.okm) passed++;
      }
    }
    console.log(`wycheproof hkdf-sha256 (${name}): ${passed} of ${total}`);
    expect(total).toBe(file.numberOfTests);
    expect(passed).toBe(total);
  });

  it('[SE10] the points of the CPace draft: low order is refused, bit 255 is ignored', () => {
    const points: Record<string, string> = read('cpace/testvectors.json').X25519_points;
    const scalar = hex('af46e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449aff');
    // draft-irtf-cfrg-cpace-21, B.1.10: q6 and q8 to qb; every other point must end the protocol.
    const expected: Record<string, string> = {
      'Invalid Y6': 'd8e2c776bbacd510d09fd9278b7edcd25fc5ae9adfba3b6e040e8d3b71b21806',
      'Invalid Y8': 'c85c655ebe8be44ba9c0ffde69f2fe10194458d137f09bbff725ce58803cdb38',
      'Invalid Y9': 'db64dafa9b8fdd136914e61461935fe92aa372cb056314e1231bc4ec12417456',
      'Invalid Y10': 'e062dcd5376d58297be2618c7498f55baa07d7e03184e8aada20bca28888bf7a',
      'Invalid Y11': '993c6ad11c4c29da9a56f7691fd0ff8d732e49de6250b6c2e80003ff4629a175',
    };
    const total = Object.keys(points).length;
    const right = Object.entries(points).filter(([label, point]) => {
      const result = crypto.dh(scalar, hex(point));
      return (result === undefined ? undefined : toHex(result)) === expected[label];
    }).length;
    console.log(`cpace points (${name}): ${right} of ${total}`);
    expect(total).toBe(12);
    expect(right).toBe(total);
  });
});
