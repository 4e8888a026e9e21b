/**
 * Mistakes of whoever calls the API (`docs/spec.md`, Room): each is a `LanError` at once, with the code that the docstrings name, and nothing is
 * sent or changed by it; and what a subscription hands out ends it.
 */
import { describe, expect, it } from 'vitest';
import { defineGame, entity, message, request, s } from 'lanista';
import type { LanError, LanErrorCode, PeerId, Room } from 'lanista';
import { createMemoryLan } from '../sdk/port/memory-lan.ts';
import { createLan } from '../sdk/room/lan.ts';
import { EntityCore, initialise } from '../sdk/sync/entity.ts';
import { EntityStore } from '../sdk/sync/store.ts';
import { MAX_DATAGRAM_MESSAGE_BYTES, MAX_ENTITIES, MAX_MESSAGE_BYTES, MAX_PEERS, MAX_ROOM_NAME_BYTES } from '../sdk/wire/limits.ts';
import { openRooms, settled } from './open-rooms.ts';

const game = defineGame({
  id: 'misuse',
  version: 1,
  presence: { ready: s.bool().default(false) },
  entities: {
    dot: entity({ authority: 'spawner', fields: { n: s.u8().default(0) } }),
    ball: entity({ authority: 'distributed', fields: { n: s.u8().default(0) } }),
    score: entity({ authority: 'host', fields: { n: s.u8().default(0) } }),
  },
  messages: { long: message({ parts: s.list(s.text(900), 256) }), quick: message({ parts: s.list(s.text(900), 8) }, { delivery: 'unreliable' }) },
  requests: { ask: request({ parts: s.list(s.text(900), 256).default([]) }, { n: s.u8() }, { to: 'host' }) },
});
type G = typeof game;

const full = 'x'.repeat(900);
const pages = (count: number): string[] => Array.from({ length: count }, () => full);

/** Every way to be wrong, with the code it is told by. */
function mistakes(room: Room<G>): readonly (readonly [code: LanErrorCode, run: () => unknown])[] {
  const nobody = 'nobodynobodynobo' as never;
  return [
    ['unknown-name', () => room.entities.spawn('blub' as never, {} as never)],
    [
      'unknown-name',
      () =>
        room.entities
          .all('blub' as never)
          [Symbol.iterator]()
          .next(),
    ],
    ['unknown-name', () => room.entities.mine('blub' as never)],
    ['unknown-name', () => room.entities.get('blub' as never, 1 as never)],
    ['unknown-name', () => room.entities.on('blub' as never, {})],
    ['not-owner', () => room.entities.spawn('score', {})],
    ['unknown-name', () => room.onMessage('blub' as never, () => undefined)],
    ['unknown-name', () => room.handle('blub' as never, () => undefined as never)],
    ['bad-value', () => room.setPresence({ ready: 1 } as never)],
    ['bad-value', () => room.setPresence({ name: 'x' } as never)],
    ['too-large', () => room.send('quick', { parts: pages(2) })],
    ['bad-value', () => room.send('long', { parts: pages(257) })],
    // A misspelt option left out without a word would have told everybody.
    ['bad-argument', () => room.send('quick', { parts: [] }, { target: nobody } as never)],
    ['bad-argument', () => room.send('quick', { parts: [] }, nobody)],
    ['bad-argument', () => room.entities.on('ball', { spawned: () => undefined } as never)],
    ['not-owner', () => room.kick(nobody)],
    ...[null, undefined, 7].map((values) => ['bad-value', () => room.setPresence(values as never)] as const),
    ...[null, 7, { bytesPerTick: 100, prio: 1 }, { bytesPerTick: 100, priority: 7 }].map(
      (budget) => ['bad-argument', () => room.setStateBudget(budget as never)] as const,
    ),
    ...['no', 0, null, undefined].map((eligible) => ['bad-argument', () => room.setEligible(eligible as never)] as const),
    ...[0, -1, 0.05, 121, Number.NaN, '30' as never].map((hz) => ['bad-argument', () => room.clock.every(hz, () => undefined)] as const),
  ];
}

/** Every place that takes a function, given none. */
function noFunctions(room: Room<G>, nothing: never): readonly (() => unknown)[] {
  return [
    () => room.on('join', nothing),
    () => room.onMessage('long', nothing),
    () => room.handle('ask', nothing),
    () => room.entities.on('ball', nothing),
    () => room.entities.on('ball', { spawn: nothing }),
    () => room.entities.on('ball', { request: nothing }),
    () => [...room.entities.all('ball')][0]!.onChange('n', nothing),
    () => room.whileHost(nothing),
    () => room.clock.every(30, nothing),
  ];
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as LanError).code;
  }
  return 'nothing was thrown';
}

describe('a mistake', () => {
  it('[RO28] is told at once by its code, and nothing came of it', async () => {
    const { hub, rooms } = await openRooms(game, 2);
    const [ann, bob] = [rooms[0]!, rooms[1]!];
    const heard: string[] = [];
    for (const name of ['long', 'quick'] as const) ann.onMessage(name, () => heard.push(name));
    for (const [code, run] of mistakes(bob)) expect(codeOf(run), String(run)).toBe(code);
    expect(codeOf(() => ann.kick('nobodynobodynobo' as never))).toBe('bad-argument');
    expect(codeOf(() => ann.kick(ann.self.id))).toBe('bad-argument');
    using first = ann.handle('ask', () => ({ n: 1 }));
    void first;
    expect(codeOf(() => ann.handle('ask', () => ({ n: 2 })))).toBe('bad-argument');
    await expect(bob.call('blub' as never, {} as never)).rejects.toMatchObject({ code: 'unknown-name' });
    for (const options of [{ timeout: 50 }, { peer: ann.self.id }, null, 'host'] as never[]) {
      await expect(bob.call('ask', {}, options), String(options)).rejects.toMatchObject({ code: 'bad-argument' });
      await expect(bob.callAll('ask', {}, options), String(options)).rejects.toMatchObject({ code: 'bad-argument' });
    }
    const dot = ann.entities.spawn('ball', {});
    await hub.play(200);
    const theirs = bob.entities.get('ball', dot.id)!;
    for (const options of [{ timeout: 50 }, null, 500] as never[])
      await expect(theirs.requestAuthority(options), String(options)).rejects.toMatchObject({ code: 'bad-argument' });
    for (const timeoutMs of [Number.NaN, '50'] as unknown as number[]) {
      await expect(bob.call('ask', {}, { timeoutMs }), String(timeoutMs)).rejects.toMatchObject({ code: 'bad-argument' });
      await expect(theirs.requestAuthority({ timeoutMs }), String(timeoutMs)).rejects.toMatchObject({ code: 'bad-argument' });
    }
    for (const signal of [{}, 7, null] as unknown as AbortSignal[]) {
      await expect(bob.call('ask', {}, { signal }), JSON.stringify(signal)).rejects.toMatchObject({ code: 'bad-argument' });
      await expect(theirs.requestAuthority({ signal }), JSON.stringify(signal)).rejects.toMatchObject({ code: 'bad-argument' });
    }
    // A peer where its id is meant.
    for (const to of [ann.self, 7, {}] as unknown as PeerId[])
      await expect(bob.call('ask', {}, { to }), String(to)).rejects.toMatchObject({ code: 'bad-argument' });
    expect([heard, [...ann.entities.all('dot')].length, ann.peers.size, ann.peers.get(bob.self.id)!.presence.ready]).toEqual([[], 0, 2, false]);
    // The largest that is allowed goes through.
    bob.send('quick', { parts: ['x'.repeat(MAX_DATAGRAM_MESSAGE_BYTES - 500)] });
    bob.send('long', { parts: pages(256) });
    await hub.play(500);
    expect(heard.sort()).toEqual(['long', 'quick']);
    expect(MAX_MESSAGE_BYTES).toBeGreaterThan(256 * 900);
  });

  it('[RO28] is a listener that is no function, wherever one is taken', async () => {
    const { rooms } = await openRooms(game, 1);
    const room = rooms[0]!;
    room.entities.spawn('ball', {});
    for (const nothing of ['fn', 7, null, true] as never[])
      for (const run of noFunctions(room, nothing)) expect(codeOf(run), `${String(run)} ${String(nothing)}`).toBe('bad-argument');
    // A watcher need not watch everything, and a request that was refused a handler takes the next.
    room.entities.on('ball', { spawn: undefined } as never);
    room.handle('ask', () => ({ n: 1 }));
  });

  it('[RO28] in the name of an event is told with the names there are', async () => {
    const { rooms } = await openRooms(game, 1);
    for (const name of ['joined', 'toString', '__proto__', undefined, 7] as never[])
      expect(
        codeOf(() => rooms[0]!.on(name, () => undefined)),
        String(name),
      ).toBe('unknown-name');
    expect(() => rooms[0]!.on('joined' as never, () => undefined)).toThrow(
      "on: there is no event 'joined'. Events are join, away, back, leave, host, presence, merge, warn, close.",
    );
  });

  it('[RO28] after the room was left every call says so, and what waited is over', async () => {
    const { hub, rooms } = await openRooms(game, 2);
    const [ann, bob] = [rooms[0]!, rooms[1]!];
    ann.handle('ask', () => new Promise(() => undefined));
    const dot = bob.entities.spawn('dot', {});
    const waiting = bob.call('ask', {});
    waiting.catch(() => undefined);
    await hub.play(50);
    await settled(hub, bob.leave());
    await expect(waiting).rejects.toMatchObject({ code: 'closed' });
    const calls: readonly (() => unknown)[] = [
      () => bob.entities.spawn('dot', {}),
      () => bob.send('long', { parts: [] }),
      () => bob.setPresence({}),
      () => bob.kick(ann.self.id),
      () => bob.whileHost(() => undefined),
      () => bob.setStateBudget(undefined),
    ];
    for (const run of calls) expect(codeOf(run), String(run)).toBe('closed');
    await expect(bob.call('ask', {})).rejects.toMatchObject({ code: 'closed' });
    // Reading goes on, and leaving twice is leaving once.
    expect([dot.n, bob.name, bob.signal.aborted]).toEqual([0, 'den', true]);
    await bob.leave();
  });

  it('[RO28] more entities than a room holds are refused with what to do', async () => {
    const { rooms } = await openRooms(game, 1);
    const room = rooms[0]!;
    const all = Array.from({ length: MAX_ENTITIES }, () => room.entities.spawn('dot', {}));
    expect(codeOf(() => room.entities.spawn('dot', {}))).toBe('queue-full');
    all[0]!.despawn();
    expect(codeOf(() => all[0]!.despawn())).toBe('closed');
    expect(room.entities.spawn('dot', {}).alive).toBe(true);
  });

  it('[RO28] names, sizes and codes of rooms are checked before anything is opened', async () => {
    const { hub } = await openRooms(game, 1);
    const lan = createLan(game, createMemoryLan(hub, game), { presence: {} });
    const before = hub.rooms.size;
    const wrong: readonly object[] = [
      ...['', '  ', 'x'.repeat(MAX_ROOM_NAME_BYTES + 1), 7, undefined].map((name) => ({ name })),
      ...[0, -1, 1.5, MAX_PEERS + 1, '4'].map((max) => ({ name: 'a', max })),
      ...['', 7, 'x'.repeat(65)].map((code) => ({ name: 'a', code })),
    ];
    for (const init of wrong) {
      await expect(lan.create(init as never), JSON.stringify(init)).rejects.toMatchObject({ code: 'bad-argument' });
      await expect(lan.joinOrCreate(init as never), JSON.stringify(init)).rejects.toMatchObject({ code: 'bad-argument' });
    }
    for (const target of ['', '  ', {}, 7]) await expect(lan.join(target as never)).rejects.toMatchObject({ code: 'bad-argument' });
    await expect(lan.create({ name: 'a', signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' });
    expect(hub.rooms.size).toBe(before);
    await lan.close();
    await expect(lan.create({ name: 'a' })).rejects.toMatchObject({ code: 'closed' });
    await expect(lan.diagnose()).rejects.toMatchObject({ code: 'closed' });
    await expect(lan.browse()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'closed' });
  });
});

describe('a Lan', () => {
  it('[RO28] is refused what is no game, and a presence that is missing or does not fit, before any room is opened', async () => {
    const { hub } = await openRooms(game, 1);
    const open = (given: unknown, options: unknown) => () => createLan(given as G, createMemoryLan(hub, game), options as never);
    for (const given of [undefined, null, {}, 'misuse', { id: 'misuse', version: 1 }])
      expect(codeOf(open(given, { presence: {} }))).toBe('bad-argument');
    for (const options of [undefined, null, {}, 7, { presence: null }, { presence: 'Ann' }]) expect(codeOf(open(game, options))).toBe('bad-argument');
    expect(open(game, undefined)).toThrow('expected options with the presence of this player, got undefined. Pass { presence: { ready } }.');
    for (const presence of [{ ready: 1 }, { name: 'Ann' }]) expect(codeOf(open(game, { presence }))).toBe('bad-value');
    await open(game, { presence: {} })().close();
  });

  it('[RO28] rejects calls without arguments, and options of another shape', async () => {
    const { hub } = await openRooms(game, 1);
    const lan = createLan(game, createMemoryLan(hub, game), { presence: {} }) as unknown as Record<string, (...given: unknown[]) => Promise<unknown>>;
    const before = hub.rooms.size;
    for (const how of [{ signal: {} }, { signal: 7 }, { sginal: undefined }, null, 7])
      expect(
        codeOf(() => lan['browse']!(how)),
        JSON.stringify(how),
      ).toBe('bad-argument');
    for (const values of [null, undefined, 7])
      expect(
        codeOf(() => lan['setPresence']!(values)),
        String(values),
      ).toBe('bad-value');
    const calls: readonly (readonly [string, ...unknown[]])[] = [
      ['create'],
      ['create', null],
      ['create', 'den'],
      ['create', { name: 'den', signal: {} }],
      ['create', { name: 'den', signal: 7 }],
      ['joinOrCreate'],
      ['joinOrCreate', null],
      ['join'],
      ['join', null],
      ['join', 'den', null],
      ['join', 'den', 'code'],
      ['join', 'den', { code: 7 }],
      ['join', 'den', { code: 'x'.repeat(65) }],
      // It would have been an open room.
      ['create', { name: 'den', password: 'x' }],
      ['joinOrCreate', { name: 'den', maxPlayers: 4 }],
      // It would have taken a player's place.
      ['join', 'den', { spectator: true }],
      // And these would have watched.
      ['create', { name: 'den', spectate: 'no' }],
      ['joinOrCreate', { name: 'den', spectate: 0 }],
      ['join', 'den', { spectate: null }],
    ];
    for (const [name, ...given] of calls)
      await expect(lan[name]!(...given), `${name} ${JSON.stringify(given)}`).rejects.toMatchObject({ name: 'LanError', code: 'bad-argument' });
    expect(hub.rooms.size).toBe(before);
  });
});

describe('a subscription', () => {
  it('[RO29] leaves an entity that nobody watches any more as it was before anybody did', () => {
    const store = new EntityStore(game);
    const home = { roomTime: () => 0, failed: () => undefined, despawn: () => undefined, requestAuthority: async () => undefined };
    const core = new EntityCore(home, store.kind('dot'), 1, 1, 'a' as PeerId);
    initialise(core, {});
    const offs = [core.onChange('n', () => undefined), core.onChange('n', () => undefined)];
    offs[0]![Symbol.dispose]();
    expect(core.watched).toBe(true);
    offs[1]![Symbol.dispose]();
    expect(core.watched).toBe(false);
    const again = core.onChange('n', () => undefined);
    offs[1]![Symbol.dispose]();
    expect(core.watched).toBe(true);
    again[Symbol.dispose]();
    expect(core.watched).toBe(false);
  });

  it('[RO29] ends at once, also when it is disposed by a callback for the same event', async () => {
    const { hub, rooms } = await openRooms(game, 2);
    const [ann, bob] = [rooms[0]!, rooms[1]!];
    const heard: string[] = [];
    /** Subscribes twice; the first of both ends the second. */
    const twice = (what: string, subscribe: (fn: () => void) => Disposable): void => {
      let second: Disposable | undefined;
      subscribe(() => second?.[Symbol.dispose]());
      second = subscribe(() => void heard.push(what));
    };
    const ball = ann.entities.spawn('ball', { n: 1 });
    await hub.play(100);
    twice('event', (fn) => bob.on('presence', fn));
    twice('message', (fn) => bob.onMessage('quick', fn));
    twice('watcher', (fn) => bob.entities.on('dot', { spawn: fn }));
    twice('field', (fn) => bob.entities.get('ball', ball.id)!.onChange('n', fn));
    twice('duty', (fn) => bob.whileHost(fn));
    ann.setPresence({ ready: true });
    ann.send('quick', { parts: [] });
    ann.entities.spawn('dot', {});
    ball.n = 2;
    await hub.play(100);
    await settled(hub, ann.leave());
    await hub.play(100);
    expect([bob.isHost, heard]).toEqual([true, []]);
  });

  it('[RO29] ends alone, also where one watcher watches twice', async () => {
    const { rooms } = await openRooms(game, 1);
    const room = rooms[0]!;
    let spawned = 0;
    const watcher = { spawn: () => void spawned++ };
    const first = room.entities.on('dot', watcher);
    using second = room.entities.on('dot', watcher);
    void second;
    room.entities.spawn('dot', {});
    expect(spawned).toBe(2);
    first[Symbol.dispose]();
    room.entities.spawn('dot', {});
    expect(spawned).toBe(3);
  });

  it('[RO29] ends when what it handed out is disposed, and only that one; disposing twice is disposing once', async () => {
    const { hub, rooms } = await openRooms(game, 2);
    const [ann, bob] = [rooms[0]!, rooms[1]!];
    const mine = ann.entities.spawn('dot', {});
    const counts: Record<string, [ended: number, kept: number]> = {};
    const note = (what: string, which: 0 | 1) => (): void => void (counts[what] ??= [0, 0])[which]++;
    const both = (what: string, subscribe: (fn: () => void) => Disposable): Disposable => {
      subscribe(note(what, 1));
      return subscribe(note(what, 0));
    };
    const offs = [
      both('presence', (fn) => ann.on('presence', fn)),
      both('message', (fn) => ann.onMessage('long', fn)),
      both('tick', (fn) => ann.clock.every(20, fn)),
      both('change', (fn) => mine.onChange('n', fn)),
      both('spawn', (fn) => ann.entities.on('dot', { spawn: fn })),
    ];
    const cause = async (): Promise<void> => {
      bob.setPresence({ ready: !bob.self.presence.ready });
      bob.send('long', { parts: [] });
      mine.n++;
      bob.entities.spawn('dot', {});
      await hub.play(300);
    };
    await cause();
    const once = JSON.parse(JSON.stringify(counts)) as typeof counts;
    for (const [what, [ended, kept]] of Object.entries(once)) expect(ended, what).toBe(kept);
    for (const [, [ended]] of Object.entries(once)) expect(ended).toBeGreaterThan(0);
    for (const off of offs) {
      off[Symbol.dispose]();
      off[Symbol.dispose]();
    }
    await cause();
    for (const [what, [ended, kept]] of Object.entries(counts)) {
      expect(ended, what).toBe(once[what]![0]);
      expect(kept, what).toBeGreaterThan(once[what]![1]);
    }
    // A handler's place is free again, a duty's signal is aborted.
    ann.handle('ask', () => ({ n: 1 }))[Symbol.dispose]();
    ann.handle('ask', () => ({ n: 2 }))[Symbol.dispose]();
    const seen: AbortSignal[] = [];
    const duty = ann.whileHost(({ signal }) => void seen.push(signal));
    await hub.play(50);
    duty[Symbol.dispose]();
    expect(seen.map(({ aborted }) => aborted)).toEqual([true]);
  });
});
