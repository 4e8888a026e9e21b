/**
 * Maps in a room: what one player brings is the floor of all, whoever leaves; what is no map is a plain floor, and nobody is thrown out
 * of the game by it.
 */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { maps } from '../demo-game/rules/arena.ts';
import type { MineEntity } from 'lanista';
import type { ChromaGame } from '../demo-game/rules/game.ts';
import { encodeMap, mapFrom, mostBrought } from '../demo-game/rules/map-file.ts';
import { MapKeeper } from '../demo-game/rules/map-keeper.ts';
import { bring, idLength, mostMaps, tidy, turn, unite } from '../demo-game/rules/rotation.ts';
import type { Rotation } from '../demo-game/rules/rotation.ts';
import { party, Table } from './demo-table.ts';
import type { Player } from './demo-table.ts';

const courtyard = readFileSync(new URL('../demo-game/maps/courtyard.json', import.meta.url));
/** A map like no other. */
const numbered = (number: number): Uint8Array => encodeMap(mapFrom(`Number ${number}`, [[46, 24, 4, 4]]));

const seen = ({ match }: Player): string => `${match.maps.state}: ${match.map.name}, ${match.map.walls.length} walls`;
const leave = (table: Table, player: Player): void => {
  table.players.splice(table.players.indexOf(player), 1);
  player.match[Symbol.dispose]();
  void player.room.leave();
};
const hostOf = (table: Table): Player => table.players.find(({ room }) => room.isHost)!;
const roundOf = (player: Player): MineEntity<ChromaGame, 'round'> => [...player.room.entities.mine('round')][0]!;
/** Lets time pass until all are in that phase, of the next round when they are in it already. */
async function phase(table: Table, wanted: string): Promise<void> {
  for (const there of [false, true])
    for (let i = 0; i < 400 && table.players.every(({ match }) => match.round?.phase === wanted) !== there; i++) await table.run(100);
  await table.run(300);
}
/** What a promise of the game comes to while virtual time passes. */
async function settled<T>(table: Table, promise: Promise<T>, ms = 3000): Promise<T | undefined> {
  let value: T | undefined;
  void promise.then((got) => (value = got));
  for (let passed = 0; passed < ms && value === undefined; passed += 100) await table.run(100);
  return value;
}

/** It lags, and has nothing of what it looks for until then. */
function holdUp({ room: { content } }: Player): () => void {
  const fetch = content.fetch.bind(content);
  let goOn!: () => void;
  const waits = new Promise<void>((resolve) => (goOn = resolve));
  content.fetch = (...what) => waits.then(() => fetch(...what));
  return goOn;
}

describe('a map that a player brings', () => {
  it('is the next floor of everybody, and of who comes in the middle of it', async () => {
    const table = await party(3);
    expect(table.players.map(seen)).toEqual(Array(3).fill('here: Four Corners, 5 walls'));
    const guest = table.players.find(({ room }) => !room.isHost)!;
    expect(await settled(table, guest.match.maps.bring(courtyard))).toEqual({ name: 'Courtyard', before: 0 });
    expect(await settled(table, guest.match.maps.bring(courtyard))).toEqual({ name: 'Courtyard', before: 0 });
    expect(await settled(table, hostOf(table).match.maps.bring(numbered(1)))).toEqual({ name: 'Number 1', before: 1 });
    await table.run(1000);
    // All have it before it is played.
    expect(table.players.map(({ match }) => match.maps.next?.name)).toEqual(Array(3).fill('Courtyard'));
    expect(table.players.map(seen), 'this round goes on').toEqual(Array(3).fill('here: Four Corners, 5 walls'));
    await phase(table, 'lobby');
    expect(table.players.map(seen)).toEqual(Array(3).fill('here: Courtyard, 13 walls'));
    await phase(table, 'match');
    const late = await table.join('Late');
    await table.run(500);
    expect(seen(late)).toBe('here: Courtyard, 13 walls');
    expect(new Set(table.players.map(({ match }) => match.coverage().reduce((sum, cells) => sum + cells, 0))).size, 'floor under walls').toBe(1);
    expect(await settled(table, late.match.maps.bring(courtyard))).toEqual({ problem: 'is being played already' });
    expect(await settled(table, late.match.maps.bring(new Uint8Array(3)))).toEqual({ problem: expect.stringMatching(/^is no map/u) });
    await phase(table, 'lobby');
    expect(table.players.map(seen)).toEqual(Array(4).fill('here: Number 1, 1 walls'));
    await phase(table, 'lobby');
    expect(table.players.map(seen), 'the game goes on with its own').toEqual(Array(4).fill('here: Wide Open, 2 walls'));
  });

  it('comes although who brought it and the host have left, and to who comes after them', async () => {
    const table = await party(4);
    const guest = table.players.find(({ room }) => !room.isHost)!;
    expect(await settled(table, guest.match.maps.bring(courtyard))).toMatchObject({ before: 0 });
    await table.run(500);
    leave(table, guest);
    leave(table, hostOf(table));
    await table.run(1500);
    await phase(table, 'lobby');
    expect(table.players.map(seen)).toEqual(Array(2).fill('here: Courtyard, 13 walls'));
    leave(table, hostOf(table));
    const late = await table.join('Late');
    await table.run(500);
    expect(seen(late)).toBe('here: Courtyard, 13 walls');
  });

  it('is there again for a host whose page is reloaded', async () => {
    const table = await party(2);
    const host = hostOf(table);
    expect(await settled(table, host.match.maps.bring(courtyard))).toMatchObject({ before: 0 });
    await phase(table, 'lobby');
    await phase(table, 'match');
    const { id } = host.room.self;
    leave(table, host);
    await table.run(500);
    const again = await table.join('Again', 0, 0, id);
    await table.run(1000);
    expect(table.players.map(seen)).toEqual(Array(2).fill('here: Courtyard, 13 walls'));
    // What the page brings along each time it is opened is no news.
    expect(again.match.round?.map).toHaveLength(idLength);
    expect(
      await settled(
        table,
        again.match.maps.bring(courtyard, true).then((brought) => [brought]),
      ),
    ).toEqual([undefined]);
    expect(await settled(table, again.match.maps.bring(numbered(2), true))).toEqual({ name: 'Number 2', before: 0 });
  });

  it('is brought again when the host is gone before the others know', async () => {
    const table = await party(3);
    const host = hostOf(table);
    const guest = table.players.find(({ room }) => !room.isHost)!;
    const call = guest.room.call.bind(guest.room);
    const answers = [{ answer: 'next', before: 0 }];
    // It answers, and its round says so to nobody.
    guest.room.call = ((...what: Parameters<typeof call>) => {
      const answer = what[0] === 'bring' ? answers.pop() : undefined;
      return answer === undefined ? call(...what) : Promise.resolve(answer);
    }) as never;
    const bringing = guest.match.maps.bring(courtyard);
    await table.run(200);
    leave(table, host);
    expect(await settled(table, bringing, 10_000)).toEqual({ name: 'Courtyard', before: 0 });
    await table.run(500);
    for (const { match } of table.players) expect(match.maps.next?.name).toBe('Courtyard');
  });

  it('may be brought in the moment the room opens', async () => {
    const table = new Table();
    const ann = await table.join('Ann');
    expect(await settled(table, ann.match.maps.bring(courtyard, true))).toEqual({ name: 'Courtyard', before: 0 });
  });

  it('is brought again when its room became part of another', async () => {
    const table = await party(2);
    const guest = table.players.find(({ room }) => !room.isHost)!;
    expect(await settled(table, guest.match.maps.bring(courtyard))).toMatchObject({ before: 0 });
    const round = roundOf(hostOf(table));
    const [id, ...others] = round.queue;
    // The other part's host goes on with its own round, in which nobody has heard of it.
    Object.assign(round, { queue: others, waiting: 0 });
    await table.run(500);
    expect(guest.match.round?.queue).not.toContain(id);
    [...table.hub.rooms.values()][0]?.seats.get(guest.room.self.id)?.port.push({ type: 'merge', lost: true, joined: [] });
    await table.run(4000);
    for (const { match } of table.players) expect(match.round?.queue[0]).toBe(id);
  });

  it('is taken by the next host when the one that looks for it hands its duties on', async () => {
    const table = await party(3);
    const host = hostOf(table);
    const guest = table.players.find(({ room }) => !room.isHost)!;
    const goOn = holdUp(host);
    const bringing = guest.match.maps.bring(courtyard);
    await table.run(300);
    host.room.setEligible(false);
    await table.run(300);
    expect(hostOf(table)).not.toBe(host);
    goOn();
    expect(await settled(table, bringing, 10_000)).toMatchObject({ name: 'Courtyard' });
    await table.run(500);
    for (const { match } of table.players) expect(match.maps.next?.name).toBe('Courtyard');
  });

  it('is taken from a player whose page is reloaded while the host looks for it', async () => {
    const table = await party(2);
    const host = hostOf(table);
    const guest = table.players.find(({ room }) => !room.isHost)!;
    const goOn = holdUp(host);
    void guest.match.maps.bring(courtyard);
    await table.run(100);
    const { id } = guest.room.self;
    leave(table, guest);
    await table.run(300);
    const again = await table.join('Again', 0, 0, id);
    const bringing = again.match.maps.bring(courtyard, true);
    await table.run(300);
    goOn();
    expect(await settled(table, bringing, 10_000)).toEqual({ name: 'Courtyard', before: 0 });
  });

  it('has an answer when the room is left before a host has named one', async () => {
    const table = await party(1);
    const [only] = table.players as [Player];
    const keeper = new MapKeeper(only.room);
    const bringing = keeper.bring(courtyard);
    await table.run(500);
    leave(table, only);
    expect(await settled(table, bringing)).toMatchObject({ problem: expect.any(String) });
    keeper[Symbol.dispose]();
  });

  it('that nobody has any more makes way for others', async () => {
    const table = await party(2);
    // Whoever was host has put there what is nowhere, and is gone.
    const round = roundOf(hostOf(table));
    const nowhere = Array.from({ length: mostBrought }, (_, i) => `${'B'.repeat(idLength - 2)}${i}A`);
    Object.assign(round, { queue: [...nowhere, ...round.queue], waiting: mostBrought });
    await table.run(500);
    const guest = table.players.find(({ room }) => !room.isHost)!;
    expect(await settled(table, guest.match.maps.bring(courtyard))).toMatchObject({ problem: expect.stringMatching(/^has no place/u) });
    await phase(table, 'lobby');
    await phase(table, 'lobby');
    await phase(table, 'lobby');
    expect(await settled(table, guest.match.maps.bring(courtyard))).toEqual({ name: 'Courtyard', before: 0 });
  });

  it('is looked for among few others, whatever the host names', async () => {
    const table = await party(2);
    const guest = table.players.find(({ room }) => !room.isHost)!;
    const { content } = guest.room;
    const fetch = content.fetch.bind(content);
    let [under, most, asked] = [0, 0, 0];
    content.fetch = (...what) => {
      most = Math.max(most, ++under);
      asked++;
      return fetch(...what).finally(() => under--);
    };
    const round = roundOf(hostOf(table));
    for (let i = 100; i < 200; i++) {
      round.map = `${'B'.repeat(idLength - 4)}${i}A`;
      await table.run(100);
    }
    expect(most).toBeLessThanOrEqual(3);
    expect(asked).toBeLessThanOrEqual(6);
    round.map = (await settled(table, hostOf(table).room.content.share(courtyard))) ?? '';
    await table.run(8500);
    expect(seen(guest)).toBe('here: Courtyard, 13 walls');
  });

  it('is brought again when its room became part of one that is hours older', async () => {
    const table = await party(2);
    const guest = table.players.find(({ room }) => !room.isHost)!;
    expect(await settled(table, guest.match.maps.bring(courtyard))).toMatchObject({ before: 0 });
    await table.run(500);
    const round = roundOf(hostOf(table));
    const [id, ...others] = round.queue;
    const { clock } = guest.room;
    let ahead = 0;
    const older: typeof clock = {
      ...clock,
      now: () => clock.now() + ahead,
      every: (hz, fn) => clock.every(hz, (tick, time) => fn(tick, time + ahead)),
    };
    Object.defineProperty(guest.room, 'clock', { value: older });
    [...table.hub.rooms.values()][0]?.seats.get(guest.room.self.id)?.port.push({ type: 'merge', lost: true, joined: [] });
    await table.run(100);
    // Its clock is measured, and its round comes.
    ahead = 3_600_000;
    await table.run(300);
    Object.assign(round, { queue: others, waiting: 0 });
    await table.run(4000);
    for (const { match } of table.players) expect(match.round?.queue[0]).toBe(id);
  });

  it('that made way for others is not brought again when the room becomes part of another', async () => {
    const table = await party(2);
    const guest = table.players.find(({ room }) => !room.isHost)!;
    for (let i = 0; i < mostBrought + 2; i++) {
      expect(await settled(table, guest.match.maps.bring(numbered(i)))).toMatchObject({ name: `Number ${i}` });
      await phase(table, 'lobby');
    }
    await table.run(500);
    const queue = guest.match.round?.queue;
    [...table.hub.rooms.values()][0]?.seats.get(guest.room.self.id)?.port.push({ type: 'merge', lost: true, joined: [] });
    await table.run(4000);
    expect(guest.match.round?.queue).toEqual(queue);
  });

  it('is one of eight at most, and the one that was played longest ago makes way', async () => {
    const table = await party(2);
    const [ann] = table.players;
    for (let number = 0; number < mostBrought; number++)
      expect(await settled(table, ann!.match.maps.bring(numbered(number)))).toEqual({ name: `Number ${number}`, before: number });
    expect(await settled(table, ann!.match.maps.bring(numbered(8)))).toEqual({ problem: 'has no place: 8 others wait for their turn' });
    await table.run(3000);
    await phase(table, 'lobby');
    await phase(table, 'lobby');
    expect(table.players.map(seen)).toEqual(Array(2).fill('here: Number 1, 1 walls'));
    expect(await settled(table, ann!.match.maps.bring(numbered(8)))).toEqual({ name: 'Number 8', before: 6 });
    await table.run(500);
    for (const { match } of table.players) {
      expect(match.round?.queue).toHaveLength(mostMaps - 1);
      expect(match.round?.waiting).toBe(7);
      expect(match.round?.queue.map((id) => match.maps.shelf.at(id)?.name)).not.toContain('Number 0');
    }
  });
});

describe('what is no map', () => {
  it.each([
    ['content that is none', (host: Player) => host.room.content.share(Uint8Array.of(1, 2, 3))],
    ['a map that nobody can play on', (host: Player) => host.room.content.share(encodeMap(mapFrom('Shut', [[44, 0, 2, 54]])))],
    ['more bytes than any map has', (host: Player) => host.room.content.share(new Uint8Array(2_000_000).fill(91))],
    ['an id that nobody holds', () => Promise.resolve('A'.repeat(idLength))],
    ['text that is no id', () => Promise.resolve('../../etc/passwd')],
  ])('is a plain floor for everybody: %s', async (what, make) => {
    const table = await party(2);
    const host = hostOf(table);
    const id = await settled(table, make(host), 10_000);
    const round = roundOf(host);
    await phase(table, 'match');
    round.queue = [id!, '', 'x', id!, ...round.queue].slice(0, mostMaps);
    round.waiting = 200;
    round.map = id!;
    await table.run(5000);
    for (const player of table.players) {
      // Of what is too large nothing is taken, so only who holds it knows.
      const isUnknown = what === 'an id that nobody holds' || (what.startsWith('more bytes') && player !== host);
      expect(player.match.maps.state).toBe(isUnknown ? 'coming' : 'refused');
      expect(player.match.map.walls).toEqual([]);
    }
    // And the game goes on: what the host of another mind has put into the round is gone with the next turn.
    await phase(table, 'lobby');
    expect(table.players.map(seen)).toEqual(Array(2).fill(seen(host)));
    expect(host.match.maps.state).toBe('here');
    expect(host.match.map.walls.length).toBeGreaterThan(0);
    for (const { match } of table.players) expect(match.round?.queue.length).toBeLessThanOrEqual(mostMaps);
  });

  it('is not taken by the host from anybody', async () => {
    const table = await party(2);
    const guest = table.players.find(({ room }) => !room.isHost)!;
    const before = guest.match.round?.queue;
    const junk = await settled(table, guest.room.content.share(Uint8Array.of(7)));
    const ask = (id: string): Promise<string> => guest.room.call('bring', { id }, { timeoutMs: 12_000 }).then(({ answer }) => answer);
    expect(await settled(table, ask(junk!))).toBe('refused');
    expect(await settled(table, ask('no id'))).toBe('refused');
    // What nobody has is looked for, one of each player, and keeps no other player waiting.
    const ids = Array.from({ length: 4 }, (_, i) => `${'B'.repeat(idLength - 1)}${'AEIM'[i]}`);
    const asking = Promise.all(ids.map(ask));
    await table.run(500);
    const other = await table.join('Other');
    expect(await settled(table, other.match.maps.bring(numbered(3)))).toEqual({ name: 'Number 3', before: 0 });
    expect(await settled(table, asking, 15_000)).toEqual(['refused', 'busy', 'busy', 'busy']);
    expect(guest.match.round?.queue.slice(1)).toEqual(before);
    expect(await settled(table, guest.match.maps.bring(courtyard)), 'and the ear is free again').toMatchObject({ name: 'Courtyard' });
  });
});

describe('the turns of maps', () => {
  const own = maps.map((_, i) => `${'own'.padEnd(idLength - 1, '-')}${i}`);
  const foreign = Array.from({ length: 14 }, (_, i) => `${'foreign'.padEnd(idLength - 2, '-')}${String(i).padStart(2, '0')}`);
  const none = (): boolean => false;
  const all = (): boolean => true;
  const empty: Rotation = { map: '', queue: [], waiting: 0 };
  const played = (rotation: Rotation, turns: number): string[] => {
    const names: string[] = [];
    for (let i = 0, at = rotation; i < turns; i++) {
      at = turn(tidy(at, own, none), all);
      names.push(at.map);
    }
    return names;
  };

  it('go round, with the one that was brought last after those that wait', () => {
    expect(played(empty, 4)).toEqual([own[0], own[1], own[2], own[0]]);
    let rotation = turn(tidy(empty, own, none), all);
    for (const id of foreign.slice(0, 2)) {
      const brought = bring(rotation, id, own);
      if (typeof brought === 'string') throw new Error(brought);
      ({ rotation } = brought);
    }
    expect(played(rotation, 6)).toEqual([foreign[0], foreign[1], own[1], own[2], own[0], foreign[0]]);
    // An old one is asked for again.
    const again = bring(rotation, own[2]!, own);
    expect(typeof again === 'string' ? again : again.before).toBe(2);
    expect(bring(rotation, rotation.map, own)).toBe('playing');
  });

  it('wait for what is not here, and go on without', () => {
    const rotation = { map: own[0]!, queue: [foreign[0]!, own[1]!, own[2]!], waiting: 1 };
    expect(turn(rotation, (id) => id !== foreign[0])).toEqual({ map: own[1], queue: [foreign[0], own[2], own[0]], waiting: 1 });
    expect(turn(rotation, none)).toEqual(rotation);
    expect(tidy(rotation, own, (id) => id === foreign[0])).toEqual({ map: own[0], queue: [own[1], own[2]], waiting: 0 });
  });

  it('of two rooms that become one are those of both', () => {
    const ours = { map: own[0]!, queue: [foreign[0]!, own[1]!, own[2]!], waiting: 1 };
    const theirs = { map: foreign[1]!, queue: [foreign[0]!, foreign[2]!, own[0]!, own[1]!, own[2]!], waiting: 2 };
    expect(tidy(unite(ours, theirs), own, none)).toEqual({ map: own[0], queue: [foreign[0], own[1], own[2], foreign[2], foreign[1]], waiting: 1 });
  });

  it('keep their bounds, whatever the rounds before said', () => {
    const id = fc.oneof(fc.constantFrom(...own, ...foreign, ''), fc.string({ maxLength: idLength }));
    const any = fc.record({ map: id, queue: fc.array(id, { maxLength: mostMaps }), waiting: fc.nat(255) });
    const act = fc.oneof(fc.record({ brings: fc.constantFrom(...own, ...foreign) }), fc.record({ isHere: fc.func(fc.boolean()) }), any);
    fc.assert(
      fc.property(any, fc.array(act, { maxLength: 30 }), (first, acts) => {
        let rotation = tidy(first, own, none);
        for (const one of acts) {
          if ('isHere' in one) rotation = turn(rotation, one.isHere);
          else if ('brings' in one) {
            const brought = bring(rotation, one.brings, own);
            if (typeof brought !== 'string') {
              expect(brought.rotation.queue[brought.before]).toBe(one.brings);
              ({ rotation } = brought);
            }
          } else rotation = unite(rotation, one);
          rotation = tidy(rotation, own, none);
          const listed = [rotation.map, ...rotation.queue];
          expect(new Set(listed).size).toBe(listed.length);
          expect(listed.filter((name) => !own.includes(name) && name !== '').length).toBeLessThanOrEqual(mostBrought + 1);
          expect(rotation.queue.length).toBeLessThanOrEqual(mostMaps);
          for (const name of own) expect(listed).toContain(name);
          expect(rotation.waiting).toBeLessThanOrEqual(rotation.queue.length);
          expect(tidy(rotation, own, none)).toEqual(rotation);
        }
      }),
      { numRuns: 300 },
    );
  });
});
