/**
 * The home screen and the controls, as hands meet them: a list that stays under the pointer, keys that do what they do on every page,
 * names of every script, and in the arena no key or button that is dead.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Lan } from 'lanista';
import { openLan } from 'lanista/node';
import { game as rules } from '../../demo-game/rules/game.ts';
import type { ChromaGame } from '../../demo-game/rules/game.ts';
import { chromaState, connected, testUrl } from '../lab/chroma.ts';
import { openBrowser } from '../lab/page.ts';
import type { LabBrowser } from '../lab/page.ts';
import { gameUrl, sleep, startGame, until } from '../lab/process.ts';
import type { LabProcess } from '../lab/process.ts';

const roomName = `home-${process.pid}`;
const lans: Lan<ChromaGame>[] = [];
const failures: string[] = [];
let game: LabProcess | undefined;
let browser: LabBrowser | undefined;
let page: Page;

async function friend(name: string): Promise<Lan<ChromaGame>> {
  const lan = await openLan(rules, {
    presence: { name },
    interfaces: ['127.0.0.1'],
    profile: false,
    discovery: { localDirectory: mkdtempSync(join(tmpdir(), 'lanista-e2e-')) },
  });
  lans.push(lan);
  return lan;
}

/** What the blob is told to do now. */
const input = (): Promise<{ moveX: number; moveY: number; aim: number; fire: boolean; dash: boolean }> =>
  page.evaluate('chroma.match.input') as Promise<{ moveX: number; moveY: number; aim: number; fire: boolean; dash: boolean }>;

beforeAll(async () => {
  browser = await openBrowser(undefined);
  game = startGame('Ann', undefined, ['--interface', '127.0.0.1']);
  const url = new URL(testUrl(await gameUrl(game), 'plain'));
  url.searchParams.set('room', roomName);
  page = await browser.open(url.href, { width: 1024, height: 480 });
  page.on('pageerror', (error) => failures.push(error.stack ?? error.message));
  await connected(page);
});

afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await game?.[Symbol.asyncDispose]();
  await Promise.all(lans.map((lan) => lan.close()));
});

it('keeps a line of the list, and the focus in it, while the room changes', async () => {
  await (await friend('Bea')).create({ name: roomName, max: 3 });
  const line = page.locator('.room', { hasText: roomName });
  const join = line.getByRole('button');
  await line.getByText('1/3').waitFor({ timeout: 15_000 });
  await join.focus();
  const before = await join.elementHandle();
  await (await friend('Cy')).join(lans[0]?.joinCode() ?? '');
  await line.getByText('2/3').waitFor({ timeout: 15_000 });
  expect(await join.evaluate((button, old) => button === old && document.activeElement === button, before)).toBe(true);
});

it('leaves the keys of the page to the page', async () => {
  const help = page.locator('.home details', { hasText: 'see your friends' });
  await help.locator('summary').first().focus();
  await page.keyboard.press('Space');
  await until('the help to open', 3000, async () => ((await help.getAttribute('open')) === null ? undefined : true));
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await until('the screen to scroll', 3000, async () => ((await page.locator('.home').evaluate((node) => node.scrollTop)) > 0 ? true : undefined));
});

it('finds a seat in the room beside a full one', async () => {
  await (await friend('Di')).join(lans[0]?.joinCode() ?? '');
  await page.locator('.room', { hasText: roomName }).getByText('Full').waitFor({ timeout: 15_000 });
  await page.locator('#play').click();
  await until('a seat', 15_000, async () => ((await chromaState(page)).slot >= 0 ? true : undefined));
  expect(await page.evaluate('chroma.room.name')).toBe(`${roomName} 2`);
  await page.locator('#leave').focus();
  await page.keyboard.press('Enter');
  expect(await page.evaluate('document.activeElement?.id'), 'the keyboard is where the next game begins').toBe('play');
});

it('takes a name of 24 wide letters, shows twenty, and enters by Enter', async () => {
  await page.locator('#name').fill('漢'.repeat(24));
  await page.locator('#name').press('Enter');
  await until('a seat', 15_000, async () => ((await chromaState(page)).slot >= 0 ? true : undefined));
  expect(await page.evaluate('chroma.room.self.presence.name')).toBe('漢'.repeat(20));
});

it('aims by what was used last, and dashes by the right button', async () => {
  await page.mouse.move(500, 20);
  await page.keyboard.down('ArrowRight');
  await sleep(300);
  expect((await input()).aim).toBe(0);
  expect((await input()).moveX).toBe(1);
  await page.mouse.move(500, 10);
  await until('the mouse to aim', 3000, async () => ((await input()).aim === 0 ? undefined : true));
  await page.keyboard.up('ArrowRight');
  await page.mouse.down();
  await page.mouse.down({ button: 'right' });
  await until('the dash', 3000, async () =>
    (await page.evaluate('chroma.match.me.dashReadyAt > chroma.room.clock.now()')) === true ? true : undefined,
  );
  await until('fire', 3000, async () => ((await input()).fire ? true : undefined));
  await page.mouse.up();
  await until('no fire with the right button alone', 3000, async () => ((await input()).fire ? undefined : true));
  await page.mouse.up({ button: 'right' });
});

it('lets no key stick, and steers beside open settings', async () => {
  await page.keyboard.down('Control');
  await page.keyboard.down('KeyS');
  await sleep(250);
  expect((await input()).moveY, 'that was the browser’s').toBe(0);
  await page.keyboard.up('KeyS');
  await page.keyboard.up('Control');
  await page.locator('#settings').click();
  await page.locator('.settings input[type=checkbox]').first().check();
  await page.keyboard.down('KeyD');
  await until('the blob to walk', 3000, async () => ((await input()).moveX === 1 ? true : undefined));
  await page.keyboard.up('KeyD');
  await page.keyboard.press('F3');
  expect(await page.locator('.net').isVisible()).toBe(true);
  await page.keyboard.press('F3');
  await page.keyboard.press('Escape');
});

it('plays with the pad that is used, and its cross', async () => {
  await page.evaluate(`{
    const pad = (...down) => ({ connected: true, axes: [0, 0, 0, 0], buttons: Array.from({ length: 17 }, (_, i) => ({ pressed: down.includes(i) })) });
    navigator.getGamepads = () => [pad(), null, pad(13, 0)];
  }`);
  await until('the pad', 3000, async () => {
    const { moveX, moveY, fire } = await input();
    return moveX === 0 && moveY === 1 && fire ? true : undefined;
  });
  await page.evaluate('navigator.getGamepads = () => []');
});

it('is as sharp as the window, whatever size it had when it opened', async () => {
  await page.setViewportSize({ width: 1600, height: 900 });
  await until('a larger canvas', 5000, async () =>
    (await page.locator('canvas').evaluate((node: HTMLCanvasElement) => node.width)) === 1600 ? true : undefined,
  );
});

it('leaves and plays in one breath, while the window changes its size', async () => {
  for (let i = 0; i < 12; i++) {
    // The scenes are made anew for a while after a change of size: each time they are left at another moment of that.
    await page.setViewportSize(i % 2 === 0 ? { width: 1000, height: 700 } : { width: 1600, height: 900 });
    await new Promise((resolve) => setTimeout(resolve, (i * 37) % 400));
    await page.evaluate(() => {
      document.querySelector<HTMLButtonElement>('#leave')?.click();
      document.querySelector<HTMLButtonElement>('#play')?.click();
    });
    await until('a seat again', 15_000, async () => ((await chromaState(page)).slot >= 0 ? true : undefined));
  }
  expect(await page.locator('.problem').first().isVisible()).toBe(false);
  expect(failures, 'the page threw nothing').toEqual([]);
}, 120_000);
