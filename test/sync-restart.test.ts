/** A host whose page is reloaded, or whose process starts anew: what was the host's is what it was, for everybody (SY88). */
import { describe, expect, it } from 'vitest';
import { holdings } from './sim/game-ledger.ts';
import { Den } from './sync-den.ts';

describe('a host that started anew', () => {
  it('[SY88] goes on with what it had last, whoever was away meanwhile and is just back, and nobody goes back to what was before', async () => {
    for (const kind of ['post', 'rock', 'sign', 'egg'] as const) {
      const den = new Den();
      const [ann, bob] = await den.open(2);
      for (const n of [1, 2]) den.spawn(ann!, kind, n);
      await den.hub.play(300);
      // Bob misses that the first has another value, that the second is gone, and that there is a third.
      den.cut(bob!, true);
      await den.hub.play(300);
      const [first, second] = [...ann!.entities.mine(kind)];
      first!.a = 10;
      second!.despawn();
      den.spawn(ann!, kind, 3);
      await den.hub.play(300);
      const eve = (await den.open(1)).at(-1)!;
      const seen: unknown[] = [];
      eve.entities.on(kind, { spawn: (one) => one.onChange('a', (value) => seen.push(value)) });
      eve.entities.on(kind, { despawn: (one) => seen.push(`lost ${one.a}`) });
      den.cut(bob!, false);
      const anew = await den.reload(ann!);
      await den.hub.play(3_000);
      expect([...anew.entities.mine(kind)].map(({ a }) => a).sort(), kind).toEqual([10, 3]);
      for (const room of [bob!, eve]) expect(holdings(room), kind).toEqual(holdings(anew));
      expect(seen, kind).toEqual([]);
    }
  });

  it('[SY88] is told of what it had by whoever there is, where nobody was there all along', async () => {
    const den = new Den();
    const [ann, bob] = await den.open(2);
    den.spawn(ann!, 'post', 1);
    await den.hub.play(300);
    den.cut(bob!, true);
    [...ann!.entities.mine('post')][0]!.a = 10;
    await den.hub.play(3_000);
    den.cut(bob!, false);
    const anew = await den.reload(ann!);
    await den.hub.play(3_000);
    expect([bob!, anew].map((room) => den.one(room, 'post').a)).toEqual([1, 1]);
    // Who comes later with what is older tells it nothing any more.
    expect(holdings(bob!)).toEqual(holdings(anew));
  });

  it('[SY88] [SY4] has all of it when its room opens and its duty begins, however long the way', async () => {
    for (const latencyMs of [2, 20, 60, 150]) {
      const den = new Den(latencyMs);
      const [ann, bob] = await den.open(3);
      den.spawn(ann!, 'post', 1);
      await den.hub.play(1_000);
      const duties: unknown[] = [];
      const opened = den.open(1, ann!.self.id, (room) =>
        room.whileHost(({ first }) => void duties.push([first, [...room.entities.mine('post')].length])),
      );
      await opened;
      await den.hub.play(1_000);
      expect(duties, `${latencyMs} ms`).toEqual([[false, 1]]);
      expect(den.one(bob!, 'post').a).toBe(1);
    }
  });

  it('[SY88] [SY52] opens as soon as all have told it, whichever lane is the slower one', async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const den = new Den(5, 80, seed);
      const [ann] = await den.open(4);
      den.spawn(ann!, 'post', 1);
      await den.hub.play(1_000);
      const began = den.hub.now();
      let [took, has] = [0, 0];
      await den.open(1, ann!.self.id, (room) => {
        took = den.hub.now() - began;
        has = [...room.entities.mine('post')].length;
      });
      expect(took, `seed ${seed}`).toBeLessThan(500);
      expect(has, `seed ${seed}`).toBe(1);
    }
  });
});
