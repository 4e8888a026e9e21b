/** Child of the link benchmark: echoes 64 bytes, or measures round trips to an echo. Not a benchmark of its own. */
import { createSocket } from 'node:dgram';
import { performance } from 'node:perf_hooks';
import { WebSocket, WebSocketServer } from 'ws';
import { createRng } from '../../sdk/base/rng.ts';
import { Endpoint } from '../../sdk/link/endpoint.ts';
import type { LinkId } from '../../sdk/link/endpoint-types.ts';
import { nodeCrypto } from '../../sdk/node/crypto-node.ts';
import { loadSodiumNative, loadSodiumWasm } from '../../sdk/node/crypto-sodium.ts';
import { openUdp } from '../../sdk/node/udp.ts';
import type { CryptoProvider } from '../../sdk/secure/provider.ts';
import { PROLOGUE, ROOM } from '../accept/parts/victim.ts';

type Ping = (done: () => void) => void;

/** Copies instead of sealing; the tag is 16 zeroes. Handshakes stay real. */
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

const LINKS: Readonly<Record<string, () => CryptoProvider | Promise<CryptoProvider>>> = {
  'link-none': () => noSeal,
  'link-node': () => nodeCrypto,
  'link-wasm': loadSodiumWasm,
  'link-native': loadSodiumNative,
};

const [role, kind, portText] = process.argv.slice(2);
const BYTES = Buffer.alloc(64, 7);
setTimeout(() => process.exit(3), 60_000).unref();
process.on('disconnect', () => process.exit(0));
const warmups = 1_500;

if (role === 'echo') process.send!({ port: await echo(kind!) });
else {
  const ping = await caller(kind!, Number(portText));
  process.on('message', ({ count }: { count: number }) => measure(ping, count));
  process.send!({ ready: true });
}

function measure(ping: Ping, count: number): void {
  const times: number[] = [];
  let left = count + warmups;
  let began = 0;
  let cpu = process.cpuUsage();
  const next = (): void => {
    if (left < count) times.push(performance.now() - began);
    if (left === count) cpu = process.cpuUsage();
    if (left-- === 0) {
      times.sort((a, b) => a - b);
      const used = process.cpuUsage(cpu);
      process.send!({
        p50: times[times.length >> 1]! * 1_000,
        p99: times[Math.floor(times.length * 0.99)]! * 1_000,
        cpuUs: (used.user + used.system) / count,
      });
      return;
    }
    began = performance.now();
    ping(next);
  };
  next();
}

async function echo(name: string): Promise<number> {
  if (name === 'ws') {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
    server.on('connection', (socket) => socket.on('message', (data) => socket.send(data as Buffer)));
    await new Promise((resolve) => server.once('listening', resolve));
    return (server.address() as { port: number }).port;
  }
  if (name === 'dgram') {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    socket.once('message', (first, from) => {
      socket.connect(from.port, '127.0.0.1', () => {
        socket.on('message', (bytes) => socket.send(bytes));
        socket.send(first);
      });
    });
    return socket.address().port;
  }
  const side = await linkSide(name, (link, bytes) => side.say(link, bytes));
  return side.port;
}

async function caller(name: string, port: number): Promise<Ping> {
  let answered: () => void = () => {};
  if (name === 'ws') {
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false });
    await new Promise((resolve) => socket.once('open', resolve));
    socket.on('message', () => answered());
    return (done) => {
      answered = done;
      socket.send(BYTES);
    };
  }
  if (name === 'dgram') {
    const socket = createSocket('udp4');
    socket.connect(port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.on('message', () => answered());
    return (done) => {
      answered = done;
      socket.send(BYTES);
    };
  }
  const side = await linkSide(name, () => answered());
  const link = await side.connect(port);
  return (done) => {
    answered = done;
    side.say(link, BYTES);
  };
}

/** One endpoint with the loop of a process: one timer, re-armed only when an earlier deadline comes up. */
async function linkSide(name: string, onMessage: (link: LinkId, bytes: Uint8Array) => void) {
  const crypto = await LINKS[name]!();
  const now = (): number => performance.now();
  let linked: (link: LinkId) => void = () => {};
  let endpoint: Endpoint | undefined;
  let armed = Infinity;
  let timer: NodeJS.Timeout | undefined;
  const udp = await openUdp({
    host: '127.0.0.1',
    onDatagram: (socket, host, port, bytes) => {
      endpoint?.handleDatagram(now(), socket, host, port, bytes);
      pump();
    },
  });
  const e = (endpoint = new Endpoint({
    crypto,
    rng: createRng(process.pid),
    identity: crypto.generateKeyPair(),
    roomId: ROOM,
    joinPort: udp.joinPort,
    sessionPort: udp.sessionPort,
    prologue: PROLOGUE,
  }));
  e.setDoor({ open: true, code: undefined, roomKey: undefined });
  function pump(): void {
    const at = now();
    for (let t = e.pollTransmit(at); t !== undefined; t = e.pollTransmit(at)) udp.send(t.socket, t.host, t.port, t.bytes);
    for (let event = e.pollEvent(); event !== undefined; event = e.pollEvent()) {
      if (event.type === 'linked') linked(event.link);
      if (event.type === 'message') onMessage(event.link, event.bytes);
    }
    const due = e.pollTimeout();
    if (due >= armed) return;
    clearTimeout(timer);
    armed = due;
    timer = setTimeout(
      () => {
        armed = Infinity;
        e.handleTimeout(now());
        pump();
      },
      Math.max(1, due - at),
    );
  }
  return {
    port: udp.joinPort,
    connect: (port: number) =>
      new Promise<LinkId>((resolve) => {
        linked = resolve;
        e.connect(now(), { host: '127.0.0.1', port }, { mode: 'open' });
        pump();
      }),
    say: (link: LinkId, bytes: Uint8Array) => {
      e.send(now(), link, 'unreliable', bytes);
      e.flush(now());
      // Answers leave in the pump that brought the question; a first word needs one of its own.
      pump();
    },
  };
}
