/** Map files of the demo: what is read and what is refused, in which words, and that what is read can be played. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blobRadius, cellSize, gridHeight, gridWidth, insideWall, maps, startPosition, worldHeight, worldWidth } from '../demo-game/rules/arena.ts';
import type { ArenaMap } from '../demo-game/rules/arena.ts';
import { footingOf } from '../demo-game/rules/footing.ts';
import { encodeMap, mapFrom, maxMapBytes, maxWalls, readMap } from '../demo-game/rules/map-file.ts';
import { keepOutside } from '../demo-game/rules/movement.ts';

const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const problemOf = (value: unknown): string | undefined => readMap(bytesOf(value)).problem;

/** Walls whose gaps are four cells wide or none, so that many of them make maps. */
const roomyWall = fc
  .tuple(fc.nat(23), fc.nat(12), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 4 }))
  .map(([x, y, width, height]) => [x * 4, y * 4, Math.min(width * 4, gridWidth - x * 4), Math.min(height * 4, gridHeight - y * 4)] as const);
const roomyWalls = fc.array(roomyWall, { maxLength: 24 });

/** Maps that can be played, and many that nearly can. */
const played = roomyWalls.map((walls) => readMap(bytesOf({ name: 'Any', walls })).map).filter((map) => map !== undefined);

const example = readFileSync(new URL('../demo-game/maps/courtyard.json', import.meta.url));

describe('a map file', () => {
  it('is what the examples say, and every map of the game', () => {
    expect(readMap(example).map).toMatchObject({ name: 'Courtyard', walls: { length: 13 } });
    const [, readme] = /```json\n(.*?)```/su.exec(readFileSync(new URL('../README.md', import.meta.url), 'utf8')) ?? [];
    expect(readMap(bytesOf(readme ?? '')).map).toMatchObject({ name: 'Gate', walls: { length: 2 } });
    for (const map of maps) expect(readMap(encodeMap(map)).map, map.name).toEqual(map);
  });

  it('is the same bytes for the same map, however it was written', () => {
    fc.assert(
      fc.property(
        roomyWalls.chain((walls) => fc.tuple(fc.constant(walls), fc.shuffledSubarray(walls, { minLength: walls.length, maxLength: walls.length }))),
        ([walls, shuffled]) => {
          const { map } = readMap(bytesOf({ name: 'Any', walls }));
          const again = readMap(
            bytesOf(`\n${JSON.stringify({ by: 'Ann', walls: [...shuffled, ...walls].slice(0, maxWalls), name: 'Any' }, null, 4)}`),
          ).map;
          expect(again).toEqual(map);
          if (map !== undefined) expect(readMap(encodeMap(map)).map).toEqual(map);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('is refused in words that help whoever wrote it', () => {
    const walls = [[44, 24, 8, 6]];
    expect(problemOf({ name: 'Fine', walls })).toBeUndefined();
    for (const [value, words] of [
      ['{ "name": "Torn", "walls": [[', /is no map: it should be JSON/u],
      ['null', /is no map/u],
      ['"walls"', /is no map/u],
      ['[]', /needs a "name"/u],
      [{ walls }, /needs a "name"/u],
      [{ name: '', walls }, /"name" of 1 to 24/u],
      [{ name: ' ', walls }, /"name"/u],
      [{ name: 'x'.repeat(25), walls }, /"name"/u],
      [{ name: 'two\nlines', walls }, /"name"/u],
      [{ name: 'turned \u202Earound', walls }, /"name"/u],
      [{ name: 'half \uD83C', walls }, /"name"/u],
      [{ name: 'None' }, /needs "walls"/u],
      [{ name: 'None', walls: { length: 1e9 } }, /needs "walls"/u],
      [{ name: 'Many', walls: Array(65).fill([44, 24, 8, 6]) }, /has 65 walls, and may have 64/u],
      [
        {
          name: 'Flat',
          walls: [
            [44, 24, 8, 6],
            [44, 24, 8, 0],
          ],
        },
        /number 2, that has no size/u,
      ],
      [{ name: 'Half', walls: [[44.5, 24, 8, 6]] }, /number 1, that is not \[x, y, width, height\] in whole cells/u],
      [{ name: 'Long', walls: [[44, 24, 8, 6, 1]] }, /is not \[x/u],
      [{ name: 'Text', walls: ['4428'] }, /is not \[x/u],
      [{ name: 'Out', walls: [[90, 24, 7, 6]] }, /leaves the floor of 96 x 54 cells/u],
      [{ name: 'Out', walls: [[-1, 24, 7, 6]] }, /leaves the floor/u],
      [{ name: 'Huge', walls: [[1e300, 24, 7, 6]] }, /leaves the floor/u],
      [{ name: 'Full', walls: [[0, 0, 96, 40]] }, /leaves 25 % of the floor open/u],
      [{ name: 'Start', walls: [[0, 20, 96, 4]] }, /has a wall where a player starts, near cell/u],
      [
        {
          name: 'Slit',
          walls: [
            [40, 20, 4, 4],
            [46, 20, 4, 4],
          ],
        },
        /gap too narrow for a blob at cell 44, 20/u,
      ],
      [{ name: 'Edge', walls: [[44, 2, 8, 2]] }, /gap too narrow/u],
      [{ name: 'Halves', walls: [[44, 0, 2, 54]] }, /cuts the floor in parts/u],
      [
        {
          name: 'Cell',
          walls: [
            [30, 20, 16, 2],
            [30, 32, 16, 2],
            [30, 22, 2, 10],
            [44, 22, 2, 10],
          ],
        },
        /cuts the floor in parts/u,
      ],
    ] as const)
      expect(problemOf(value) ?? 'none', JSON.stringify(value).slice(0, 80)).toMatch(words);
    expect(readMap(new Uint8Array(maxMapBytes + 1).fill(32)).problem).toBe('is larger than 16 KiB');
    expect(readMap(Uint8Array.of(0x22, 0xff, 0x22)).problem).toMatch(/is no map/u);
  });

  it('is taken at its bounds: 64 walls, 24 letters of any script, a byte order mark', () => {
    const walls = Array.from({ length: maxWalls }, (_, i) => [28 + (i % 8) * 5, 13 + Math.floor(i / 8) * 4, 1, 1]);
    expect(problemOf({ name: '迷'.repeat(24), walls })).toBeUndefined();
    expect(readMap(Uint8Array.of(0xef, 0xbb, 0xbf, ...example)).map?.name).toBe('Courtyard');
    // Three cells are a way.
    expect(
      problemOf({
        name: 'Way',
        walls: [
          [40, 20, 4, 4],
          [47, 20, 4, 4],
        ],
      }),
    ).toBeUndefined();
  });

  it('throws at no bytes, and takes none for long', () => {
    const text = fc.oneof(
      fc.json(),
      fc.string({ unit: 'binary' }),
      fc.constant('['.repeat(maxMapBytes)),
      fc.constant(`{"walls":[${'[],'.repeat(5000)}[]]}`),
    );
    const odd = fc.record({ name: fc.anything(), walls: fc.oneof(fc.anything(), fc.array(fc.anything())) }).map((value) => {
      try {
        return JSON.stringify(value) ?? '';
      } catch {
        return '';
      }
    });
    const any = fc.oneof(fc.uint8Array({ maxLength: 600 }), text.map(bytesOf), odd.map(bytesOf));
    const mostMs = { read: 0 };
    fc.assert(
      fc.property(any, (bytes) => {
        const before = performance.now();
        const read = readMap(bytes);
        mostMs.read = Math.max(mostMs.read, performance.now() - before);
        expect(Object.keys(read)).toHaveLength(1);
      }),
      { numRuns: 400 },
    );
    expect(mostMs.read).toBeLessThan(500);
  });

  it('that is read has its walls on the floor, and every start free', () => {
    const wall = fc.tuple(
      fc.integer({ min: -3, max: 99 }),
      fc.integer({ min: -3, max: 57 }),
      fc.integer({ min: -1, max: 30 }),
      fc.integer({ min: -1, max: 20 }),
    );
    fc.assert(
      fc.property(fc.oneof(fc.array(wall, { maxLength: 6 }), roomyWalls), (walls) => {
        const { map } = readMap(bytesOf({ name: 'Any', walls }));
        for (const { x, y, width, height } of map?.walls ?? []) {
          for (const value of [x, y, width, height]) expect(value % cellSize === 0 && !Object.is(value, -0)).toBe(true);
          expect(x >= 0 && y >= 0 && width > 0 && height > 0 && x + width <= worldWidth && y + height <= worldHeight).toBe(true);
        }
        for (let slot = 0; map !== undefined && slot < 32; slot++)
          expect(keepOutside({ ...startPosition(slot), vx: 0, vy: 0 }, blobRadius, map)).toBe(false);
      }),
      { numRuns: 200 },
    );
  });
});

describe('a blob on any map', () => {
  /** How far it is from the nearest wall. */
  const room = (map: ArenaMap, x: number, y: number): number =>
    Math.min(
      ...map.walls.map((wall) => Math.hypot(Math.max(wall.x - x, x - wall.x - wall.width, 0), Math.max(wall.y - y, y - wall.y - wall.height, 0))),
    );

  it('comes out of walls that appear around it, and stays out', () => {
    fc.assert(
      fc.property(played, fc.integer({ min: 0, max: worldWidth }), fc.integer({ min: 0, max: worldHeight }), (map, x, y) => {
        const body = { x, y, vx: 0, vy: 0 };
        for (let step = 0; step < 4; step++) keepOutside(body, blobRadius, map);
        expect(insideWall(map, body.x, body.y)).toBe(false);
        for (let step = 0; step < 6; step++) keepOutside(body, blobRadius, map);
        if (map.walls.length > 0) expect(room(map, body.x, body.y)).toBeGreaterThan(blobRadius - 1e-6);
      }),
      { numRuns: 300 },
    );
  });

  it('leaves a thick wall at the rim, and one that lies against another', () => {
    const map = mapFrom('Thick', [
      [0, 20, 4, 14],
      [40, 20, 4, 4],
      [44, 20, 4, 4],
    ]);
    for (const [x, y] of [
      [30, 500],
      [875, 440],
      [885, 440],
    ] as const) {
      const body = { x, y, vx: 0, vy: 0 };
      for (let step = 0; step < 3; step++) keepOutside(body, blobRadius, map);
      expect(insideWall(map, body.x, body.y), `from ${x}, ${y}`).toBe(false);
    }
  });

  it('reaches from its start every place where it fits', () => {
    const map = maps[0]!;
    const footing = footingOf(map);
    expect(footingOf(map)).toBe(footing);
    expect([footing.isOne(), footing.fitsAt(960, 540), footing.fitsAt(20, 500), footing.covers(0, 0), footing.covers(47, 26)]).toEqual([
      true,
      false,
      false,
      true,
      false,
    ]);
  });

  it('is put to the nearest floor of all, in no time', () => {
    const wide = mapFrom('Wide', [[20, 16, 56, 24]]);
    const footing = footingOf(wide);
    const places = Array.from({ length: 193 * 109 }, (_, i) => ({ x: (i % 193) * 10, y: Math.floor(i / 193) * 10 })).filter(({ x, y }) =>
      footing.fitsAt(x, y),
    );
    fc.assert(
      fc.property(fc.integer({ min: 0, max: worldWidth }), fc.integer({ min: 0, max: worldHeight }), (x, y) => {
        const near = footing.nearest(x, y);
        expect(footing.fitsAt(near.x, near.y)).toBe(true);
        expect(Math.hypot(near.x - x, near.y - y)).toBe(Math.min(...places.map((place) => Math.hypot(place.x - x, place.y - y))));
      }),
      { numRuns: 30 },
    );
    const before = performance.now();
    for (let i = 0; i < 100; i++) footing.nearest(960, 560);
    // It takes about 0.1 ms, in the middle of the widest wall there may be.
    expect(performance.now() - before).toBeLessThan(300);
  });
});
