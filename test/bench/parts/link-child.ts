/** A process of the link benchmark: `echo` or `call`, and the transport's name. Told what to do by messages. */
import { performance } from 'node:perf_hooks';
import { link } from './link-transport.ts';
import { dgram, sealedDgram, ws } from './plain.ts';
import { colyseus, datachannel, secretstream, socketio } from './rivals.ts';
import type { Ping, Signals, Transport } from './transport.ts';

const TRANSPORTS: Readonly<Record<string, Transport>> = {
  dgram,
  'dgram-native': sealedDgram('native'),
  'dgram-wasm': sealedDgram('wasm'),
  'dgram-node': sealedDgram('node'),
  'link-none': link('none'),
  'link-native': link('native'),
  'link-wasm': link('wasm'),
  'link-node': link('node'),
  ws,
  'socket.io': socketio,
  colyseus,
  'node-datachannel': datachannel,
  'secret-stream': secretstream,
};

const [role, name] = process.argv.slice(2);
setTimeout(() => process.exit(3), 400_000).unref();
process.on('disconnect', () => process.exit(0));

let take: ((what: any) => void) | undefined;
let early: unknown[] = [];
let started: ((at: unknown) => void) | undefined;
let ping: Ping | undefined;
const signals: Signals = {
  send: (signal) => void process.send!({ signal }),
  onSignal(handler) {
    take = handler;
    for (const signal of early) handler(signal);
    early = [];
  },
};
process.on('message', (message: { signal?: unknown; at?: unknown; count?: number; cpu?: true }) => {
  if ('signal' in message) {
    if (take === undefined) early.push(message.signal);
    else take(message.signal);
  } else if ('at' in message) started?.(message.at);
  else if (message.cpu === true) process.send!({ cpuUs: cpuUs() });
  else if (ping !== undefined) measure(ping, message.count ?? 0);
});

try {
  const transport = TRANSPORTS[name!]!;
  if (role === 'echo') process.send!({ at: await transport.echo(signals) });
  else {
    process.send!({ up: true });
    const at = await new Promise((resolve) => (started = resolve));
    ping = await transport.call(at, signals);
    process.send!({ ready: true });
  }
} catch (error) {
  process.send!({ failed: error instanceof Error ? error.message.split('\n')[0] : String(error) });
}

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** A datagram may be lost, however rarely: then the next ping leaves all the same. */
const LOST_MS = 1_000;

/** The next ping leaves when the answer to the last is here. */
function measure(send: Ping, count: number): void {
  const times = new Float64Array(count);
  const cpu = cpuUs();
  let done = 0;
  let lost = 0;
  let seen = 0;
  let began = performance.now();
  const watch = setInterval(() => {
    if (done === seen) {
      lost++;
      send(next);
    }
    seen = done;
  }, LOST_MS);
  const next = (): void => {
    const now = performance.now();
    times[done++] = now - began;
    if (done < count) {
      began = now;
      return send(next);
    }
    clearInterval(watch);
    times.sort();
    const p99Us = times[Math.floor(count * 0.99)]! * 1_000;
    process.send!({ p50Us: times[count >> 1]! * 1_000, p99Us, cpuUs: (cpuUs() - cpu) / count, lost });
  };
  send(next);
}
