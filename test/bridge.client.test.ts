/** The page's end of the bridge, by itself: a socket, a clock and a process that the test makes up. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { PeerId, RoomId, Slot } from '../sdk/base/brand.ts';
import type { LanError } from '../sdk/base/errors.ts';
import { BRIDGE_CLOSE, BRIDGE_CREDIT_BYTES, BRIDGE_VERSION } from '../sdk/bridge/index.ts';
import type { PortEvent } from '../sdk/port/port.ts';
import { MAX_LANES } from '../sdk/wire/limits.ts';
import { drain, GAME, join, ME, OTHER } from './bridge-fake.ts';
import { bytes, CAT, connected, inRoom, listing, roster, seat, turn } from './bridge-page-fake.ts';

afterEach(() => vi.restoreAllMocks());

describe('a socket', () => {
  test('[BR21] says hello first and alone, whatever was asked of the one before', async () => {
    const { client, sockets, page, greet, socket } = await connected();
    expect([socket.binaryType, socket.said[0]]).toMatchObject(['arraybuffer', { type: 'hello', version: BRIDGE_VERSION, game: GAME }]);
    client.watchRooms(() => undefined);
    socket.lose();
    client.watchRooms(() => undefined);
    page.pass(250);
    const next = greet();
    await turn();
    expect(sockets).toHaveLength(2);
    expect(next.said.map(({ type }) => type)).toEqual(['hello', 'watch-rooms', 'ping']);
  });

  test('[BR14] that is lost is opened again after 250 ms, then twice that, five seconds at most, and soon again once it was let in', async () => {
    const { sockets, page, socket, greet, client } = await connected();
    const waits: number[] = [];
    let last = socket;
    const wait = (): void => {
      const [before, began] = [sockets.length, page.at];
      last.lose();
      for (let ms = 0; ms < 10_000 && sockets.length === before; ms += 10) page.pass(10);
      waits.push(page.at - began);
      last = sockets.at(-1)!;
    };
    for (let i = 0; i < 7; i++) wait();
    greet();
    wait();
    expect(waits).toEqual([250, 500, 1_000, 2_000, 4_000, 5_000, 5_000, 250]);
    await client.close();
    page.pass(10_000);
    expect([sockets.length, page.timers]).toEqual([9, []]);
  });

  test('[BR14] closed while it waits for the next one opens none', async () => {
    const { sockets, page, socket, client } = await connected();
    socket.lose();
    await client.close();
    page.pass(10_000);
    expect([sockets.length, client.state.type]).toEqual([1, 'closed']);
  });

  test('[BR14] to another process has its clock and its peers, and none of the one before', async () => {
    const { page, socket, greet, client, room } = await inRoom();
    socket.tell({ type: 'pong', stamp: page.at - 2, now: 50_000 });
    socket.lose();
    page.pass(250);
    const next = greet();
    const opening = client.open(join());
    await turn();
    const peers = [OTHER, ME].map((id, peer) => ({ type: 'peer' as const, peer, id }));
    const { peers: seats, ...facts } = roster;
    next.tell(...peers, { type: 'opened', room: room + 1, roster: { ...facts, peers: seats.slice(0, 2) } });
    next.tell({ type: 'time', room: room + 1, at: 7, time: 3_000, errorMs: 1 });
    const port = await opening;
    expect([port.time(page.at), port.roster().peers.map(({ id }) => id)]).toEqual([3_000, [OTHER, ME]]);
    next.tell(...[2, 0].map((peer) => ({ type: 'message' as const, room: room + 1, peer, channel: 'reliable' as const, lane: 0, bytes: bytes(1) })));
    expect(drain(port)).toMatchObject([{ type: 'message', from: OTHER }]);
  });

  test('[BR14] of before says nothing any more, neither words nor its end; and words that are no bytes are none', async () => {
    const { sockets, page, socket, greet, client } = await connected();
    socket.lose();
    page.pass(250);
    greet();
    socket.tell({ type: 'discovery', state: { level: 'unavailable', reasons: [] }, joinCode: undefined, kept: undefined });
    socket.lose();
    sockets[1]!.onmessage?.({ data: 'text' } as never);
    expect([client.state.type, client.joinCode(), client.drops]).toEqual(['open', 'p4aaa-amgt4', 0]);
    sockets[1]!.onmessage?.({ data: Uint8Array.of(200).buffer } as never);
    expect(client.drops).toBe(1);
  });

  test.each(['token', 'replaced', 'version'] as const)('[BR12] that was refused (%s) is not opened again', async (why) => {
    const { sockets, page, socket, client, watched } = await connected();
    socket.lose(BRIDGE_CLOSE[why], 'Because.');
    page.pass(60_000);
    expect([client.state.type, sockets.length, page.timers, watched.ended]).toEqual(['closed', 1, [], 1]);
    await expect(client.open(join())).rejects.toMatchObject({ code: 'bridge', message: 'Because.' });
  });

  test('[BR14] takes along all that came from it', async () => {
    const { socket, client, port, page } = await inRoom();
    socket.tell({ type: 'rooms', rooms: [listing] });
    const lists: number[] = [];
    client.watchRooms((rooms) => lists.push(rooms.length));
    socket.tell({ type: 'discovery', state: client.discovery(), joinCode: 'p4aaa-amgt4', kept: { roomId: '00' as RoomId, name: 'den' } });
    expect([lists, client.kept?.name, client.discovery().level]).toEqual([[1], 'den', 'ok']);
    let woken = 0;
    port.onWake = () => woken++;
    const waiting = [client.open(join()), client.claim(), client.diagnose()].map((one) =>
      one.then(
        () => 'got',
        (error: LanError) => error.code,
      ),
    );
    socket.lose();
    expect(await Promise.all(waiting)).toEqual(['bridge', 'bridge', 'bridge']);
    expect([drain(port), woken, lists]).toEqual([[{ type: 'closed', reason: 'bridge' }], 1, [1, 0]]);
    expect([client.kept, client.discovery().level, client.joinCode()]).toEqual([undefined, 'unavailable', undefined]);
    await expect(client.diagnose()).rejects.toMatchObject({ code: 'bridge' });
    const late: number[] = [];
    client.watchRooms((rooms) => late.push(rooms.length));
    expect([late, port.send(page.at, OTHER, 'reliable', bytes(1))]).toEqual([[0], false]);
  });
});

describe('asking', () => {
  test('[BR9] called off before, on the way and too late', async () => {
    const { client, socket, port, room } = await inRoom();
    const before = socket.of('open').length;
    await expect(client.open(join(), AbortSignal.abort('no'))).rejects.toMatchObject({ code: 'aborted', cause: 'no' });
    const stop = new AbortController();
    const remove = vi.spyOn(stop.signal, 'removeEventListener');
    const asked = client.open(join(), stop.signal);
    await turn();
    const second = socket.of('open').at(-1)!.room;
    stop.abort();
    await expect(asked).rejects.toMatchObject({ code: 'aborted' });
    await turn();
    expect([socket.of('open').length - before, second > room, socket.of('cancel').map((one) => one.room)]).toEqual([1, true, [second]]);
    // The seat was on its way already: it is given back, and so is the one of a claim.
    socket.tell({ type: 'opened', room: second, roster });
    await turn();
    expect(socket.of('leave').map((one) => one.room)).toEqual([second]);
    expect(remove).toHaveBeenCalledTimes(0);
    const late = new AbortController();
    const got = client.open(join(), late.signal);
    await turn();
    socket.tell({ type: 'opened', room: socket.of('open').at(-1)!.room, roster });
    await got;
    late.abort();
    await turn();
    expect([socket.of('cancel').length, socket.of('leave').length, drain(port)]).toEqual([1, 1, []]);
  });

  test('[BR9] an answer ends what it answers, with the words of the process', async () => {
    const { client, socket } = await connected({ kept: { roomId: '00' as RoomId, name: 'den' } });
    expect(client.kept?.name).toBe('den');
    const [first, second] = [client.open(join()), client.claim()];
    await turn();
    socket.tell(
      { type: 'failed', room: socket.of('open')[0]!.room, code: 'room-full', message: 'Full.', hint: 'Watch.' },
      { type: 'failed', room: 99, code: 'room-full', message: '', hint: undefined },
    );
    await expect(first).rejects.toMatchObject({ code: 'room-full', message: 'Full. Watch.', hint: 'Watch.' });
    socket.tell({ type: 'opened', room: socket.of('claim')[0]!.room, roster });
    await second;
    expect(client.kept).toBeUndefined();
    // Nothing is left to be answered: what comes again is a seat nobody asked for.
    socket.tell({ type: 'opened', room: socket.of('open')[0]!.room, roster });
    await turn();
    expect(socket.of('leave').map(({ room }) => room)).toEqual([socket.of('open')[0]!.room]);
  });

  test('[BR27] for the checks is done once for all who wait, and anew for who comes after', async () => {
    const { client, socket } = await connected();
    const check = { id: 'a', level: 'ok', what: 'b', fix: '' } as const;
    const asked = [client.diagnose(), client.diagnose()];
    await turn();
    socket.tell({ type: 'diagnosis', checks: [check], problem: undefined });
    expect([await Promise.all(asked), socket.of('diagnose').length]).toEqual([[[check], [check]], 1]);
    const again = client.diagnose();
    await turn();
    expect(socket.of('diagnose')).toHaveLength(2);
    socket.tell({ type: 'diagnosis', checks: [], problem: 'No.' });
    await expect(again).rejects.toMatchObject({ code: 'bridge', message: 'No.' });
  });

  test('[BR10] for the list is said once, whoever else watches, and taken back with the last', async () => {
    const { client, socket } = await connected();
    const heard: string[] = [];
    const offs = ['a', 'b'].map((who) => client.watchRooms((rooms) => heard.push(`${who}${rooms.length}`)));
    socket.tell({ type: 'rooms', rooms: [] });
    offs[0]![Symbol.dispose]();
    await turn();
    expect(socket.of('watch-rooms').map(({ on }) => on)).toEqual([true]);
    socket.tell({ type: 'rooms', rooms: [] });
    offs[1]![Symbol.dispose]();
    await turn();
    expect(socket.of('watch-rooms').map(({ on }) => on)).toEqual([true, false]);
    expect(heard).toEqual(['a0', 'b0', 'a0', 'b0', 'b0']);
    // Nobody has looked meanwhile: what was there is no news.
    socket.tell({ type: 'discovery', state: { level: 'degraded', reasons: ['x'] }, joinCode: undefined, kept: undefined });
    expect(client.discovery()).toEqual({ level: 'degraded', reasons: ['x'] });
    const off = client.watchRooms(() => undefined);
    socket.tell({ type: 'rooms', rooms: [listing] });
    off[Symbol.dispose]();
    client.watchRooms((rooms) => heard.push(`c${rooms.length}`));
    expect(heard.at(-1)).toBe('c0');
  });

  test('[BR13] closing says goodbye to each room, closes the socket once, and is the end', async () => {
    const { client, socket, room, watched, page } = await inRoom();
    await client.close();
    await client.close();
    expect([socket.of('leave').map((one) => one.room), socket.closed, watched.ended, page.timers]).toEqual([[room], 1, 1, []]);
    await expect(client.open(join())).rejects.toMatchObject({ code: 'closed' });
  });
});

describe('a hidden page', () => {
  test('[BR16] asks for beats, also on a socket that is opened meanwhile, and is no host in a room that opens', async () => {
    const { client, socket, watched, page, sockets, greet, room, port } = await inRoom();
    watched.now(true);
    expect([socket.of('beat'), socket.of('eligible').map(({ eligible }) => eligible)]).toEqual([[{ type: 'beat', hz: 50 }], [false]]);
    const opening = client.open(join());
    await turn();
    socket.tell({ type: 'opened', room: socket.of('open').at(-1)!.room, roster });
    await opening;
    await turn();
    expect(socket.of('eligible').at(-1)).toMatchObject({ room: room + 1, eligible: false });
    watched.now(false);
    expect([socket.of('beat').at(-1), socket.of('eligible').slice(2)].flat()).toMatchObject([
      { hz: 0 },
      { room, eligible: true },
      { room: room + 1, eligible: true },
    ]);
    watched.now(true);
    socket.lose();
    expect(drain(port).at(-1)).toEqual({ type: 'closed', reason: 'bridge' });
    page.pass(250);
    greet();
    await turn();
    expect(sockets[1]!.of('beat')).toEqual([{ type: 'beat', hz: 50 }]);
  });

  test('[BR16] does what is due with each batch, and at once when it is shown again', async () => {
    const { client, socket, watched, page } = await connected();
    let ticks = 0;
    client.time.schedule(page.at + 10, () => ticks++);
    page.at += 10;
    socket.tell({ type: 'beat' });
    expect(ticks).toBe(1);
    client.time.schedule(page.at + 10, () => ticks++);
    page.at += 10;
    watched.now(true);
    expect(ticks).toBe(1);
    watched.now(false);
    expect(ticks).toBe(2);
  });
});

test('[BR8] pings are quick at first, on each socket, and slow then; none is sent where there is none', async () => {
  const { socket, page, greet, sockets } = await connected();
  page.pass(5_000);
  expect(socket.of('ping').length).toBeGreaterThan(10);
  expect(socket.of('ping').length).toBeLessThan(14);
  socket.lose();
  const pings = socket.of('ping').length;
  page.pass(240);
  expect(socket.of('ping')).toHaveLength(pings);
  page.pass(10);
  greet();
  page.pass(700);
  expect(sockets[1]!.of('ping')).toHaveLength(8);
  page.pass(100);
  expect(sockets[1]!.of('ping')).toHaveLength(8);
});

test('[BR5] what is said in one turn is one batch', async () => {
  const { client, socket } = await connected();
  const before = socket.batches;
  client.watchRooms(() => undefined);
  void client.diagnose();
  void client.open(join()).catch(() => undefined);
  await turn();
  expect([socket.batches - before, socket.said.slice(-3).map(({ type }) => type)]).toEqual([1, ['watch-rooms', 'diagnose', 'open']]);
});

describe('a seat', () => {
  test('[BR6] refuses what cannot be sent: lanes, sizes, and whom', async () => {
    const { port, page, socket } = await inRoom();
    const sends = (to: PeerId, channel: 'reliable' | 'sequenced' | 'unreliable', size = 1, lane = 0): boolean =>
      port.send(page.at, to, channel, bytes(size), lane);
    expect([sends(OTHER, 'reliable', 1, MAX_LANES - 1), sends(OTHER, 'unreliable', 1_100)]).toEqual([true, true]);
    expect([-1, MAX_LANES].map((lane) => sends(OTHER, 'reliable', 1, lane))).toEqual([false, false]);
    expect([sends(OTHER, 'sequenced', 1_101), sends(OTHER, 'reliable', 262_145), sends(ME, 'reliable'), sends(CAT, 'reliable')]).toEqual([
      false,
      false,
      false,
      false,
    ]);
    socket.bufferedAmount = 257 * 1_024;
    expect([sends(OTHER, 'unreliable'), sends(OTHER, 'sequenced'), sends(OTHER, 'reliable')]).toEqual([false, false, true]);
  });

  test('[BR7] has a mebibyte of credit for each peer, given back as it is taken', async () => {
    const { port, page, socket, room } = await inRoom();
    const quarter = bytes(BRIDGE_CREDIT_BYTES / 4);
    const sends = (): number => {
      let count = 0;
      while (port.send(page.at, OTHER, 'reliable', quarter)) count++;
      return count;
    };
    expect(sends()).toBe(4);
    socket.tell({ type: 'taken', room, peer: 1, bytes: quarter.length * 3 }, { type: 'taken', room, peer: 77, bytes: 1 });
    expect([sends(), port.send(page.at, OTHER, 'unreliable', bytes(1))]).toEqual([3, false]);
  });

  test('[RO41] [BR7] what waits for the process is told lane by lane: it is taken in its order, and counts while any of it is left', async () => {
    const { port, page, socket, room } = await inRoom();
    const queued = (): number[] => [0, 1].map((lane) => port.queued(OTHER, lane));
    for (const [lane, size] of [
      [1, 100],
      [0, 30],
      [1, 50],
    ] as const)
      port.send(page.at, OTHER, 'reliable', bytes(size), lane);
    port.send(page.at, OTHER, 'unreliable', bytes(7), 0);
    const seen = [queued()];
    for (const taken of [99, 100, 130, 179, 180]) {
      socket.tell({ type: 'taken', room, peer: 1, bytes: taken });
      seen.push(queued());
    }
    expect(seen).toEqual([
      [30, 150],
      [30, 150],
      [30, 50],
      [0, 50],
      [0, 50],
      [0, 0],
    ]);
    expect(port.queued(CAT, 1)).toBe(0);
  });

  test('[BR4] names who the process names, also who is reached over whom; of numbers it was never told nothing is heard', async () => {
    const { port, socket, room } = await inRoom();
    expect([port.roster().host, port.roster().peers.map(({ id, via }) => [id, via])]).toEqual([
      ME,
      [
        [ME, undefined],
        [OTHER, undefined],
        [CAT, OTHER],
      ],
    ]);
    const message = { type: 'message', room, channel: 'reliable', lane: 0, bytes: bytes(1) } as const;
    socket.tell(
      { ...message, peer: 40 },
      { ...message, peer: 1 },
      { type: 'reset', room, peer: 40 },
      { type: 'merge', room, lost: false, joined: [40, 2] },
      { type: 'roster', room, roster: { ...roster, epoch: 2 }, left: [40, 2].map((peer) => ({ peer, slot: 2 as Slot, reason: 'bye' as const })) },
      { type: 'closed', room, reason: 'kicked' },
      { type: 'closed', room, reason: 'bye' },
    );
    const heard = drain(port).map((event: PortEvent) => {
      if (event.type === 'message') return event.from;
      if (event.type === 'merge') return event.joined;
      if (event.type === 'roster') return event.left.map(({ id }) => id);
      return event.type === 'closed' ? event.reason : event.type;
    });
    expect(heard).toEqual([OTHER, [CAT], [CAT], 'kicked']);
    const said = socket.said.length;
    port.leave(0);
    port.setEligible(0, false);
    expect([port.kick(0, OTHER), port.send(0, OTHER, 'reliable', bytes(1))]).toEqual([false, false]);
    await turn();
    expect(socket.said).toHaveLength(said);
  });

  test('[RO15] kicks as host alone, and nobody who is not there, nor itself', async () => {
    const { port, socket, room } = await inRoom();
    expect([ME, 'dddddddddddddddd' as PeerId, OTHER].map((id) => port.kick(0, id))).toEqual([false, false, true]);
    await turn();
    expect(socket.of('kick')).toEqual([{ type: 'kick', room, peer: 1 }]);
    socket.tell({ type: 'roster', room, roster: { ...roster, peers: [seat(0, 0)] }, left: [] });
    expect(port.kick(0, OTHER)).toBe(false);
    socket.tell({ type: 'roster', room, roster: { ...roster, host: 1 }, left: [] });
    expect(port.kick(0, CAT)).toBe(false);
  });

  test('[BR8] has the time of its process from its first word on', async () => {
    const { port, page, socket, room } = await inRoom();
    expect(port.time(page.at)).toBe(1_000_000);
    // Older than what is known, or of another moment: it changes nothing.
    socket.tell({ type: 'time', room, at: 40_000, time: 5, errorMs: 0 });
    expect([port.time(page.at + 10), port.time(page.at)]).toEqual([1_000_010, 1_000_010]);
    expect(port.timeErrorMs(page.at)).toBeGreaterThan(2);
  });
});
