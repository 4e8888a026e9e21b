/**
 * Maps of players in real pages: one comes with `npm start -- --map`, one is chosen in a page, and both are walls on the screen of the other
 * player, whose machine has neither file.
 */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connected, enterRoom, testUrl } from '../lab/chroma.ts';
import { openBrowser } from '../lab/page.ts';
import type { LabBrowser } from '../lab/page.ts';
import { gameUrl, repositoryRoot, startGame, until } from '../lab/process.ts';
import type { LabProcess } from '../lab/process.ts';

const shots = join(repositoryRoot, 'test/out');
const files = mkdtempSync(join(tmpdir(), 'lanista-maps-'));
const courtyard = join(repositoryRoot, 'demo-game/maps/courtyard.json');
const pillars = join(files, 'pillars.json');
const slit = '{ "name": "Slit", "walls": [[40, 20, 4, 4], [46, 20, 4, 4]] }';
const games: LabProcess[] = [];
const pages: Page[] = [];
const failures: string[] = [];
let browser: LabBrowser | undefined;

/** What a page plays on. */
const floorOf = (page: Page): Promise<{ phase: string; mapName: string; walls: number }> =>
  page.evaluate('(({ phase, mapName, walls }) => ({ phase, mapName, walls }))(chroma.state())');

/** The colour at a place of the arena, as the page shows it. */
async function colourAt(page: Page, x: number, y: number): Promise<number[]> {
  return page.evaluate(
    ([left, top]) => {
      const canvas = document.querySelector<HTMLCanvasElement>('#game canvas')!;
      const context = canvas.getContext('2d')!;
      return [...context.getImageData(Math.round((left! * canvas.width) / 1920), Math.round((top! * canvas.height) / 1080), 1, 1).data].slice(0, 3);
    },
    [x, y],
  );
}

const wallColour = [0x3a, 0x41, 0x7a];
const toast = (page: Page): Promise<string | null> => page.locator('.toast').textContent();

beforeAll(async () => {
  mkdirSync(shots, { recursive: true });
  writeFileSync(pillars, '{ "name": "Pillars", "walls": [[30, 25, 4, 4], [46, 25, 4, 4], [62, 25, 4, 4]] }');
  browser = await openBrowser(undefined);
  for (const [name, flags] of [
    ['Ann', ['--phones']],
    ['Bea', ['--map', courtyard]],
  ] as const) {
    const game = startGame(name, undefined, ['--interface', '127.0.0.1', ...flags]);
    games.push(game);
    const url = new URL(testUrl(await gameUrl(game), 'plain'));
    url.searchParams.set('seconds', '12');
    url.searchParams.set('room', `maps-${process.pid}`);
    const page = await browser.open(url.href, { width: 960, height: 540 });
    page.on('pageerror', (error) => failures.push(`${name}: ${error.message}`));
    pages.push(page);
    await connected(page);
  }
});

afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await Promise.all(games.map((game) => game[Symbol.asyncDispose]()));
});

/** Resolves when both pages are in a round on this map. */
const played = (mapName: string): Promise<true> =>
  until(`both to play on ${mapName}`, 60_000, async () => {
    const floors = await Promise.all(pages.map(floorOf));
    return floors.every((floor) => floor.phase === 'match' && floor.mapName === mapName) ? true : undefined;
  });

it('a map that came with --map is the next floor of both', async () => {
  const [ann, bea] = pages as [Page, Page];
  // One after the other: of two who press Play at once each founds a room, and which map comes first is a matter of whose goes on.
  await enterRoom(ann, 1);
  await enterRoom(bea, 2);
  await until('Bea to be told', 10_000, async () => ((await toast(bea)) === 'Your map “Courtyard” is next' ? true : undefined));

  await ann.locator('#map-file').setInputFiles({ name: 'slit.json', mimeType: 'application/json', buffer: Buffer.from(slit) });
  await until('Ann to be told what is wrong', 10_000, async () =>
    (await toast(ann)) === 'slit.json has a gap too narrow for a blob at cell 44, 20: leave 3 cells between walls, or none.' ? true : undefined,
  );
  await ann.screenshot({ path: join(shots, 'map-refused.png') });
  await ann.getByRole('button', { name: 'Settings' }).click();
  const [chooser] = await Promise.all([ann.waitForEvent('filechooser'), ann.getByRole('button', { name: 'Add a map…' }).click()]);
  await chooser.setFiles(pillars);
  await until('Ann to be told', 10_000, async () => ((await toast(ann)) === 'Your map “Pillars” comes after 1 other' ? true : undefined));
  expect(await ann.locator('.settings').isVisible()).toBe(false);

  await played('Courtyard');
  expect(await Promise.all(pages.map(floorOf))).toEqual(Array(2).fill({ phase: 'match', mapName: 'Courtyard', walls: 13 }));
  for (const page of pages) {
    expect(await colourAt(page, 960, 540), 'the block in the middle').toEqual(wallColour);
    expect(await colourAt(page, 960, 330), 'its door').not.toEqual(wallColour);
  }
  await ann.screenshot({ path: join(shots, 'map-courtyard.png') });
});

it('a map that was dropped on one page is the floor of the other', async () => {
  const [ann, bea] = pages as [Page, Page];
  // The same again, by the other way: it waits already.
  const dropped = await ann.evaluateHandle((text) => {
    const data = new DataTransfer();
    data.items.add(new File([text], 'pillars.json'));
    return data;
  }, '{ "walls": [[62, 25, 4, 4], [46, 25, 4, 4], [30, 25, 4, 4]], "name": "Pillars" }');
  await ann.dispatchEvent('#ui', 'dragover', { dataTransfer: dropped });
  expect(await ann.locator('body.dropping').count()).toBe(1);
  await ann.dispatchEvent('#ui', 'drop', { dataTransfer: dropped });
  expect(await ann.locator('body.dropping').count()).toBe(0);
  await until('Ann to be told', 10_000, async () => ((await toast(ann)) === 'Your map “Pillars” is next' ? true : undefined));
  await until('the scores to say so', 30_000, async () => {
    const words = await bea.evaluate(() => document.querySelector('.scores .next')?.textContent ?? '');
    return /^Next floor: Pillars, in \d+$/u.test(words) ? true : undefined;
  });
  await bea.screenshot({ path: join(shots, 'map-scores.png') });
  await played('Pillars');
  expect(await floorOf(bea)).toEqual({ phase: 'match', mapName: 'Pillars', walls: 3 });
  expect(await colourAt(bea, 640, 540)).toEqual(wallColour);
});

it('a phone that plays along brings a map, too', async () => {
  const [, bea] = pages as [Page, Page];
  const [, link] = (await games[0]?.waitFor(/play along at (http:\S+)/u, 10_000)) ?? [];
  const phone = await browser!.open(testUrl(link!, 'plain'), { width: 844, height: 390 }, true);
  phone.on('pageerror', (error) => failures.push(`phone: ${error.message}`));
  await connected(phone);
  await enterRoom(phone, 3);
  await until('the walls of the others', 5_000, async () => {
    const [its, others] = [await floorOf(phone), await floorOf(bea)];
    return its.walls > 0 && its.mapName === others.mapName ? true : undefined;
  });
  await phone.getByRole('button', { name: 'Settings' }).tap();
  const [chooser] = await Promise.all([phone.waitForEvent('filechooser'), phone.getByRole('button', { name: 'Add a map…' }).tap()]);
  await chooser.setFiles({
    name: 'posts.json',
    mimeType: 'application/json',
    buffer: Buffer.from('{ "name": "Posts", "walls": [[30, 26, 1, 1], [66, 26, 1, 1]] }'),
  });
  await until('the phone to be told', 10_000, async () => ((await toast(phone)) === 'Your map “Posts” is next' ? true : undefined));
  await played('Posts');
  expect((await floorOf(phone)).mapName).toBe('Posts');
  await phone.screenshot({ path: join(shots, 'map-phone.png') });
});

it('a page that is reloaded in the middle plays on with the same walls', async () => {
  const [ann, bea] = pages as [Page, Page];
  await ann.reload({ waitUntil: 'domcontentloaded' });
  await connected(ann);
  await until('the walls', 15_000, async () => {
    const [hers, others] = [await floorOf(ann), await floorOf(bea)];
    return hers.mapName === others.mapName && hers.walls === others.walls && hers.walls > 0 ? true : undefined;
  });
  expect(failures, 'no page threw').toEqual([]);
});
