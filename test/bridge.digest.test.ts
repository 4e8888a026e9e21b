/** Hashes that a page has its process take: in blocks, one after the other, bounded, and at a guest's own pace. */
import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { PageCommand, ProcessEvent } from '../sdk/bridge/index.ts';
import { BRIDGE_DIGEST_BLOCK_BYTES, BRIDGE_DIGEST_BLOCKS, BRIDGE_VERSION, GUEST_BYTES_AT_ONCE, MAX_BRIDGE_DIGESTS } from '../sdk/bridge/index.ts';
import { createCommandOutbox, decodeEvents } from '../sdk/bridge/index.ts';
import { BridgeSeat } from '../sdk/node/bridge-seat.ts';
import { BridgeSession } from '../sdk/node/bridge-session.ts';
import { GuestRate, guestRules } from '../sdk/node/guest-lan.ts';
import { MAX_CONTENT_BYTES } from '../sdk/wire/limits.ts';
import { Bench, GAME, OTHER, ScriptedLan, ScriptedRoom, until } from './bridge-fake.ts';
import { connected, turn } from './bridge-page-fake.ts';
import { House, pageId } from './guest-house.ts';

const bytesOf = (size: number, first = 0): Uint8Array => Uint8Array.from({ length: size }, (_, i) => first + i * 7 + (i >> 8));
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('a page', () => {
  test('[BR41] has its hashes from its process, while it does all else', async () => {
    await using bench = new Bench();
    const page = await bench.page(await bench.start());
    const all = [0, 1, BRIDGE_DIGEST_BLOCK_BYTES, BRIDGE_DIGEST_BLOCK_BYTES + 1, 1_000_000, MAX_CONTENT_BYTES].map((size) => bytesOf(size));
    const hashes = await Promise.all(all.map((bytes) => page.digest(bytes)));
    expect(hashes.map(hex)).toEqual(all.map(sha256));
    // It is its own, and no view of what came.
    expect(hashes.map((hash) => hash.buffer.byteLength)).toEqual(all.map(() => 32));
  });

  test('[BR41] asks for one after the other, two blocks at a time, and is told when the process goes', async () => {
    const { client, socket } = await connected();
    const first = client.digest(bytesOf(3 * BRIDGE_DIGEST_BLOCK_BYTES + 5));
    const second = client.digest(bytesOf(9));
    const third = client.digest(bytesOf(10));
    await turn();
    const said = (): unknown[] => socket.of('digest').map(({ digest, bytes, isLast }) => [digest, bytes.length, isLast]);
    const full = BRIDGE_DIGEST_BLOCK_BYTES;
    expect(said()).toEqual([
      [1, full, false],
      [1, full, false],
    ]);
    // Of another one: it is nobody's.
    socket.tell({ type: 'digested', digest: 2, hash: new Uint8Array(32).fill(9) });
    await turn();
    expect(said()).toHaveLength(2);
    socket.tell({ type: 'digested', digest: 1, hash: undefined });
    await turn();
    expect(said()).toHaveLength(3);
    socket.tell({ type: 'digested', digest: 1, hash: undefined }, { type: 'digested', digest: 1, hash: undefined });
    await turn();
    expect(said().slice(3)).toEqual([[1, 5, true]]);
    socket.tell({ type: 'digested', digest: 1, hash: new Uint8Array(32).fill(1) });
    await turn();
    expect([(await first)[0], said().at(-1)]).toEqual([1, [2, 9, true]]);
    const codes = [second, third].map((one) =>
      one.then(
        () => '',
        (error: { code: string }) => error.code,
      ),
    );
    socket.lose();
    expect(await Promise.all(codes)).toEqual(['bridge', 'bridge']);
    await expect(client.digest(bytesOf(1))).rejects.toMatchObject({ code: 'bridge' });
  });
});

/** A session with a page whose answers are collected. */
function attached(rate?: GuestRate): {
  session: BridgeSession;
  say: (...commands: PageCommand[]) => void;
  told: () => Promise<ProcessEvent[]>;
  leave: () => void;
} {
  const events: ProcessEvent[] = [];
  const rules = rate === undefined ? {} : { guest: guestRules(() => undefined, rate) };
  const session = new BridgeSession({ lan: new ScriptedLan(), ...rules });
  const page = { bufferedAmount: 0, close: () => undefined, send: (bytes: Uint8Array) => void events.push(...decodeEvents(bytes.slice()).entries) };
  session.attach(page, { type: 'hello', version: BRIDGE_VERSION, token: '', game: GAME, page: '' });
  const say = (...commands: PageCommand[]): void => {
    const out = createCommandOutbox();
    for (const command of commands) out.add(command);
    for (let batch = out.take(); batch !== undefined; batch = out.take()) session.receive(page, batch);
  };
  const told = async (): Promise<ProcessEvent[]> => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    return events.splice(0).filter(({ type }) => type === 'digested');
  };
  return { session, say, told, leave: () => session.detach(page) };
}

const hashOf = (event: ProcessEvent | undefined): string | undefined =>
  event?.type === 'digested' && event.hash !== undefined ? hex(event.hash) : undefined;
const block = (digest: number, bytes: Uint8Array, isLast = false): PageCommand => ({ type: 'digest', digest, bytes, isLast });

describe('a process', () => {
  test('[BR42] keeps nothing of what only a broken page asks, and nothing of a page that is gone', async () => {
    const { session, say, told, leave } = attached();
    for (let digest = 0; digest < MAX_BRIDGE_DIGESTS + 2; digest++) say(block(digest, bytesOf(5)));
    expect([(await told()).length, session.stats().drops]).toEqual([MAX_BRIDGE_DIGESTS, { 'bridge-digest': 2 }]);
    // One that ends makes room, and each is of its own bytes.
    say(block(1, bytesOf(3, 50), true), block(9, bytesOf(2)), block(9, bytesOf(2, 9), true));
    const both = Uint8Array.from([...bytesOf(2), ...bytesOf(2, 9)]);
    expect((await told()).map(hashOf).filter((hash) => hash !== undefined)).toEqual([
      sha256(Uint8Array.from([...bytesOf(5), ...bytesOf(3, 50)])),
      sha256(both),
    ]);
    // Nothing but blocks, or more than there may be: it is begun anew with the next.
    say(block(0, new Uint8Array(0)), block(0, bytesOf(4), true));
    const large = new Uint8Array(BRIDGE_DIGEST_BLOCK_BYTES);
    for (let at = 0; at < MAX_CONTENT_BYTES; at += large.length) say(block(7, large));
    say(block(7, bytesOf(1)));
    const answers = await told();
    expect(hashOf(answers.find((event) => event.type === 'digested' && event.digest === 0))).toBe(sha256(bytesOf(4)));
    expect(answers.filter((event) => event.type === 'digested' && event.digest === 7)).toHaveLength(MAX_CONTENT_BYTES / large.length);
    expect(session.stats().drops).toEqual({ 'bridge-digest': 4 });
    leave();
    const next = attached();
    next.say(block(2, bytesOf(4), true));
    expect((await next.told()).map(hashOf)).toEqual([sha256(bytesOf(4))]);
    await Promise.all([session.close(), next.session.close()]);
  });

  test('[BR42] answers no page for the one before it', async () => {
    await using bench = new Bench();
    const bridge = await bench.start();
    const before = await bench.page(bridge);
    void before.digest(bytesOf(MAX_CONTENT_BYTES)).catch(() => undefined);
    await turn();
    const page = await bench.page(bridge);
    const bytes = bytesOf(100_000, 3);
    expect(hex(await page.digest(bytes))).toBe(sha256(bytes));
  });
});

describe('a guest', () => {
  afterEach(() => vi.useRealTimers());

  test('[BR43] is answered when it may send more, and not before', async () => {
    const rate = new GuestRate();
    const { session, say, told, leave } = attached(rate);
    say(block(1, bytesOf(5)));
    expect(await told()).toHaveLength(1);
    rate.take(performance.now(), GUEST_BYTES_AT_ONCE * 0.52);
    say(block(1, bytesOf(5)), block(1, bytesOf(5), true));
    expect(await told()).toEqual([]);
    await until(() => rate.isHalf(performance.now()));
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(await told()).toHaveLength(2);
    // What waits is gone with the page.
    rate.take(performance.now(), GUEST_BYTES_AT_ONCE);
    say(block(2, bytesOf(5), true));
    leave();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await told()).toEqual([]);
    await session.close();
  });

  test('[BR42] has no more answers waiting for it than it may have blocks under way', async () => {
    const rate = new GuestRate();
    const { session, say, told } = attached(rate);
    rate.take(performance.now(), GUEST_BYTES_AT_ONCE * 0.52);
    // It sends on unanswered, as no page of ours does.
    for (let digest = 1; digest <= 100; digest++) say(block(digest, bytesOf(1), true));
    say(block(101, bytesOf(1)));
    expect(session.stats().drops).toEqual({ 'bridge-digest': 101 - BRIDGE_DIGEST_BLOCKS });
    await until(() => rate.isHalf(performance.now()));
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect((await told()).map(hashOf)).toEqual(Array(BRIDGE_DIGEST_BLOCKS).fill(sha256(bytesOf(1))));
    await session.close();
  });

  test('[BR43] hashes and gives more than it may at once, and keeps its connection', async () => {
    await using house = new House();
    const bridge = await house.open();
    await house.owner(bridge);
    const guest = await house.page(bridge.guests, { pageId: pageId('a') });
    const bytes = bytesOf(MAX_CONTENT_BYTES);
    expect(hex(await guest.digest(bytes))).toBe(sha256(bytes));
    expect(hex(await guest.digest(bytes))).toBe(sha256(bytes));
    expect([guest.state.type, bridge.guests.stats().drops]).toEqual(['open', {}]);
  }, 20_000);

  test('[BR43] hears what was taken of what it gave when it may give more', () => {
    const room = new ScriptedRoom('den');
    const seat = new BridgeSeat(room, () => 1_000, undefined);
    const told: ProcessEvent[] = [];
    let hasRoom = false;
    seat.give({
      room: 7,
      tell: (event) => void told.push(event),
      number: () => 1,
      hasRoom: () => hasRoom,
      lagging: () => false,
      drop: () => undefined,
      closed: () => undefined,
    });
    told.length = 0;
    for (let i = 0; i < 8; i++) seat.send(OTHER, 'reliable', 2, new Uint8Array(16_384));
    seat.flush();
    seat.tellWithBatch((event) => void told.push(event));
    expect(told.filter(({ type }) => type === 'taken')).toEqual([]);
    hasRoom = true;
    seat.tellWithBatch((event) => void told.push(event));
    expect(told.filter(({ type }) => type === 'taken')).toEqual([{ type: 'taken', room: 7, peer: 1, bytes: 131_072 }]);
  });
});
