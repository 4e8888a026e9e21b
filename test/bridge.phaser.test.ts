import { EventEmitter } from 'node:events';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { pair } from './room-party.ts';

// Phaser needs a page to be imported; the plugins need only its two base classes and the names of three events.
vi.mock('phaser', () => {
  class BasePlugin {
    game: unknown;
    constructor(manager: { game: unknown }) {
      this.game = manager.game;
    }
    destroy(): void {
      this.game = null;
    }
  }
  class ScenePlugin extends BasePlugin {
    scene: unknown;
    systems: unknown;
    constructor(scene: { sys: unknown }, manager: { game: unknown }) {
      super(manager);
      this.scene = scene;
      this.systems = scene.sys;
    }
  }
  return { Plugins: { BasePlugin, ScenePlugin }, Scenes: { Events: { PRE_UPDATE: 'preupdate', SHUTDOWN: 'shutdown', DESTROY: 'destroy' } } };
});
vi.mock('../sdk/browser/index.ts', () => ({}));

const { LanPlugin } = await import('../sdk/phaser/lan-plugin.ts');
const { LanScenePlugin } = await import('../sdk/phaser/lan-scene-plugin.ts');

interface Watcher {
  spawn(entity: unknown): void;
  despawn(entity: unknown): void;
}

class ScriptedEntities {
  readonly watchers = new Set<Watcher>();
  readonly there: { id: number; alive: boolean; view: { x: number } }[] = [];
  on(_kind: string, watcher: Watcher): Disposable {
    this.watchers.add(watcher);
    for (const entity of this.there) watcher.spawn(entity);
    return { [Symbol.dispose]: () => void this.watchers.delete(watcher) };
  }
}

function setUp() {
  const game = {};
  const manager = { game } as never;
  const events = new EventEmitter();
  const lan = new LanPlugin(manager);
  lan.init(null);
  const net = new LanScenePlugin({ sys: { events, game } } as never, manager, 'net');
  net.boot();
  const log: string[] = [];
  const binding = {
    create: (entity: { id: number }) => ({ id: entity.id, x: 0, destroy: () => log.push(`destroy ${entity.id}`) }),
    update: (object: { id: number; x: number }, view: { x: number }) => void log.push(`update ${object.id} ${view.x}`),
  };
  const bind = () => net.bind('blob' as never, binding as never);
  const roomWith = (...ids: number[]) => {
    const entities = new ScriptedEntities();
    entities.there.push(...ids.map((id) => ({ id, alive: true, view: { x: id * 10 } })));
    return { entities, signal: new AbortController().signal, on: () => ({ [Symbol.dispose]: () => undefined }) };
  };
  return { lan, net, events, log, bind, roomWith };
}

describe('phaser', () => {
  let at: ReturnType<typeof setUp>;
  beforeEach(() => {
    at = setUp();
  });

  test('[BR26] objects follow entities: made, updated before each frame, removed', () => {
    const room = at.roomWith(1, 2);
    at.lan.room = room as never;
    at.bind();
    at.events.emit('preupdate');
    expect(at.log).toEqual(['update 1 10', 'update 2 20']);
    for (const watcher of room.entities.watchers) watcher.despawn(room.entities.there[0]);
    at.events.emit('preupdate');
    expect(at.log.slice(2)).toEqual(['destroy 1', 'update 2 20']);
  });

  test('[BR26] another room rebinds a running scene; shutdown removes everything and binds nothing again', () => {
    at.bind();
    const first = at.roomWith(1);
    const second = at.roomWith(2);
    at.lan.room = first as never;
    at.lan.room = second as never;
    at.events.emit('preupdate');
    expect(at.log).toEqual(['destroy 1', 'update 2 20']);
    expect(first.entities.watchers.size).toBe(0);
    at.events.emit('shutdown');
    expect(at.log.at(-1)).toBe('destroy 2');
    expect(second.entities.watchers.size).toBe(0);
    at.lan.room = first as never;
    at.events.emit('preupdate');
    expect(at.log).toHaveLength(3);
    at.events.emit('destroy');
    expect(at.events.eventNames()).toEqual([]);
  });

  test('[BR26] what is despawned while it is told of leaves no object behind', async () => {
    const { party, ann, bob } = await pair();
    const live: number[] = [];
    // The game's own watcher comes first, and wants no even ones; and what is made wants no fives.
    ann.entities.on('rock', { spawn: (rock) => void (rock.mine && rock.x % 2 === 0 && rock.despawn()) });
    at.lan.room = ann as never;
    at.net.bind(
      'rock' as never,
      {
        create: (rock: { x: number; despawn(): void }) => {
          live.push(rock.x);
          if (rock.x === 5) rock.despawn();
          return { x: rock.x, destroy: () => void live.splice(live.indexOf(rock.x), 1) };
        },
      } as never,
    );
    for (const x of [1, 2, 5, 7]) ann.entities.spawn('rock', { x });
    await party.play(100);
    expect(live).toEqual([1, 7]);
    expect([...bob.entities.all('rock')].map(({ x }) => x)).toEqual([1, 7]);
  });

  test('[BR26] a scene that ends, or a room that changes, while the first objects are made leaves none behind', () => {
    const made: number[] = [];
    const live = new Set<number>();
    const bindWith = (onMade: (id: number) => void) =>
      at.net.bind(
        'blob' as never,
        {
          create: ({ id }: { id: number }) => {
            made.push(id);
            live.add(id);
            onMade(id);
            return { destroy: () => live.delete(id) };
          },
        } as never,
      );
    const room = at.roomWith(1, 2, 3);
    at.lan.room = room as never;
    bindWith((id) => id === 2 && at.net.clear());
    expect([made.splice(0), [...live], room.entities.watchers.size]).toEqual([[1, 2], [], 0]);
    const next = at.roomWith(7, 8);
    bindWith((id) => id === 2 && void (at.lan.room = next as never));
    expect([made, [...live], room.entities.watchers.size, next.entities.watchers.size]).toEqual([[1, 2, 7, 8], [7, 8], 0, 1]);
    at.events.emit('shutdown');
    expect([[...live], next.entities.watchers.size]).toEqual([[], 0]);
  });

  test('[BR26] the objects go when the room is left, whatever becomes of the scene', async () => {
    const { party, ann } = await pair();
    at.lan.room = ann as never;
    const rock = ann.entities.spawn('rock', { x: 1 });
    const gone: unknown[] = [];
    at.net.bind('rock' as never, { create: () => ({}), remove: (_object: unknown, entity: unknown) => void gone.push(entity) } as never);
    await party.wait(ann.leave());
    expect(gone).toEqual([rock]);
    // Nor does a scene that begins later draw what is over.
    at.net.bind('rock' as never, { create: () => gone.push('made') } as never);
    expect(gone).toEqual([rock]);
  });

  test('[BR26] without the global plugin the scene says what to add', () => {
    const net = new LanScenePlugin({ sys: { events: new EventEmitter(), game: {} } } as never, { game: {} } as never, 'net');
    expect(() => net.room).toThrowError(expect.objectContaining({ code: 'bad-argument' }));
    expect(() => at.net.lan).toThrowError(expect.objectContaining({ code: 'closed' }));
  });
});
