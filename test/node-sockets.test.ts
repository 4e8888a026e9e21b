/** Sockets, run loop and wake-ups, with the system's part played by hand. */
import { Socket } from 'node:dgram';
import { performance } from 'node:perf_hooks';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { MeshLike } from '../sdk/mesh/mesh-types.ts';
import { DATA_PORT_FIRST, DATA_PORT_LAST } from '../sdk/node/discovery/bounds.ts';
import { scanInterfaces } from '../sdk/node/discovery/interfaces.ts';
import { Driver } from '../sdk/node/driver.ts';
import { NodeTime } from '../sdk/node/local-time.ts';
import { bindHost, openUdp } from '../sdk/node/udp.ts';

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe('sockets', () => {
  const nothing = (): void => undefined;
  /** Which ports are asked for, and with what they are answered; counts what is open. */
  const system = (answer: (port: number, count: number) => string | undefined) => {
    const { bind, close } = Socket.prototype;
    const asked: number[] = [];
    const open = new Set<Socket>();
    vi.spyOn(Socket.prototype, 'bind').mockImplementation(function play(this: Socket, ...how: unknown[]) {
      const { port } = how[0] as { port: number };
      asked.push(port);
      open.add(this);
      const code = answer(port, asked.length);
      if (code === undefined) return (bind as (...how: unknown[]) => Socket).call(this, { ...(how[0] as object), port: 0 }, how[1]);
      queueMicrotask(() => this.emit('error', Object.assign(new Error(code), { code })));
      return this;
    } as never);
    vi.spyOn(Socket.prototype, 'close').mockImplementation(function play(this: Socket, done?: () => void) {
      open.delete(this);
      return close.call(this, done);
    } as never);
    return { asked, open };
  };

  it('[DI21] the next port of the range is taken where one is held or reserved, and any where all are', async () => {
    const one = system((port) => (port === DATA_PORT_FIRST ? 'EACCES' : port === DATA_PORT_FIRST + 1 ? 'EADDRINUSE' : undefined));
    await (await openUdp({ host: '127.0.0.1', onDatagram: nothing })).close();
    expect(one.asked).toEqual([0, 1, 2, 0, 1, 2].map((i) => DATA_PORT_FIRST + i));
    vi.restoreAllMocks();
    const two = system((port) => (port === 0 ? undefined : 'EADDRINUSE'));
    await (await openUdp({ host: '127.0.0.1', onDatagram: nothing })).close();
    expect(two.asked).toHaveLength(2 * (DATA_PORT_LAST - DATA_PORT_FIRST + 2));
    expect([one.open.size, two.open.size]).toEqual([0, 0]);
  });

  it('[DI21] where the second socket does not open the first is closed, and the reason is said', async () => {
    for (const [code, words] of [
      ['EMFILE', /No UDP socket could be opened on 127\.0\.0\.1:\d+ \(EMFILE\)/],
      ['EPERM', /does not allow a UDP socket/],
    ] as const) {
      const { open } = system((_port, count) => (count > 1 ? code : undefined));
      await expect(openUdp({ host: '127.0.0.1', onDatagram: nothing })).rejects.toMatchObject({
        code: 'bind-failed',
        message: expect.stringMatching(words) as string,
      });
      expect(open.size).toBe(0);
      vi.restoreAllMocks();
    }
    const { asked } = system(() => 'EACCES');
    await expect(openUdp({ host: '127.0.0.1', port: 80, onDatagram: nothing })).rejects.toMatchObject({ code: 'bind-failed' });
    expect(asked).toEqual([80]);
  });

  it('[DI21] what is sent by the join socket is what it was then; no port 0, nothing after the end, failures are told with their time', async () => {
    const heard: number[] = [];
    const a = await openUdp({ host: '127.0.0.1', onDatagram: nothing });
    const b = await openUdp({ host: '127.0.0.1', onDatagram: (_kind, _host, _port, bytes) => void heard.push(bytes[0]!) });
    const bytes = Uint8Array.of(1);
    // The first one of a socket waits for its address to be looked at, and what follows with it.
    for (let i = 1; i <= 3; i++) {
      bytes[0] = i;
      a.send('join', '127.0.0.1', b.joinPort, bytes);
    }
    bytes[0] = 9;
    await expect.poll(() => heard).toEqual([1, 2, 3]);
    // Discovery asks whole subnets by it, which a system refuses unless that was asked for.
    a.send('join', '127.255.255.255', 9, bytes);
    await new Promise((resolve) => setTimeout(resolve, 5));
    for (const port of [0, -1, 65_536]) expect(() => a.send('session', '127.0.0.1', port, bytes)).not.toThrow();
    expect([a.lastSendError, a.sendErrors.size]).toEqual([undefined, 0]);
    const before = performance.now();
    a.send('join', '::1', 9, bytes);
    await expect.poll(() => a.lastSendError?.code).toBe('EAFNOSUPPORT');
    expect(a.lastSendError!.at).toBeGreaterThanOrEqual(before);
    await a.close();
    expect(() => a.send('session', '127.0.0.1', b.sessionPort, bytes)).not.toThrow();
    await Promise.all([a.close(), b.close()]);
  });

  it('[DI21] loopback that is all there is now is not bound to, since a network may come', () => {
    const lo = { lo: [{ address: '127.0.0.1', netmask: '255.0.0.0', family: 'IPv4' as const, mac: '', internal: true, cidr: null }] };
    expect(
      bindHost(
        [],
        scanInterfaces(() => lo),
      ),
    ).toBe('0.0.0.0');
  });
});

describe('the run loop', () => {
  const made = () => {
    const state = { now: 0, scheduled: Number.NaN, tick: (): void => undefined };
    const time = {
      now: () => state.now,
      cancel: () => void (state.scheduled = Number.POSITIVE_INFINITY),
      schedule: (at: number, then: () => void) => void Object.assign(state, { scheduled: at, tick: then }),
    };
    const sent: number[] = [];
    const driver = new Driver({ send: (_socket, _host, port) => void sent.push(port) }, time);
    const mesh = () => {
      const one = {
        joinState: { type: 'joined' },
        deadline: Number.POSITIVE_INFINITY,
        out: [] as number[],
        timeouts: [] as number[],
        events: [] as { type: string }[],
        onWake: undefined as (() => void) | undefined,
        onDatagram: (): void => undefined,
        handleDatagram: () => one.onDatagram(),
        handleTimeout: (now: number) => {
          one.timeouts.push(now);
          one.deadline = Number.POSITIVE_INFINITY;
        },
        get waiting() {
          return one.out.length > 0;
        },
        pollTransmit() {
          const port = one.out.shift();
          return port === undefined ? undefined : { socket: 'session', host: '127.0.0.1', port, bytes: new Uint8Array(1) };
        },
        pollTimeout: () => one.deadline,
        poll: () => one.events.shift(),
        leave: () => void (one.joinState = { type: 'left' }),
      };
      return one;
    };
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    const hear = (): void => driver.handleDatagram('session', '127.0.0.1', 1, new Uint8Array(1));
    return { state, driver, sent, mesh, turn, hear };
  };
  const like = (mesh: unknown): MeshLike => mesh as MeshLike;

  it('[DI22] sleeps until the first deadline of all its rooms, and tells none of them before its time', async () => {
    const { state, driver, mesh, turn } = made();
    const [a, b] = [mesh(), mesh()];
    a.deadline = 10;
    b.deadline = 30;
    driver.add(like(a), () => undefined);
    const second = driver.add(like(b), () => undefined);
    await turn();
    expect([state.scheduled, a.timeouts, b.timeouts]).toEqual([10, [], []]);
    state.now = 10;
    state.tick();
    expect([state.scheduled, a.timeouts, b.timeouts]).toEqual([30, [10], []]);
    driver.remove(second);
    driver.drain();
    expect(state.scheduled).toBe(Number.POSITIVE_INFINITY);
    state.now = 40;
    driver.drain();
    expect(b.timeouts).toEqual([]);
    driver.close();
  });

  it('[DI22] a room that is taken out while it is told keeps no deadline', async () => {
    const { state, driver, mesh, turn } = made();
    const one = mesh();
    one.deadline = 5;
    const port = driver.add(like(one), () => driver.remove(port));
    one.joinState = { type: 'failed' };
    await turn();
    expect(state.scheduled).toBe(Number.POSITIVE_INFINITY);
    driver.close();
  });

  it('[DI42] what a room answers as it is told leaves in the same turn, and what is due at once in the next', async () => {
    const { state, driver, sent, mesh, turn, hear } = made();
    const one = mesh();
    const port = driver.add(like(one), () => undefined);
    await turn();
    let told = 0;
    port.onWake = () => void (told++, one.out.push(100 + told));
    one.onDatagram = () => {
      one.onWake?.();
      one.out.push(7);
    };
    hear();
    expect([told, sent]).toEqual([1, []]);
    await turn();
    expect(sent).toEqual([7, 101]);
    // Told again as it is drained, and its answer goes along.
    one.deadline = 5;
    one.handleTimeout = () => {
      one.deadline = Number.POSITIVE_INFINITY;
      one.onWake?.();
    };
    state.now = 5;
    driver.drain();
    expect(sent).toEqual([7, 101, 102]);
    // Nothing came: nobody is told.
    driver.drain();
    expect(told).toBe(2);
    one.onDatagram = () => void (one.deadline = state.now);
    one.handleTimeout = () => {
      one.deadline = Number.POSITIVE_INFINITY;
      one.out.push(8);
    };
    hear();
    await turn();
    expect(sent.at(-1)).toBe(8);
    // A transfer goes on turn by turn, without a timer.
    let left = 5;
    one.onDatagram = () => void (one.deadline = state.now);
    one.handleTimeout = () => {
      one.out.push(50 + left);
      one.deadline = --left > 0 ? state.now : Number.POSITIVE_INFINITY;
    };
    hear();
    for (let i = 0; i < 6; i++) await turn();
    expect(sent.slice(-5)).toEqual([55, 54, 53, 52, 51]);
    driver.close();
  });

  it('[DI42] a room is told once in a turn, and a driver that is closed drains no more', async () => {
    const { driver, sent, mesh, turn, hear } = made();
    const one = mesh();
    const port = driver.add(like(one), () => undefined);
    await turn();
    let told = 0;
    port.onWake = () => void told++;
    one.onDatagram = () => {
      one.onWake?.();
      one.out.push(1);
    };
    for (let i = 0; i < 3; i++) hear();
    expect(told).toBe(1);
    driver.close();
    await turn();
    expect(sent).toEqual([]);
  });

  it('[DI22] the end of a seat is told once, whether it left, failed, or heard so', async () => {
    for (const how of ['leave', 'failed', 'left', 'closed'] as const) {
      const { driver, mesh, turn, hear } = made();
      const one = mesh();
      let ended = 0;
      const port = driver.add(like(one), () => ended++);
      await turn();
      expect(ended).toBe(0);
      if (how === 'leave') port.leave(0);
      else if (how === 'closed') {
        one.events.push({ type: 'closed' });
        expect([port.poll()?.type, ended]).toEqual(['closed', 1]);
      } else one.joinState = { type: how };
      hear();
      await turn();
      port.leave(0);
      expect(ended, how).toBe(1);
      driver.close();
    }
  });
});

describe('time', () => {
  it('[DI41] a deadline in the far future is waited for, not called at once; a sooner one comes first', () => {
    vi.useFakeTimers();
    const zero = Date.now();
    vi.spyOn(performance, 'now').mockImplementation(() => Date.now() - zero);
    const time = new NodeTime();
    const called: string[] = [];
    const month = 30 * 24 * 3_600_000;
    const start = time.now();
    time.schedule(start + month, () => called.push('month'));
    vi.advanceTimersByTime(1_000);
    expect(called).toEqual([]);
    time.schedule(start + 2_000, () => called.push('soon'));
    vi.advanceTimersByTime(1_010);
    expect(called).toEqual(['soon']);
    time.schedule(start + month, () => called.push('month'));
    vi.advanceTimersByTime(month - 10_000);
    expect(called).toEqual(['soon']);
    vi.advanceTimersByTime(20_000);
    expect(called).toEqual(['soon', 'month']);
    time.schedule(time.now() + 50, () => called.push('off'));
    time.schedule(Number.POSITIVE_INFINITY, () => called.push('never'));
    expect(vi.getTimerCount()).toBe(0);
    // What is due already waits in no timer, and keeps no process alive when it is called off.
    for (const callOff of [() => time.cancel(), () => time.schedule(Number.POSITIVE_INFINITY, () => called.push('never'))]) {
      time.schedule(time.now(), () => called.push('off'));
      callOff();
      expect(vi.getTimerCount()).toBe(0);
    }
    vi.advanceTimersByTime(1_000);
    expect(called).toEqual(['soon', 'month']);
  });
});
