/**
 * Two players on one machine: two processes of the game on loopback, two Chromium contexts, the real
 * page. They find each other, move, paint, and a reloaded page gets its seat back.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { chromaState, connected, enterRoom, floorHash, press, testUrl } from '../lab/chroma.ts';
import { openBrowser } from '../lab/page.ts';
import type { LabBrowser } from '../lab/page.ts';
import { gameUrl, repositoryRoot, sleep, startGame, until } from '../lab/process.ts';
import type { LabProcess } from '../lab/process.ts';

const shots = join(repositoryRoot, 'test/out');
const loopback = ['--interface', '127.0.0.1'];
const games: LabProcess[] = [];
const pages: Page[] = [];
const failures: string[] = [];
let browser: LabBrowser | undefined;

beforeAll(async () => {
  mkdirSync(shots, { recursive: true });
  browser = await openBrowser(undefined);
  for (const name of ['Ann', 'Bea']) {
    const game = startGame(name, undefined, loopback);
    games.push(game);
    const page = await browser.open(testUrl(await gameUrl(game), 'full'), { width: 960, height: 540 });
    page.on('pageerror', (error) => failures.push(`${name}: ${error.message}`));
    pages.push(page);
  }
});

afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await Promise.all(games.map((game) => game[Symbol.asyncDispose]()));
});

function page(index: number): Page {
  const found = pages[index];
  if (found === undefined) throw new Error(`page ${index} did not open`);
  return found;
}

it('find each other after Play', async () => {
  await Promise.all(pages.map((one) => connected(one)));
  await sleep(1500);
  await page(0).screenshot({ path: join(shots, 'home.png') });
  await Promise.all(pages.map((one) => enterRoom(one, 2, 30_000)));
  const states = await Promise.all(pages.map(chromaState));
  expect(states.map((state) => state.slot).toSorted((a, b) => a - b)).toEqual([0, 1]);
  expect(states.filter((state) => state.host)).toHaveLength(1);
});

it('move, paint, and see the same floor', async () => {
  await until('the round to begin', 20_000, async () =>
    (await Promise.all(pages.map(chromaState))).every((state) => state.phase === 'match') ? true : undefined,
  );
  const before = await Promise.all(pages.map(chromaState));
  const blank = await floorHash(page(0));
  for (let step = 0; step < 10; step += 1) {
    await Promise.all(pages.map((one, index) => press(one, { x: Math.cos(step / 2 + index * 3), y: Math.sin(step / 2 + index * 3), fire: true })));
    await sleep(400);
  }
  // A phone that is turned and turned back; what a page throws fails the last test.
  for (const size of [
    { width: 390, height: 844 },
    { width: 844, height: 390 },
    { width: 960, height: 540 },
  ])
    await page(1).setViewportSize(size);
  await page(0).screenshot({ path: join(shots, 'match.png') });
  await Promise.all(pages.map((one) => press(one, { x: 0, y: 0, fire: false })));
  const after = await Promise.all(pages.map(chromaState));
  for (const [index, state] of after.entries()) {
    expect(Math.hypot(state.x - (before[index]?.x ?? 0), state.y - (before[index]?.y ?? 0))).toBeGreaterThan(5);
  }
  const hash = await until(
    'equal floors',
    10_000,
    async () => {
      const [a, b] = await Promise.all(pages.map(floorHash));
      return a === b ? a : undefined;
    },
    200,
  );
  expect(hash).not.toBe(blank);
});

it('a reloaded page gets its seat and its floor back', async () => {
  const before = await chromaState(page(1));
  await page(1).reload({ waitUntil: 'domcontentloaded' });
  await connected(page(1));
  await until('the seat', 15_000, async () => {
    const state = await chromaState(page(1));
    return state.slot >= 0 && state.players === 2 ? true : undefined;
  });
  expect((await chromaState(page(1))).slot).toBe(before.slot);
  expect((await chromaState(page(0))).players).toBe(2);
  await until(
    'equal floors after the reload',
    20_000,
    async () => {
      const [a, b] = await Promise.all(pages.map(floorHash));
      return a === b ? true : undefined;
    },
    200,
  );
});

it('a player asks the doctor and reads what is the matter', async () => {
  await page(0).getByRole('button', { name: 'Settings' }).click();
  await page(0).getByRole('button', { name: 'Check this network' }).click();
  await page(0).getByRole('button', { name: 'Check again' }).waitFor({ timeout: 30_000 });
  const words = (await page(0).locator('.settings .checks').textContent()) ?? '';
  // On loopback there is one thing to say, and it comes with what to do.
  expect(words).toContain('Only loopback is in use');
  expect(words).toContain('Connect to a network to play with other machines.');
  expect(words).toMatch(/\d+ things are fine/u);
  await page(0).screenshot({ path: join(shots, 'doctor.png') });
  await page(0).getByRole('button', { name: 'Settings' }).click();
});

it('Ctrl-C leaves gracefully and ends with 0', async () => {
  expect(await games[1]?.stop(5000)).toBe(0);
  await until('one player left', 5000, async () => ((await chromaState(page(0))).players === 1 ? true : undefined));
  expect(failures, 'no page threw').toEqual([]);
});
