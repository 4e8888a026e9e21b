/**
 * Bodies of messages and requests end to end (`docs/spec.md`, Sync): by our fields, by a validator written by hand after the Standard Schema
 * specification, and by zod. What does not validate never reaches the game, and is counted.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { defineGame, entity, LanError, message, request, s } from 'lanista';
import type { Room, StandardSchemaV1 } from 'lanista';
import { z } from 'zod';
import { MemoryRoomPort } from '../sdk/port/memory.ts';
import { MESSAGE } from '../sdk/sync/wire.ts';
import { openRooms, settled } from './open-rooms.ts';
import { only } from './room-party.ts';

/** `{ n: number }` up to `most`; the output is twice the input as a string, so that whoever validates twice is found out. */
function upTo(most: () => number): StandardSchemaV1<{ n: number }, { text: string }> {
  return {
    '~standard': {
      version: 1,
      vendor: 'by-hand',
      validate: (value) => {
        const { n } = value as { n?: unknown };
        if (n === 13) throw new Error('a validator that throws');
        if (typeof n !== 'number') return { issues: [{ message: 'expected a number', path: ['n'] }] };
        if (n > most()) return { issues: [{ message: `at most ${most()}`, path: [{ key: 'n' }] }] };
        return { value: { text: String(n * 2) } };
      },
    },
  };
}

/** What this peer's validators let through: lower it to play a peer that runs laxer code than the others. */
let most = 100;
const strict = upTo(() => most);
const trade = z.object({ item: z.enum(['rope', 'lamp']), count: z.number().int().min(1).max(9).default(1), note: z.string().trim().optional() });
const late = {
  '~standard': { version: 1, vendor: 'by-hand', validate: async (value: unknown) => Promise.resolve({ value }) },
} as StandardSchemaV1<{ n: number }>;

const game = defineGame({
  id: 'bodies',
  version: 1,
  entities: { ball: entity({ authority: 'distributed', fields: { x: s.u8().default(0) } }) },
  messages: {
    hand: message(strict),
    trade: message(trade),
    letter: message(z.string()),
    late: message(late),
    ours: message({ n: s.u8(), tags: s.list(s.text(4), 3).default([]) }),
    fast: message({ n: s.u16() }, { delivery: 'unreliable', redundancy: 4 }),
  },
  requests: {
    hand: request(strict, trade),
    slow: request({ ms: s.u16() }, { ok: s.bool().default(true) }),
    owned: request({}, { name: s.text(20) }, { to: 'owner' }),
    pages: request({ count: s.u16() }, { some: s.list(s.text(900), 256), more: s.list(s.text(900), 256) }),
  },
});

afterEach(() => {
  most = 100;
  vi.restoreAllMocks();
});

async function trio() {
  const { hub, rooms } = await openRooms(game, 3);
  return { hub, rooms, ann: rooms[0]!, bob: rooms[1]!, eve: rooms[2]! };
}

describe('bodies', () => {
  it('[SY28] by a validator of one’s own and by zod: the sender gives the input, the receiver gets the output, validated on both sides', async () => {
    const { hub, ann, bob } = await trio();
    const got: unknown[] = [];
    bob.onMessage('hand', ({ text }) => got.push(text));
    bob.onMessage('trade', ({ item, count, note }) => got.push([item, count, note]));
    ann.send('hand', { n: 21 });
    ann.send('trade', { item: 'rope' });
    ann.send('trade', { item: 'lamp', count: 3, note: ' for you ' });
    // To oneself it goes the same way.
    bob.send('hand', { n: 4 }, { to: bob.self.id });
    await hub.play(50);
    expect(got).toEqual(['8', '42', ['rope', 1, undefined], ['lamp', 3, 'for you']]);
    // Each character of it, be it one that begins files and is not seen.
    const long = `\ufeff${'so long '.repeat(12)}`;
    bob.onMessage('letter', (text) => got.push(text));
    ann.send('letter', long);
    await hub.play(50);
    expect(got.at(-1)).toBe(long);
    for (const wrong of [{ item: 'gold' }, { item: 'rope', count: 99 }, {}, null, 'rope'])
      expect(() => ann.send('trade', wrong as never)).toThrow(
        expect.objectContaining({ code: 'bad-value', message: expect.stringMatching(/^trade/) }),
      );
    expect(() => ann.send('trade', { item: 'rope', count: 99 })).toThrow(/^trade\.count: /);
    expect(() => ann.send('hand', { n: 101 })).toThrow(/^hand\.n: at most 100/);
    expect(() => ann.send('hand', { n: 13 })).toThrow(expect.objectContaining({ code: 'bad-value' }));
    expect(() => ann.send('late', { n: 1 })).toThrow(expect.objectContaining({ code: 'bad-definition' }));
  });

  it('[SY46] a message that does not validate never reaches the game, and is counted as `message-invalid`', async () => {
    const { hub, ann, bob } = await trio();
    const got: unknown[] = [];
    bob.onMessage('hand', (body) => got.push(body));
    bob.onMessage('ours', (body) => got.push(body));
    bob.onMessage('late', (body) => got.push(body));
    // Ann's build lets more through than Bob's.
    most = 1_000;
    ann.send('hand', { n: 500 }, { to: bob.self.id });
    most = 100;
    await hub.play(50);
    expect(bob.stats().drops['message-invalid']).toBe(1);
    // And bytes that no build of ours writes: each of our own bodies spoilt, one that makes a validator throw, one whose validator is not done at once.
    const { send } = MemoryRoomPort.prototype;
    let spoil: ((bytes: Uint8Array) => Uint8Array) | undefined;
    vi.spyOn(MemoryRoomPort.prototype, 'send').mockImplementation(function (this: MemoryRoomPort, ...args: Parameters<typeof send>) {
      if (spoil !== undefined && args[3][1] === MESSAGE) args[3] = spoil(args[3]);
      return send.apply(this, args);
    });
    const tail =
      (size: number, ...bytes: number[]) =>
      (whole: Uint8Array): Uint8Array =>
        Uint8Array.from([...whole.subarray(0, whole.length - size), ...bytes]);
    const spoilt: readonly (() => void)[] = [
      () => ((spoil = tail(3, 0xcd, 1, 0)), ann.send('ours', { n: 7 } as never)),
      () => ((spoil = tail(1)), ann.send('ours', { n: 7 } as never)),
      () => ((spoil = tail(0, 0)), ann.send('ours', { n: 7 } as never)),
      () => ((spoil = tail(1, 13)), ann.send('hand', { n: 12 })),
      () => ((spoil = tail(1, 0xc0)), ann.send('hand', { n: 12 })),
      () => ((spoil = (bytes) => Uint8Array.from(bytes, (byte, i) => (i === 2 ? 2 : byte))), ann.send('hand', { n: 12 })),
    ];
    for (const say of spoilt) {
      say();
      await hub.play(50);
    }
    spoil = undefined;
    expect(got).toEqual([]);
    expect(bob.stats().drops['message-invalid']).toBe(1 + spoilt.length);
    // Nothing of it stopped the room.
    ann.send('hand', { n: 1 });
    await hub.play(50);
    expect(got).toEqual([{ text: '2' }]);
  });

  it('[SY46] a validator that gives no result at all is one that refuses: at the sender in words, at the receiver as a counted drop', async () => {
    const results: unknown[] = [];
    const validate = (): never => results.shift() as never;
    const odd = defineGame({ id: 'odd', version: 1, messages: { odd: message({ '~standard': { version: 1, vendor: 'test', validate } }) } });
    const { hub, rooms } = await openRooms(odd, 2);
    const [ann, bob] = rooms as [Room<typeof odd>, Room<typeof odd>];
    const got: unknown[] = [];
    bob.onMessage('odd', (body) => got.push(body));
    const nothings = [undefined, null, 7, { issues: 7 }, { issues: [null] }];
    for (const nothing of nothings) {
      results.push(nothing);
      expect(() => ann.send('odd', 1 as never), JSON.stringify(nothing)).toThrow(expect.objectContaining({ code: 'bad-value' }));
      results.push({ value: 1 }, nothing);
      ann.send('odd', 1 as never);
      await hub.play(50);
    }
    expect([got, bob.stats().drops]).toEqual([[], { 'message-invalid': nothings.length }]);
    results.push({ value: 1 }, { value: 2 });
    ann.send('odd', 1 as never);
    await hub.play(50);
    expect(got).toEqual([2]);
  });

  it('[SY46] a request or an answer that does not validate ends as `bad-value`, and no handler sees it', async () => {
    const { hub, ann, bob } = await trio();
    let asked = 0;
    let reply: unknown = { item: 'rope' };
    bob.handle('hand', ({ text }) => {
      asked++;
      expect(text).toBe('10');
      return reply as { item: 'rope' };
    });
    expect(await settled(hub, ann.call('hand', { n: 5 }, { to: bob.self.id }))).toEqual({ item: 'rope', count: 1 });
    await expect(settled(hub, ann.call('hand', { n: 500 }, { to: bob.self.id }))).rejects.toMatchObject({ code: 'bad-value' });
    most = 1_000;
    const over = ann.call('hand', { n: 500 }, { to: bob.self.id });
    most = 100;
    await expect(settled(hub, over)).rejects.toMatchObject({ code: 'bad-value' });
    expect(asked).toBe(1);
    expect(bob.stats().drops['message-invalid']).toBe(1);
    // An answer that its own handler's schema refuses is the handler's fault, and says so on both sides.
    const warnings: string[] = [];
    bob.on('warn', ({ detail }) => warnings.push(detail));
    reply = { item: 'gold' };
    await expect(settled(hub, ann.call('hand', { n: 5 }, { to: bob.self.id }))).rejects.toMatchObject({ code: 'handler-failed' });
    expect(warnings[0]).toMatch(/^handle\('hand'\): .*item/);
  });
});

describe('whom', () => {
  it('[SY11] one, many, the host, an owner, everybody: exactly those, each once; who is not here gets nothing', async () => {
    const { hub, rooms, ann, bob, eve } = await trio();
    const got: string[] = [];
    rooms.forEach((room, i) =>
      room.onMessage('ours', ({ n }, { from }) => got.push(`${n} ${'abe'[rooms.findIndex(({ self }) => self.id === from)]}>${'abe'[i]}`)),
    );
    const say = (n: number, from: typeof ann, to?: Parameters<typeof ann.send>[2]): void => from.send('ours', { n }, to);
    bob.entities.spawn('ball', {});
    await hub.play(100);
    const ball = only(eve.entities.all('ball'));
    say(1, eve, { to: ann.self.id });
    say(2, eve, { to: [ann.self.id, bob.self.id, ann.self.id] });
    say(3, eve, { to: 'host' });
    say(4, eve, { to: ball.owner });
    say(5, eve, { to: 'all' });
    say(6, eve);
    say(7, eve, { to: [eve.self.id, bob.self.id] });
    say(8, eve, { to: [] });
    await hub.play(50);
    expect(got.sort()).toEqual(['1 e>a', '2 e>a', '2 e>b', '3 e>a', '4 e>b', '5 e>a', '5 e>b', '6 e>a', '6 e>b', '7 e>b', '7 e>e']);
    got.length = 0;
    const gone = bob.self.id;
    await settled(hub, bob.leave());
    await hub.play(50);
    say(9, eve, { to: [gone, ann.self.id] });
    await hub.play(50);
    expect(got).toEqual(['9 e>a']);
    for (const to of [7, null, {}, [7]]) expect(() => say(1, eve, { to: to as never })).toThrow(expect.objectContaining({ code: 'bad-argument' }));
  });

  it('[SY12] copies go out one tick apart, to whom the message was for', async () => {
    const { hub, ann, bob, eve } = await trio();
    const sends: { readonly at: number; readonly to: string }[] = [];
    const { send } = MemoryRoomPort.prototype;
    vi.spyOn(MemoryRoomPort.prototype, 'send').mockImplementation(function (this: MemoryRoomPort, ...args: Parameters<typeof send>) {
      if (args[3][1] === MESSAGE) sends.push({ at: hub.now(), to: args[1] });
      return send.apply(this, args);
    });
    let got = 0;
    bob.onMessage('fast', () => got++);
    eve.onMessage('fast', () => got++);
    ann.send('fast', { n: 1 }, { to: bob.self.id });
    await hub.play(400);
    expect(sends.map(({ to }) => to)).toEqual(Array(4).fill(bob.self.id));
    const gaps = sends.slice(2).map(({ at }, i) => at - sends[i + 1]!.at);
    for (const gap of gaps) expect(Math.abs(gap - 1_000 / 30)).toBeLessThan(2);
    expect(got).toBe(1);
  });
});

describe('requests', () => {
  it('[SY14] an error travels with its code and its words, whatever they are made of', async () => {
    const { hub, ann, bob } = await trio();
    let failure: unknown;
    // Somebody who listens: else each failure is written to the console.
    bob.on('warn', () => undefined);
    bob.handle('slow', () => {
      throw failure;
    });
    const ask = () => settled(hub, ann.call('slow', { ms: 1 }, { to: bob.self.id }));
    failure = new LanError('refused', 'no room in the boat', { hint: 'Wait for the next one.' });
    await expect(ask()).rejects.toMatchObject({ code: 'refused', message: expect.stringContaining('no room in the boat Wait for the next one.') });
    failure = new RangeError('off the map');
    await expect(ask()).rejects.toMatchObject({ code: 'handler-failed', message: expect.stringContaining('off the map') });
    // The words are all that travels.
    expect(await ask().catch((error: Error) => error.cause)).toBeUndefined();
    failure = 'plain words';
    await expect(ask()).rejects.toMatchObject({ code: 'handler-failed', message: expect.stringContaining('plain words') });
    for (const words of ['x'.repeat(5_000), `a${'😀'.repeat(300)}`, '\ud800 half a character', '']) {
      failure = new Error(words);
      await expect(ask()).rejects.toBeInstanceOf(LanError);
      await expect(ask()).rejects.toMatchObject({ code: 'handler-failed' });
    }
    // A code that only makes sense there does not become one of ours.
    failure = new LanError('bind-failed', 'odd');
    await expect(ask()).rejects.toMatchObject({ code: 'handler-failed', message: expect.stringContaining('odd') });
  });

  it('[SY14] an answer that no message takes is told to both, at once', async () => {
    const { hub, ann, bob } = await trio();
    const warned: string[] = [];
    bob.on('warn', ({ code, detail }) => warned.push(`${code} ${detail}`));
    const page = 'x'.repeat(900);
    bob.handle('pages', ({ count }) => ({ some: Array(count).fill(page), more: Array(count).fill(page) }));
    for (const asker of [ann, bob]) {
      const began = hub.now();
      const asked = asker.call('pages', { count: 150 }, { to: bob.self.id, timeoutMs: 1_000 });
      await expect(settled(hub, asked)).rejects.toMatchObject({ code: 'too-large', message: expect.stringContaining("answer to 'pages'") });
      expect(hub.now() - began).toBeLessThan(500);
      expect((await settled(hub, asker.call('pages', { count: 140 }, { to: bob.self.id }))).more).toHaveLength(140);
    }
    expect(warned).toEqual(Array(2).fill(expect.stringContaining("handler handle('pages')")));
  });

  it('[SY14] time-out and abort end a request at once and for good: a late answer reaches nobody', async () => {
    const { hub, ann, bob } = await trio();
    const answers: (() => void)[] = [];
    let served = 0;
    bob.handle('slow', async () => {
      served++;
      await new Promise<void>((resolve) => answers.push(resolve));
      return {};
    });
    const outcomes: string[] = [];
    const note = (name: string, call: Promise<unknown>): void =>
      void call.then(
        () => outcomes.push(`${name} ok`),
        (error: LanError) => outcomes.push(`${name} ${error.code} ${Math.round((hub.now() - began) / 10) * 10}`),
      );
    const began = hub.now();
    const stop = new AbortController();
    note('default', ann.call('slow', { ms: 1 }, { to: bob.self.id }));
    note('short', ann.call('slow', { ms: 1 }, { to: bob.self.id, timeoutMs: 300 }));
    note('aborted', ann.call('slow', { ms: 1 }, { to: bob.self.id, signal: stop.signal }));
    note('before', ann.call('slow', { ms: 1 }, { to: bob.self.id, signal: AbortSignal.abort() }));
    note('long', ann.call('slow', { ms: 1 }, { to: bob.self.id, timeoutMs: 5_000 }));
    await hub.play(100, 1);
    stop.abort();
    await hub.play(2_400, 1);
    expect(outcomes).toEqual(['before aborted 0', 'aborted aborted 100', 'short timeout 300', 'default timeout 2000']);
    expect(served).toBe(4);
    for (const answer of answers) answer();
    await hub.play(100);
    expect(outcomes.at(-1)).toBe('long ok');
    expect(outcomes).toHaveLength(5);
  });

  it('[SY15] callAll takes a time-out and an abort, and tells of each peer what it said', async () => {
    const { hub, ann, bob, eve } = await trio();
    bob.handle('slow', () => new Promise(() => undefined));
    eve.handle('slow', ({ ms }) => {
      if (ms > 5) throw new LanError('refused', 'too long');
      return { ok: ms === 5 };
    });
    const ids = [bob.self.id, eve.self.id];
    const codes = (list: readonly { readonly from: string; readonly value: unknown; readonly error: Error | undefined }[]) =>
      list.map(({ from, value, error }) => [ids.indexOf(from as never), value, (error as LanError | undefined)?.code]);
    expect(codes(await settled(hub, ann.callAll('slow', { ms: 5 }, { timeoutMs: 200 })))).toEqual([
      [0, undefined, 'timeout'],
      [1, { ok: true }, undefined],
    ]);
    const stop = new AbortController();
    const all = ann.callAll('slow', { ms: 6 }, { signal: stop.signal });
    await hub.play(50);
    stop.abort();
    expect(codes(await settled(hub, all))).toEqual([
      [0, undefined, 'aborted'],
      [1, undefined, 'refused'],
    ]);
  });

  it('[SY14] a request for an owner goes where the caller says the entity is, and needs to be told', async () => {
    const { hub, rooms, ann, bob, eve } = await trio();
    rooms.forEach((room, i) => room.handle('owned', () => ({ name: 'abe'[i]! })));
    bob.entities.spawn('ball', {});
    await hub.play(100);
    expect(await settled(hub, eve.call('owned', {}, { to: only(eve.entities.all('ball')).owner }))).toEqual({ name: 'b' });
    // @ts-expect-error nobody is named
    await expect(eve.call('owned', {})).rejects.toMatchObject({ code: 'bad-argument' });
    await settled(
      hub,
      only(ann.entities.all('ball')).mine
        ? Promise.resolve()
        : (only(ann.entities.all('ball')) as { requestAuthority(): Promise<unknown> }).requestAuthority(),
    );
    await hub.play(100);
    expect(await settled(hub, eve.call('owned', {}, { to: only(eve.entities.all('ball')).owner }))).toEqual({ name: 'a' });
  });
});
