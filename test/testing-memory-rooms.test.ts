/** What `lanista/testing` gives a game's author: rooms in memory, and a world that says what was wrong. */
import { defineGame, entity, message, request, s } from 'lanista';
import { Agreement, openMemoryRooms, World } from 'lanista/testing';
import { describe, expect, it } from 'vitest';

const game = defineGame({
  id: 'moths',
  version: 1,
  presence: { name: s.text(24) },
  entities: {
    moth: entity({ authority: 'spawner', onOwnerLeave: 'despawn', fields: { x: s.u16() } }),
    lamp: entity({ authority: 'host', fields: { on: s.bool() } }),
  },
  messages: { chat: message({ text: s.text(200) }) },
  requests: { poke: request({}, { dodged: s.bool() }, { to: 'peer' }) },
});
const presence = (index: number): { name: string } => ({ name: `player ${index}` });

describe('rooms in memory', () => {
  it('play the whole game: entities, messages, requests, presence', async () => {
    const {
      rooms: [ann, bob, cat],
      play,
      settled,
    } = await openMemoryRooms(game, 3, { presence, lossRatio: 0.3, jitterMs: 10 });
    expect([ann.isHost, bob.isHost, cat.self.slot, ann.max]).toEqual([true, false, 2, 16]);
    expect([...cat.peers.values()].map((peer) => peer.presence.name)).toEqual(['player 0', 'player 1', 'player 2']);
    const heard: string[] = [];
    bob.onMessage('chat', ({ text }) => heard.push(text));
    const moth = ann.entities.spawn('moth', { x: 1 });
    ann.send('chat', { text: 'hello' });
    await play(500);
    moth.x = 7;
    await play(500);
    expect(cat.entities.get('moth', moth.id)?.x).toBe(7);
    expect(heard).toEqual(['hello']);
    bob.handle('poke', () => ({ dodged: true }));
    expect(await settled(ann.call('poke', {}, { to: bob.self.id }))).toEqual({ dodged: true });
  });

  it('come, go away, come back and leave; the host duty moves', async () => {
    const { rooms, play, settled, join, setAway, hub } = await openMemoryRooms(game, 2, { presence });
    const [ann, bob] = rooms;
    const seen: string[] = [];
    for (const name of ['join', 'away', 'back'] as const) bob.on(name, (peer) => seen.push(`${name} ${peer.slot}`));
    bob.on('leave', ({ peer, reason }) => seen.push(`leave ${peer.slot} ${reason}`));
    for (const room of rooms) room.whileHost(({ first }) => void (first && room.entities.spawn('lamp', { on: true })));
    const cat = await join({ name: 'cat' });
    setAway(cat, true);
    await play(60_000);
    setAway(cat, false);
    await play(500);
    await settled(ann.leave());
    await play(500);
    expect(seen).toEqual(['join 2', 'away 2', 'back 2', 'leave 0 bye']);
    expect([...bob.entities.mine('lamp')].map((lamp) => lamp.on)).toEqual([true]);
    expect(hub.now()).toBeGreaterThan(60_000);
  });

  it('are watched, left and entered again by the same player, and their pages reloaded', async () => {
    const { rooms, play, settled, join } = await openMemoryRooms(game, 2, { presence });
    const [ann, bob] = rooms;
    const seen: string[] = [];
    for (const name of ['join', 'away', 'back', 'presence'] as const) ann.on(name, (peer) => seen.push(`${name} ${peer.presence.name}`));
    ann.on('leave', ({ peer, reason }) => seen.push(`leave ${peer.presence.name} ${reason}`));
    const eve = await join({ name: 'eve' }, { spectate: true });
    expect([eve.self.spectator, ann.peers.get(eve.self.id)?.spectator]).toEqual([true, true]);
    const { id } = bob.self;
    await settled(bob.leave());
    await play(500);
    const back = await join({ name: 'bob' }, { id });
    expect([back.self.id, back.self.slot]).toEqual([id, 1]);
    expect(seen).toEqual(['join eve', 'leave player 1 bye', 'join bob']);
    back.entities.spawn('moth', { x: 1 });
    await play(100);
    const reloaded = await join({ name: 'bob, again' }, { id });
    expect([back.signal.aborted, reloaded.self.slot, [...reloaded.entities.all('moth')], [...ann.entities.all('moth')]]).toEqual([true, 1, [], []]);
    expect(seen.slice(3)).toEqual(['presence bob, again']);
    await expect(join({ name: 'cat' }, { watch: true } as object)).rejects.toMatchObject({ code: 'bad-argument' });
    for (const options of [{ latency: 20 }, { presence: [{ name: 'Ann' }] }, null] as object[])
      await expect(openMemoryRooms(game, 1, options), JSON.stringify(options)).rejects.toMatchObject({ code: 'bad-argument' });
  });

  it('[RO35] take what a player says who is cut off, and bring it nowhere: no queue of it is full', async () => {
    const { rooms, play, settled, setAway } = await openMemoryRooms(game, 2, { presence });
    const [ann, bob] = rooms;
    const heard: string[] = [];
    bob.onMessage('chat', ({ text }) => heard.push(text));
    bob.handle('poke', () => ({ dodged: true }));
    setAway(ann, true);
    await play(50);
    ann.send('chat', { text: 'anybody?' });
    await expect(settled(ann.call('poke', {}, { to: bob.self.id }))).rejects.toMatchObject({ code: 'peer-gone' });
    setAway(ann, false);
    await play(500);
    ann.send('chat', { text: 'back' });
    await play(50);
    expect(heard).toEqual(['back']);
  });

  it('[RO37] list their players once, by slot, also while somebody comes or goes', async () => {
    const { rooms, play, settled, join } = await openMemoryRooms(game, 4, { presence });
    const [ann, bob, , dan] = rooms;
    await settled(bob.leave());
    await play(200);
    const seen: string[] = [];
    for (const { presence: said } of ann.peers.values()) {
      seen.push(said.name);
      if (seen.length === 1) await settled(dan.leave());
      if (seen.length === 2) await join({ name: 'new' });
    }
    expect(seen).toEqual(['player 0', 'player 2']);
    const told = ['player 0', 'new', 'player 2'];
    expect([...ann.peers].map(([, peer]) => peer.presence.name)).toEqual(told);
    expect([...ann.peers.entries()].map(([id]) => ann.peers.get(id)?.presence.name)).toEqual(told);
    expect([...ann.peers.keys()].map((id) => ann.peers.get(id)?.presence.name)).toEqual(told);
    const each: string[] = [];
    ann.peers.forEach((peer) => each.push(peer.presence.name));
    expect([each, ann.peers.size]).toEqual([told, 3]);
  });

  it('[RO37] list who left and came back on the way as who is there now', async () => {
    const { rooms, play, settled, join } = await openMemoryRooms(game, 3, { presence });
    const [ann, , cat] = rooms;
    const { id: gone } = cat.self;
    const seen: unknown[] = [];
    for (const [id, peer] of ann.peers) {
      seen.push([peer === ann.peers.get(id), peer.presence.name]);
      if (seen.length > 1) continue;
      await settled(cat.leave());
      await play(200);
      await join({ name: 'again' }, { id: gone });
    }
    expect(seen).toEqual([
      [true, 'player 0'],
      [true, 'player 1'],
      [true, 'again'],
    ]);
  });

  it('are the same for the same seed', async () => {
    const run = async (seed: number): Promise<unknown> => {
      const { rooms, play } = await openMemoryRooms(game, 4, { presence, seed, lossRatio: 0.5, jitterMs: 20 });
      for (const room of rooms) room.entities.spawn('moth', { x: room.self.slot });
      await play(300);
      return rooms.map((room) => room.stats());
    };
    expect(await run(3)).toEqual(await run(3));
    expect(await run(3)).not.toEqual(await run(4));
  });

  it('hold as many as a room can', async () => {
    const { rooms } = await openMemoryRooms(game, 32, { presence });
    expect(rooms.map((room) => room.peers.size)).toEqual(Array.from({ length: 32 }, () => 32));
  });

  it('say what was wrong', async () => {
    await expect(openMemoryRooms(game, 0 as number)).rejects.toThrow('expected 1 to 32 players, got 0');
    await expect(openMemoryRooms(game, 1)).rejects.toThrow('name');
    const { settled } = await openMemoryRooms(game, 1, { presence });
    await expect(settled(new Promise(() => undefined))).rejects.toThrow('Still waiting after 20 s');
  });
});

describe('a world', () => {
  it('says which hosts it has', () => {
    const world = new World({ seed: 1, peers: 2 });
    expect(() => world.start(2, 'join')).toThrow('expected a host from 0 to 1, got 2');
    expect(() => world.crash(-1)).toThrow('got -1');
  });

  it('is watched by an agreement from the start', () => {
    const world = new World({ seed: 1, peers: 2 });
    const agreement = new Agreement(world);
    expect(world.watchers).toEqual([agreement]);
  });
});
