/**
 * The room, by its rules (`docs/spec.md`, Room): several members over the in-memory port under a virtual clock.
 */
import { describe, expect, it } from 'vitest';
import { LanError } from 'lanista';
import { pack, unpack } from 'msgpackr';
import { createMemoryLan } from '../sdk/port/memory-lan.ts';
import { createLan } from '../sdk/room/lan.ts';
import { game, only, pair, Party } from './room-party.ts';

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

  it('[RO19] a greeting that arrives late on the other lane takes nothing back', async () => {
    const { party, ann, bob } = await pair({ jitterMs: 60 });
    const den = only(party.hub.rooms.values());
    for (let round = 0; round < 30; round++) {
      den.setAway(bob.self.id, true);
      await party.play(200);
      den.setAway(bob.self.id, false);
      // Greeted at once, and it changes while the greeting is under way.
      await party.play(5);
      bob.setPresence({ ready: round % 2 === 0 });
      await party.play(400);
      expect(ann.peers.get(bob.self.id)?.presence.ready).toBe(round % 2 === 0);
    }
  });

  it('[RO20] who was lost to one side alone is greeted again when it is back in the list', async () => {
    const { party, ann, bob } = await pair();
    const den = only(party.hub.rooms.values());
    bob.entities.spawn('blob', { x: 7, state: 'alive' });
    await party.play(200);
    expect([...ann.entities.all('blob')]).toHaveLength(1);
    // Ann follows the list of a part that never heard of Bob; Bob is told nothing of it.
    const port = den.seats.get(ann.self.id)!.port;
    port.push({ type: 'roster', roster: { ...den.roster, peers: den.roster.peers.filter(({ id }) => id !== bob.self.id) }, left: [] });
    await party.play(200);
    expect(ann.peers.has(bob.self.id)).toBe(false);
    expect([...ann.entities.all('blob')]).toHaveLength(0);
    const heard: string[] = [];
    ann.on('join', (peer) => heard.push(peer.presence.name));
    ann.onMessage('chat', ({ text }) => heard.push(text));
    port.push({ type: 'roster', roster: den.roster, left: [] });
    await party.play(1_000);
    expect(heard).toEqual(['Bob']);
    expect([...ann.entities.all('blob')]).toHaveLength(1);
    bob.send('chat', { text: 'still here' });
    await party.play(50);
    expect(heard).toEqual(['Bob', 'still here']);
  });

  it('[RO30] who hears a peer whose greeting it never got asks for it, until it comes', async () => {
    const { party, ann, bob } = await pair();
    const den = only(party.hub.rooms.values());
    const port = den.seats.get(ann.self.id)!.port;
    const others = { ...den.roster, peers: den.roster.peers.filter(({ id }) => id !== bob.self.id) };
    port.push({ type: 'roster', roster: others, left: [] });
    await party.play(50);
    // Bob is greeted by Ann as a stranger and greets her; of that nothing comes.
    const poll = port.poll.bind(port);
    port.poll = () => {
      for (let event = poll(); ; event = poll()) if (event?.type !== 'message' || event.channel !== 'reliable') return event;
    };
    port.push({ type: 'roster', roster: den.roster, left: [] });
    await party.play(300);
    port.poll = poll;
    bob.entities.spawn('blob', { x: 7, state: 'alive' });
    await party.play(300);
    expect([...ann.entities.all('blob')]).toHaveLength(0);
    const heard: string[] = [];
    ann.on('join', (peer) => heard.push(peer.presence.name));
    ann.onMessage('chat', ({ text }) => heard.push(text));
    await party.play(8_000);
    bob.send('chat', { text: 'still here' });
    await party.play(100);
    expect(heard).toEqual(['Bob', 'still here']);
    expect([...ann.entities.all('blob')]).toHaveLength(1);
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

  it('[RO5] the host gets its entities also when its process kept the seat, and no link started anew', async () => {
    const { party, ann, bob } = await pair();
    ann.entities.spawn('pickup', { what: 'turbo', n: 5 });
    ann.entities.spawn('rock', { x: 7 });
    // Bob's tab is hidden, so that the host stays host while its page is reloaded.
    bob.setEligible(false);
    await party.play(200);
    const { port } = only(party.hub.rooms.values()).seats.get(bob.self.id)!;
    const push = port.push.bind(port);
    port.push = (event) => void (event.type === 'reset' || push(event));
    const again = await party.add('Ann', ann.self.id);
    await party.play(1_000);
    expect(again.isHost).toBe(true);
    for (const room of [again, bob]) {
      expect(only(room.entities.all('pickup'))).toMatchObject({ n: 5, owner: again.self.id });
      expect(only(room.entities.all('rock'))).toMatchObject({ x: 7, owner: again.self.id });
    }
    expect(again.stats().drops['before-hello'] ?? 0).toBe(0);
  });

  it('[RO5] the host gets its entities from a spectator, too, where nobody else is there', async () => {
    const party = new Party();
    const ann = await party.add('Ann');
    const lan = createLan(game, createMemoryLan(party.hub, game), { presence: { name: 'Screen' }, randomU32: () => party.hub.rng.u32() });
    const screen = await party.wait(lan.joinOrCreate({ name: 'den', spectate: true }));
    // A screen on the wall is to be no host, so that the host stays host while its page is reloaded.
    screen.setEligible(false);
    ann.entities.spawn('pickup', { what: 'turbo', n: 5 });
    ann.entities.spawn('rock', { x: 7 });
    await party.play(200);
    const again = await party.add('Ann', ann.self.id);
    await party.play(6_000);
    for (const room of [again, screen]) {
      expect(only(room.entities.all('pickup'))).toMatchObject({ n: 5, owner: again.self.id });
      expect(only(room.entities.all('rock'))).toMatchObject({ x: 7, owner: again.self.id });
    }
  });

  it('[RO5] what a host had that started anew falls to the next host, where the duties move before it is there again', async () => {
    const party = new Party();
    const [ann, bob, cid] = [await party.add('Ann'), await party.add('Bob'), await party.add('Cid')];
    for (const room of [bob, cid]) room.setEligible(false);
    ann.entities.spawn('pickup', { what: 'turbo', n: 5 });
    ann.entities.spawn('rock', { x: 7 });
    await party.play(300);
    const anew = party.add('Ann', ann.self.id);
    await party.play(5);
    bob.setEligible(true);
    only(party.hub.rooms.values()).seats.get(ann.self.id)!.port.setEligible(party.hub.now(), false);
    const again = await anew;
    await party.play(1_000);
    expect(bob.isHost).toBe(true);
    for (const room of [again, bob, cid])
      expect([only(room.entities.all('pickup')).owner, only(room.entities.all('rock')).owner]).toEqual([bob.self.id, bob.self.id]);
  });

  it('[RO5] what the host despawned before its page was reloaded stays gone, though somebody who was away then still has it', async () => {
    const party = new Party();
    const [ann, bob, cid] = [await party.add('Ann'), await party.add('Bob'), await party.add('Cid')];
    const pickup = ann.entities.spawn('pickup', { what: 'turbo', n: 5 });
    ann.entities.spawn('pickup', { what: 'bomb', n: 6 });
    await party.play(300);
    const memory = only(party.hub.rooms.values());
    memory.setAway(bob.self.id, true);
    await party.play(300);
    pickup.despawn();
    await party.play(300);
    expect(only(cid.entities.all('pickup')).n).toBe(6);
    expect([...bob.entities.all('pickup')]).toHaveLength(2);
    const told: number[] = [];
    cid.entities.on('pickup', { spawn: ({ n }) => void told.push(n) });
    const again = await party.add('Ann', ann.self.id);
    await party.play(500);
    memory.setAway(bob.self.id, false);
    await party.play(2_000);
    expect(again.isHost).toBe(true);
    for (const room of [again, bob, cid]) expect(only(room.entities.all('pickup')).n).toBe(6);
    expect(told).not.toContain(5);
  });

  it('[RO20] a page that takes up a seat whose page went before it greeted anybody is greeted again, and opens at once', async () => {
    const { party, ann, bob } = await pair();
    ann.entities.spawn('rock', { x: 7 });
    await party.play(200);
    // The process has the seat; the page that asked for it is reloaded, and what was said to it is thrown away. No link starts anew.
    for (const room of [ann, bob]) {
      const { port } = only(party.hub.rooms.values()).seats.get(room.self.id)!;
      const push = port.push.bind(port);
      port.push = (event) => void (event.type === 'reset' || push(event));
    }
    const cat = createMemoryLan(party.hub, game);
    await cat.open({ type: 'join-or-create', name: 'den', max: 8, code: undefined, spectate: false });
    await party.play(100);
    const before = party.hub.now();
    const room = await party.add('Cat', cat.self);
    expect(party.hub.now() - before).toBeLessThan(500);
    expect([...room.peers.values()].map(({ presence }) => presence.name)).toEqual(['Ann', 'Bob', 'Cat']);
    expect(only(room.entities.all('rock')).x).toBe(7);
  });

  it('[RO32] who greets anew in every tick is sent the whole state twice a second, not every time', async () => {
    const { party, ann, bob } = await pair();
    for (let i = 0; i < 20; i++) ann.entities.spawn('rock', { x: i });
    await party.play(1_000);
    const { seats } = only(party.hub.rooms.values());
    const [annPort, bobPort] = [seats.get(ann.self.id)!.port, seats.get(bob.self.id)!.port];
    let wholes = 0;
    const send = annPort.send.bind(annPort);
    annPort.send = (now, to, channel, bytes, lane) => {
      if (to === bob.self.id && (unpack(bytes) as unknown[])[0] === 4) wholes++;
      return send(now, to, channel, bytes, lane);
    };
    const says = bobPort.send.bind(bobPort);
    let greeting: unknown[] | undefined;
    bobPort.send = (now, to, channel, bytes, lane) => {
      const words = unpack(bytes) as unknown[];
      if (words[0] === 1) greeting = words;
      return says(now, to, channel, bytes, lane);
    };
    await party.add('Eve');
    await party.play(1_000);
    wholes = 0;
    for (let session = 1; session <= 200; session++) {
      says(0, ann.self.id, 'reliable', pack([1, session, ...greeting!.slice(2)]), 1);
      await party.play(10);
    }
    expect(wholes).toBeGreaterThan(0);
    expect(wholes).toBeLessThanOrEqual(5);
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
