/**
 * What a player sees of things others move (`docs/spec.md`, Sync): when it is shown, where between two snapshots,
 * and what happens when there is no snapshot.
 */
import { describe, expect, it, vi } from 'vitest';
import { defineGame, entity, s } from 'lanista';
import { MemoryRoomPort } from '../sdk/port/memory.ts';
import { openRooms } from './open-rooms.ts';
import { Playout, turned } from '../sdk/sync/interpolation.ts';
import { EXTRAPOLATE_MS, MAX_VIEW_DELAY_MS } from '../sdk/wire/limits.ts';
import type { Values } from './bench/motion.ts';
import { Owner, Viewer } from './bench/motion.ts';
import { expectAtMost } from './same.ts';

const HZ = 20;
const INTERVAL = 1_000 / HZ;
const TRANSIT = 5;

/** Owner and viewer; `path(seconds)` sets the ship at each tick, and each snapshot arrives TRANSIT later unless `lost`. */
class Scene {
  readonly owner: Owner;
  readonly viewer = new Viewer(HZ);
  readonly path: (seconds: number) => Partial<Values>;
  #tick = 0;
  #acked = -1;

  constructor(path: (seconds: number) => Partial<Values>) {
    this.path = path;
    this.owner = new Owner(HZ, path(0));
  }

  /** Room time of the newest snapshot sent. */
  get time(): number {
    return (this.#tick - 1) * INTERVAL;
  }

  snapshot(lost = false): void {
    const tick = this.#tick++;
    const time = tick * INTERVAL;
    Object.assign(this.owner.ship, this.path(time / 1_000));
    const body = this.owner.sample(tick, time, this.#acked);
    if (lost) return;
    expect(this.viewer.arrive(time + TRANSIT, tick, body, this.#acked < 0)).toBeUndefined();
    this.#acked = tick;
  }

  /** Plays to room time `until`, drawing each ms; returns what was drawn, with the view time of each. */
  play(
    until: number,
    lost: (tick: number) => boolean = () => false,
  ): { readonly at: number; readonly now: number; readonly x: number; readonly plain: number; readonly aim: number }[] {
    const frames = [];
    for (let now = this.viewer.now + 1; now <= until; now++) {
      while (this.#tick * INTERVAL + TRANSIT <= now) this.snapshot(lost(this.#tick));
      if (this.viewer.core === undefined) continue;
      const { x, plain, aim } = this.viewer.draw(now);
      frames.push({ at: this.viewer.core.viewTime(now), now, x, plain, aim });
    }
    return frames;
  }
}

describe('when', () => {
  it('[SY31] the delay is the 99th percentile of transit and one interval, and has a cap', () => {
    const steady = new Playout(33);
    for (let i = 0; i < 150; i++) steady.arrived(i * 33 + 4, i * 33);
    expect(steady.delayMs).toBeGreaterThanOrEqual(33 + 4);
    expect(steady.delayMs).toBeLessThanOrEqual(33 + 4 + 3);
    const rough = new Playout(33);
    for (let i = 0; i < 150; i++) rough.arrived(i * 33 + (i % 20 === 0 ? 40 : 4), i * 33);
    expect(rough.delayMs).toBeGreaterThanOrEqual(33 + 40);
    const awful = new Playout(33);
    for (let i = 0; i < 150; i++) awful.arrived(i * 33 + 400, i * 33);
    expect(awful.delayMs).toBe(MAX_VIEW_DELAY_MS);
  });

  it('[SY31] losses widen the delay, silence of a thing at rest does not', () => {
    const delayAfter = (lost: (tick: number) => boolean, moves: (tick: number) => boolean): number => {
      const scene = new Scene((t) => ({ plain: moves(Math.round(t * HZ)) ? t : 0 }));
      scene.play(4_000, lost);
      return scene.viewer.inbound.playout.delayMs;
    };
    const calm = delayAfter(
      () => false,
      () => true,
    );
    expect(calm).toBeLessThan(INTERVAL + TRANSIT + 5);
    expect(
      delayAfter(
        (tick) => tick % 10 === 5,
        () => true,
      ),
    ).toBeGreaterThan(2 * INTERVAL);
    // The same ticks are not there for the viewer, but nothing had changed in them.
    expect(
      delayAfter(
        (tick) => tick % 10 > 5,
        (tick) => tick % 10 < 5,
      ),
    ).toBeLessThan(calm + 1);
  });

  it('[SY31] the delay follows a network that calms down', () => {
    const playout = new Playout(33);
    for (let i = 0; i < 150; i++) playout.arrived(i * 33 + 60, i * 33);
    expect(playout.delayMs).toBeGreaterThan(90);
    for (let i = 150; i < 330; i++) playout.arrived(i * 33 + 2, i * 33);
    expect(playout.delayMs).toBeLessThan(40);
  });

  it('[SY32] view time glides within 0.9 to 1.05 of real speed, never backwards, and jumps only over a quarter of a second', () => {
    const playout = new Playout(33);
    let before = playout.viewTime(0);
    const speeds: number[] = [];
    for (let now = 10; now < 6_000; now += 10) {
      // The network turns bad, then good again.
      if (now % 30 === 0) playout.arrived(now, now - (now < 1_000 ? 2 : now < 2_000 ? 100 : 2));
      const shown = playout.viewTime(now);
      speeds.push((shown - before) / 10);
      before = shown;
    }
    expect(Math.min(...speeds)).toBeGreaterThanOrEqual(0.9 - 1e-9);
    expect(Math.max(...speeds)).toBeLessThanOrEqual(1.05 + 1e-9);
    expect(Math.min(...speeds)).toBeLessThan(0.95);
    expect(playout.viewTime(5_000)).toBe(before);
    // A minute asleep: the present, not the film of it.
    const woke = playout.viewTime(66_000);
    expect(66_000 - woke).toBeLessThan(playout.delayMs + 2);
    // Much too far ahead: it waits rather than run back.
    for (let i = 0; i < 300; i++) playout.arrived(66_000 + i, 66_000 + i - 140);
    expect(playout.viewTime(66_001)).toBeGreaterThanOrEqual(woke);
  });

  it('[SY32] a view that nobody asked for in a minute is where it belongs at once, whatever became of the delay meanwhile', () => {
    for (const [before, after] of [
      [100, 20],
      [20, 100],
    ] as const) {
      const playout = new Playout(33);
      let now = 0;
      // Drawn, then hidden: snapshots come, and nobody asks for a view time.
      for (; now < 6_000; now += 33) {
        playout.arrived(now, now - before);
        playout.viewTime(now);
      }
      for (; now < 66_000; now += 33) playout.arrived(now, now - after);
      const shown = playout.viewTime(now);
      expect(now - shown).toBeGreaterThanOrEqual(playout.delayMs - 1);
      expect(now - shown).toBeLessThan(playout.delayMs + 1);
      expect(playout.viewTime(now + 100) - shown).toBeCloseTo(100, 0);
    }
  });
});

describe('where', () => {
  it('[SY33] with the velocity sent, an even acceleration is drawn exactly, between snapshots too', () => {
    const scene = new Scene((t) => ({ x: 100 * t * t, vx: Math.round(200 * t), plain: 100 * t * t }));
    const frames = scene.play(2_000).filter(({ now }) => now > 500);
    const worst = (pick: (frame: (typeof frames)[number]) => number): number =>
      Math.max(...frames.map((frame) => Math.abs(pick(frame) - 100 * (frame.at / 1_000) ** 2)));
    expect(worst(({ x }) => x)).toBeLessThan(1 / 16 + 0.01);
    // The chord of a linear field is off by a * dt^2 / 8 in the middle.
    expect(worst(({ plain }) => plain)).toBeGreaterThan(0.05);
    expect(worst(({ plain }) => plain)).toBeLessThan((200 * 0.05 ** 2) / 8 + 1 / 16 + 0.01);
  });

  it('[SY34] past the newest snapshot things go on for a bounded time, then stand', () => {
    const scene = new Scene((t) => ({ x: 200 * t, vx: 200, plain: 200 * t }));
    scene.play(1_000);
    const newest = scene.time;
    const frames = scene.play(2_500, () => true);
    const truth = (at: number): number => 0.2 * Math.min(at, newest + EXTRAPOLATE_MS);
    for (const { at, x, plain } of frames) {
      expect(Math.abs(x - truth(at))).toBeLessThan(0.5);
      expect(Math.abs(plain - truth(at))).toBeLessThan(0.5);
    }
    const last = frames.at(-1)!;
    expect(last.at).toBeGreaterThan(newest + EXTRAPOLATE_MS + 500);
    expect(last.x).toBeCloseTo(0.2 * (newest + EXTRAPOLATE_MS), 0);
  });

  it('[SY35] a teleport is never drawn as a path', () => {
    const scene = new Scene((t) =>
      t < 1 ? { x: 100 * t, vx: 100, plain: 100 * t } : { x: 5_000 + 100 * (t - 1), vx: 100, plain: 5_000 + 100 * (t - 1) },
    );
    const before = scene.play(1_000);
    scene.owner.ship.teleport();
    const after = scene.play(1_500);
    for (const { x, plain } of [...before, ...after]) for (const value of [x, plain]) expect(value < 110 || value >= 4_999).toBe(true);
    expect(after.at(-1)!.x).toBeGreaterThan(5_000);
  });

  it('[SY36] what arrives late is glided to: no jump, and half of the error is gone every 50 ms', () => {
    // A turn that the viewer cannot foresee, during a loss of three snapshots.
    const scene = new Scene((t) => (t < 1 ? { x: 400 * t, vx: 400 } : { x: 400 - 400 * (t - 1), vx: -400 }));
    const frames = scene.play(1_600, (tick) => tick >= 20 && tick <= 23);
    const steps = frames.slice(1).map((frame, i) => ({ now: frame.now, step: Math.abs(frame.x - frames[i]!.x) }));
    const biggest = Math.max(...steps.filter(({ now }) => now > 300).map(({ step }) => step));
    const errorAt = (now: number): number => {
      const frame = frames.find((each) => each.now >= now)!;
      return Math.abs(frame.x - (frame.at < 1_000 ? 0.4 * frame.at : 400 - 0.4 * (frame.at - 1_000)));
    };
    const late = 24 * INTERVAL + TRANSIT;
    expect(errorAt(late - 1)).toBeGreaterThan(20);
    // Moving 0.4 a ms by itself, and an error of that size fades by at most 1.4 % of it a ms.
    expect(biggest).toBeLessThan(0.4 * 1.05 + 0.015 * errorAt(late) + 0.5);
    expect(errorAt(late + 50) / errorAt(late)).toBeGreaterThan(0.3);
    expect(errorAt(late + 50) / errorAt(late)).toBeLessThan(0.7);
    expect(errorAt(late + 300)).toBeLessThan(2);
  });

  it('[SY37] a thing at rest stands still, and does not seem to have crept when it starts', () => {
    const still = (t: number): Partial<Values> => ({ plain: t < 0.5 ? 100 * t : t < 1.5 ? 50 : 50 + 300 * (t - 1.5) });
    const scene = new Scene(still);
    const frames = scene.play(2_000);
    for (const { at, plain } of frames) if (at > 800 && at <= 1_500) expect(Math.abs(plain - 50)).toBeLessThan(0.5);
    const last = frames.at(-1)!;
    expect(last.plain).toBeCloseTo(50 + 0.3 * (last.at - 1_500), 0);
  });

  it('[SY38] an angle turns the short way', () => {
    const scene = new Scene((t) => ({ aim: (2 * Math.PI + 0.5 - t) % (2 * Math.PI) }));
    const frames = scene.play(1_000).filter(({ now }) => now > 200);
    for (const { at, aim } of frames) {
      const off = aim - (0.5 - at / 1_000);
      expect(Math.abs(Math.atan2(Math.sin(off), Math.cos(off)))).toBeLessThan(0.02);
    }
  });

  it('[SY36] what is given away is not drawn back where it was a moment ago: it glides into the view of what others move', async () => {
    const pitch = defineGame({
      id: 'pitch',
      version: 1,
      entities: { ball: entity({ authority: 'distributed', rate: 60, fields: { x: s.num({ min: 0, max: 100_000, step: 1 / 16 }).lerp('linear') } }) },
    });
    for (const latencyMs of [2, 20, 60]) {
      const { hub, rooms } = await openRooms(pitch, 3, { latencyMs });
      const ball = rooms[0]!.entities.spawn('ball', { x: 0 });
      // Whoever has it moves it, 300 units a second.
      for (const room of rooms) room.clock.every(60, () => [...room.entities.mine('ball')].forEach((mine) => (mine.x += 5)));
      await hub.play(500);
      const seen = rooms.map((room) => room.entities.get('ball', ball.id)!);
      let before = seen.map(({ view }) => view.x);
      for (let i = 0; i < 200; i++) {
        await hub.play(4, 4);
        if (i === 50) void seen[1]!.requestAuthority();
        const now = seen.map(({ view }) => view.x);
        for (const k of [0, 2]) {
          expect(now[k]! - before[k]!, `${latencyMs} ms, ${k}, ${i}`).toBeGreaterThanOrEqual(-1);
          expect(now[k]! - before[k]!, `${latencyMs} ms, ${k}, ${i}`).toBeLessThanOrEqual(5.1);
        }
        before = now;
      }
      expect([seen[0]!.mine, seen[1]!.mine]).toEqual([false, true]);
      // And in the end it is drawn where it was at the time that is shown.
      for (const k of [0, 2]) expect(Math.abs(before[k]! - seen[k]!.at(seen[k]!.viewTime)!.x)).toBeLessThan(0.5);
    }
  });

  it('[SY36] what is taken on its way is drawn without a leap, whoever of the three is far from whom, and its past has none that was not', async () => {
    for (const mode of ['linear', 'hermite'] as const)
      for (const [far, near] of [
        [0, 1],
        [0, 2],
        [1, 2],
      ] as const) {
        const lane = defineGame({
          id: 'lane',
          version: 1,
          entities: {
            ball: entity({
              authority: 'distributed',
              transfer: 'take',
              rate: 60,
              fields: { x: s.num({ min: 0, max: 100_000, step: 1 / 16 }).lerp(mode) },
            }),
          },
        });
        const { hub, rooms } = await openRooms(lane, 3);
        const { send } = MemoryRoomPort.prototype;
        const spied = vi.spyOn(MemoryRoomPort.prototype, 'send').mockImplementation(function (
          this: MemoryRoomPort,
          ...args: Parameters<typeof send>
        ) {
          const isFar = [far, near].every((k) => [this.self, args[1]].includes(rooms[k]!.self.id));
          hub.latencyMs = isFar ? 60 : 5;
          return send.apply(this, args);
        });
        const ball = rooms[0]!.entities.spawn('ball', { x: 100 });
        // Whoever has it moves it, 300 units a second.
        for (const room of rooms) room.clock.every(60, () => [...room.entities.mine('ball')].forEach((mine) => (mine.x += 5)));
        await hub.play(1_000);
        const seen = rooms.map((room) => room.entities.get('ball', ball.id)!);
        const began = rooms[0]!.clock.now();
        let before = seen.map(({ view }) => view.x);
        let own = [0, 1];
        for (let i = 0; i < 100; i++) {
          await hub.play(4, 4);
          if (i === 20) void seen[1]!.requestAuthority();
          const now = seen.map(({ view }) => view.x);
          const others = [0, 1, 2].filter((k) => !own.includes(k));
          own = [0, 1].filter((k) => k === 1 || seen[k]!.mine);
          // At 1.2 units a picture.
          for (const k of others) {
            expect(now[k]! - before[k]!, `${mode} ${far} ${near}, ${k}, ${i}`).toBeGreaterThanOrEqual(-1);
            expect(now[k]! - before[k]!, `${mode} ${far} ${near}, ${k}, ${i}`).toBeLessThanOrEqual(2.4);
          }
          before = now;
        }
        expect(seen.map(({ mine }) => mine)).toEqual([false, true, false]);
        // Whoever was near the one who took it heard of each place: the last of the first and the first of the next owner.
        if (far === 0 && near === 2)
          for (let time = began; time < began + 300; time += 7) expect(Math.abs(seen[2]!.at(time)!.x - seen[1]!.at(time)!.x)).toBeLessThan(0.1);
        spied.mockRestore();
      }
  });

  it('[SY115] what is granted on its way goes on for everybody until its new owner’s word is there, and what rests goes on resting', async () => {
    const lane = defineGame({
      id: 'granted',
      version: 1,
      entities: {
        ball: entity({ authority: 'distributed', rate: 60, fields: { x: s.num({ min: 0, max: 100_000, step: 1 / 16 }).lerp('linear') } }),
        // By which its former owner goes on to say something.
        beat: entity({ authority: 'spawner', rate: 60, fields: { n: s.u16() } }),
      },
    });
    for (const latencyMs of [5, 20, 40])
      for (const speed of [5, 0]) {
        const { hub, rooms } = await openRooms(lane, 3, { latencyMs });
        const ball = rooms[0]!.entities.spawn('ball', { x: 100 });
        for (const room of rooms) {
          const own = room.entities.spawn('beat', { n: 0 });
          room.clock.every(60, (tick) => (own.n = tick % 1_000));
          room.clock.every(60, () => [...room.entities.mine('ball')].forEach((mine) => (mine.x += speed)));
        }
        await hub.play(1_000);
        const seen = rooms.map((room) => room.entities.get('ball', ball.id)!);
        for (const next of [1, 0, 1]) {
          void seen[next]!.requestAuthority();
          const others = [2, 1 - next];
          const steps: number[][] = [[], []];
          let before = seen.map(({ view }) => view.x);
          for (let i = 0; i < 75; i++) {
            await hub.play(4, 4);
            const now = seen.map(({ view }) => view.x);
            for (const [j, k] of others.entries()) if (!seen[k]!.mine) steps[j]!.push(now[k]! - before[k]!);
            before = now;
          }
          // At 1.2 units a picture, less what the thing lost on its way to its new owner; who gave it away sees it fall back behind the present, too.
          const even = (speed * 60 * 4) / 1_000;
          const words = `${latencyMs} ms, ${speed}, ${next}`;
          expect(Math.min(...steps[0]!), words).toBeGreaterThanOrEqual(0.15 * even - 0.01);
          expect(Math.max(...steps[0]!), words).toBeLessThanOrEqual(1.15 * even + 0.01);
          expect(Math.min(...steps[1]!.slice(1)), words).toBeGreaterThanOrEqual(-0.01);
          expect(Math.max(...steps[1]!.slice(1)), words).toBeLessThanOrEqual(1.2 * even + 0.01);
        }
      }
  });

  it('[SY35] a teleport is no path either while the thing changes hands, and is drawn at another delay from then on', async () => {
    const rink = defineGame({
      id: 'rink',
      version: 1,
      entities: {
        puck: entity({
          authority: 'distributed',
          transfer: 'take',
          rate: 60,
          fields: { x: s.num({ min: 0, max: 100_000, step: 1 / 16 }).lerp('linear') },
        }),
      },
    });
    for (const latencyMs of [1, 20, 60]) {
      const { hub, rooms } = await openRooms(rink, 3, { latencyMs, jitterMs: latencyMs / 2, lossRatio: 0.15, seed: 2 });
      rooms[0]!.entities.spawn('puck', { x: 100 });
      // From 100 to 200, then from 1,000 to 1,100, and again.
      for (const room of rooms)
        room.clock.every(60, () => {
          for (const puck of room.entities.mine('puck')) {
            puck.x += 2;
            const next = puck.x > 1_100 ? 100 : puck.x > 200 && puck.x < 900 ? 1_000 : puck.x;
            if (next === puck.x) continue;
            puck.x = next;
            puck.teleport();
          }
        });
      await hub.play(1_000);
      const seen = rooms.map((room) => [...room.entities.all('puck')][0]!);
      for (let i = 0; i < 4_000; i++) {
        await hub.play(5);
        if (i % 90 === 0) void seen[(i / 90) % 2]!.requestAuthority();
        const { x } = seen[2]!.view;
        if (!(Math.min(Math.abs(x - 150), Math.abs(x - 1_050)) < 100)) expect.fail(`${latencyMs} ms, ${i}: ${x} is between the two`);
      }
    }
  });

  it('[SY109] nothing is drawn where its field cannot be, however it goes on past the newest snapshot or on its curve', async () => {
    const court = defineGame({
      id: 'court',
      version: 1,
      entities: {
        ball: entity({
          authority: 'spawner',
          rate: HZ,
          fields: {
            x: s.num({ min: -50, max: 50, step: 1 / 16 }).lerp('linear'),
            y: s.u8().lerp('hermite'),
            z: s.u32().lerp('linear'),
            turn: s.num({ min: -Math.PI, max: Math.PI, step: 1e-3 }).lerp('angle'),
            f: s.f32().lerp('linear'),
          },
        }),
      },
    });
    const { hub, rooms } = await openRooms(court, 2, { latencyMs: 5, lossRatio: 0.2, seed: 3 });
    const ball = rooms[0]!.entities.spawn('ball', { x: 0, y: 0, z: 0, turn: 0, f: 0 });
    using bouncing = rooms[0]!.clock.every(HZ, (tick) => {
      const share = Math.abs(((tick * 17) % 200) - 100) / 100;
      Object.assign(ball, {
        x: 100 * share - 50,
        y: Math.round(255 * share),
        z: Math.round(2 ** 31 * share),
        turn: (2 * share - 1) * Math.PI,
        f: share,
      });
    });
    void bouncing;
    await hub.play(1_000);
    const seen = rooms[1]!.entities.get('ball', ball.id)!;
    for (let i = 0; i < 2_000; i++) {
      await hub.play(5);
      for (const values of [seen.view, seen.at(rooms[1]!.clock.now() - 40)!]) {
        expectAtMost(Math.abs(values.x), 50);
        expectAtMost(Math.abs(values.y - 127.5), 127.5);
        expectAtMost(-values.z, 0);
        expectAtMost(Math.abs(values.turn), Math.PI);
      }
    }
  });

  it('[SY38] an angle that is a number from -pi to pi turns past its end as smoothly as elsewhere', async () => {
    const wheel = defineGame({
      id: 'wheel',
      version: 1,
      entities: {
        wheel: entity({ authority: 'spawner', rate: HZ, fields: { turn: s.num({ min: -Math.PI, max: Math.PI, step: 1e-4 }).lerp('angle') } }),
      },
    });
    for (const perS of [5, -5]) {
      const { hub, rooms } = await openRooms(wheel, 2, { latencyMs: 5 });
      const own = rooms[0]!.entities.spawn('wheel', { turn: 0 });
      using turning = rooms[0]!.clock.every(HZ, (_tick, time) => {
        const turn = (time * perS) / 1_000;
        own.turn = Math.atan2(Math.sin(turn), Math.cos(turn));
      });
      void turning;
      await hub.play(1_000);
      const seen = rooms[1]!.entities.get('wheel', own.id)!;
      let before = seen.view.turn;
      for (let i = 0; i < 1_000; i++) {
        await hub.play(5);
        const { turn } = seen.view;
        const step = Math.atan2(Math.sin(turn - before), Math.cos(turn - before));
        expect(Math.abs(step - perS / 200)).toBeLessThan(0.002);
        expect(Math.abs(turn)).toBeLessThanOrEqual(Math.PI);
        before = turn;
      }
    }
  });

  it('[SY26] what is drawn of an angle is in [0, 2 pi) as well, between snapshots, past the newest and gliding, and so is its past', () => {
    for (const perS of [7, -7]) {
      const scene = new Scene((t) => ({ aim: perS * t }));
      // A third of the snapshots is lost, and at last all of them.
      const frames = scene.play(4_000, (tick) => tick > 60 || tick % 3 === 1);
      const past = frames.map(({ now }) => scene.viewer.core!.at(now - 200) as Values | undefined);
      const aims = [...frames.map(({ aim }) => aim), ...past.flatMap((values) => (values === undefined ? [] : [values.aim]))];
      expect(aims.length).toBeGreaterThan(5_000);
      expect(Math.min(...aims)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...aims)).toBeLessThan(2 * Math.PI);
    }
    // However little is missing to a whole turn.
    for (const angle of [-1e-17, -5e-324, 2 * Math.PI, -2 * Math.PI, 1e6, -1e6]) {
      expect(turned(angle)).toBeGreaterThanOrEqual(0);
      expect(turned(angle)).toBeLessThan(2 * Math.PI);
    }
  });
});
