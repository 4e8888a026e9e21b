/** What a guest's page may do, and when it is gone. */
import { describe, expect, test, vi } from 'vitest';
import type { WebSocket } from 'ws';
import type { RoomId } from '../sdk/base/brand.ts';
import { LanError } from '../sdk/base/errors.ts';
import type { BridgeClient } from '../sdk/browser/bridge-client.ts';
import {
  BRIDGE_CLOSE,
  BRIDGE_VERSION,
  createCommandOutbox,
  GUEST_BATCHES_AT_ONCE,
  GUEST_BATCHES_PER_S,
  GUEST_BYTES_AT_ONCE,
  GUEST_BYTES_PER_S,
  GUEST_COMMANDS_AT_ONCE,
  GUEST_PING_MS,
  GUEST_REQUESTS_AT_ONCE,
  GUEST_SILENT_MS,
  MAX_GUESTS,
} from '../sdk/bridge/index.ts';
import type { PageCommand } from '../sdk/bridge/index.ts';
import type { HeldRoom } from '../sdk/node/bridge-session.ts';
import { GuestRate } from '../sdk/node/guest-lan.ts';
import { GuestTable } from '../sdk/node/guest-table.ts';
import { openNodeLanPort } from '../sdk/node/lan-port.ts';
import { monotonicMs } from '../sdk/node/local-time.ts';
import type { RoomListing } from '../sdk/port/lan-port.ts';
import type { RoomPort } from '../sdk/port/port.ts';
import { drain, GAME, join, ME, OTHER, until } from './bridge-fake.ts';
import type { ScriptedLan, ScriptedRoom } from './bridge-fake.ts';
import { failure, GuestScript, House, pageId, status } from './guest-house.ts';

const OTHER_ROOM = 'ffffffffffffffffffffffffffffffff' as RoomId;

describe('a guest', () => {
  const watch = (page: BridgeClient): RoomListing[][] => {
    const lists: RoomListing[][] = [];
    page.watchRooms((rooms) => lists.push([...rooms]));
    return lists;
  };

  test('[BR37] gets into the room its owner is in, whatever it asks for, and sees that one only', async () => {
    await using house = new House();
    const bridge = await house.open();
    const guest = await house.page(bridge.guests, { pageId: pageId('a') });
    const [lan] = house.lans;
    lan!.listings = [{ ...house.lan.listings[0]!, id: OTHER_ROOM }];
    const lists = watch(guest);
    for (const asked of [
      join(),
      { type: 'create' as const, name: 'Mine', max: 2, code: undefined, spectate: false },
      { type: 'join' as const, target: 'x', code: undefined, spectate: false },
    ]) {
      const error = await failure(guest.open(asked));
      expect([error.code, error.message]).toEqual(['unreachable', expect.stringContaining('sits in no room')]);
    }
    expect([lists.flat(), lan!.requests, guest.discovery().reasons, guest.joinCode()]).toEqual([
      [],
      [],
      [expect.stringContaining('no room')],
      undefined,
    ]);
    await house.owner(bridge, 'SECRET');
    await until(() => lists.at(-1)?.length === 1);
    const [room] = lists.at(-1)!;
    expect(room).toMatchObject({ name: 'Friday', players: 2, max: 8, locked: false, compatible: true, address: '', gameId: GAME.id });
    await guest.open({ type: 'create', name: 'Mine', max: 2, code: 'OTHER', spectate: true });
    expect(lan!.requests).toEqual([{ type: 'join', target: room!.id, code: 'SECRET', spectate: true }]);
    expect([house.lan.requests.length, house.lan.watchers.size, lan!.watchers.size]).toEqual([1, 0, 0]);
  });

  test('[BR38] plays, and has no duty and no power: not host, kicks nobody, sees nothing of the network', async () => {
    await using house = new House();
    const bridge = await house.open();
    await house.owner(bridge);
    const guest = await house.page(bridge.guests, { pageId: pageId('a') });
    expect(guest.guests).toBe(undefined);
    const seat = await guest.open(join());
    const [room] = house.lans[0]!.rooms;
    seat.setEligible(0, true);
    const raw = { type: 'kick', room: 1, peer: 0 } as const;
    const out = createCommandOutbox();
    out.add(raw);
    guest.sockets[0]!.send(out.take()!);
    seat.send(0, ME, 'reliable', Uint8Array.of(7));
    seat.flush(0);
    await until(() => room!.sent.length === 1);
    expect([room!.eligible, room!.kicked, room!.flushes]).toEqual([[false], [], 1]);
    const doctor = await failure(guest.diagnose());
    expect([doctor.message, house.lans[0]!.diagnoses, house.lan.diagnoses]).toEqual([expect.stringContaining('A guest sees nothing'), 0, 0]);
    const { drops } = bridge.guests.stats();
    expect([drops['bridge-guest-kick'], (drops['bridge-guest-eligible'] ?? 0) > 0]).toEqual([1, true]);
  });

  test('[BR36] is a page by its own id: two are two players, a reloaded one has its seat again', async () => {
    await using house = new House();
    const bridge = await house.open({}, 700);
    await house.owner(bridge);
    const ann = await house.page(bridge.guests, { pageId: pageId('a') });
    const bob = await house.page(bridge.guests, { pageId: pageId('b') });
    await Promise.all([ann.open(join()), bob.open(join())]);
    expect([house.lans.length, bridge.guests.stats().guests]).toEqual([2, 2]);
    ann.crash();
    await until(() => house.lans[0]!.rooms[0]!.eligible.length === 2);
    const again = await house.page(bridge.guests, { pageId: pageId('a') });
    // By whatever name: there is one room.
    await again.open(join('Other'));
    expect([house.lans.length, house.lans[0]!.rooms.length, house.lans[0]!.rooms[0]!.eligible.every((one) => !one)]).toEqual([2, 1, true]);
    await again.close();
    await until(() => house.lans[0]!.closed);
    expect([house.lans[0]!.rooms[0]!.left, bridge.guests.stats().guests, house.lans[1]!.closed]).toEqual([true, 1, false]);
    const tab = await house.page(bridge.guests, { pageId: pageId('b') });
    await until(() => bob.state.type === 'closed');
    expect([tab.state.type, house.lans.length]).toEqual(['open', 2]);
  });

  test('[BR36] is one of eight where the game says no other number', async () => {
    await using house = new House();
    const bridge = await house.open();
    for (let i = 0; i < MAX_GUESTS; i++) await house.page(bridge.guests, { pageId: pageId(String(i)) });
    const error = await failure(house.page(bridge.guests, { pageId: pageId('a') }));
    expect([MAX_GUESTS, error.message, house.lans.length]).toEqual([8, expect.stringContaining('There are 8 guests here already'), 8]);
  });

  test('[BR36] is one of so many; the next is told in words, and gets in when one is gone', async () => {
    await using house = new House();
    const bridge = await house.open({ most: 2 }, 100);
    const first = await house.page(bridge.guests, { pageId: pageId('a') });
    await house.page(bridge.guests, { pageId: pageId('b') });
    const error = await failure(house.page(bridge.guests, { pageId: pageId('c') }));
    expect([error.code, error.message]).toEqual(['bridge', expect.stringContaining('2 guests here already')]);
    expect(bridge.guests.stats()).toMatchObject({ guests: 2, drops: { 'bridge-guest-full': 1 } });
    first.crash();
    await until(() => bridge.guests.stats().guests === 1);
    await house.page(bridge.guests, { pageId: pageId('c') });
    expect([house.lans[0]!.closed, house.lans.length]).toEqual([true, 3]);
  });

  test('[BR36] whose sockets cannot be opened is told so, and takes no place', async () => {
    await using house = new House();
    const lan = (): Promise<never> => Promise.reject(new LanError('bind-failed', 'Nothing left.'));
    const bridge = await house.open({ lan });
    const error = await failure(house.page(bridge.guests, { pageId: pageId('a') }));
    expect(error.message).toContain('no place');
    expect(bridge.guests.stats()).toMatchObject({ guests: 0, drops: { 'bridge-guest-bind-failed': 1 } });
  });

  test('[BR37] leaves with its owner: to no room, to another one; and when the host would be a guest', async () => {
    await using house = new House();
    const bridge = await house.open();
    const own = await house.owner(bridge);
    const guest = await house.page(bridge.guests, { pageId: pageId('a') });
    const lists = watch(guest);
    const [lan] = house.lans;
    const seatOf = async (): Promise<{ port: RoomPort; room: ScriptedRoom }> => {
      const port = await guest.open(join());
      return { port, room: lan!.rooms.at(-1)! };
    };
    const gone = async ({ port, room }: Awaited<ReturnType<typeof seatOf>>): Promise<unknown> => {
      await until(() => room.left);
      let reason: unknown;
      await until(() => (reason = drain(port).find((event) => event.type === 'closed')) !== undefined);
      return reason;
    };
    const first = await seatOf();
    first.room.say({ type: 'roster', roster: { ...first.room.roster(), host: OTHER }, left: [] });
    expect(await gone(first)).toEqual({ type: 'closed', reason: 'bye' });
    const second = await seatOf();
    const ownRoom = house.lan.rooms[0]!;
    ownRoom.say({ type: 'roster', roster: { ...ownRoom.roster(), roomId: OTHER_ROOM }, left: [] });
    expect(await gone(second)).toEqual({ type: 'closed', reason: 'bye' });
    ownRoom.say({ type: 'roster', roster: { ...ownRoom.roster(), roomId: second.room.roster().roomId }, left: [] });
    const third = await seatOf();
    own.leave(0);
    await gone(third);
    await until(() => lists.at(-1)?.length === 0);
    expect(guest.state.type).toBe('open');
  });

  test('[BR37] stays while its owner reloads', async () => {
    await using house = new House();
    const bridge = await house.open();
    const owner = await house.page(bridge);
    await owner.open(join());
    const guest = await house.page(bridge.guests, { pageId: pageId('a') });
    await guest.open(join());
    owner.crash();
    await until(() => house.lan.rooms[0]!.eligible.includes(false));
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(house.lans[0]!.rooms[0]!.left).toBe(false);
  });

  test('[BR39] that sends too much loses what may be lost, then its connection; its seat is kept', async () => {
    await using house = new House();
    const bridge = await house.open();
    await house.owner(bridge);
    const guest = await house.page(bridge.guests, { pageId: pageId('a') });
    const seat = await guest.open(join());
    const [room] = house.lans[0]!.rooms;
    let lost = 0;
    guest.onState = ({ type }) => void (lost += type === 'waiting' ? 1 : 0);
    const socket = guest.sockets[0]!;
    let ended = 0;
    socket.addEventListener('close', ({ code }) => (ended = code));
    const batch = (channel: 'reliable' | 'unreliable'): Uint8Array => {
      const out = createCommandOutbox();
      out.add({ type: 'send', room: 1, peer: 1, channel, lane: 0, bytes: Uint8Array.of(1) });
      return out.take()!;
    };
    for (let i = 0; i < GUEST_BATCHES_AT_ONCE + 50; i++) socket.send(batch('unreliable'));
    for (let i = 0; i < 50; i++) socket.send(batch('reliable'));
    await until(() => room!.sent.filter(({ channel }) => channel === 'reliable').length === 50);
    const dropped = bridge.guests.stats().drops['bridge-guest-rate'] ?? 0;
    expect([dropped > 0, room!.sent.length + dropped]).toEqual([true, GUEST_BATCHES_AT_ONCE + 100]);
    expect(lost).toBe(0);
    for (let i = 0; i < GUEST_BATCHES_AT_ONCE + 200; i++) socket.send(batch('unreliable'));
    await until(() => lost > 0);
    expect([bridge.guests.stats().drops['bridge-guest-flood'], room!.left, drain(seat).at(-1)]).toEqual([
      1,
      false,
      { type: 'closed', reason: 'bridge' },
    ]);
    await until(() => guest.state.type === 'open');
    expect([guest.kept?.name, ended]).toEqual(['joined', BRIDGE_CLOSE.flood]);
  });

  test('[BR39] that asks again and again, in a few bytes each time, is answered a few times, and sent away', async () => {
    await using house = new House();
    const bridge = await house.open();
    await house.owner(bridge);
    const guest = await house.page(bridge.guests, { pageId: pageId('a') });
    let lost = 0;
    guest.onState = ({ type }) => void (lost += type === 'waiting' ? 1 : 0);
    const out = createCommandOutbox();
    for (let room = 10; room < 2_010; room++)
      for (const type of ['diagnose', 'claim', 'open'] as const) out.add({ type, room, request: join() } as PageCommand);
    const before = performance.now();
    const batches: Uint8Array[] = [];
    for (let batch = out.take(); batch !== undefined; batch = out.take()) batches.push(batch);
    for (let i = 0; i < 50; i++) for (const batch of batches) guest.sockets[0]!.send(batch);
    await until(() => lost > 0);
    const { drops } = bridge.guests.stats();
    expect([drops['bridge-guest-flood'], house.lans[0]!.requests.length <= GUEST_REQUESTS_AT_ONCE]).toEqual([1, true]);
    expect([drops['bridge-guest-diagnose']! > 1_900, drops['bridge-guest-claim']! > 1_900, drops['bridge-guest-open']! > 1_900]).toEqual([
      true,
      true,
      true,
    ]);
    expect(performance.now() - before).toBeLessThan(2_000);
  });

  test('[BR39] may send what a game sends, at once what a Wi-Fi held back, and no more', () => {
    const rate = new GuestRate();
    for (let ms = 0; ms < 60_000; ms += 1_000 / 70) expect(rate.take(ms, 3_000)).toBe('in');
    const burst = new GuestRate();
    expect(Array.from({ length: GUEST_BATCHES_AT_ONCE }, () => burst.take(0, 10)).every((answer) => answer === 'in')).toBe(true);
    expect(burst.take(0, 10)).toBe('over');
    expect(burst.take(1_000, 10)).toBe('in');
    for (const [perSecond, bytes, atOnce] of [
      [GUEST_BATCHES_PER_S, 1, GUEST_BATCHES_AT_ONCE],
      [GUEST_BYTES_PER_S, GUEST_BYTES_PER_S / 50, (GUEST_BYTES_AT_ONCE / GUEST_BYTES_PER_S) * 50],
    ] as const) {
      // Twice the rate, for as long as it takes: first over, then out, and in again after a rest.
      const flood = new GuestRate();
      const perBatch = bytes === 1 ? 1_000 / (2 * perSecond) : 10;
      const answers: string[] = [];
      let now = 0;
      for (; answers.at(-1) !== 'out' && answers.length < 8 * atOnce; now += perBatch) answers.push(flood.take(now, bytes));
      expect([answers.indexOf('over') > atOnce, answers.includes('out'), answers.lastIndexOf('in') < answers.indexOf('over')]).toEqual([
        true,
        true,
        true,
      ]);
      expect(flood.take(now + 20_000, 1)).toBe('in');
    }
    const chatter = new GuestRate();
    for (let ms = 0; ms < 60_000; ms += 1_000 / 60) {
      expect(chatter.take(ms, 3_000)).toBe('in');
      chatter.count(ms, 32);
    }
    chatter.count(60_000, GUEST_COMMANDS_AT_ONCE);
    expect(chatter.take(60_000, 0)).toBe('over');
    expect(chatter.count(60_000, GUEST_COMMANDS_AT_ONCE)).toBe('out');
  });
});

describe('the table of guests', () => {
  class FakePage {
    readonly OPEN = 1;
    readyState = 1;
    bufferedAmount = 0;
    pings = 0;
    terminated = false;
    closed: number | undefined;
    pong: (() => void) | undefined;
    on(_event: 'pong', listener: () => void): void {
      this.pong = listener;
    }
    send(): void {}
    ping(): void {
      this.pings++;
    }
    terminate(): void {
      this.terminated = true;
    }
    close(code: number): void {
      this.closed = code;
      this.readyState = 2;
    }
  }
  const hello = { type: 'hello', version: BRIDGE_VERSION, token: '', game: GAME, page: pageId('a') } as const;
  const openTable = (lan: () => ScriptedLan | Promise<ScriptedLan>, ownRoom: () => HeldRoom | undefined = () => undefined): GuestTable =>
    new GuestTable({ game: GAME, most: 2, keepMs: 50, lan, ownRoom });

  test('[BR40] asks a page for a sign of life, and ends the connection of one that gives none', async () => {
    const table = openTable(() => new GuestScript());
    const page = new FakePage();
    const now = monotonicMs();
    await table.welcome(page as unknown as WebSocket, hello);
    table.look(now + GUEST_PING_MS - 1_000);
    expect(page.pings).toBe(0);
    table.look(now + GUEST_PING_MS + 1_000);
    expect(page.pings).toBe(1);
    table.look(now + GUEST_SILENT_MS - 1_000);
    expect(page.terminated).toBe(false);
    table.look(now + GUEST_SILENT_MS + 1_000);
    expect([page.terminated, table.drops()['bridge-guest-silent']]).toEqual([true, 1]);
    const alive = new FakePage();
    await table.welcome(alive as unknown as WebSocket, hello);
    vi.spyOn(performance, 'now').mockReturnValue(monotonicMs() + GUEST_SILENT_MS);
    alive.pong!();
    table.look(performance.now() + 1_000);
    expect(alive.terminated).toBe(false);
    vi.restoreAllMocks();
    await table.close();
  });

  test('[BR36] forgets a page that was gone before its guest was ready, and one that came as the game closed', async () => {
    const lans: GuestScript[] = [];
    const table = openTable(async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      lans.push(new GuestScript());
      return lans.at(-1)!;
    });
    const page = new FakePage();
    const welcomed = table.welcome(page as unknown as WebSocket, hello);
    page.readyState = 3;
    expect([await welcomed, table.size]).toEqual([undefined, 1]);
    await until(() => lans[0]!.closed);
    expect(table.size).toBe(0);
    const late = new FakePage();
    const coming = table.welcome(late as unknown as WebSocket, hello);
    await table.close();
    expect([await coming, late.closed, lans.map(({ closed }) => closed)]).toEqual([undefined, BRIDGE_CLOSE.full, [true, true]]);
    const after = new FakePage();
    expect([await table.welcome(after as unknown as WebSocket, hello), after.closed, lans.length]).toEqual([undefined, BRIDGE_CLOSE.ending, 2]);
  });

  test('[BR36] keeps a guest while any page of it is here, whichever of its pages goes', async () => {
    const lans: GuestScript[] = [];
    const table = openTable(() => {
      lans.push(new GuestScript());
      return lans.at(-1)!;
    });
    const keepMs = 50;
    const welcome = (page: FakePage, id = 'a'): ReturnType<GuestTable['welcome']> =>
      table.welcome(page as unknown as WebSocket, { ...hello, page: pageId(id) });
    const [old, newer, never] = [new FakePage(), new FakePage(), new FakePage()];
    const holder = await welcome(old);
    await welcome(newer);
    // Its end is told late, and the one that never came up is gone already.
    holder!.detach(old as unknown as WebSocket);
    never.readyState = 3;
    await welcome(never);
    await new Promise((resolve) => setTimeout(resolve, 2 * keepMs));
    expect([table.size, lans.map(({ closed }) => closed)]).toEqual([1, [false]]);
    // One that reloads is no other guest: it has a place, and the time it had is over.
    await welcome(new FakePage(), 'b');
    holder!.detach(newer as unknown as WebSocket);
    const [again, other] = [new FakePage(), new FakePage()];
    expect([await welcome(again), await welcome(other, 'c')]).toEqual([holder, undefined]);
    await new Promise((resolve) => setTimeout(resolve, 2 * keepMs));
    expect([again.closed, other.closed, table.size, lans.map(({ closed }) => closed)]).toEqual([undefined, BRIDGE_CLOSE.full, 2, [false, false]]);
    await table.close();
  });

  test('[BR36] says by a name of its own what failed where a lan was to be opened', async () => {
    const table = openTable(() => Promise.reject(new TypeError('not a lan')));
    await table.welcome(new FakePage() as unknown as WebSocket, hello);
    expect([table.drops(), table.size]).toEqual([{ 'bridge-guest-unopened': 1, 'bridge-guest-ended': 1 }, 0]);
  });

  test('[BR33] leaves no timer behind, and ends also where a lan cannot be closed', async () => {
    class Stuck extends GuestScript {
      override close(): Promise<void> {
        return Promise.reject(new Error('stuck'));
      }
    }
    const table = new GuestTable({ game: GAME, most: 2, keepMs: 60_000, lan: () => new Stuck(), ownRoom: () => undefined });
    const page = new FakePage();
    const holder = await table.welcome(page as unknown as WebSocket, hello);
    const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const before = timers();
    await table.close();
    holder!.detach(page);
    expect([page.closed, timers() <= before, table.drops()['bridge-guest-unclosed']]).toEqual([BRIDGE_CLOSE.ending, true, 1]);
  });

  test('[BR33] ends with the bridge: rooms left, sockets closed, nobody answers', async () => {
    await using house = new House();
    const bridge = await house.open();
    await house.owner(bridge);
    const guest = await house.page(bridge.guests, { pageId: pageId('a') });
    await guest.open(join());
    const opened = bridge.guests.port;
    await bridge.close();
    expect([house.lans[0]!.rooms[0]!.left, house.lans[0]!.closed]).toEqual([true, true]);
    expect(await status(opened, { Host: `127.0.0.1:${opened}` })).toBe(0);
  });

  test('[BR37] plays over real sockets, through a lan of its own that the game need not open', async () => {
    await using house = new House();
    const discovery = { mdns: false, beacon: false };
    const lan = (): ReturnType<typeof openNodeLanPort> => openNodeLanPort(GAME, { profile: false, interfaces: ['127.0.0.1'], discovery });
    const bridge = await house.start({ lan, root: house.root, game: GAME, guests: { interface: '127.0.0.1' } });
    const owner = await house.page(bridge);
    const own = await owner.open({ ...join(), code: 'SECRET' });
    const guests = bridge.guests!;
    const sockets = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'UDPWrap').length;
    const before = sockets();
    const pages = await Promise.all(['a', 'b'].map((digit) => house.page(guests, { pageId: pageId(digit) })));
    // Two each, to join and to play: who finds them finds their owner.
    expect(sockets() - before).toBe(4);
    const seats = await Promise.all(pages.map((page) => page.open(join('Whatever'))));
    await until(() => own.roster().peers.filter(({ eligible }) => !eligible).length === 2);
    expect([own.roster().peers.length, own.roster().host, new Set([owner, ...pages].map(({ self }) => self)).size]).toEqual([3, owner.self, 3]);
    const [guest] = seats;
    expect([guest!.send(0, owner.self, 'reliable', Uint8Array.of(42)), guest!.flush(0)]).toEqual([true, undefined]);
    let said: number | undefined;
    await until(() => {
      for (const event of drain(own)) if (event.type === 'message') said = event.bytes[0];
      return said !== undefined;
    });
    expect(said).toBe(42);
    own.leave(0);
    for (const seat of seats) await until(() => drain(seat).some(({ type }) => type === 'closed'));
  });
});
