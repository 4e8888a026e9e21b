/** The run loop between sockets and rooms. */
import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { MeshLike } from '../sdk/mesh/mesh-types.ts';
import { DatagramSender } from '../sdk/node/datagram-sender.ts';
import { Driver } from '../sdk/node/driver.ts';
import { NodeTime, monotonicMs } from '../sdk/node/local-time.ts';
import { Jam } from '../sdk/node/udp.ts';
import { builtModule, scriptFlags } from './built.ts';

/** Whether this machine gives a process a network of its own, with an interface as slow as is wanted. */
const maySplit =
  spawnSync('unshare', ['-n', 'sh', '-c', 'ip link set lo up && tc qdisc add dev lo root tbf rate 2mbit burst 4kb limit 4mb']).status === 0;

describe('driver', () => {
  it('[DI22] wakes on absolute deadlines, never before them, and bundles a turn of the loop', async () => {
    const start = monotonicMs();
    let deadline = start + 10;
    const handled: number[] = [];
    let datagrams = 0;
    let drains = 0;
    const mesh = {
      joinState: { type: 'joined' },
      handleDatagram: () => void datagrams++,
      handleTimeout(now: number) {
        handled.push(now - deadline);
        deadline += 10;
      },
      pollTransmit: () => void drains++,
      pollTimeout: () => (handled.length < 5 ? deadline : Number.POSITIVE_INFINITY),
    } as unknown as MeshLike;
    const driver = new Driver({ send: () => undefined }, new NodeTime());
    driver.add(mesh, () => undefined);
    for (let i = 0; i < 50; i++) driver.handleDatagram('join', '127.0.0.1', 1, new Uint8Array(1));
    while (handled.length < 5 && monotonicMs() < start + 5_000) await new Promise((resolve) => setTimeout(resolve, 10));
    driver.close();
    expect(datagrams).toBe(50);
    expect(drains).toBeLessThan(20);
    expect(handled.length).toBe(5);
    expect(Math.min(...handled)).toBeGreaterThanOrEqual(0);
  });

  it('[DI42] keeps its deadlines when a room throws at what it is told', async () => {
    let now = 0;
    let scheduled = Number.NaN;
    let tick: () => void = () => undefined;
    const time = { now: () => now, cancel: () => undefined, schedule: (at: number, then: () => void) => void ((scheduled = at), (tick = then)) };
    let deadline = 10;
    const mesh = {
      joinState: { type: 'joined' },
      waiting: false,
      onWake: undefined as (() => void) | undefined,
      handleDatagram: () => void (deadline = now + 10),
      handleTimeout: () => mesh.onWake?.(),
      pollTransmit: () => undefined,
      pollTimeout: () => deadline,
    };
    const driver = new Driver({ send: () => undefined }, time);
    const port = driver.add(mesh as unknown as MeshLike, () => undefined);
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    expect(scheduled).toBe(10);
    port.onWake = () => {
      throw new Error('of the game');
    };
    now = 10;
    expect(tick).toThrow('of the game');
    driver.handleDatagram('session', '127.0.0.1', 1, new Uint8Array(1));
    expect(scheduled).toBe(20);
    driver.close();
  });

  it('[DI43] what leaves is built before the first of it is sent, 32 datagrams at a time, and leaves in order', () => {
    const done: string[] = [];
    const datagram = { socket: 'session' as 'join' | 'session', host: '', port: 0, bytes: new Uint8Array(1) };
    let built = 0;
    const source = {
      pollTransmit() {
        if (built === 70) return undefined;
        // One object for all, as an endpoint does it; only the bytes are the datagram's own.
        datagram.socket = built % 3 === 0 ? 'join' : 'session';
        datagram.host = `10.0.0.${built}`;
        datagram.port = built;
        datagram.bytes = Uint8Array.of(built);
        done.push(`built ${built++}`);
        return datagram;
      },
    };
    new DatagramSender({ send: (...sent) => void done.push(`sent ${sent.slice(0, 4).join(' ')}`) }).drain(source, 0);
    const expected: string[] = [];
    for (const [from, to] of [
      [0, 32],
      [32, 64],
      [64, 70],
    ] as const) {
      for (let i = from; i < to; i++) expected.push(`built ${i}`);
      for (let i = from; i < to; i++) expected.push(`sent ${i % 3 === 0 ? 'join' : 'session'} 10.0.0.${i} ${i} ${i}`);
    }
    expect(done).toEqual(expected);
  });

  it('[DI44] one datagram in 20 ms is asked how it left, another one each time', () => {
    const asked: string[] = [];
    const sender = new DatagramSender({ send: (_socket, host, _port, _bytes, look) => void (look === true && asked.push(host)) });
    const hosts = ['10.0.0.1', '10.0.0.2', '10.0.0.3'];
    const drain = (now: number, to: readonly string[]): void => {
      const left = [...to];
      sender.drain(
        {
          pollTransmit() {
            const host = left.shift();
            return host === undefined ? undefined : { socket: 'session', host, port: 1, bytes: new Uint8Array(1) };
          },
        },
        now,
      );
    };
    for (let now = 0; now < 100; now += 5) drain(now, hosts);
    expect(asked).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.1', '10.0.0.2']);
    // A drain that sends nothing uses up no question.
    drain(200, []);
    drain(200, ['10.0.0.4']);
    expect(asked.at(-1)).toBe('10.0.0.4');
  });

  it('[DI42] tells the room of a datagram at once, and ends the turn with a drain only if something waits to leave', async () => {
    let waiting = false;
    let drains = 0;
    let deadline = Number.POSITIVE_INFINITY;
    const told: number[] = [];
    const mesh = {
      joinState: { type: 'joined' },
      onWake: undefined as (() => void) | undefined,
      handleDatagram(_now: number, _socket: string, _host: string, port: number) {
        waiting = port === 2;
        if (port === 3) deadline = monotonicMs() + 5;
        this.onWake?.();
      },
      handleTimeout: () => void (deadline = Number.POSITIVE_INFINITY),
      get waiting() {
        return waiting;
      },
      pollTransmit: () => void (drains++, (waiting = false)),
      pollTimeout: () => deadline,
    };
    const driver = new Driver({ send: () => undefined }, new NodeTime());
    const port = driver.add(mesh as unknown as MeshLike, () => undefined);
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    await turn();
    port.onWake = () => void told.push(drains);
    drains = 0;
    // Nothing to send and no new deadline: told, and that is all.
    for (let i = 0; i < 10; i++) driver.handleDatagram('session', '127.0.0.1', 1, new Uint8Array(1));
    expect(told).toEqual(new Array(10).fill(0));
    await turn();
    expect(drains).toBe(0);
    // Something to send: once, at the end of the turn, for all datagrams of it.
    for (let i = 0; i < 10; i++) driver.handleDatagram('session', '127.0.0.1', 2, new Uint8Array(1));
    expect(told.slice(10)).toEqual([0]);
    await turn();
    expect(drains).toBeGreaterThan(0);
    expect(told.length).toBe(12);
    // A deadline sooner than the timer's moves the timer.
    const before = drains;
    driver.handleDatagram('session', '127.0.0.1', 3, new Uint8Array(1));
    await new Promise((resolve) => setTimeout(resolve, 20));
    driver.close();
    expect(deadline).toBe(Number.POSITIVE_INFINITY);
    expect(drains).toBeGreaterThan(before);
  });
});

describe('a network that carries less than is sent', () => {
  it('[DI45] drops on top of 32 KiB that wait for 100 ms, and no burst, nor what a process that stood still finds waiting', () => {
    const socket = { bytes: 0, getSendQueueSize: () => socket.bytes };
    const jam = new Jam(socket);
    const jammed = (now: number, bytes: number): boolean => {
      socket.bytes = bytes;
      jam.look(now);
      return jam.isJammed;
    };
    expect(jammed(0, 0)).toBe(false);
    // A burst of the join socket, each datagram of which is looked at.
    for (let i = 0; i < 100; i++) expect(jammed(1, 40_000 + i)).toBe(false);
    expect(jammed(101, 0)).toBe(false);
    // A burst, and then a second in which the process did nothing.
    expect([jammed(110, 500_000), jammed(1_110, 500_000), jammed(1_130, 0)]).toEqual([false, false, false]);
    // Little waits for ever: that is a slow network, whose own buffer is much larger.
    for (let now = 1_130; now < 3_000; now += 20) expect(jammed(now, 30_000)).toBe(false);
    expect(jammed(3_000, 0)).toBe(false);
    const from = [20, 40, 60, 80, 100, 120, 140].find((ms) => jammed(3_000 + ms, 10_000 * ms));
    expect(from).toBe(120);
    // What waits leaves: below the bound things go on.
    expect([jammed(3_160, 32_000), jammed(3_180, 40_000), jammed(3_200, 0)]).toEqual([false, true, false]);
  });

  it.runIf(maySplit)('[DI45] what arrives over a slow interface is not later and later', async () => {
    const script = `
      import { createSocket } from 'node:dgram';
      import { openUdp } from ${builtModule('sdk/node/udp.ts')};
      const receiver = createSocket('udp4');
      let late = 0;
      receiver.on('message', (bytes) => (late = performance.now() - bytes.readDoubleLE(0)));
      receiver.bind(0, '127.0.0.1', async () => {
        const udp = await openUdp({ host: '127.0.0.1', onDatagram: () => undefined });
        const end = performance.now() + 3_000;
        let looked = 0;
        const send = () => {
          for (let i = 0; i < 8; i++) {
            const bytes = Buffer.alloc(1_000);
            bytes.writeDoubleLE(performance.now(), 0);
            udp.send('session', '127.0.0.1', receiver.address().port, bytes, i === 0);
          }
          if (performance.now() < end) return void setTimeout(send, 16);
          console.log(JSON.stringify({ late, dropped: udp.sendErrors.get('EAGAIN') ?? 0 }));
          process.exit();
        };
        send();
      });`;
    // 2 Mbit/s where twice that is sent; the system's own buffer is worth 0.4 s.
    const shell = 'ip link set lo up mtu 1500 && tc qdisc add dev lo root tbf rate 2mbit burst 4kb limit 4mb && exec "$@"';
    const node = [process.execPath, ...scriptFlags(script)];
    const { stdout } = await promisify(execFile)('unshare', ['-n', 'sh', '-c', shell, 'sh', ...node]);
    const { late, dropped } = JSON.parse(stdout) as { late: number; dropped: number };
    expect(dropped).toBeGreaterThan(50);
    expect(late).toBeLessThan(1_000);
  });
});
