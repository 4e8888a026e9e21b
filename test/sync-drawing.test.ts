/**
 * What is drawn of one thing, from its rows (`docs/spec.md`, Sync): between them, before and past them, over teleports, and while an error fades.
 */
import { describe, expect, it } from 'vitest';
import { defineGame, entity, s } from 'lanista';
import type { PeerId } from 'lanista';
import type { EntityHome, SnapshotSource } from '../sdk/sync/entity.ts';
import { EntityCore, initialise } from '../sdk/sync/entity.ts';
import { Playout } from '../sdk/sync/interpolation.ts';
import { replaced } from '../sdk/sync/shelf.ts';
import { EntityStore } from '../sdk/sync/store.ts';
import { openRooms } from './open-rooms.ts';

const wide = s.num({ min: -1_000, max: 1_000, step: 1 / 64 });
const game = defineGame({
  id: 'drawing',
  version: 1,
  entities: {
    // 20 ticks a second, of 50 ms each; `slow` is sampled at every second one.
    ship: entity({
      authority: 'spawner',
      rate: 20,
      fields: { x: wide.lerp('linear'), curve: wide.lerp('hermite'), turn: wide.lerp('angle'), aim: s.angle(16), n: s.u8() },
    }),
    slow: entity({ authority: 'spawner', rate: 10, fields: { x: wide.lerp('linear') } }),
  },
});

interface Shown {
  readonly x: number;
  readonly curve: number;
  readonly turn: number;
  readonly aim: number;
  readonly n: number;
}

/** A thing that somebody else moves, shown 100 ms late. */
class Thing {
  now = 0;
  readonly source: SnapshotSource = { session: 1, playout: { viewTime: (now: number) => now - 100 } as Playout, soundTick: -1 };
  readonly core: EntityCore;

  constructor(kind: 'ship' | 'slow' = 'ship') {
    const home: EntityHome = { roomTime: () => this.now, failed: () => undefined, despawn: () => undefined, requestAuthority: async () => undefined };
    const store = new EntityStore(game);
    this.core = new EntityCore(home, store.kind(kind), 1, 1, 'other' as PeerId);
    store.add(this.core);
    this.core.source = this.source;
  }

  /** It is there at `tick`, as its owner says; `phase` in 128ths of the tick. */
  row(tick: number, values: Partial<Shown>, { phase = 0, hops = false }: { phase?: number; hops?: boolean } = {}): void {
    const { core } = this;
    const { kind } = core;
    replaced.set(core.ints);
    let mask = 0;
    for (const [name, value] of Object.entries(values)) {
      const i = kind.names.indexOf(name);
      core.ints[i] = kind.quantise(i, value as number);
      core.live[i] = kind.dequantise(i, core.ints[i]!);
      mask |= 1 << i;
    }
    if (hops) {
      core.ints[kind.count]!++;
      mask |= 1 << kind.count;
    }
    core.track.push(tick, phase, mask, replaced);
    this.source.soundTick = tick;
  }

  /** What is shown of it when the view is at `time`. */
  at(time: number): Shown {
    this.now = time + 100;
    const { view } = this.core as unknown as { view: Shown };
    return { x: view.x, curve: view.curve, turn: view.turn, aim: view.aim, n: view.n };
  }
}

describe('from its rows', () => {
  it('[SY44] before the first it is drawn where it was first, not where it is by now', () => {
    const thing = new Thing();
    thing.row(10, { x: 5, n: 1 });
    thing.row(11, { x: 50, n: 2 });
    expect(thing.at(400)).toMatchObject({ x: 5, n: 1 });
    expect(thing.at(500)).toMatchObject({ x: 5, n: 1 });
    expect(thing.at(525)).toMatchObject({ x: 27.5, n: 1 });
    expect(thing.at(550)).toMatchObject({ n: 2 });
  });

  it('[SY33] a curve without velocities takes its speeds from the times of its rows, wherever in their ticks these are', () => {
    // 0.1 a ms, at 500, 550, 625, 650 and 725 ms.
    const thing = new Thing();
    for (const [tick, phase] of [
      [10, 0],
      [11, 0],
      [12, 64],
      [13, 0],
      [14, 64],
    ] as const)
      thing.row(tick, { x: (tick + phase / 128) * 5, curve: (tick + phase / 128) * 5 }, { phase });
    for (let time = 500; time < 760; time += 5) {
      const { x, curve } = thing.at(time);
      expect([x, curve], String(time)).toEqual([expect.closeTo(time / 10, 1), expect.closeTo(time / 10, 1)]);
    }
  });

  it('[SY33] a curve follows an even acceleration between its rows, where a line cuts across', () => {
    const thing = new Thing();
    for (let tick = 10; tick < 17; tick++) thing.row(tick, { x: (tick - 10) ** 2 * 10, curve: (tick - 10) ** 2 * 10 });
    for (const time of [610, 625, 640, 660, 675, 690]) {
      const { x, curve } = thing.at(time);
      expect(curve, String(time)).toBeCloseTo((time / 50 - 10) ** 2 * 10, 3);
      expect(x - curve, String(time)).toBeGreaterThan(1.5);
    }
  });

  it('[SY35] no speed is taken over a teleport, on either side of it', () => {
    const thing = new Thing();
    for (const tick of [10, 11, 12]) thing.row(tick, { x: tick, curve: tick });
    for (const tick of [13, 14]) thing.row(tick, { x: 900 + tick, curve: 900 + tick }, { hops: tick === 13 });
    for (let time = 500; time < 650; time += 5) expect(thing.at(time).curve, String(time)).toBeCloseTo(Math.min(12, time / 50), 1);
    for (let time = 650; time < 740; time += 5) expect(thing.at(time).curve, String(time)).toBeCloseTo(900 + time / 50, 1);
    // Nothing is known of its speed where the jump is the last that is.
    const lone = new Thing();
    for (const tick of [10, 11]) lone.row(tick, { x: tick, curve: tick });
    lone.row(12, { x: 500, curve: 500 }, { hops: true });
    expect(lone.at(640)).toMatchObject({ x: 500, curve: 500 });
  });

  it('[SY38] a number that is an angle turns by what is left when whole turns are taken off', () => {
    const thing = new Thing();
    thing.row(10, { turn: 0.5 });
    thing.row(11, { turn: 0.5 + 8 * Math.PI });
    thing.row(12, { turn: 1.5 - 6 * Math.PI });
    for (const [time, turn] of [
      [525, 0.5],
      [540, 0.5],
      [575, 1],
    ] as const) {
      const off = thing.at(time).turn - turn;
      expect(Math.abs(Math.atan2(Math.sin(off), Math.cos(off))), String(time)).toBeLessThan(0.02);
    }
  });

  it('[SY37] of a kind that is sampled less often nothing is known to rest between two samples', () => {
    const thing = new Thing('slow');
    thing.row(10, { x: 0 });
    thing.row(12, { x: 10 });
    // Shown later by one interval of its kind.
    thing.source.soundTick = 13;
    expect(thing.at(700).x).toBeCloseTo(15, 1);
    thing.source.soundTick = 14;
    expect(thing.at(700).x).toBe(10);
  });
});

describe('an error', () => {
  /** What is shown at `time`, before and after `change`. */
  const corrected = (thing: Thing, time: number, change: () => void): [Shown, Shown] => {
    const before = thing.at(time);
    thing.core.hold(thing.now);
    change();
    thing.core.glide(thing.now);
    return [before, thing.at(time)];
  };

  it('[SY36] [SY38] fades from where it is drawn, an angle’s the short way', () => {
    const thing = new Thing();
    thing.row(10, { x: 0, aim: 0.1, n: 1 });
    thing.row(11, { x: 5, aim: 0.2, n: 1 });
    const [before, after] = corrected(thing, 600, () => thing.row(12, { x: 100, aim: 2 * Math.PI - 0.2, n: 2 }));
    expect(before).toMatchObject({ x: expect.closeTo(10, 1), aim: expect.closeTo(0.3, 2) });
    expect(after).toMatchObject({ x: before.x, aim: expect.closeTo(before.aim, 6), n: 2 });
    thing.source.soundTick = 99;
    for (let ms = 0; ms <= 300; ms += 10) {
      const { x, aim } = thing.at(600 + ms);
      expect(x).toBeCloseTo(100 - 90 * 2 ** (-ms / 50), 0);
      const off = aim - (-0.2 + 0.5 * 2 ** (-ms / 50));
      expect(Math.abs(Math.atan2(Math.sin(off), Math.cos(off)))).toBeLessThan(0.01);
    }
    expect(thing.at(600 + 801).x).toBe(100);
  });

  it('[SY35] does not fade over a teleport, be it the newest word or one that is on screen by it', () => {
    const thing = new Thing();
    thing.row(10, { x: 0 });
    thing.row(11, { x: 5 });
    expect(corrected(thing, 600, () => thing.row(12, { x: 700 }, { hops: true }))[1].x).toBe(700);
    // Known, and not on screen yet.
    const soon = new Thing();
    soon.row(10, { x: 0 });
    soon.row(11, { x: 5 });
    expect(corrected(soon, 590, () => soon.row(12, { x: 700 }, { hops: true })).map(({ x }) => x)).toEqual([9, 5]);
    expect(soon.at(600).x).toBe(700);
    // It jumped at 13, which is not on screen yet, and is when the view is told to be later.
    const late = new Thing();
    late.row(11, { x: 5 });
    late.row(13, { x: 700 }, { hops: true });
    const shown = corrected(late, 600, () => Object.assign(late.source.playout, { viewTime: (now: number) => now - 20 }))[1];
    expect(shown.x).toBe(700);
  });

  it('[SY36] of what nobody draws is forgotten', () => {
    const thing = new Thing();
    thing.row(10, { x: 0 });
    thing.row(11, { x: 5 });
    corrected(thing, 600, () => thing.row(12, { x: 100 }));
    thing.source.soundTick = 99;
    expect(thing.at(610).x).toBeLessThan(30);
    thing.now += 250;
    expect(thing.core.drawnAt(thing.now)).toBe(true);
    thing.now += 1;
    expect([thing.core.drawnAt(thing.now), thing.core.unseen]).toEqual([false, true]);
    expect(thing.at(620).x).toBe(100);
    thing.core.onChange('n', () => undefined);
    thing.now += 1_000;
    expect([thing.core.drawnAt(thing.now), thing.core.unseen]).toEqual([false, false]);
  });
});

describe('a new owner', () => {
  it('[SY36] is where what is drawn glides to from where the former one’s words led, and its first word goes on as that went', () => {
    for (const field of ['x', 'curve'] as const) {
      const thing = new Thing();
      thing.row(10, { [field]: 0 });
      thing.row(11, { [field]: 5 });
      thing.core.heardSince = 12;
      thing.row(12, { [field]: 40 });
      // 0.1 a ms up to 600 ms, where that led to 10, and from 40 on.
      for (let time = 500; time < 600; time += 5) expect(thing.at(time)[field], `${field} ${time}`).toBeCloseTo((time - 500) / 10, 3);
      for (let time = 600; time < 850; time += 5)
        expect(thing.at(time)[field], `${field} ${time}`).toBeCloseTo(40 + (time - 600) / 10 - 30 * 2 ** (-(time - 600) / 50), 3);
      // Its past is what was said.
      expect((thing.core.at(575) as Shown)[field]).toBeGreaterThan(15);
      thing.row(13, { [field]: 60 });
      expect(thing.at(625)[field]).toBeCloseTo(50 - 30 * 2 ** (-25 / 50), 0);
    }
    const thing = new Thing();
    thing.row(11, { x: 5 });
    thing.core.heardSince = 12;
    thing.row(12, { x: 40 }, { hops: true });
    expect([thing.at(599).x, thing.at(600).x]).toEqual([5, 40]);
  });
});

describe('what changes hands on its way', () => {
  for (const transfer of ['take', 'request'] as const)
    it(`[SY36] by ${transfer} falls back to where its new owner has it without standing or going backwards, however long the way`, async () => {
      for (const latencyMs of [5, 50, 100])
        for (const perS of [300, -300]) {
          const lane = defineGame({
            id: 'lane',
            version: 1,
            entities: {
              ball: entity({
                authority: 'distributed',
                transfer,
                rate: 60,
                fields: { x: s.num({ min: 0, max: 9_999, step: 1 / 16 }).lerp('linear') },
              }),
            },
          });
          const { hub, rooms } = await openRooms(lane, 3, { latencyMs });
          const ball = rooms[0]!.entities.spawn('ball', { x: 5_000 });
          for (const room of rooms) room.clock.every(60, () => [...room.entities.mine('ball')].forEach((mine) => (mine.x += perS / 60)));
          await hub.play(1_000);
          const seen = rooms.map((room) => room.entities.get('ball', ball.id)!);
          void seen[1]!.requestAuthority();
          const paces: number[][] = [[], [], []];
          let before = seen.map(({ view }) => view.x);
          for (let i = 0; i < 150; i++) {
            await hub.play(8, 8);
            const now = seen.map(({ view }) => view.x);
            for (const k of [0, 2]) if (!seen[k]!.mine) paces[k]!.push((1_000 * (now[k]! - before[k]!)) / 8 / perS);
            before = now;
          }
          expect([seen[0]!.mine, seen[1]!.mine]).toEqual([false, true]);
          // In the first picture it may have been drawn between two ticks of its former owner.
          const first = paces[0]!.shift()!;
          const words = `${latencyMs} ms, ${perS}`;
          expect(Math.min(...paces[0]!), words).toBeGreaterThan(0.28);
          expect(Math.min(...paces[2]!), words).toBeGreaterThan(0.6);
          expect(Math.max(...paces[0]!, ...paces[2]!), words).toBeLessThan(1.1);
          expect(first, words).toBeGreaterThan(-0.1);
          for (const k of [0, 2]) expect(Math.abs(before[k]! - seen[k]!.at(seen[k]!.viewTime)!.x), words).toBeLessThan(0.1);
        }
    });
});

describe('the delay', () => {
  it('[SY31] counts what comes before its time, by clocks that are not quite one, as no time on the way', () => {
    const playout = new Playout(33);
    for (let i = 0; i < 100; i++) playout.arrived(i * 33, i * 33 + 20);
    expect(playout.delayMs).toBe(35);
  });

  it('[SY31] of a stream that has lost much is bounded, and forgets in five seconds', () => {
    const playout = new Playout(20);
    for (let i = 0; i < 20; i++) playout.arrived(i * 20, i * 20, 100_000);
    expect(playout.delayMs).toBe(150);
    for (let i = 20; i < 240; i++) playout.arrived(i * 20, i * 20);
    expect(playout.delayMs).toBe(150);
    for (let i = 240; i < 300; i++) playout.arrived(i * 20, i * 20);
    expect(playout.delayMs).toBe(42 - 20);
  });
});

describe('assigning', () => {
  it('[SY3] to what is not one’s own throws, whatever the field, and changes nothing', () => {
    const { core } = new Thing();
    for (const [field, value] of Object.entries({ x: 5, curve: 5, turn: 1, aim: 1, n: 5 }))
      expect(() => Object.assign(core.handle, { [field]: value }), field).toThrow(expect.objectContaining({ code: 'not-owner' }));
    expect([[...core.live], core.dirty]).toEqual([[0, 0, 0, 0, 0], 0]);
  });

  it('[SY10] what is there already is no change; nothing but fields that fit makes a new one', () => {
    const store = new EntityStore(game);
    const home: EntityHome = { roomTime: () => 0, failed: () => undefined, despawn: () => undefined, requestAuthority: async () => undefined };
    const core = new EntityCore(home, store.kind('ship'), 1, 1, 'self' as PeerId);
    const zero = { x: 0, curve: 0, turn: 0, aim: 0, n: 0 };
    expect(() => initialise(core, { ...zero, x: 2_000 })).toThrow(expect.objectContaining({ code: 'bad-value' }));
    expect(() => initialise(core, { x: 1 })).toThrow(expect.objectContaining({ code: 'bad-value' }));
    initialise(core, zero);
    core.mine = true;
    const told: unknown[] = [];
    core.onChange('n', (value, old) => told.push(value, old));
    const ship = core.handle as { n: number };
    for (const n of [0, 3, 3, 3, 4]) ship.n = n;
    expect(told).toEqual([3, 0, 4, 3]);
    core.clean();
    ship.n = 4;
    expect(core.dirty).toBe(0);
  });
});
