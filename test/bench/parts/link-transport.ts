/** Our link in the link benchmark, sealed by each provider or by none. */
import { copyBytes } from '../../../sdk/base/bytes.ts';
import { nodeCrypto } from '../../../sdk/node/crypto-node.ts';
import { loadSodiumNative, loadSodiumWasm } from '../../../sdk/node/crypto-sodium.ts';
import type { CryptoProvider } from '../../../sdk/secure/provider.ts';
import { openLinkSide } from './link-side.ts';
import { PAYLOAD, pinger, type Transport } from './transport.ts';

/** Copies instead of sealing; the tag stays what it was. Handshakes are real. */
const noSeal: CryptoProvider = {
  ...nodeCrypto,
  name: 'none',
  createAead: () => ({
    seal(_counter, _ad, plain, out, at, from = 0, to = plain.length) {
      copyBytes(plain, from, to, out, at);
      return to - from + 16;
    },
    open(_counter, _ad, sealed, out, at, from = 0, to = sealed.length) {
      copyBytes(sealed, from, to - 16, out, at);
      return to - from - 16;
    },
  }),
};

const LOADERS = {
  none: () => Promise.resolve(noSeal),
  node: () => Promise.resolve(nodeCrypto),
  wasm: loadSodiumWasm,
  native: loadSodiumNative,
} as const;

export type Sealing = keyof typeof LOADERS;

export function link(sealing: Sealing): Transport {
  return {
    async echo() {
      const side = await openLinkSide(await LOADERS[sealing](), (id, bytes) => {
        side.send(id, 'unreliable', bytes);
        side.flush();
      });
      return side.port;
    },
    async call(port: number) {
      const { ping, answered } = pinger(() => {
        side.send(id, 'unreliable', PAYLOAD);
        side.flush();
      });
      const side = await openLinkSide(await LOADERS[sealing](), answered);
      const id = await side.connect(port);
      return ping;
    },
  };
}
