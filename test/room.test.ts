/**
 * The room, by its rules (`docs/spec.md`, Room): several members over the in-memory port under a virtual clock.
 */
import { describe, expect, it } from 'vitest';
import { defineGame, entity, LanError, message, request, s } from 'lanista';
import type { Lan, PeerId, Room } from 'lanista';
import type { MemoryHubOptions } from '../sdk/port/memory.ts';
import { createMemoryLan, MemoryHub } from '../sdk/port/memory.ts';
import { createLan } from '../sdk/room/lan.ts';

const game = defineGame({
  id: 'test-game',
  version: 1,
  presence: { name: s.text(24), ready: s.bool().default(false) },
  entities: {
    blob: entity({
      authority: 'spawner',
      fields: {
        x: s.num({ min: 0, max: 1920, step: 1 / 16 }).lerp('hermite'),
        hp: s.u8().default(3),
        state: s.oneOf('alive', 'splat'),
        tag: s.text(16).default(''),
      },
    }),
    rock: entity({ authority: 'spawner', onOwnerLeave: 'host', fields: { x: s.u16() } }),
    pickup: entity({ authority: 'host', rate: 10, fields: { what: s.oneOf('bomb', 'turbo'), n: s.u16().default(0) } }),
    ball: entity({ authority: 'distributed', fields: { x: s.u16() } }),
    flag: entity({ authority: 'distributed', transfer: 'take', fields: { x: s.u16() } }),
  },
  messages: {
    chat: message({ text: s.text(200) }),
    shot: message({ n: s.u16() }, { delivery: 'unreliable', redundancy: 3 }),
    aim: message({ n: s.u16() }, { delivery: 'sequenced' }),
  },
  requests: { double: request({ n: s.u16() }, { n: s.u32() }), roll: request({}, { n: s.u8() }, { to: 'host' }) },
});
type G = typeof game;

interface Member {
  readonly lan: Lan<G>;
  readonly room: Room<G>;
}

class Party {
  readonly hub: MemoryHub;
  readonly members: Member[] = [];

  constructor(options: MemoryHubOptions = {}) {
    this.hub = new MemoryHub({ latencyMs: 2, ...options });
  }

  async add(name: string, id?: PeerId): Promise<Room<G>> {
    const lan = createLan(game, createMemoryLan(this.hub, game, id === undefined ? {} : { id }), {
      presence: { name },
      randomU32: () => this.hub.rng.u32(),
    });
    const room = await this.wait(lan.joinOrCreate({ name: 'den' }));
    this.members.push({ lan, room });
    return room;
  }

  /** Lets time pass until `promise` settles. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    let done = false;
    const seen = promise.finally(() => (done = true));
    seen.catch(() => undefined);
    for (let i = 0; i < 2_000 && !done; i++) await this.hub.play(5);
    if (!done) throw new Error('still waiting after 10 s');
    return seen;
  }

  play(ms: number): Promise<void> {
    return this.hub.play(ms);
  }
}

function only<T>(items: Iterable<T>): T {
  const all = [...items];
  expect(all).toHaveLength(1);
  return all[0]!;
}

async function pair(options: MemoryHubOptions = {}): Promise<{ party: Party; ann: Room<G>; bob: Room<G> }> {
  const party = new Party(options);
  const ann = await party.add('Ann');
  const bob = await party.add('Bob');
  await party.play(100);
  return { party, ann, bob };
}

describe('people', () => {
  it('[RO1] everybody is seen by everybody, with presence, and joins once', async () => {
    const party = new Party();
    const ann = await party.add('Ann');
    const joined: string[] = [];
    ann.on('join', (peer) => joined.push(peer.presence.name));
    const bob = await party.add('Bob');
    await party.play(50);
    expect(joined).toEqual(['Bob']);
    expect([...bob.peers.values()].map((peer) => [peer.presence.name, peer.isSelf, peer.isHost])).toEqual([
      ['Ann', false, true],
      ['Bob', true, false],
    ]);
    bob.setPresence({ ready: true });
    await party.play(50);
    expect(ann.peers.get(bob.self.id)?.presence).toEqual({ name: 'Bob', ready: true });
    expect(bob.self.presence.ready).toBe(true);
  });

  it('[RO18] presence changed while apart is known as soon as both are together again', async () => {
    const { party, ann, bob } = await pair();
    const den = only(party.hub.rooms.values());
    den.setAway(bob.self.id, true);
    await party.play(50);
    bob.setPresence({ ready: true });
    ann.setPresence({ ready: true });
    await party.play(50);
    const told: string[] = [];
    ann.on('presence', (peer) => told.push(peer.presence.name));
    den.setAway(bob.self.id, false);
    await party.play(400);
    expect(ann.peers.get(bob.self.id)?.presence.ready).toBe(true);
    expect(bob.peers.get(ann.self.id)?.presence.ready).toBe(true);
    expect(told).toEqual(['Bob']);
  });

  it('[RO2] leaving tells the others why, resolves, and closes the room', async () => {
    const { party, ann, bob } = await pair();
    const left: string[] = [];
    ann.on('leave', ({ peer, reason }) => left.push(`${peer.presence.name} ${reason}`));
    await party.wait(bob.leave());
    await party.play(20);
    expect(left).toEqual(['Bob bye']);
    expect(bob.signal.aborted).toBe(true);
    expect(() => bob.send('chat', { text: 'x' })).toThrow(LanError);
    expect([...ann.peers.keys()]).toEqual([ann.self.id]);
  });

  it('[RO3] only the host kicks, and who was kicked is told so', async () => {
    const { party, ann, bob } = await pair();
    expect(() => bob.kick(ann.self.id)).toThrow(expect.objectContaining({ code: 'not-owner' }));
    const closed: string[] = [];
    bob.on('close', ({ reason }) => closed.push(reason));
    ann.kick(bob.self.id);
    await party.play(50);
    expect(closed).toEqual(['kicked']);
  });
});

describe('entities', () => {
  it('[SY2] a plain assignment arrives at the next tick', async () => {
    const { party, ann, bob } = await pair();
    const mine = ann.entities.spawn('blob', { x: 40, state: 'alive' });
    await party.play(100);
    const theirs = only(bob.entities.all('blob'));
    expect([theirs.x, theirs.hp, theirs.state, theirs.owner, theirs.mine]).toEqual([40, 3, 'alive', ann.self.id, false]);
    mine.x += 1.25;
    mine.state = 'splat';
    mine.tag = 'hé';
    await party.play(40);
    expect([theirs.x, theirs.state, theirs.tag]).toEqual([41.25, 'splat', 'hé']);
    mine.despawn();
    await party.play(80);
    expect([...bob.entities.all('blob')]).toHaveLength(0);
    expect(theirs.alive).toBe(false);
  });

  it('[SY3] what does not fit throws at the assignment, with its path', async () => {
    const { ann, bob, party } = await pair();
    const mine = ann.entities.spawn('blob', { x: 40, state: 'alive' });
    expect(() => (mine.x = 2_000)).toThrow(/blob\.x: expected a number from 0 to 1920, got 2000/);
    expect(() => (mine.x = Number.NaN)).toThrow(expect.objectContaining({ code: 'bad-value' }));
    expect(() => (mine.hp = 1.5)).toThrow(/blob\.hp/);
    expect(() => ((mine as { state: string }).state = 'flying')).toThrow(/blob\.state: expected one of 'alive', 'splat'/);
    expect(() => ann.entities.spawn('blob', { state: 'alive' } as never)).toThrow(/blob\.x/);
    expect(() => ann.entities.spawn('blob', { x: 1, state: 'alive', y: 2 } as never)).toThrow(/blob\.y: there is no such field/);
    await party.play(100);
    const theirs = only(bob.entities.all('blob'));
    expect(() => ((theirs as { hp: number }).hp = 1)).toThrow(expect.objectContaining({ code: 'not-owner' }));
    expect(mine.x).toBe(40);
  });

  it('[SY4] a late joiner has everything when join resolves', async () => {
    const party = new Party();
    const ann = await party.add('Ann');
    const bob = await party.add('Bob');
    for (let i = 0; i < 40; i++) ann.entities.spawn('blob', { x: i, state: 'alive' });
    for (let i = 0; i < 40; i++) bob.entities.spawn('blob', { x: 100 + i, state: 'splat' });
    await party.play(200);
    const eve = await party.add('Eve');
    expect([...eve.entities.all('blob')].map((blob) => blob.x).sort((a, b) => a - b)).toEqual([
      ...Array(40).keys(),
      ...Array.from({ length: 40 }, (_, i) => 100 + i),
    ]);
  });

  it("[SY5] a spawner's entities go with it; those that fall to the host stay", async () => {
    const { party, ann, bob } = await pair();
    bob.entities.spawn('blob', { x: 1, state: 'alive' });
    bob.entities.spawn('rock', { x: 7 });
    await party.play(100);
    await party.wait(bob.leave());
    await party.play(50);
    expect([...ann.entities.all('blob')]).toHaveLength(0);
    const rock = only(ann.entities.all('rock'));
    expect([rock.mine, rock.x]).toEqual([true, 7]);
  });

  it('[SY6] host-owned entities move to the next host and go on', async () => {
    const party = new Party();
    const ann = await party.add('Ann');
    const bob = await party.add('Bob');
    const eve = await party.add('Eve');
    expect(() => bob.entities.spawn('pickup', { what: 'bomb' })).toThrow(/only the host/);
    ann.entities.spawn('pickup', { what: 'bomb' });
    await party.play(300);
    expect(only(eve.entities.all('pickup')).owner).toBe(ann.self.id);
    await party.wait(ann.leave());
    await party.play(300);
    expect(bob.isHost).toBe(true);
    const mine = only(bob.entities.mine('pickup'));
    mine.n = 9;
    await party.play(300);
    const seen = only(eve.entities.all('pickup'));
    expect([seen.owner, seen.n]).toEqual([bob.self.id, 9]);
  });

  it('[SY7] authority is granted on request, with the last word of its owner', async () => {
    const { party, ann, bob } = await pair();
    const mine = ann.entities.spawn('ball', { x: 1 });
    await party.play(100);
    const theirs = only(bob.entities.all('ball'));
    mine.x = 55;
    const got = await party.wait(theirs.requestAuthority());
    expect(got?.mine).toBe(true);
    expect(got?.x).toBe(55);
    got!.x = 60;
    await party.play(100);
    const back = only(ann.entities.all('ball'));
    expect([back.mine, back.x, back.owner]).toEqual([false, 60, bob.self.id]);
    using refuse = bob.entities.on('ball', { request: () => false });
    void refuse;
    expect(await party.wait(back.mine ? Promise.resolve(undefined) : back.requestAuthority())).toBeUndefined();
  });

  it('[SY8] two who take at once end with one owner, the same everywhere', async () => {
    const party = new Party({ latencyMs: 20 });
    const ann = await party.add('Ann');
    const bob = await party.add('Bob');
    const eve = await party.add('Eve');
    ann.entities.spawn('flag', { x: 1 });
    await party.play(300);
    const b = only(bob.entities.all('flag'));
    const e = only(eve.entities.all('flag'));
    const [gotB, gotE] = await Promise.all([b.requestAuthority(), e.requestAuthority()]);
    gotB!.x = 2;
    gotE!.x = 3;
    await party.play(3_000);
    const owners = [ann, bob, eve].map((room) => only(room.entities.all('flag')).owner);
    expect(new Set(owners).size).toBe(1);
    expect([ann, bob, eve].map((room) => only(room.entities.all('flag')).x)).toEqual(owners[0] === bob.self.id ? [2, 2, 2] : [3, 3, 3]);
    expect([ann, bob, eve].filter((room) => only(room.entities.all('flag')).mine)).toHaveLength(1);
  });

  it('[SY9] distributed entities of who leaves are spread over those who stay', async () => {
    const party = new Party();
    const ann = await party.add('Ann');
    const bob = await party.add('Bob');
    const eve = await party.add('Eve');
    for (let i = 0; i < 10; i++) ann.entities.spawn('ball', { x: i });
    await party.play(200);
    await party.wait(ann.leave());
    await party.play(300);
    expect([[...bob.entities.mine('ball')].length, [...eve.entities.mine('ball')].length]).toEqual([5, 5]);
    expect([...bob.entities.all('ball')].map((ball) => ball.owner)).toEqual([...eve.entities.all('ball')].map((ball) => ball.owner));
  });

  it('[SY10] onChange tells of each change, own and received', async () => {
    const { party, ann, bob } = await pair();
    const mine = ann.entities.spawn('blob', { x: 40, state: 'alive' });
    const own: unknown[] = [];
    mine.onChange('hp', (value, old) => own.push([value, old]));
    await party.play(100);
    const received: unknown[] = [];
    using off = only(bob.entities.all('blob')).onChange('state', (value, old) => received.push([value, old]));
    void off;
    mine.hp = 2;
    mine.state = 'splat';
    await party.play(100);
    expect(own).toEqual([[2, 3]]);
    expect(received).toEqual([['splat', 'alive']]);
  });
});

describe('messages', () => {
  it('[SY11] reach all, one, or the host, with sender and time', async () => {
    const { party, ann, bob } = await pair();
    const got: string[] = [];
    ann.onMessage('chat', (body, { from, time }) => got.push(`${body.text} ${from === bob.self.id} ${time > 0}`));
    bob.onMessage('chat', (body) => got.push(`bob ${body.text}`));
    bob.send('chat', { text: 'all' });
    bob.send('chat', { text: 'host' }, { to: 'host' });
    ann.send('chat', { text: 'self' }, { to: 'host' });
    await party.play(50);
    expect(got.sort()).toEqual(['all true true', 'host true true', 'self false true']);
    expect(() => bob.send('chat', { text: 5 } as never)).toThrow(/chat\.text/);
    expect(() => bob.send('nope' as never, {} as never)).toThrow(expect.objectContaining({ code: 'unknown-name' }));
  });

  it('[SY12] redundancy survives loss, and no copy arrives twice', async () => {
    const { party, ann, bob } = await pair({ lossRatio: 0.3 });
    const got: number[] = [];
    ann.onMessage('shot', ({ n }) => got.push(n));
    for (let i = 0; i < 100; i++) {
      bob.send('shot', { n: i });
      await party.play(40);
    }
    await party.play(200);
    expect(new Set(got).size).toBe(got.length);
    expect(got.length).toBeGreaterThan(90);
  });

  it('[SY13] sequenced never goes back', async () => {
    const { party, ann, bob } = await pair({ jitterMs: 60 });
    const got: number[] = [];
    ann.onMessage('aim', ({ n }) => got.push(n));
    for (let i = 0; i < 100; i++) {
      bob.send('aim', { n: i });
      await party.play(10);
    }
    await party.play(200);
    expect(got).toEqual([...got].sort((a, b) => a - b));
    expect(got.at(-1)).toBe(99);
    expect(got.length).toBeLessThan(100);
  });

  it('[SY14] requests are answered, refused, unhandled, timed out and aborted, each in its own words', async () => {
    const { party, ann, bob } = await pair();
    const code = (promise: Promise<unknown>): Promise<unknown> =>
      party.wait(
        promise.then(
          () => 'no error',
          (error: unknown) => (error as LanError).code,
        ),
      );
    expect(await code(ann.call('double', { n: 4 }, { to: bob.self.id }))).toBe('no-handler');
    using handler = bob.handle('double', async ({ n }) => {
      if (n === 13) throw new LanError('refused', 'not thirteen');
      if (n === 14) throw new Error('broken');
      if (n === 15) return new Promise(() => undefined);
      return { n: n * 2 };
    });
    void handler;
    expect(await party.wait(ann.call('double', { n: 4 }, { to: bob.self.id }))).toEqual({ n: 8 });
    expect(await code(ann.call('double', { n: 13 }, { to: bob.self.id }))).toBe('refused');
    expect(await code(ann.call('double', { n: 14 }, { to: bob.self.id }))).toBe('handler-failed');
    expect(await code(ann.call('double', { n: 15 }, { to: bob.self.id, timeoutMs: 200 }))).toBe('timeout');
    const stop = new AbortController();
    const aborted = code(ann.call('double', { n: 15 }, { to: bob.self.id, signal: stop.signal }));
    stop.abort();
    expect(await aborted).toBe('aborted');
    expect(await code(ann.call('double', { n: 1 }))).toBe('bad-argument');
    expect(await code(ann.call('double', { n: -1 }, { to: bob.self.id }))).toBe('bad-value');
    const gone = code(ann.call('double', { n: 15 }, { to: bob.self.id }));
    await party.wait(bob.leave());
    expect(await gone).toBe('peer-gone');
    ann.handle('roll', () => ({ n: 6 }));
    expect(await party.wait(ann.call('roll', {}))).toEqual({ n: 6 });
  });

  it('[SY60] what is asked of the host is handled by the host alone, also when it changes under way', async () => {
    const party = new Party({ latencyMs: 20 });
    const rooms = [await party.add('Ann'), await party.add('Bob'), await party.add('Eve')];
    await party.play(100);
    const log: string[] = [];
    for (const room of rooms)
      room.handle('roll', (_input, from) => {
        log.push(`${room.self.presence.name} ${room.isHost} ${rooms.findIndex((one) => one.self.id === from)}`);
        return { n: 6 };
      });
    // Under way to Ann when Bob becomes host.
    const answer = rooms[2]!.call('roll', {});
    const direct = rooms[2]!.call('roll', {}, { to: rooms[0]!.self.id });
    rooms[0]!.setEligible(false);
    expect(await party.wait(answer)).toEqual({ n: 6 });
    expect(log).toEqual(['Bob true 2']);
    // Asked of one peer by name, it does not wander.
    await expect(party.wait(direct)).rejects.toMatchObject({ code: 'refused' });
    // The former host asks itself first, and the answer is the new one's.
    rooms[1]!.setEligible(false);
    expect(await party.wait(rooms[1]!.call('roll', {}))).toEqual({ n: 6 });
    expect(log.slice(1)).toEqual([`Eve true 1`]);
  });

  it('[SY61] copies are recognised over an absence, and those of a former page are not taken for the next one', async () => {
    const { party, ann, bob } = await pair({ latencyMs: 20 });
    const got: number[] = [];
    const aims: number[] = [];
    ann.onMessage('shot', ({ n }) => got.push(n));
    ann.onMessage('aim', ({ n }) => aims.push(n));
    for (let n = 0; n < 40; n++) {
      bob.send('shot', { n });
      bob.send('aim', { n });
      await party.play(15);
      const den = only(party.hub.rooms.values());
      den.setAway(bob.self.id, true);
      den.setAway(bob.self.id, false);
    }
    await party.play(200);
    expect(new Set(got).size).toBe(got.length);
    expect(got.length).toBeGreaterThan(20);
    // The last words of the page before arrive after the hello of the next; had they set the count, nothing new would be new.
    const wire = { latencyMs: 2, jitterMs: 300 };
    Object.assign(party.hub, wire);
    for (let n = 100; n < 200; n++) bob.send('aim', { n });
    const again = await party.add('Bob', bob.self.id);
    aims.length = 0;
    for (let n = 1_000; n < 1_020; n++) {
      again.send('aim', { n });
      await party.play(50);
    }
    await party.play(500);
    expect(aims.at(-1)).toBe(1_019);
    expect(aims.every((n) => n >= 1_000)).toBe(true);
  });

  it('[SY15] callAll brings one answer per peer', async () => {
    const party = new Party();
    const rooms = [await party.add('Ann'), await party.add('Bob'), await party.add('Eve')];
    rooms[1]!.handle('double', ({ n }) => ({ n: n * 2 }));
    await party.play(50);
    const answers = await party.wait(rooms[0]!.callAll('double', { n: 2 }));
    expect(answers.map((answer) => [answer.from, answer.value, (answer.error as LanError | undefined)?.code])).toEqual([
      [rooms[1]!.self.id, { n: 4 }, undefined],
      [rooms[2]!.self.id, undefined, 'no-handler'],
    ]);
  });
});

describe('time and duty', () => {
  it('[SY16] clock.every ticks on the same moments of shared time everywhere', async () => {
    const { party, ann, bob } = await pair();
    const ticks: Record<string, number[]> = { ann: [], bob: [] };
    using a = ann.clock.every(20, (tick, time) => ticks['ann']!.push(tick * 1_000_000 + time));
    using b = bob.clock.every(20, (tick, time) => ticks['bob']!.push(tick * 1_000_000 + time));
    void [a, b];
    await party.play(1_000);
    expect(ticks['ann']!.length).toBeGreaterThanOrEqual(19);
    expect(ticks['ann']).toEqual(ticks['bob']);
  });

  it('[RO4] whileHost runs on the host alone, first only once, and is aborted when it moves', async () => {
    const { party, ann, bob } = await pair();
    const log: string[] = [];
    ann.whileHost(({ signal, first }) => {
      log.push(`ann ${first}`);
      signal.addEventListener('abort', () => log.push('ann stops'));
    });
    bob.whileHost(({ first }) => void log.push(`bob ${first}`));
    await party.play(50);
    expect(log).toEqual(['ann true']);
    ann.setEligible(false);
    await party.play(50);
    expect(log).toEqual(['ann true', 'ann stops', 'bob false']);
    const lone = new Party();
    const first: boolean[] = [];
    const room = await lone.add('Zoe');
    room.whileHost((duty) => void first.push(duty.first));
    await lone.play(20);
    expect(first).toEqual([true]);
  });

  it('[RO5] a reloaded page gets its seat, the host its entities, and its old ones are gone', async () => {
    const { party, ann, bob } = await pair();
    ann.entities.spawn('pickup', { what: 'turbo', n: 5 });
    ann.entities.spawn('blob', { x: 1, state: 'alive' });
    await party.play(200);
    const again = await party.add('Ann', ann.self.id);
    await party.play(1_000);
    expect(again.self.slot).toBe(0);
    expect(again.isHost).toBe(true);
    expect(only(again.entities.mine('pickup')).n).toBe(5);
    expect([...bob.entities.all('blob')]).toHaveLength(0);
    expect(only(bob.entities.all('pickup')).owner).toBe(again.self.id);
    const first: boolean[] = [];
    again.whileHost((duty) => void first.push(duty.first));
    await party.play(20);
    expect(first).toEqual([false]);
  });

  it('[RO6] a handler of the game that throws is a warning, not the end', async () => {
    const { party, ann, bob } = await pair();
    const warnings: string[] = [];
    ann.on('warn', ({ detail }) => warnings.push(detail));
    ann.onMessage('chat', () => {
      throw new Error('oops');
    });
    bob.send('chat', { text: 'x' });
    await party.play(50);
    expect(warnings[0]).toMatch(/onMessage\('chat'\): Error: oops/);
  });
});

describe('a lan', () => {
  it('[RO7] browse yields the list now and after each change, until aborted', async () => {
    const party = new Party();
    const lan = createLan(game, createMemoryLan(party.hub, game), { presence: { name: 'Zed' }, randomU32: () => 7 });
    const stop = new AbortController();
    const lists: string[][] = [];
    const reading = (async () => {
      for await (const rooms of lan.browse({ signal: stop.signal })) lists.push(rooms.map((room) => `${room.name} ${room.players}`));
    })();
    await party.play(20);
    await party.add('Ann');
    await party.add('Bob');
    await party.play(20);
    stop.abort();
    await party.wait(reading);
    expect(lists[0]).toEqual([]);
    expect(lists.at(-1)).toEqual(['den 2']);
    await expect(lan.join('nowhere')).rejects.toMatchObject({ code: 'unreachable' });
    await expect(lan.create({ name: '' })).rejects.toMatchObject({ code: 'bad-argument' });
  });
});
