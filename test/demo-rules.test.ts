/**
 * The rules of the demo game, without a network: floors that do not care about order, paint that
 * survives its encoding, blobs that stay out of walls, shots that hit what they saw.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blobRadius, cellCount, insideWall, maps, startPosition, wallMask, worldHeight, worldWidth } from '../demo-game/rules/arena.ts';
import { createMind, think } from '../demo-game/rules/bots.ts';
import { chunkBytes, chunkCount, Floor } from '../demo-game/rules/floor.ts';
import type { Stroke } from '../demo-game/rules/floor.ts';
import { freeHue, paintOf } from '../demo-game/rules/game.ts';
import { keepOutside, moveBody } from '../demo-game/rules/movement.ts';
import { leader, standings, winners } from '../demo-game/rules/scoring.ts';
import { flightRange, History, judgeHit, shotAt, shotRange, shotSpeed } from '../demo-game/rules/shots.ts';
import { decodeBatch, encodeBatch, maxBatch } from '../demo-game/rules/strokes.ts';

const stroke: fc.Arbitrary<Stroke> = fc.record({
  x: fc.integer({ min: 0, max: worldWidth * 16 }),
  y: fc.integer({ min: 0, max: worldHeight * 16 }),
  radius: fc.integer({ min: 1, max: 255 }),
  // Few times and painters, so that equal times are common.
  time: fc.integer({ min: 1000, max: 1040 }),
  who: fc.integer({ min: 0, max: 4 }),
  paint: fc.integer({ min: 1, max: 8 }),
});

function painted(strokes: readonly Stroke[]): Floor {
  const floor = new Floor();
  for (const one of strokes) floor.stroke(one);
  return floor;
}

const everyChunk = Array.from({ length: chunkCount }, (_, chunk) => chunk);

describe('floor', () => {
  it('is the same whatever the order of the strokes', () => {
    fc.assert(
      fc.property(
        fc
          .array(stroke, { maxLength: 80 })
          .chain((strokes) => fc.tuple(fc.constant(strokes), fc.shuffledSubarray(strokes, { minLength: strokes.length, maxLength: strokes.length }))),
        ([strokes, shuffled]) => {
          expect(painted(shuffled).hash()).toBe(painted(strokes).hash());
        },
      ),
      { numRuns: 100 },
    );
  });

  it('takes a stroke twice as once', () => {
    fc.assert(
      fc.property(fc.array(stroke, { maxLength: 30 }), (strokes) => painted([...strokes, ...strokes]).hash() === painted(strokes).hash()),
      { numRuns: 50 },
    );
  });

  it('begins a round at the same floor, whether the strokes or the round came first', () => {
    fc.assert(
      fc.property(fc.array(stroke, { maxLength: 40 }), fc.integer({ min: 1000, max: 1040 }), (strokes, since) => {
        const late = painted(strokes.filter((one) => one.time >= since));
        const early = new Floor();
        early.startAt(since);
        for (const one of strokes) early.stroke(one);
        expect(early.hash()).toBe(late.hash());
      }),
      { numRuns: 50 },
    );
  });

  it('merges chunks of two halves into one floor, from either side', () => {
    fc.assert(
      fc.property(fc.array(stroke, { maxLength: 30 }), fc.array(stroke, { maxLength: 30 }), (ours, theirs) => {
        const left = painted(ours);
        const right = painted(theirs);
        const fromLeft = left.encodeChunks(everyChunk);
        const fromRight = right.encodeChunks(everyChunk);
        expect(left.mergeChunks(fromRight, 5000)).toBeDefined();
        expect(right.mergeChunks(fromLeft, 5000)).toBeDefined();
        expect(left.hash()).toBe(right.hash());
        expect(left.hash()).toBe(painted([...ours, ...theirs]).hash());
      }),
      { numRuns: 50 },
    );
  });

  it('keeps every chunk within its bound', () => {
    fc.assert(
      fc.property(fc.array(stroke, { maxLength: 60 }), (strokes) => {
        const floor = painted(strokes);
        for (const chunk of everyChunk) expect(floor.encodeChunks([chunk]).length).toBeLessThanOrEqual(chunkBytes);
      }),
      { numRuns: 30 },
    );
  });

  it('applies nothing of bytes that are not chunks, and throws at none', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const floor = new Floor();
        if (floor.mergeChunks(bytes, 5000) === undefined) expect(floor.hash()).toBe(new Floor().hash());
      }),
      { numRuns: 500 },
    );
  });

  it('refuses cells from the future', () => {
    const floor = painted([{ x: 8000, y: 8000, radius: 60, time: 9000, who: 1, paint: 2 }]);
    const other = new Floor();
    expect(other.mergeChunks(floor.encodeChunks(everyChunk), 8999)).toBe(0);
  });

  it('leaves young cells out of the hashes of chunks', () => {
    const old = { x: 1000, y: 1000, radius: 60, time: 1000, who: 1, paint: 2 };
    const young = { x: 1000, y: 1000, radius: 30, time: 2000, who: 2, paint: 3 };
    expect(painted([old]).chunkHash(0, 1500)).not.toBe(new Floor().chunkHash(0, 1500));
    expect(painted([old, young]).chunkHash(0, 1500)).toBe(painted([old, { ...young, paint: 5 }]).chunkHash(0, 1500));
  });
});

describe('strokes', () => {
  it('survive their encoding', () => {
    fc.assert(
      fc.property(fc.array(stroke, { minLength: 1, maxLength: maxBatch }), (strokes) => {
        const sorted = strokes.map((one) => ({ ...one, who: 3, paint: 4 })).sort((a, b) => a.time - b.time);
        const base = sorted[0]?.time ?? 0;
        expect(decodeBatch(encodeBatch(sorted, base), base, 3, 4)).toEqual(sorted);
      }),
    );
  });

  it('refuse torn batches', () => {
    expect(decodeBatch(new Uint8Array(8), 0, 0, 1)).toBeUndefined();
    expect(decodeBatch(new Uint8Array(7 * (maxBatch + 1)), 0, 0, 1)).toBeUndefined();
    expect(decodeBatch(new Uint8Array(7), 0, 0, 1)).toBeUndefined();
  });
});

describe('movement', () => {
  it('keeps blobs in the arena and out of walls, wherever they push', () => {
    fc.assert(
      fc.property(
        fc.nat(maps.length - 1),
        fc.nat(15),
        fc.array(fc.tuple(fc.float({ min: -1, max: 1, noNaN: true }), fc.float({ min: -1, max: 1, noNaN: true })), { maxLength: 60 }),
        (number, slot, moves) => {
          const map = maps[number]!;
          const body = { ...startPosition(slot), vx: 0, vy: 0 };
          for (const [x, y] of moves) for (let i = 0; i < 5; i++) moveBody(body, x, y, 900, 1 / 60, map);
          keepOutside(body, blobRadius, map);
          expect(insideWall(map, body.x, body.y)).toBe(false);
          expect(body.x).toBeGreaterThanOrEqual(blobRadius);
          expect(body.y).toBeLessThanOrEqual(worldHeight - blobRadius);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('starts every slot on open floor of every map', () => {
    for (const map of maps)
      for (let slot = 0; slot < 32; slot++)
        expect(insideWall(map, startPosition(slot).x, startPosition(slot).y), `${map.name}, slot ${slot}`).toBe(false);
  });
});

describe('shots', () => {
  it('fly their range and land', () => {
    const shot = { id: 1, who: 0, paint: 1, x: 100, y: 100, angle: 0, at: 0, range: 450 };
    expect(shotAt(shot, 100)).toEqual({ x: 100 + shotSpeed / 10, y: 100, landed: false });
    expect(shotAt(shot, 5000)).toEqual({ x: 550, y: 100, landed: true });
  });

  it('stop at walls and at the rim', () => {
    const map = maps[1]!;
    const wall = map.walls[0];
    if (wall === undefined) throw new Error('the map has a wall');
    expect(flightRange(map, wall.x - 200, wall.y + 10, 0)).toBeLessThanOrEqual(200);
    expect(flightRange(map, 100, 100, Math.PI)).toBeLessThanOrEqual(100);
    expect(flightRange(map, 400, 200, 0)).toBe(shotRange);
  });

  it('hit where the target was when it was seen, and not where it never was', () => {
    const history = new History();
    for (let time = 0; time <= 1000; time += 16) history.add({ time, x: time, y: 0 });
    expect(judgeHit(history, { at: 900, x: 800, y: 20 }, 1000)).toBe(true);
    expect(judgeHit(history, { at: 900, x: 800, y: 200 }, 1000)).toBe(false);
    expect(judgeHit(history, { at: 100, x: 100, y: 0 }, 1000)).toBe(false);
  });
});

describe('bots', () => {
  it('walk on, and stay on the floor', () => {
    const map = maps[0]!;
    const floor = new Floor();
    const body = { ...startPosition(0), vx: 0, vy: 0 };
    const mind = createMind(0);
    let seed = 1;
    const random = (): number => (seed = (seed * 16807) % 2147483647) / 2147483647;
    const seen = new Set<number>();
    for (let i = 0; i < 1200; i++) {
      const input = think(mind, body, 1, floor, map, [], i * 16, random);
      moveBody(body, input.moveX, input.moveY, 330, 1 / 60, map);
      floor.stroke({ x: Math.round(body.x * 16), y: Math.round(body.y * 16), radius: 34, time: i + 1, who: 64, paint: 1 });
      seen.add(Math.floor(body.x / 100) * 100 + Math.floor(body.y / 100));
    }
    expect(seen.size).toBeGreaterThan(15);
  });
});

describe('scores', () => {
  it('count every cell once, and none under walls', () => {
    const mask = wallMask(maps[0]!);
    const floor = painted([{ x: 15000, y: 8000, radius: 255, time: 1, who: 0, paint: 3 }]);
    const coverage = floor.coverage(mask);
    expect(coverage.reduce((sum, cells) => sum + cells, 0)).toBe(cellCount - mask.reduce((sum, cell) => sum + cell, 0));
    expect(leader(coverage)).toBe(3);
    expect(leader([10, 0, 0])).toBe(0);
  });

  it('put most floor first, and name everybody', () => {
    const table = standings(
      [50, 10, 40, 0],
      new Map([
        [1, ['Ann']],
        [2, ['Bo']],
        [3, ['Cy']],
      ]),
    );
    expect(table.map((line) => [line.paint, line.share, line.names[0]])).toEqual([
      [2, 0.4, 'Bo'],
      [1, 0.1, 'Ann'],
      [3, 0, 'Cy'],
    ]);
  });

  it('know a tie, and a floor on which nobody has painted', () => {
    const names = new Map([
      [1, ['Ann']],
      [2, ['Bo']],
      [3, ['Cy']],
    ]);
    const tie = standings([50, 20, 10, 20], names);
    expect(tie.map(({ rank, names: [name] }) => [rank, name])).toEqual([
      [1, 'Ann'],
      [1, 'Cy'],
      [3, 'Bo'],
    ]);
    expect(winners(tie).map(({ paint }) => paint)).toEqual([1, 3]);
    expect(winners(standings([50, 20, 10, 21], names)).map(({ paint }) => paint)).toEqual([3]);
    expect(winners(standings([100, 0, 0, 0], names))).toEqual([]);
  });

  it('give every player a paint of its own while there are any', () => {
    expect(freeHue(2, new Set([2, 3]))).toBe(4);
    expect(freeHue(7, new Set([7]))).toBe(0);
    expect(freeHue(1, new Set([0, 1, 2, 3, 4, 5, 6, 7]))).toBe(1);
    expect(paintOf(255)).toBe(8);
  });
});
