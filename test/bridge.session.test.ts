import { describe, expect, test } from 'vitest';
import { LanError } from '../sdk/base/errors.ts';
import { BRIDGE_CLOSE } from '../sdk/bridge/index.ts';
import { BridgeClient } from '../sdk/browser/bridge-client.ts';
import type { PageWebSocket } from '../sdk/browser/page-socket.ts';
import type { PageClock } from '../sdk/browser/tick-source.ts';
import { startBridge } from '../sdk/node/bridge-server.ts';
import type { OpenRequest } from '../sdk/port/lan-port.ts';
import type { PortEvent } from '../sdk/port/port.ts';
import { MAX_MESSAGE_BYTES } from '../sdk/wire/limits.ts';
import { Bench, drain, GAME, join, ME, OTHER, ScriptedRoom, until } from './bridge-fake.ts';

const bytesOf = (...values: number[]): Uint8Array => Uint8Array.from(values);

/** A page's clock, and whether anybody looks at it. */
function pageClock(later: (fn: () => void, ms: number) => unknown = setTimeout) {
  let change = (): void => undefined;
  const clock = {
    hidden: false,
    hide(hidden: boolean): void {
      clock.hidden = hidden;
      change();
    },
    now: () => performance.now(),
    setTimeout: later,
    clearTimeout: (timer: unknown) => clearTimeout(timer as NodeJS.Timeout),
    requestFrame: () => undefined,
    onVisibility: (fn: () => void) => {
      change = fn;
      return { [Symbol.dispose]: () => undefined };
    },
  };
  return clock;
}

describe('bridge: a seat seen from the page', () => {
  test('[BR4] roster, messages both ways, statistics, kick and leave pass unchanged', async () => {
    await using bench = new Bench();
    const page = await bench.page(await bench.start({ game: GAME }));
    expect(page.self).toBe(ME);
    expect(page.discovery()).toEqual({ level: 'degraded', reasons: ['Multicast does not come through.'] });
    const port = await page.open(join());
    const room = bench.lan.rooms[0]!;
    expect(port.roster()).toEqual(room.roster());

    expect(port.send(0, OTHER, 'reliable', bytesOf(1, 2), 3)).toBe(true);
    expect(port.send(0, OTHER, 'unreliable', bytesOf(9))).toBe(true);
    port.flush(0);
    await until(() => room.flushes > 0);
    expect(room.sent).toEqual([
      { to: OTHER, channel: 'reliable', lane: 3, bytes: bytesOf(1, 2) },
      { to: OTHER, channel: 'unreliable', lane: 0, bytes: bytesOf(9) },
    ]);

    let woken = 0;
    port.onWake = () => woken++;
    const roster = { ...room.roster(), epoch: 2, host: OTHER };
    room.say(
      { type: 'message', from: OTHER, channel: 'sequenced', lane: 1, bytes: bytesOf(4) },
      { type: 'reset', peer: OTHER },
      { type: 'merge', lost: true, joined: [OTHER] },
      { type: 'roster', roster, left: [{ id: OTHER, slot: room.roster().peers[1]!.slot, reason: 'timeout' }] },
    );
    await until(() => woken > 0);
    expect(drain(port)).toEqual([
      { type: 'message', from: OTHER, channel: 'sequenced', lane: 1, bytes: bytesOf(4) },
      { type: 'reset', peer: OTHER },
      { type: 'merge', lost: true, joined: [OTHER] },
      { type: 'roster', roster, left: [{ id: OTHER, slot: 1, reason: 'timeout' }] },
    ]);
    expect(port.kick(0, OTHER)).toBe(false);
    expect(port.stats(0)).toEqual(room.stats());

    port.leave(0);
    await until(() => room.left);
    await until(() => woken > 1);
    expect(drain(port)).toEqual([{ type: 'closed', reason: 'bye' }]);
    expect(port.send(0, OTHER, 'reliable', bytesOf(1))).toBe(false);
  });

  test('[BR28] what was said to a seat while it opened reaches its page, and lists older than the first one do not', async () => {
    await using bench = new Bench();
    const page = await bench.page(await bench.start());
    const hello: PortEvent = { type: 'message', from: OTHER, channel: 'reliable', lane: 0, bytes: bytesOf(7) };
    const { peers, ...facts } = new ScriptedRoom('Friday').roster();
    const alone: PortEvent = { type: 'roster', roster: { ...facts, peers: peers.slice(0, 1) }, left: [] };
    const whole: PortEvent = { type: 'roster', roster: { ...facts, peers }, left: [] };
    bench.lan.early = [alone, hello, { type: 'reset', peer: OTHER }, { type: 'merge', lost: true, joined: [OTHER] }, whole];
    const port = await page.open(join());
    expect(port.roster()).toEqual(bench.lan.rooms[0]!.roster());
    bench.lan.rooms[0]!.say({ type: 'merge', lost: false, joined: [] });
    const got: PortEvent[] = [];
    await until(() => got.push(...drain(port)) > 0 && got.at(-1)?.type === 'merge');
    expect(got).toEqual([hello, { type: 'merge', lost: false, joined: [] }]);
  });

  test('[BR5] all that happens within one turn arrives as one WebSocket message, each way', async () => {
    await using bench = new Bench();
    const bridge = await bench.start();
    const page = await bench.page(bridge);
    const port = await page.open(join());
    const room = bench.lan.rooms[0]!;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const before = bridge.stats();
    for (let i = 0; i < 20; i++) room.say({ type: 'message', from: OTHER, channel: 'unreliable', lane: 0, bytes: bytesOf(i) });
    for (let i = 0; i < 20; i++) port.send(0, OTHER, 'unreliable', bytesOf(i));
    port.flush(0);
    await until(() => room.sent.length === 20);
    await until(() => bridge.stats().batchesOut > before.batchesOut);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(drain(port).filter((event) => event.type === 'message')).toHaveLength(20);
    // A ping and its answer, or the statistics of the second, may fall into the same moment.
    expect(bridge.stats().batchesOut - before.batchesOut).toBeLessThanOrEqual(2);
    expect(bridge.stats().batchesIn - before.batchesIn).toBeLessThanOrEqual(2);
  });

  test('[BR6] the largest reliable message passes, a larger one and an absent peer are refused at once', async () => {
    await using bench = new Bench();
    const page = await bench.page(await bench.start());
    const port = await page.open(join());
    const room = bench.lan.rooms[0]!;
    const large = new Uint8Array(MAX_MESSAGE_BYTES).fill(7);
    expect(port.send(0, OTHER, 'reliable', large)).toBe(true);
    expect(port.send(0, OTHER, 'reliable', new Uint8Array(MAX_MESSAGE_BYTES + 1))).toBe(false);
    expect(port.send(0, OTHER, 'unreliable', new Uint8Array(1_101))).toBe(false);
    expect(port.send(0, ME, 'reliable', bytesOf(1))).toBe(false);
    expect(port.send(0, 'cccccccccccccccc' as typeof ME, 'reliable', bytesOf(1))).toBe(false);
    port.flush(0);
    await until(() => room.sent.length === 1);
    expect(Buffer.compare(room.sent[0]!.bytes, large)).toBe(0);
    room.say({ type: 'message', from: OTHER, channel: 'reliable', lane: 0, bytes: large });
    let got: PortEvent | undefined;
    await until(() => (got ??= port.poll()) !== undefined);
    // Comparing element by element would take seconds.
    expect(got?.type === 'message' && Buffer.compare(got.bytes, large) === 0).toBe(true);
  });

  test('[BR7] reliable messages the port cannot take yet wait in order, and the page is held back by what was taken', async () => {
    await using bench = new Bench();
    const page = await bench.page(await bench.start());
    const port = await page.open(join());
    const room = bench.lan.rooms[0]!;
    room.room = 2;
    let sent = 0;
    const chunk = (at: number): Uint8Array => new Uint8Array(100_000).fill(at);
    while (port.send(0, OTHER, 'reliable', chunk(sent))) sent++;
    expect(sent).toBe(10);
    port.flush(0);
    await until(() => room.sent.length === 2);
    room.room = Infinity;
    await until(() => room.sent.length === sent);
    expect(room.sent.map((message) => message.bytes[0])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await until(() => port.send(0, OTHER, 'reliable', chunk(sent)));
  });

  test("[BR8] room time is the process's within the stated error, and never runs backwards", async () => {
    await using bench = new Bench();
    const page = await bench.page(await bench.start());
    const port = await page.open(join());
    await new Promise((resolve) => setTimeout(resolve, 400));
    let last = 0;
    for (let i = 0; i < 50; i++) {
      const now = page.time.now();
      const time = port.time(now);
      expect(time).toBeGreaterThanOrEqual(last);
      last = time;
      expect(Math.abs(time - (now + 1_000_000))).toBeLessThanOrEqual(port.timeErrorMs(now) + 1);
      await new Promise((resolve) => setTimeout(resolve, 4));
    }
  });

  test('[BR9] errors of the network half keep code, words and hint; an abort reaches it', async () => {
    await using bench = new Bench();
    const page = await bench.page(await bench.start());
    const full = await page.open({ type: 'join', target: 'full', code: undefined, spectate: false }).catch((error: unknown) => error as LanError);
    expect(full).toMatchObject({ code: 'room-full', hint: 'Watch instead.', message: 'The room has no free seat. Watch instead.' });
    const abort = new AbortController();
    const never = page.open({ type: 'join', target: 'never', code: undefined, spectate: false }, abort.signal);
    await until(() => bench.lan.requests.length === 2);
    abort.abort();
    await expect(never).rejects.toMatchObject({ code: 'aborted' });
    await until(() => bench.lan.aborts === 1);
  });

  test('[BR10] the list of rooms is live while anybody watches', async () => {
    await using bench = new Bench();
    const page = await bench.page(await bench.start());
    const room = {
      id: '00' as never,
      name: 'Näst ☂',
      players: 2,
      max: 8,
      locked: true,
      pingMs: 1.5,
      gameId: 'g',
      version: 3,
      schemaHash: 4,
      compatible: false,
      reason: 'runs 1.3',
      address: '127.0.0.1:1',
    };
    const seen: unknown[] = [];
    const watching = page.watchRooms((rooms) => seen.push(rooms));
    expect(seen).toEqual([[]]);
    await until(() => bench.lan.watchers.size === 1);
    for (const watcher of bench.lan.watchers) watcher([room, { ...room, pingMs: undefined, reason: undefined, compatible: true }]);
    await until(() => seen.length >= 3);
    expect(seen.at(-1)).toEqual([room, { ...room, pingMs: undefined, reason: undefined, compatible: true }]);
    watching[Symbol.dispose]();
    await until(() => bench.lan.watchers.size === 0);
  });
});

describe('bridge: the doctor', () => {
  test('[BR27] a page gets what the doctor of its process found, askers share one examination, and trouble comes in words', async () => {
    await using bench = new Bench();
    const bridge = await bench.start();
    const page = await bench.page(bridge);
    const [first, second] = await Promise.all([page.diagnose(), page.diagnose()]);
    expect(first).toEqual(bench.lan.diagnosis);
    expect(second).toEqual(first);
    expect(bench.lan.diagnoses).toBe(1);
    bench.lan.diagnosis = new LanError('bind-failed', 'No UDP socket could be opened.');
    await expect(page.diagnose()).rejects.toMatchObject({ message: 'No UDP socket could be opened.' });
    bench.lan.diagnose = () => new Promise(() => undefined);
    const waiting = page.diagnose();
    page.sockets[0]!.terminate();
    await expect(waiting).rejects.toMatchObject({ code: 'bridge' });
    await expect(page.diagnose()).rejects.toMatchObject({ code: 'bridge' });
  });
});

describe('bridge: pages come and go', () => {
  test('[BR11] a reloaded page gets its seat back; meanwhile the seat is not eligible', async () => {
    await using bench = new Bench();
    const bridge = await bench.start();
    const first = await bench.page(bridge);
    await first.open(join());
    const room = bench.lan.rooms[0]!;
    first.crash();
    await until(() => room.eligible.at(-1) === false);
    room.say({ type: 'message', from: OTHER, channel: 'reliable', lane: 0, bytes: bytesOf(1) });

    const second = await bench.page(bridge);
    expect(second.kept).toEqual({ roomId: room.roster().roomId, name: 'Friday' });
    const port = await second.open(join());
    expect(port.roster()).toEqual(room.roster());
    expect(bench.lan.rooms).toHaveLength(1);
    expect(room.left).toBe(false);
    await until(() => room.eligible.at(-1) === true);
    expect(second.kept).toBeUndefined();
    port.send(0, OTHER, 'reliable', bytesOf(5));
    port.flush(0);
    await until(() => room.sent.length === 1);
  });

  test('[BR11] a kept seat can be claimed, is left for another room, and is left when nobody comes', async () => {
    await using bench = new Bench();
    const bridge = await bench.start({ keepMs: 150 });
    const one = await bench.page(bridge);
    await one.open(join());
    one.crash();
    await until(() => bench.lan.rooms[0]!.eligible.length === 1);
    const two = await bench.page(bridge);
    const port = await two.claim();
    expect(port.roster().name).toBe('Friday');
    await expect(two.claim()).rejects.toMatchObject({ code: 'closed' });
    two.crash();
    await until(() => bench.lan.rooms[0]!.eligible.at(-1) === false);
    const three = await bench.page(bridge);
    await three.open(join('Saturday'));
    expect(bench.lan.rooms.map((room) => room.left)).toEqual([true, false]);
    three.crash();
    await until(() => bench.lan.rooms[1]!.left);
  });

  test('[BR11] a kept seat is not given to who asks for a room of that name with another code, or to watch', async () => {
    await using bench = new Bench();
    const bridge = await bench.start();
    const { rooms } = bench.lan;
    const asks = async (request: OpenRequest): Promise<number> => {
      const page = await bench.page(bridge);
      await page.open(request);
      page.crash();
      await until(() => rooms.at(-1)!.eligible.at(-1) === false);
      return rooms.length;
    };
    const friday = { type: 'join-or-create', name: 'Friday', max: 8, code: undefined, spectate: false } as const;
    expect(await asks(friday)).toBe(1);
    expect(await asks(friday)).toBe(1);
    expect(await asks({ ...friday, code: 'abcd' })).toBe(2);
    const { roomId } = rooms[1]!.roster();
    rooms[1]!.say({ type: 'roster', roster: { ...rooms[1]!.roster(), locked: true }, left: [] });
    expect(await asks({ ...friday, code: 'AB cd' })).toBe(2);
    expect(await asks({ type: 'join', target: roomId, code: 'abcd', spectate: false })).toBe(2);
    expect(await asks({ ...friday, code: 'abce' })).toBe(3);
    expect(await asks(friday)).toBe(3);
    expect(await asks({ ...friday, spectate: true })).toBe(4);
    expect(rooms.map((room) => room.left)).toEqual([true, true, true, false]);
  });

  test('[BR12] the newest tab wins; the old one hears it in words and does not come back', async () => {
    await using bench = new Bench();
    const bridge = await bench.start();
    const old = await bench.page(bridge);
    const port = await old.open(join());
    const fresh = await bench.page(bridge);
    await until(() => old.state.type === 'closed');
    expect(drain(port)).toEqual([{ type: 'closed', reason: 'bridge' }]);
    expect(old.state).toMatchObject({ error: { code: 'bridge', message: expect.stringContaining('another tab') } });
    await expect(old.open(join())).rejects.toMatchObject({ code: 'bridge' });
    await fresh.open(join());
    expect(bench.lan.rooms).toHaveLength(1);
    expect(bridge.stats().pages).toBe(2);
  });

  test('[BR13] a page that closes on purpose leaves its room at once', async () => {
    await using bench = new Bench();
    const bridge = await bench.start();
    const page = await bench.page(bridge);
    await page.open(join());
    await page.close();
    await until(() => bench.lan.rooms[0]!.left);
    expect((await bench.page(bridge)).kept).toBeUndefined();
  });

  test("[BR14] a lost socket closes the page's rooms and is opened again, with the list watched as before", async () => {
    await using bench = new Bench();
    const bridge = await bench.start();
    const page = await bench.page(bridge);
    const port = await page.open(join());
    page.watchRooms(() => undefined);
    await until(() => bench.lan.watchers.size === 1);
    page.sockets[0]!.terminate();
    await until(() => page.state.type === 'waiting');
    expect(drain(port).at(-1)).toEqual({ type: 'closed', reason: 'bridge' });
    await expect(page.open(join())).rejects.toMatchObject({ code: 'bridge' });
    await until(() => page.state.type === 'open' && bench.lan.watchers.size === 1);
    expect(page.kept?.name).toBe('Friday');
  });

  test('[BR15] a lagging page loses unreliable messages, never reliable ones', async () => {
    await using bench = new Bench();
    const bridge = await bench.start();
    const page = await bench.page(bridge);
    const port = await page.open(join());
    const room = bench.lan.rooms[0]!;
    page.sockets[0]!.pause();
    const filler = new Uint8Array(200_000);
    // The kernel's own buffers take the first megabytes; after that the process sees the page lag.
    for (let i = 0; i < 40 && bridge.stats().drops['bridge-page-lagging'] === undefined; i++) {
      room.say({ type: 'message', from: OTHER, channel: 'reliable', lane: 0, bytes: filler });
      room.say({ type: 'message', from: OTHER, channel: 'unreliable', lane: 0, bytes: bytesOf(i) });
      await new Promise((resolve) => setTimeout(resolve, 8));
    }
    expect(bridge.stats().drops['bridge-page-lagging']).toBeGreaterThan(0);
    room.say({ type: 'message', from: OTHER, channel: 'reliable', lane: 1, bytes: bytesOf(99) });
    page.sockets[0]!.resume();
    const seen: number[] = [];
    await until(() => {
      for (const event of drain(port)) if (event.type === 'message') seen.push(event.lane);
      return seen.at(-1) === 1;
    });
  });

  test('[BR16] while the page is hidden the process sends at least 30 batches a second and the tick goes on', async () => {
    await using bench = new Bench();
    const bridge = await bench.start();
    const timers = new Set<NodeJS.Timeout>();
    const clock = pageClock((fn, ms) => {
      // A hidden page's timers come about once a second.
      const timer = setTimeout(fn, clock.hidden ? 1_000 : ms);
      timers.add(timer);
      return timer;
    });
    const page = await bench.page(bridge, { page: clock });
    await page.open(join());
    clock.hide(true);
    const room = bench.lan.rooms[0]!;
    await until(() => room.eligible.at(-1) === false);
    let ticks = 0;
    const tick = (): void => {
      ticks++;
      page.time.schedule(page.time.now() + 16, tick);
    };
    tick();
    const before = bridge.stats().batchesOut;
    // A busy machine's timers come late: what a bare timer of 30 a second manages in the same time is asked for, and no more.
    let bare = 0;
    const beat = setInterval(() => bare++, 1_000 / 30);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    clearInterval(beat);
    expect(bare).toBeGreaterThan(10);
    expect(bridge.stats().batchesOut - before).toBeGreaterThanOrEqual(bare);
    expect(ticks).toBeGreaterThanOrEqual(bare * 0.8);
    clock.hide(false);
    await until(() => room.eligible.at(-1) === true);
    page.time.cancel();
    for (const timer of timers) clearTimeout(timer);
  });

  test('[BR4] a game that wants not to be host is not made one by a tab that was hidden and is back', async () => {
    await using bench = new Bench();
    const bridge = await bench.start();
    const clock = pageClock();
    const page = await bench.page(bridge, { page: clock });
    const seat = await page.open(join());
    const { eligible } = bench.lan.rooms[0]!;
    seat.setEligible(page.time.now(), false);
    clock.hide(true);
    clock.hide(false);
    seat.setEligible(page.time.now(), true);
    await until(() => eligible.length === 4);
    expect(eligible).toEqual([false, false, false, true]);
    // Nor does the game make a hidden page one.
    clock.hide(true);
    seat.setEligible(page.time.now(), true);
    await until(() => eligible.length === 6);
    expect(eligible.slice(4)).toEqual([false, false]);
  });

  test('[BR17] a taken port is one plain sentence', async () => {
    await using bench = new Bench();
    const bridge = await bench.start();
    const error = await startBridge({ lan: bench.lan, port: bridge.port }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(LanError);
    expect(error).toMatchObject({
      code: 'bind-failed',
      message: `Port ${bridge.port} on 127.0.0.1 is taken by another program. Choose another \`port\`, or 0 for any free one.`,
    });
  });

  test('[BR19] a page that stands still while it starts is not given up, and says a late hello again', async () => {
    const sockets: (PageWebSocket & { sent: number })[] = [];
    const openSocket = (): PageWebSocket => {
      const socket = { binaryType: '', readyState: 1, bufferedAmount: 0, onopen: null, onmessage: null, onclose: null, onerror: null, sent: 0 };
      const whole = Object.assign(socket, { send: () => void socket.sent++, close: () => undefined });
      sockets.push(whole);
      return whole;
    };
    let timers: { fn: () => void; ms: number }[] = [];
    const page: PageClock = {
      hidden: false,
      now: () => 0,
      setTimeout: (fn, ms) => timers[timers.push({ fn, ms }) - 1],
      clearTimeout: (timer) => void (timers = timers.filter((one) => one !== timer)),
      requestFrame: () => undefined,
      onVisibility: () => ({ [Symbol.dispose]: () => undefined }),
    };
    /** Ten seconds without a turn: then everything that was due meanwhile runs, each once. */
    const standStill = (): void => {
      const due = timers.filter(({ ms }) => ms <= 10_000);
      timers = timers.filter((one) => !due.includes(one));
      for (const { fn } of due) fn();
    };
    const connecting = BridgeClient.connect({ url: 'ws://127.0.0.1:1/', token: 't'.repeat(22), game: GAME, page, openSocket });
    const failed = connecting.then(
      () => 'connected',
      (error: unknown) => (error as LanError).code,
    );
    standStill();
    sockets[0]?.onclose?.({ code: BRIDGE_CLOSE.late, reason: '' } as never);
    standStill();
    expect(sockets).toHaveLength(2);
    sockets[1]?.onopen?.(undefined as never);
    expect(sockets[1]?.sent).toBe(1);
    for (let turns = 0; turns < 30; turns++) standStill();
    expect(await failed).toBe('bridge');
  });

  test('[BR18] a page built from another version of the game is told to reload', async () => {
    await using bench = new Bench();
    const bridge = await bench.start({ game: { ...GAME, schemaHash: 8 } });
    await expect(bench.page(bridge)).rejects.toMatchObject({ code: 'bridge', message: expect.stringContaining('Reload') });
  });
});
