/**
 * A process of the mesh row: `peer` is one of 32, `swarm` is the other 31. Both send 100 bytes to each at 60 Hz, either
 * over links or over bare sockets with the same seal on every datagram and nothing else. Only the peer's CPU counts.
 */
import { createSocket, type Socket } from 'node:dgram';
import { performance } from 'node:perf_hooks';
import type { LinkId } from '../../../sdk/link/endpoint-types.ts';
import { loadCrypto } from '../../../sdk/node/crypto.ts';
import { numericLookup } from '../../../sdk/node/udp.ts';
import type { Aead } from '../../../sdk/secure/provider.ts';
import { openLinkSide, type LinkSide } from './link-side.ts';
import { LOOPBACK } from './transport.ts';

const OTHERS = 31;
const TICK_MS = 1_000 / 60;
const PAYLOAD = new Uint8Array(100).fill(7);
const HEADER_BYTES = 11;

const [role, kind, portsText = ''] = process.argv.slice(2);
let ports = portsText === '' ? [] : portsText.split(',').map(Number);
setTimeout(() => process.exit(3), 400_000).unref();
process.on('disconnect', () => process.exit(0));

const crypto = await loadCrypto();
let received = 0;
let ticking = false;
let due = 0;
/** From one tick to the next (ms). */
let everyMs = TICK_MS;
const tick = kind === 'link' ? await links() : await sockets();

process.on('message', ({ go, every, ms, ports: told }: { go?: boolean; every?: number; ms?: number; ports?: number[] }) => {
  if (told !== undefined) ports = told;
  if (every !== undefined) everyMs = every;
  if (go !== undefined && go !== ticking) {
    ticking = go;
    due = performance.now();
    if (go) onTick();
  }
  if (ms === undefined) return;
  const from = { cpu: process.cpuUsage(), received, at: performance.now() };
  setTimeout(() => {
    const { user, system } = process.cpuUsage(from.cpu);
    const tookMs = performance.now() - from.at;
    process.send!({ cpuShare: (user + system) / 1_000 / tookMs, perSecond: ((received - from.received) / tookMs) * 1_000, by: crypto.name });
  }, ms);
});

function onTick(): void {
  if (!ticking) return;
  tick();
  due += everyMs;
  setTimeout(onTick, Math.max(0, due - performance.now()));
}

async function links(): Promise<() => void> {
  const onMessage = (): void => void received++;
  if (role === 'peer') {
    const linked: LinkId[] = [];
    const side = await openLinkSide(crypto, onMessage, {
      bundled: true,
      onLinked: (link) => void (linked.push(link) === OTHERS && process.send!({ linked: true })),
    });
    process.send!({ ports: [side.port] });
    return () => {
      for (const link of linked) side.send(link, 'unreliable', PAYLOAD);
      side.flush();
    };
  }
  const sides: { readonly side: LinkSide; readonly link: LinkId }[] = [];
  for (let i = 0; i < OTHERS; i++) {
    const side = await openLinkSide(crypto, onMessage, { bundled: true });
    sides.push({ side, link: await side.connect(ports[0]!) });
  }
  process.send!({ ports: [] });
  return () => {
    for (const { side, link } of sides) {
      side.send(link, 'unreliable', PAYLOAD);
      side.flush();
    }
  };
}

async function sockets(): Promise<() => void> {
  const made: Socket[] = [];
  const aeads = Array.from({ length: OTHERS }, () => crypto.createAead(new Uint8Array(32).fill(9)));
  const opened = new Uint8Array(1_500);
  const staging = new Uint8Array(1_516);
  const header = new Uint8Array(HEADER_BYTES);
  let counter = 0;
  const count = role === 'peer' ? 1 : OTHERS;
  for (let i = 0; i < count; i++) {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 4_194_304, lookup: numericLookup as never });
    await new Promise<void>((resolve) => socket.bind(0, LOOPBACK, resolve));
    socket.on('message', (bytes) => {
      const aead = aeads[received % OTHERS]!;
      if (aead.open(bytes.readUInt32BE(0), bytes.subarray(0, HEADER_BYTES), bytes, opened, 0, HEADER_BYTES) === PAYLOAD.length) received++;
    });
    made.push(socket);
  }
  process.send!({ ports: made.map((socket) => socket.address().port) });
  return () => {
    for (let i = 0; i < OTHERS; i++) send(made[i % count]!, aeads[i]!, ports[i % ports.length]!);
  };

  function send(socket: Socket, aead: Aead, port: number): void {
    counter = (counter + 1) >>> 0;
    header[0] = counter >>> 24;
    header[1] = counter >>> 16;
    header[2] = counter >>> 8;
    header[3] = counter;
    staging.set(header);
    const size = HEADER_BYTES + aead.seal(counter, header, PAYLOAD, staging, HEADER_BYTES);
    socket.send(Buffer.from(staging.subarray(0, size)), port, LOOPBACK);
  }
}
