/** The pages of one process, by themselves: who is listened to, what each is told, and what stays when one goes. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BRIDGE_CLOSE, BRIDGE_LOST_BYTES, BRIDGE_VERSION, createCommandOutbox, decodeEvents, MAX_BRIDGE_ROOMS } from '../sdk/bridge/index.ts';
import type { PageCommand, ProcessEvent } from '../sdk/bridge/index.ts';
import { BridgeSession } from '../sdk/node/bridge-session.ts';
import type { BridgeSessionOptions } from '../sdk/node/bridge-session.ts';
import type { OpenRequest } from '../sdk/port/lan-port.ts';
import type { RoomPort } from '../sdk/port/port.ts';
import { GAME, join, OTHER, ScriptedLan, ScriptedRoom } from './bridge-fake.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const NEVER: OpenRequest = { type: 'join', target: 'never', code: undefined, spectate: false };
const HELLO: Extract<PageCommand, { type: 'hello' }> = { type: 'hello', version: BRIDGE_VERSION, token: '', game: GAME, page: '' };

function start(options: Partial<BridgeSessionOptions> = {}) {
  const clock = { now: 5_000 };
  const time = { now: () => clock.now, schedule: () => undefined, cancel: () => undefined };
  const lan = Object.assign(new ScriptedLan(), { time });
  const session = new BridgeSession({ lan, ...options });
  const drops = (): Readonly<Record<string, number>> => session.stats().drops;
  /** Time passes, a millisecond at a time; what waits for a turn gets it. */
  const pass = async (ms: number): Promise<void> => {
    for (let i = 0; i < ms; i++) {
      clock.now++;
      await vi.advanceTimersByTimeAsync(1);
    }
  };
  const page = () => {
    const one = {
      told: [] as ProcessEvent[],
      batches: 0,
      closes: [] as number[],
      bufferedAmount: 0,
      send(bytes: Uint8Array): void {
        one.batches++;
        one.told.push(...decodeEvents(bytes.slice()).entries);
      },
      close: (code: number) => void one.closes.push(code),
      attach: (hello = HELLO): boolean => session.attach(one, hello),
      async say(...commands: PageCommand[]): Promise<void> {
        const out = createCommandOutbox();
        for (const command of commands) out.add(command);
        session.receive(one, out.take()!);
        await pass(6);
      },
      of: <T extends ProcessEvent['type']>(type: T) => one.told.filter((event): event is Extract<ProcessEvent, { type: T }> => event.type === type),
      go: () => session.detach(one),
    };
    return one;
  };
  /** A page that sits in a room with the number 1. */
  const seated = async () => {
    const one = page();
    one.attach();
    await one.say({ type: 'open', room: 1, request: join() });
    return one;
  };
  return { clock, lan, session, drops, pass, page, seated };
}

describe('a hello', () => {
  test('[BR18] of another bridge or game, by any of its facts, is sent away and counted, and told nothing', async () => {
    const { page, pass, drops, session } = start({ game: GAME });
    const others = [
      { ...HELLO, version: BRIDGE_VERSION + 1 },
      ...[{ id: 'other' }, { version: 2 }, { schemaHash: 8 }].map((fact) => ({ ...HELLO, game: { ...GAME, ...fact } })),
    ];
    for (const [i, hello] of others.entries()) {
      const one = page();
      expect([one.attach(hello), one.closes, drops()['bridge-version']]).toEqual([false, [BRIDGE_CLOSE.version], i + 1]);
      await pass(10);
      expect(one.told).toEqual([]);
    }
    expect([page().attach(), session.stats().pages]).toEqual([true, 1]);
  });

  test('[BR12] ends the page before, which is listened to no more, nor takes the next one along when it goes', async () => {
    const { seated, page, pass, lan, session } = start();
    const first = await seated();
    const second = page();
    second.attach();
    expect(first.closes).toEqual([BRIDGE_CLOSE.replaced]);
    await first.say({ type: 'watch-rooms', on: true });
    first.go();
    await second.say({ type: 'claim', room: 9 });
    expect([lan.watchers.size, second.of('opened').length, session.stats().batchesIn]).toEqual([0, 1, 2]);
    // It knows nobody yet: numbers begin anew, and nothing of the page before is meant by them.
    expect(second.of('peer').map(({ peer }) => peer)).toEqual([0, 1]);
    await second.say({ type: 'flush', room: 1 });
    expect(session.stats().drops['bridge-no-room']).toBe(1);
    await pass(1);
  });

  test('[BR12] a page is told nothing that was meant for the one before', async () => {
    const { page, pass, session } = start();
    const [first, second] = [page(), page()];
    first.attach();
    await pass(10);
    const out = createCommandOutbox();
    out.add({ type: 'ping', stamp: 1 });
    session.receive(first, out.take()!);
    second.attach();
    await pass(10);
    expect([first.of('pong'), second.told.map(({ type }) => type)]).toEqual([[], ['welcome']]);
  });
});

test('[BR11] a page that is gone leaves nothing running but the time of its seat', async () => {
  const { seated, pass, lan } = start({ keepMs: 300 });
  const one = await seated();
  await one.say(
    { type: 'watch-rooms', on: true },
    { type: 'watch-rooms', on: true },
    { type: 'beat', hz: 50 },
    { type: 'open', room: 2, request: NEVER },
  );
  expect([lan.watchers.size, lan.aborts]).toEqual([1, 0]);
  one.go();
  await pass(20);
  expect([lan.watchers.size, lan.aborts, vi.getTimerCount()]).toEqual([0, 1, 1]);
  await pass(300);
  expect([lan.rooms[0]!.left, vi.getTimerCount()]).toEqual([true, 0]);
});

test('[BR11] a seat is kept anew from the moment at which a page came; one that was taken up is not left at its time', async () => {
  const { seated, page, pass, lan } = start({ keepMs: 100 });
  const one = await seated();
  const [room] = lan.rooms as [ScriptedRoom];
  one.go();
  await pass(60);
  const two = page();
  two.attach();
  await pass(60);
  expect([room.left, room.eligible]).toEqual([false, [false]]);
  await two.say({ type: 'claim', room: 4 });
  await pass(200);
  expect([room.left, room.eligible, two.of('failed')]).toEqual([false, [false, true], []]);
  await two.say({ type: 'claim', room: 5 });
  expect(two.of('failed')).toMatchObject([{ room: 5, code: 'closed' }]);
  two.go();
  const three = page();
  three.attach();
  // Of what is said to a seat that nobody has taken up, nobody hears.
  room.say({ type: 'message', from: OTHER, channel: 'reliable', lane: 0, bytes: Uint8Array.of(1) });
  await pass(101);
  const four = page();
  four.attach();
  await pass(5);
  expect([room.left, three.of('message'), three.of('welcome')[0]!.kept?.name, four.of('welcome')[0]!.kept]).toEqual([true, [], 'Friday', undefined]);
});

test('[BR11] a page that is hidden takes its seat up as one that is no host', async () => {
  const { seated, page, pass, lan } = start();
  const one = await seated();
  const [room] = lan.rooms as [ScriptedRoom];
  one.go();
  const two = page();
  two.attach();
  await two.say({ type: 'beat', hz: 50 });
  await two.say({ type: 'claim', room: 4 }, { type: 'eligible', room: 4, eligible: false });
  await pass(50);
  expect([room.left, room.eligible, two.of('failed')]).toEqual([false, [false, false], []]);
  // It is shown, and goes: the page after it is not hidden.
  await two.say({ type: 'beat', hz: 0 });
  await two.say({ type: 'eligible', room: 4, eligible: true });
  two.go();
  const three = page();
  three.attach();
  await three.say({ type: 'claim', room: 5 });
  expect(room.eligible.slice(2)).toEqual([true, false, true]);
  three.go();
});

test('[BR11] of two seats one is kept; one that is over, or was being left, is not', async () => {
  const { seated, page, lan } = start();
  const one = await seated();
  await one.say({ type: 'open', room: 2, request: { ...join('Saturday'), type: 'create' } as OpenRequest });
  one.go();
  expect(lan.rooms.map(({ left }) => left)).toEqual([true, false]);
  lan.rooms[1]!.say({ type: 'closed', reason: 'timeout' });
  const two = page();
  two.attach();
  await two.say({ type: 'claim', room: 3 }, { type: 'open', room: 4, request: join() });
  expect([two.of('welcome')[0]!.kept, two.of('failed')[0]?.code]).toEqual([undefined, 'closed']);
  const leave = vi.spyOn(lan.rooms[2]!, 'leave').mockImplementation(() => undefined);
  await two.say({ type: 'leave', room: 4 });
  two.go();
  const three = page();
  three.attach();
  await three.say({ type: 'ping', stamp: 1 });
  expect([leave.mock.calls.length, lan.rooms[2]!.eligible, three.of('welcome')[0]!.kept]).toEqual([2, [], undefined]);
});

describe('opening', () => {
  test('[BR9] one number at a time, and four rooms at most; what failed or ended makes room again', async () => {
    const { page, drops, lan } = start();
    const one = page();
    one.attach();
    for (let room = 1; room <= MAX_BRIDGE_ROOMS; room++) await one.say({ type: 'open', room, request: NEVER });
    await one.say({ type: 'open', room: 1, request: join() });
    expect([drops()['bridge-room-twice'], lan.requests.length]).toEqual([1, MAX_BRIDGE_ROOMS]);
    await one.say({ type: 'open', room: 9, request: join() });
    expect(one.of('failed')).toMatchObject([{ room: 9, code: 'bad-argument' }]);
    // Called off: nothing is told of it, and the number is free.
    await one.say({ type: 'cancel', room: 1 }, { type: 'cancel', room: 77 });
    expect([lan.aborts, one.of('failed').length]).toEqual([1, 1]);
    await one.say({ type: 'open', room: 1, request: join() });
    await one.say({ type: 'open', room: 1, request: join() });
    expect([one.of('opened').length, drops()['bridge-room-twice']]).toEqual([1, 2]);
    await one.say({ type: 'leave', room: 1 });
    await one.say({ type: 'flush', room: 1 }, { type: 'open', room: 1, request: join() });
    expect([one.of('opened').length, drops()['bridge-no-room']]).toEqual([2, 1]);
  });

  test('[BR9] a seat that comes after it was called off, or after its page went, is left and told to nobody', async () => {
    const { page, lan, pass } = start();
    const given: ((room: RoomPort) => void)[] = [];
    lan.open = () => new Promise((resolve) => given.push(resolve));
    const one = page();
    one.attach();
    await one.say({ type: 'open', room: 1, request: join() }, { type: 'open', room: 2, request: join() });
    await one.say({ type: 'cancel', room: 1 });
    const rooms = [new ScriptedRoom('a'), new ScriptedRoom('b')];
    given[0]!(rooms[0]!);
    await pass(5);
    one.go();
    given[1]!(rooms[1]!);
    await pass(5);
    expect([rooms.map(({ left }) => left), one.of('opened'), one.of('failed')]).toEqual([[true, true], [], []]);
  });

  test('[BR9] what is called off while a kept seat is still being left is not opened', async () => {
    const { seated, page, lan, pass } = start();
    (await seated()).go();
    vi.spyOn(lan.rooms[0]!, 'leave').mockImplementation(() => undefined);
    const two = page();
    two.attach();
    await two.say({ type: 'open', room: 1, request: join('Saturday') });
    await two.say({ type: 'cancel', room: 1 });
    await pass(600);
    expect([lan.requests.length, two.of('failed'), two.of('opened')]).toEqual([1, [], []]);
  });
});

test('[BR2] what a page may not say is counted by its reason, and what came before it in the batch stands', async () => {
  const { seated, session, drops, lan } = start();
  const one = await seated();
  session.receive(one, Uint8Array.of(1, 1, 255));
  await one.say(
    HELLO,
    { type: 'send', room: 1, peer: 40, channel: 'reliable', lane: 0, bytes: new Uint8Array(1) },
    { type: 'flush', room: 8 },
    { type: 'kick', room: 1, peer: 40 },
    { type: 'kick', room: 1, peer: one.of('peer').find(({ id }) => id === OTHER)!.peer },
    { type: 'eligible', room: 1, eligible: false },
  );
  expect(drops()).toEqual({ 'bridge-malformed': 1, 'bridge-hello-again': 1, 'bridge-no-peer': 1, 'bridge-no-room': 1 });
  const [room] = lan.rooms as [ScriptedRoom];
  expect([lan.watchers.size, room.kicked, room.eligible, room.sent]).toEqual([1, [OTHER], [false], []]);
});

describe('what a page is told', () => {
  test('[BR31] are facts when they change, and the statistics of its rooms each second', async () => {
    const { seated, lan, pass } = start();
    const one = await seated();
    await pass(3_000);
    expect([one.of('discovery').length, one.of('stats').length]).toEqual([0, 4]);
    lan.code = undefined;
    await pass(3_000);
    expect([one.of('discovery').map(({ joinCode }) => joinCode), one.of('stats').length]).toEqual([[undefined], 7]);
  });

  test('[BR5] leaves together, soon, and at most every four milliseconds', async () => {
    const { seated, lan, pass } = start();
    const one = await seated();
    const [room] = lan.rooms as [ScriptedRoom];
    await pass(50);
    const say = (n: number): void => room.say({ type: 'message', from: OTHER, channel: 'unreliable', lane: 0, bytes: Uint8Array.of(n) });
    const before = one.batches;
    const timers = vi.getTimerCount();
    say(0);
    say(1);
    expect(vi.getTimerCount()).toBe(timers + 1);
    await pass(1);
    expect([one.batches - before, one.of('message').length]).toEqual([1, 2]);
    for (let i = 0; i < 100; i++) {
      say(i);
      await pass(1);
    }
    await pass(4);
    expect(one.of('message')).toHaveLength(102);
    expect(one.batches - before).toBeGreaterThan(20);
    expect(one.batches - before).toBeLessThan(30);
  });

  test('[BR16] is a beat as often as it asked for one, on time on average, and none where a batch goes out anyway', async () => {
    const { page, lan, pass } = start();
    const one = page();
    one.attach();
    // Every timer comes late by four milliseconds.
    const { setTimeout: soon } = globalThis;
    vi.spyOn(globalThis, 'setTimeout').mockImplementation(((fn: () => void, ms: number) => soon(fn, ms + 4)) as typeof setTimeout);
    await one.say({ type: 'beat', hz: 50 });
    await pass(1_000);
    const beats = one.of('beat').length;
    expect(beats).toBeGreaterThanOrEqual(48);
    expect(beats).toBeLessThanOrEqual(51);
    await one.say({ type: 'watch-rooms', on: true });
    for (let i = 0; i < 100; i++) {
      for (const watcher of lan.watchers) watcher([]);
      await pass(5);
    }
    expect(one.of('beat').length).toBeLessThan(beats + 3);
    await one.say({ type: 'beat', hz: 0 });
    const after = one.of('beat').length;
    await pass(500);
    expect(one.of('beat')).toHaveLength(after);
  });

  test('[BR15] while it is behind, is what cannot be lost; when it is far behind it is sent away, and its seat kept', async () => {
    const { seated, page, lan, drops, pass } = start();
    const one = await seated();
    const [room] = lan.rooms as [ScriptedRoom];
    const say = async (buffered: number): Promise<void> => {
      one.bufferedAmount = buffered;
      for (const channel of ['unreliable', 'reliable'] as const)
        room.say({ type: 'message', from: OTHER, channel, lane: 0, bytes: new Uint8Array(1) });
      await pass(10);
    };
    await say(200 * 1_024);
    await say(257 * 1_024);
    expect([one.of('message').map(({ channel }) => channel), drops()]).toEqual([
      ['unreliable', 'reliable', 'reliable'],
      { 'bridge-page-lagging': 1 },
    ]);
    await say(BRIDGE_LOST_BYTES);
    expect(one.closes).toEqual([]);
    await say(BRIDGE_LOST_BYTES + 1);
    expect([one.closes, drops()['bridge-slow-page'], room.eligible, room.left]).toEqual([[BRIDGE_CLOSE.slow], 1, [false], false]);
    const two = page();
    two.attach();
    await pass(5);
    expect(two.of('welcome')[0]!.kept?.name).toBe('Friday');
  });

  test('[BR10] is no list once it stopped watching', async () => {
    const { page, lan } = start();
    const one = page();
    one.attach();
    await one.say({ type: 'watch-rooms', on: false });
    expect([lan.watchers.size, one.of('rooms')]).toEqual([0, []]);
    await one.say({ type: 'watch-rooms', on: true });
    expect(one.of('rooms')).toEqual([{ type: 'rooms', rooms: [] }]);
    await one.say({ type: 'watch-rooms', on: false });
    expect(lan.watchers.size).toBe(0);
  });

  test('[BR8] is the time of the process, with what it asked for', async () => {
    const { page, clock } = start();
    const one = page();
    one.attach();
    await one.say({ type: 'ping', stamp: 12.5 });
    expect(one.of('pong')).toEqual([{ type: 'pong', stamp: 12.5, now: clock.now - 6 }]);
  });
});

test('[BR33] the end leaves each seat, held or kept, waits until the others were told, and runs nothing after it', async () => {
  for (const isKept of [true, false]) {
    const { seated, session, lan, pass } = start();
    const one = await seated();
    const [room] = lan.rooms as [ScriptedRoom];
    const leave = vi.spyOn(room, 'leave').mockImplementation(() => undefined);
    if (isKept) one.go();
    let over = false;
    const closing = session.close().then(() => (over = true));
    await pass(100);
    expect([leave.mock.calls.length, over, one.closes]).toEqual([1, false, isKept ? [] : [BRIDGE_CLOSE.ending]]);
    room.say({ type: 'closed', reason: 'bye' });
    await closing;
    expect(vi.getTimerCount()).toBe(0);
  }
});
