/** Our link in the link benchmark: endpoint and sockets as a process has them, sealed by each provider or by none. */
import { createRng } from '../../../sdk/base/rng.ts';
import { Endpoint } from '../../../sdk/link/endpoint.ts';
import type { LinkId } from '../../../sdk/link/endpoint-types.ts';
import { nodeCrypto } from '../../../sdk/node/crypto-node.ts';
import { loadSodiumNative, loadSodiumWasm } from '../../../sdk/node/crypto-sodium.ts';
import { NodeTime } from '../../../sdk/node/local-time.ts';
import { openUdp } from '../../../sdk/node/udp.ts';
import type { CryptoProvider } from '../../../sdk/secure/provider.ts';
import { PROLOGUE, ROOM } from '../../accept/parts/victim.ts';
import { LOOPBACK, PAYLOAD, pinger, type Transport } from './transport.ts';

/** Copies instead of sealing; the tag stays what it was. Handshakes are real. */
const noSeal: CryptoProvider = {
  ...nodeCrypto,
  name: 'none',
  createAead: () => ({
    seal(_counter, _ad, plain, out, at, from = 0, to = plain.length) {
      for (let i = from; i < to; i++) out[at + i - from] = plain[i]!;
      return to - from + 16;
    },
    open(_counter, _ad, sealed, out, at, from = 0, to = sealed.length) {
      for (let i = from; i < to - 16; i++) out[at + i - from] = sealed[i]!;
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
      const side = await open(sealing, (id, bytes) => side.say(id, bytes));
      return side.port;
    },
    async call(port: number) {
      const { ping, answered } = pinger(() => side.say(id, PAYLOAD));
      const side = await open(sealing, answered);
      const id = await side.connect(port);
      return ping;
    },
  };
}

/** One endpoint with the loop of a process: what came is answered before what is due leaves, so that both share a datagram. */
async function open(sealing: Sealing, onMessage: (link: LinkId, bytes: Uint8Array) => void) {
  const crypto = await LOADERS[sealing]();
  const time = new NodeTime();
  let linked: (link: LinkId) => void = () => {};
  let made: Endpoint | undefined;
  const udp = await openUdp({
    host: LOOPBACK,
    onDatagram(socket, host, port, bytes) {
      const now = time.now();
      made?.handleDatagram(now, socket, host, port, bytes);
      drain(now);
    },
  });
  const endpoint = (made = new Endpoint({
    crypto,
    rng: createRng(process.pid),
    identity: crypto.generateKeyPair(),
    roomId: ROOM,
    joinPort: udp.joinPort,
    sessionPort: udp.sessionPort,
    prologue: PROLOGUE,
  }));
  endpoint.setDoor({ open: true, code: undefined, roomKey: undefined });
  let draining = false;

  function drain(now: number): void {
    draining = true;
    for (;;) {
      for (let event = endpoint.pollEvent(); event !== undefined; event = endpoint.pollEvent()) {
        if (event.type === 'message') onMessage(event.link, event.bytes);
        else if (event.type === 'linked') linked(event.link);
      }
      const datagram = endpoint.pollTransmit(now);
      if (datagram === undefined) break;
      udp.send(datagram.socket, datagram.host, datagram.port, datagram.bytes);
    }
    draining = false;
    time.schedule(endpoint.pollTimeout(), onTimer);
  }

  function onTimer(): void {
    const now = time.now();
    endpoint.handleTimeout(now);
    drain(now);
  }

  return {
    port: udp.joinPort,
    connect: (port: number) =>
      new Promise<LinkId>((resolve) => {
        linked = resolve;
        endpoint.connect(time.now(), { host: LOOPBACK, port }, { mode: 'open' });
        drain(time.now());
      }),
    say(id: LinkId, bytes: Uint8Array) {
      const now = time.now();
      endpoint.send(now, id, 'unreliable', bytes);
      endpoint.flush(now);
      if (!draining) drain(now);
    },
  };
}
