/**
 * What a game's own callbacks may do to a room by throwing: nothing (`docs/spec.md`, RO6). Each kind of callback, where it hurts.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Room, RoomEvents } from 'lanista';
import type { G } from './room-party.ts';
import { only, pair, Party } from './room-party.ts';

const oops = (): never => {
  throw new Error('oops');
};

/** Async, where the types say that nobody waits. */
const later = (async () => {
  await Promise.resolve();
  oops();
}) as () => never;

afterEach(() => void vi.restoreAllMocks());

/** What is written to the console, as its lines and what comes with each. */
function written(): readonly (readonly unknown[])[] {
  return vi.spyOn(console, 'error').mockImplementation(() => undefined).mock.calls;
}

function warnings(room: Room<G>): string[] {
  const said: string[] = [];
  room.on('warn', ({ detail }) => said.push(detail.split('\n')[0]!));
  return said;
}

describe('a walk over entities', () => {
  it('[SY108] sees what was there when it began and still is, so that it may spawn and despawn', async () => {
    const { party, ann, bob } = await pair();
    const [one, two, three] = [1, 2, 3].map((x) => ann.entities.spawn('rock', { x }));
    await party.play(100);
    const seen: number[] = [];
    // Each is split in two, and the first takes the second with it.
    for (const rock of ann.entities.mine('rock')) {
      seen.push(rock.x);
      ann.entities.spawn('rock', { x: 10 * rock.x });
      if (rock === one) two!.despawn();
    }
    expect(seen).toEqual([1, 3]);
    expect([...ann.entities.all('rock')].map(({ x }) => x)).toEqual([1, 3, 10, 30]);
    expect(three!.alive).toBe(true);
    await party.play(100);
    expect([...bob.entities.all('rock')].map(({ x }) => x).sort((a, b) => a - b)).toEqual([1, 3, 10, 30]);
  });
});

describe('a callback that does something', () => {
  it('[SY108] a watcher hears of an entity from its spawn on: not of one that another watcher despawned before', async () => {
    const { ann } = await pair();
    const heard: string[] = [];
    // One ball is enough, and who watches first says so.
    ann.entities.on('ball', {
      spawn: (ball) => {
        if (ball.mine && [...ann.entities.all('ball')].length > 1) ball.despawn();
      },
    });
    const hear = (who: string): Disposable =>
      ann.entities.on('ball', {
        spawn: ({ x, alive }) => void heard.push(`${who}+${x}${alive ? '' : '!'}`),
        despawn: ({ x }) => void heard.push(`${who}-${x}`),
      });
    hear('a');
    ann.entities.spawn('ball', { x: 1 });
    ann.entities.spawn('ball', { x: 2 });
    expect(heard).toEqual(['a+1']);
    // The same where watching begins.
    const [first, second] = [ann.entities.spawn('rock', { x: 1 }), ann.entities.spawn('rock', { x: 2 })];
    ann.entities.on('rock', {
      spawn: ({ x }) => {
        heard.push(`rock+${x}`);
        if (second.alive) second.despawn();
      },
      despawn: ({ x }) => void heard.push(`rock-${x}`),
    });
    first.despawn();
    expect(heard).toEqual(['a+1', 'rock+1', 'rock-1']);
  });
});

describe('a callback that assigns', () => {
  it('[SY108] every listener of a field hears its changes in their order, the last of them last', async () => {
    const { ann } = await pair();
    const blob = ann.entities.spawn('blob', { x: 0, state: 'alive' });
    const heard: string[] = [];
    // Who is first keeps it within bounds.
    blob.onChange('hp', (hp, old) => {
      heard.push(`first ${old}>${hp}`);
      if (hp > 100) blob.hp = 100;
    });
    blob.onChange('hp', (hp, old) => void heard.push(`second ${old}>${hp}`));
    blob.hp = 150;
    expect(blob.hp).toBe(100);
    expect(heard).toEqual(['first 3>150', 'second 3>150', 'first 150>100', 'second 150>100']);
  });

  it('[RO6] listeners that go on changing what they listen to are stopped, and a warning says so', async () => {
    const { party, ann, bob } = await pair();
    const said = warnings(ann);
    const blob = ann.entities.spawn('blob', { x: 0, state: 'alive' });
    using circle = blob.onChange('hp', (hp) => (blob.hp = (hp + 1) % 256));
    blob.hp = 9;
    expect(said).toEqual(["blob.onChange('hp'): RangeError: its listeners change it without end"]);
    circle[Symbol.dispose]();
    // The room goes on, and so do its listeners.
    const heard: number[] = [];
    blob.onChange('hp', (hp) => void heard.push(hp));
    blob.hp = 200;
    await party.play(100);
    expect(heard).toEqual([200]);
    expect(only(bob.entities.all('blob')).hp).toBe(200);
  });
});

describe('a callback that throws', () => {
  it('[RO6] for an event: the other listeners hear it, a warning says which, and the room goes on', async () => {
    const { party, ann, bob } = await pair();
    const names = ['join', 'presence', 'away', 'back', 'leave', 'host'] as const satisfies readonly (keyof RoomEvents<G>)[];
    const said = warnings(bob);
    const heard: string[] = [];
    for (const name of names) {
      bob.on(name, oops);
      bob.on(name, () => void heard.push(name));
    }
    const eve = await party.add('Eve');
    await party.play(100);
    eve.setPresence({ ready: true });
    await party.play(100);
    const den = only(party.hub.rooms.values());
    den.setAway(eve.self.id, true);
    await party.play(100);
    den.setAway(eve.self.id, false);
    await party.play(100);
    await party.wait(eve.leave());
    await party.wait(ann.leave());
    await party.play(100);
    for (const name of names) {
      expect(heard, name).toContain(name);
      expect(said, name).toContain(`on('${name}'): Error: oops`);
    }
  });

  it('[RO6] for the change of host: its duties begin all the same', async () => {
    written();
    const { party, ann, bob } = await pair();
    let duties = 0;
    bob.whileHost(() => void duties++);
    bob.on('host', oops);
    await party.wait(ann.leave());
    await party.play(100);
    expect([bob.isHost, duties]).toEqual([true, 1]);
  });

  it('[RO6] for the end of the room: leaving ends, and so does closing the lan', async () => {
    written();
    const { party, ann } = await pair();
    ann.on('close', oops);
    await party.wait(ann.leave());
    expect(ann.signal.aborted).toBe(true);
    await party.wait(party.members[0]!.lan.close());
  });

  it('[RO6] for a warning: nobody is left to be told', async () => {
    written();
    const party = new Party();
    const ann = await party.add('Ann');
    let ticks = 0;
    ann.on('warn', oops);
    ann.clock.every(10, () => {
      ticks++;
      oops();
    });
    await party.play(1_000);
    expect(ticks).toBe(10);
  });

  it('[RO6] for entities and fields: the rest of the same tick is applied, and the other watchers are told', async () => {
    const { party, ann, bob } = await pair();
    const said = warnings(bob);
    const seen: string[] = [];
    bob.entities.on('blob', { spawn: oops, despawn: oops });
    bob.entities.on('blob', { spawn: ({ tag }) => void seen.push(`+${tag}`), despawn: ({ tag }) => void seen.push(`-${tag}`) });
    bob.entities.on('flag', { authority: oops });
    const blobs = ['a', 'b', 'c'].map((tag) => ann.entities.spawn('blob', { x: 1, state: 'alive', tag }));
    ann.entities.spawn('flag', { x: 1 });
    await party.play(60);
    expect(seen.sort()).toEqual(['+a', '+b', '+c']);
    const theirs = [...bob.entities.all('blob')];
    theirs[0]!.onChange('hp', oops);
    const heard: number[] = [];
    for (const blob of theirs) blob.onChange('hp', (hp) => void heard.push(hp));
    for (const blob of blobs) blob.hp = 2;
    await party.play(60);
    expect(heard).toEqual([2, 2, 2]);
    for (const blob of blobs) blob.despawn();
    expect(await only(bob.entities.all('flag')).requestAuthority()).toBeDefined();
    await party.play(60);
    expect(seen.sort()).toEqual(['+a', '+b', '+c', '-a', '-b', '-c']);
    expect([...new Set(said)].sort()).toEqual([
      "blob.onChange('hp'): Error: oops",
      "entities.on('blob').despawn: Error: oops",
      "entities.on('blob').spawn: Error: oops",
      "entities.on('flag').authority: Error: oops",
    ]);
  });

  it('[RO6] for who may have an entity: it is refused, and who asked is told', async () => {
    const { party, ann, bob } = await pair();
    const said = warnings(ann);
    ann.entities.spawn('ball', { x: 1 });
    ann.entities.on('ball', { request: oops });
    await party.play(60);
    expect(await party.wait(only(bob.entities.all('ball')).requestAuthority({ timeoutMs: 5_000 }))).toBeUndefined();
    expect(said).toEqual(["entities.on('ball').request: Error: oops"]);
  });

  it('[RO6] at an own assignment: the assignment stands, and so does what comes after it', async () => {
    written();
    const party = new Party();
    const ann = await party.add('Ann');
    const blob = ann.entities.spawn('blob', { x: 1, state: 'alive' });
    blob.onChange('hp', oops);
    blob.hp = 9;
    expect(blob.hp).toBe(9);
  });
});

describe('an async callback that rejects', () => {
  it('[RO6] becomes the same warning, whatever it was for', async () => {
    const { party, ann, bob } = await pair();
    const said = warnings(ann);
    ann.clock.every(10, later);
    ann.on('presence', later);
    ann.onMessage('chat', later);
    ann.whileHost(later);
    ann.entities.on('blob', { spawn: later, despawn: later });
    ann.entities.on('ball', { request: later });
    ann.setStateBudget({ bytesPerTick: 64, priority: later });
    const blob = ann.entities.spawn('blob', { x: 1, state: 'alive' });
    blob.onChange('hp', later);
    // More than fits, so that there is somebody to choose.
    for (let i = 0; i < 8; i++) ann.entities.spawn('rock', { x: i });
    ann.entities.spawn('ball', { x: 1 });
    bob.setPresence({ ready: true });
    bob.send('chat', { text: 'gg' });
    await party.play(200);
    blob.hp = 2;
    await party.play(200);
    blob.despawn();
    await party.wait(only(bob.entities.all('ball')).requestAuthority());
    await party.play(100);
    expect([...new Set(said)].sort()).toEqual([
      "blob.onChange('hp'): Error: oops",
      'clock.every(10): Error: oops',
      "entities.on('ball').request: Error: oops",
      "entities.on('blob').despawn: Error: oops",
      "entities.on('blob').spawn: Error: oops",
      "on('presence'): Error: oops",
      "onMessage('chat'): Error: oops",
      'setStateBudget: priority: Error: oops',
      'setStateBudget: priority: TypeError: expected a number, got an object',
      'whileHost: Error: oops',
    ]);
  });
});

describe('a priority that throws', () => {
  it('[RO6] warns, and the state goes out all the same', async () => {
    const { party, ann, bob } = await pair();
    const said = warnings(ann);
    ann.setStateBudget({ bytesPerTick: 64, priority: oops });
    for (let i = 0; i < 20; i++) ann.entities.spawn('blob', { x: i, state: 'alive', tag: 'more than fits' });
    await party.play(1_000);
    expect([...bob.entities.all('blob')]).toHaveLength(20);
    expect([...new Set(said)]).toEqual(['setStateBudget: priority: Error: oops']);
  });
});

describe('a failure that nobody listens for', () => {
  it('[RO6] is written to the console with the error itself, once for each place and message', async () => {
    const lines = written();
    const party = new Party();
    const ann = await party.add('Ann');
    const error = new Error('no such sprite');
    ann.clock.every(30, () => {
      throw error;
    });
    ann.clock.every(20, later);
    await party.play(1_000);
    expect(lines.map(([line, cause]) => [String(line).split(' of the game')[0], (cause as Error).message]).sort()).toEqual([
      ['lanista: clock.every(20)', 'oops'],
      ['lanista: clock.every(30)', 'no such sprite'],
    ]);
    expect(lines.map(([, cause]) => cause)).toContain(error);
  });

  it('[RO6] fills no console with words that differ each time', async () => {
    const lines = written();
    const party = new Party();
    const ann = await party.add('Ann');
    ann.clock.every(60, (tick) => {
      throw new Error(`at tick ${tick}`);
    });
    await party.play(2_000);
    expect(lines).toHaveLength(32);
    expect(lines.at(-1)![0]).toContain('not written here');
  });

  it('[RO6] is not written while somebody listens, and again when nobody does', async () => {
    const lines = written();
    const party = new Party();
    const ann = await party.add('Ann');
    const heard: string[] = [];
    const off = ann.on('warn', ({ code }) => void heard.push(code));
    const blob = ann.entities.spawn('blob', { x: 1, state: 'alive' });
    blob.onChange('hp', oops);
    blob.hp = 1;
    expect([heard, lines.length]).toEqual([['handler'], 0]);
    off[Symbol.dispose]();
    blob.hp = 2;
    expect([heard, lines.length]).toEqual([['handler'], 1]);
  });

  it('[RO6] of a listener of warnings is written, too', async () => {
    const lines = written();
    const party = new Party();
    const ann = await party.add('Ann');
    ann.on('warn', later);
    const blob = ann.entities.spawn('blob', { x: 1, state: 'alive' });
    blob.onChange('hp', oops);
    blob.hp = 1;
    await party.play(50);
    expect(lines.map(([line]) => String(line).split(' of the game')[0])).toEqual(["lanista: on('warn')"]);
  });
});
