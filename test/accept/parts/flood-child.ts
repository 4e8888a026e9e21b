/**
 * Child process: `flood <port> <perSecond>`, `greet <port> <perSecond>`, `join <port> <count>`, or `stream <port> <ms>`; reports to its
 * parent when done. A flood can be told to `pause`, to `go` on, and to `stop`.
 */
import { createSocket } from 'node:dgram';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadCrypto } from '../../../sdk/node/crypto.ts';
import type { LinkId } from '../../../sdk/link/endpoint-types.ts';
import { decodeCookie, encodeHello, encodeInit } from '../../../sdk/wire/datagram.ts';
import { roomTagOf } from './insider.ts';
import { openUdpEndpoint } from './udp-endpoint.ts';
import { ROOM } from './victim.ts';

const [what, portText, amountText] = process.argv.slice(2);
const port = Number(portText);
const amount = Number(amountText);
/** Nobody is left running by a parent that died. */
setTimeout(() => process.exit(3), 120_000).unref();
process.on('disconnect', () => process.exit(0));

if (what === 'flood' || what === 'greet') await flood();
else if (what === 'join') await join();
else await stream();

/**
 * Forged INITs of the right room, each from another connection as far as it says. The time in the cookie is a true
 * one, so that the receiver has to compute the tag of each before it can refuse it. Or HELLOs, which are answered.
 */
async function flood(): Promise<void> {
  const crypto = await loadCrypto();
  const socket = createSocket('udp4');
  const nonce = crypto.randomBytes(8);
  const roomTag = roomTagOf(crypto, ROOM);
  socket.connect(port, '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.on('error', () => {});
  const given = new Promise<Uint8Array>((resolve) => socket.once('message', (bytes) => resolve(decodeCookie(bytes)!.cookie.slice())));
  socket.send(encodeHello({ nonce, roomTag }).slice());
  const cookie = await given;
  cookie.set(crypto.randomBytes(16), 4);
  const hello = encodeHello({ nonce, roomTag }).slice();
  let init = encodeInit({ cid: 1, nonce, cookie, roomTag, noise: crypto.randomBytes(96) }).slice();
  // A cookie is old after ten seconds: a new one twice in that time.
  const renew = setInterval(() => socket.send(hello), 4_000);
  socket.on('message', (bytes) => {
    const time = decodeCookie(bytes)?.cookie.slice(0, 4);
    if (time === undefined) return;
    cookie.set(time);
    init = encodeInit({ cid: 1, nonce, cookie, roomTag, noise: crypto.randomBytes(96) }).slice();
  });
  let sent = 0;
  /** Since when it runs, what it had sent by then, and how long it ran before. */
  let runsSince: number | undefined = performance.now();
  let sentBefore = 0;
  let ranMs = 0;
  const pause = (): void => {
    if (runsSince !== undefined) ranMs += performance.now() - runsSince;
    runsSince = undefined;
  };
  process.on('message', (order) => {
    if (order === 'pause') return pause();
    if (order === 'go') {
      pause();
      runsSince = performance.now();
      sentBefore = sent;
      return;
    }
    clearInterval(renew);
    pause();
    process.send!({ sent, perSecond: Math.round((sent * 1_000) / ranMs) }, () => process.exit(0));
  });
  process.send!({ ready: true });
  for (;;) {
    const runMs = runsSince === undefined ? 0 : performance.now() - runsSince;
    const due = runsSince === undefined ? sent : Math.min(sent + 400, sentBefore + Math.floor((runMs * amount) / 1_000));
    for (; sent < due; sent++) {
      const forged = (what === 'greet' ? hello : init).slice();
      // Within the nonce of either.
      forged[8] = sent;
      forged[9] = sent >>> 8;
      socket.send(forged);
    }
    await sleep(1);
  }
}

/** Joins one after the other, each a new process as far as the other side can tell, and leaves again. */
async function join(): Promise<void> {
  const crypto = await loadCrypto();
  const times: number[] = [];
  for (let i = 0; i < amount; i++) {
    let done: (link: LinkId | undefined) => void = () => {};
    const linked = new Promise<LinkId | undefined>((resolve) => (done = resolve));
    const side = await openUdpEndpoint(crypto, i + 1, (e) => {
      if (e.type === 'linked') done(e.link);
      if (e.type === 'failed') done(undefined);
    });
    const started = performance.now();
    side.endpoint.connect(started, { host: '127.0.0.1', port }, { mode: 'open' });
    side.pump();
    const link = await linked;
    if (link !== undefined) {
      times.push(performance.now() - started);
      side.endpoint.close(performance.now(), link, 'bye');
      side.pump();
    }
    await sleep(10);
    await side.close();
  }
  process.send!({ times }, () => process.exit(0));
}

/** A 60 Hz stream of numbered, timed messages; tells when each of them left. */
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
  process.send!({ ready: true });
  const started = performance.now();
  const sent: number[] = [];
  while (performance.now() - started < amount) {
    const bytes = Buffer.alloc(100);
    const at = Number(process.hrtime.bigint()) / 1e6;
    bytes.writeUInt32BE(sent.length);
    bytes.writeDoubleBE(at, 4);
    sent.push(at);
    side.endpoint.send(performance.now(), link as never, 'unreliable', bytes);
    side.endpoint.flush(performance.now());
    side.pump();
    await sleep(Math.max(0, started + (sent.length * 1_000) / 60 - performance.now()));
  }
  const lost = closed;
  side.endpoint.close(performance.now(), link as never, 'bye');
  side.pump();
  await sleep(200);
  process.send!({ sent, closed: lost }, () => process.exit(0));
}
