/**
 * Child of the labs `transfer` and `reliable`: one endpoint on real sockets, driven as the product's own
 * driver does it (datagrams of one turn in, what they cause out at its end), and a TCP socket to compare
 * with. It takes orders as JSON lines on stdin and answers as JSON lines on stdout.
 *
 * Times in the stream's messages are the kernel's monotonic clock, which all processes of one machine
 * share: so a one-way delay is a subtraction, and it counts from when the tick was due, not from when
 * the busy process got round to it.
 */
import { createConnection, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { createRng } from '../../sdk/base/rng.ts';
import { Endpoint } from '../../sdk/link/endpoint.ts';
import type { EndpointEvent, LinkId } from '../../sdk/link/endpoint-types.ts';
import { loadCrypto, type CryptoChoice } from '../../sdk/node/crypto.ts';
import { NEXT_TURN_MS } from '../../sdk/node/driver.ts';
import { NodeTime } from '../../sdk/node/local-time.ts';
import { DatagramSender } from '../../sdk/node/datagram-sender.ts';
import { openUdp } from '../../sdk/node/udp.ts';
import { PROLOGUE, ROOM } from '../accept/parts/victim.ts';

/** What the parent may ask. */
export type Order =
  | { readonly do: 'connect'; readonly host: string; readonly port: number }
  /** A 60 Hz stream for so long, and for as long as `bytes` are under way beside it. */
  | { readonly do: 'stream'; readonly ms: number; readonly bytes: number }
  | { readonly do: 'numbers'; readonly count: number }
  | { readonly do: 'tcp'; readonly host: string; readonly port: number; readonly bytes: number }
  /** Sends what was measured since the last time. */
  | { readonly do: 'tell' };

/** What it answers to `tell`. */
export interface Told {
  /** One-way delays of the stream's messages that arrived here. */
  readonly delaysMs: readonly number[];
  readonly bulkBytes: number;
  readonly bulkMs: number;
  /** Numbered messages delivered, and how many of them were not the next one or not as they were sent. */
  readonly next: number;
  readonly wrong: number;
  readonly closed: number;
  readonly drops: Readonly<Record<string, number>>;
  /** Share of packets lost on the way out, as the link measures it. */
  readonly lossOutRatio: number;
  readonly cpuMs: number;
}

const TICK_MS = 1_000 / 60;
const CHUNK_BYTES = 16_384;
const STREAM_BYTES = 100;
const STREAM_LANE = 0;

const [address = '127.0.0.1', sealedBy = 'wasm'] = process.argv.slice(2);
setTimeout(() => process.exit(3), 400_000).unref();
const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`);
const clock = (): number => Number(process.hrtime.bigint() / 1_000n) / 1_000;

// ── the endpoint and its loop ─────────────────────────────────────────────────────────────────────────

const time = new NodeTime();
let turn: NodeJS.Immediate | undefined;
/** When the timer is set to drain. */
let wakeAt = Number.POSITIVE_INFINITY;
let endpoint: Endpoint | undefined;
/** Called in every turn while something waits to be queued. */
let top: (() => void) | undefined;
let link: LinkId | undefined;

const udp = await openUdp({
  host: address,
  onDatagram: (socket, host, port, bytes) => {
    const now = time.now();
    endpoint?.handleDatagram(now, socket, host, port, bytes);
    settle(now);
  },
});
const sender = new DatagramSender(udp);
const crypto = await loadCrypto(sealedBy as CryptoChoice);
const made = (endpoint = new Endpoint({
  crypto,
  rng: createRng(process.pid),
  identity: crypto.generateKeyPair(),
  roomId: ROOM,
  joinPort: udp.joinPort,
  sessionPort: udp.sessionPort,
  prologue: PROLOGUE,
}));
made.setDoor({ open: true, code: undefined, roomKey: undefined });

function soon(): void {
  turn ??= setImmediate(drain);
}

/** After a datagram: what it tells is told, and the turn ends with a drain only if something waits to leave. */
function settle(now: number): void {
  if (turn !== undefined) return;
  tell();
  const at = made.pollTimeout();
  if (made.waiting || top !== undefined || at - now < NEXT_TURN_MS) soon();
  else if (at < wakeAt) schedule(at);
}

function schedule(at: number): void {
  wakeAt = at;
  time.schedule(at, drain);
}

function drain(): void {
  turn = undefined;
  const now = time.now();
  if (made.pollTimeout() <= now) made.handleTimeout(now);
  sender.drain(made, now);
  tell();
  top?.();
  const sentAt = time.now();
  sender.drain(made, sentAt);
  const next = made.pollTimeout();
  if (next - sentAt < NEXT_TURN_MS) soon();
  else schedule(next);
}

function tell(): void {
  for (let event = made.pollEvent(); event !== undefined; event = made.pollEvent()) take(event);
}

// ── what is measured ──────────────────────────────────────────────────────────────────────────────────

let delaysMs: number[] = [];
let bulkBytes = 0;
let bulkFrom = 0;
let bulkTo = 0;
let wanted = 0;
let next = 0;
let wrong = 0;
let closed = 0;
/** Sender: answered when the receiver has everything. */
let whole: (() => void) | undefined;

function take(event: EndpointEvent): void {
  if (event.type === 'linked') {
    link = event.link;
    say({ at: 'linked', by: crypto.name });
  } else if (event.type === 'closed') {
    closed++;
    say({ at: 'closed', reason: event.reason });
  } else if (event.type === 'message') {
    const view = new DataView(event.bytes.buffer, event.bytes.byteOffset, event.bytes.byteLength);
    if (event.channel === 'unreliable') delaysMs.push(clock() - view.getFloat64(0));
    else if (event.lane === 1) takeBulk(event.bytes.length, view);
    else if (event.lane === 2) takeNumber(event.bytes.length, view);
    else whole?.();
  }
}

function takeBulk(size: number, view: DataView): void {
  if (bulkBytes === 0) {
    wanted = view.getFloat64(0);
    bulkFrom = clock();
  }
  bulkBytes += size;
  if (bulkBytes < wanted) return;
  bulkTo = clock();
  made.send(time.now(), link!, 'reliable', new Uint8Array(1), 3);
  made.flush(time.now());
  soon();
}

/** Exactly once and in order is one rule: the next message is the next number, and its bytes follow from it. */
function takeNumber(size: number, view: DataView): void {
  const number = view.getUint32(0);
  if (number !== next || size !== sizeOf(number) || view.getUint8(size - 1) !== (number & 0xff)) wrong++;
  next++;
}

function sizeOf(number: number): number {
  // Mostly small; now and then one that travels in pieces.
  return number % 97 === 0 ? 3_000 : 8 + (number % 200);
}

// ── orders ────────────────────────────────────────────────────────────────────────────────────────────

function stream(ms: number, bytes: number): void {
  const from = clock();
  let tick = 0;
  let left = bytes;
  let done = bytes === 0;
  const message = new Uint8Array(STREAM_BYTES);
  const stamp = new DataView(message.buffer);
  const chunk = new Uint8Array(CHUNK_BYTES);
  new DataView(chunk.buffer).setFloat64(0, bytes);
  if (bytes > 0) {
    whole = () => {
      whole = undefined;
      done = true;
    };
    top = () => {
      let queued = false;
      while (left > 0) {
        const part = left >= CHUNK_BYTES ? chunk : chunk.subarray(0, left);
        if (!made.send(time.now(), link!, 'reliable', part, 1)) break;
        left -= part.length;
        queued = true;
      }
      if (queued) made.flush(time.now());
      if (left === 0) top = undefined;
    };
    soon();
  }
  const beat = (): void => {
    const due = from + tick * TICK_MS;
    if (done && due - from >= ms) return say({ at: 'streamed', sent: tick });
    stamp.setFloat64(0, due);
    const now = time.now();
    made.send(now, link!, 'unreliable', message, STREAM_LANE);
    made.flush(now);
    drainNow();
    tick++;
    // Rounded up: a tick before its time would seem to arrive early.
    setTimeout(beat, Math.max(0, Math.ceil(from + tick * TICK_MS - clock())));
  };
  beat();
}

function drainNow(): void {
  if (turn !== undefined) clearImmediate(turn);
  drain();
}

function numbers(count: number): void {
  let number = 0;
  const message = new Uint8Array(3_000);
  const view = new DataView(message.buffer);
  top = () => {
    let queued = false;
    for (; number < count; number++) {
      const size = sizeOf(number);
      view.setUint32(0, number);
      view.setUint8(size - 1, number & 0xff);
      if (!made.send(time.now(), link!, 'reliable', message.subarray(0, size), 2)) break;
      queued = true;
    }
    if (queued) made.flush(time.now());
    if (number === count) {
      top = undefined;
      say({ at: 'queued' });
    }
  };
  soon();
}

const tcpServer = createServer((socket: Socket) => {
  let got = 0;
  let expected = -1;
  let from = 0;
  socket.on('data', (bytes) => {
    if (expected < 0) {
      expected = bytes.readDoubleBE(0);
      from = clock();
    }
    got += bytes.length;
    if (got < expected) return;
    say({ at: 'tcp', bytes: got, ms: clock() - from });
    socket.end('.');
  });
  socket.on('error', () => {});
});
tcpServer.listen(0, address, () => say({ at: 'ready', port: udp.joinPort, tcp: (tcpServer.address() as { port: number }).port }));

function tcp(host: string, port: number, bytes: number): void {
  const socket = createConnection({ host, port, noDelay: true }, () => {
    let left = bytes;
    const chunk = Buffer.alloc(CHUNK_BYTES * 4);
    chunk.writeDoubleBE(bytes, 0);
    const write = (): void => {
      while (left > 0) {
        const size = Math.min(left, chunk.length);
        left -= size;
        if (!socket.write(chunk.subarray(0, size))) return void socket.once('drain', write);
      }
    };
    write();
  });
  socket.on('error', (error) => say({ at: 'error', message: error.message }));
  socket.resume();
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const order = JSON.parse(line) as Order;
  switch (order.do) {
    case 'connect':
      made.connect(time.now(), { host: order.host, port: order.port }, { mode: 'open' });
      return soon();
    case 'stream':
      return stream(order.ms, order.bytes);
    case 'numbers':
      return numbers(order.count);
    case 'tcp':
      return tcp(order.host, order.port, order.bytes);
    case 'tell': {
      const stats = link === undefined ? undefined : made.stats(time.now(), link);
      const cpu = process.cpuUsage();
      say({
        at: 'told',
        delaysMs: delaysMs.map((ms) => Math.round(ms * 1_000) / 1_000),
        bulkBytes,
        bulkMs: bulkTo - bulkFrom,
        next,
        wrong,
        closed,
        drops: made.drops,
        lossOutRatio: Math.round((stats?.lossOutRatio ?? 0) * 1_000) / 1_000,
        cpuMs: (cpu.user + cpu.system) / 1_000,
      });
      delaysMs = [];
      bulkBytes = 0;
    }
  }
});
