/** Child process: `flood <port> <perSecond>`, `join <port> <count>`, or `stream <port> <ms>`; reports to its parent. */
import { createSocket } from 'node:dgram';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadCrypto } from '../../../sdk/node/crypto.ts';
import { encodeInit } from '../../../sdk/wire/datagram.ts';
import { roomTagOf } from './insider.ts';
import { openUdpEndpoint } from './udp-endpoint.ts';
import { ROOM } from './victim.ts';

const [what, portText, amountText] = process.argv.slice(2);
const port = Number(portText);
const amount = Number(amountText);
/** Nobody is left running by a parent that died. */
setTimeout(() => process.exit(3), 60_000).unref();
process.on('disconnect', () => process.exit(0));

if (what === 'flood') await flood();
else if (what === 'join') await join();
else await stream();

/** Forged INITs of the right room, each with another invented cookie. */
async function flood(): Promise<void> {
  const crypto = await loadCrypto();
  const socket = createSocket('udp4');
  const init = encodeInit({
    cid: 1,
    nonce: new Uint8Array(8),
    cookie: crypto.randomBytes(20),
    roomTag: roomTagOf(crypto, ROOM),
    noise: crypto.randomBytes(96),
  }).slice();
  socket.connect(port, '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.on('error', () => {});
  const started = performance.now();
  let sent = 0;
  process.on('message', () => {
    process.send!({ sent, perSecond: Math.round((sent * 1_000) / (performance.now() - started)) }, () => process.exit(0));
  });
  process.send!({ ready: true });
  for (;;) {
    const due = Math.min(sent + 400, Math.floor(((performance.now() - started) * amount) / 1_000));
    for (; sent < due; sent++) {
      init[8] = sent;
      init[9] = sent >>> 8;
      init[16] = sent >>> 16;
      socket.send(init.slice());
    }
    await sleep(1);
  }
}

/** Joins one after the other, each a new process as far as the other side can tell. */
async function join(): Promise<void> {
  const crypto = await loadCrypto();
  const times: number[] = [];
  for (let i = 0; i < amount; i++) {
    const started = performance.now();
    let done: (ms: number | undefined) => void = () => {};
    const linked = new Promise<number | undefined>((resolve) => (done = resolve));
    const side = await openUdpEndpoint(crypto, i + 1, (e) => {
      if (e.type === 'linked') done(performance.now() - started);
      if (e.type === 'failed') done(undefined);
    });
    const before = performance.now() - started;
    side.endpoint.connect(performance.now(), { host: '127.0.0.1', port }, { mode: 'open' });
    side.pump();
    const ms = await linked;
    if (ms !== undefined) times.push(ms - before);
    await sleep(5);
    await side.close();
    await sleep(20);
  }
  process.send!({ times }, () => process.exit(0));
}

/** A 60 Hz stream of numbered, timed messages. */
async function stream(): Promise<void> {
  const crypto = await loadCrypto();
  let link: number | undefined;
  let closed = 0;
  const side = await openUdpEndpoint(crypto, 1, (e) => {
    if (e.type === 'linked') link = e.link;
    if (e.type === 'closed') closed++;
  });
  side.endpoint.connect(performance.now(), { host: '127.0.0.1', port }, { mode: 'open' });
  side.pump();
  while (link === undefined) await sleep(5);
  const started = performance.now();
  let sent = 0;
  while (performance.now() - started < amount) {
    const bytes = Buffer.alloc(100);
    bytes.writeUInt32BE(sent++);
    bytes.writeDoubleBE(Number(process.hrtime.bigint()) / 1e6, 4);
    side.endpoint.send(performance.now(), link as never, 'unreliable', bytes);
    side.endpoint.flush(performance.now());
    side.pump();
    await sleep(Math.max(0, started + (sent * 1_000) / 60 - performance.now()));
  }
  process.send!({ sent, closed }, () => process.exit(0));
}
