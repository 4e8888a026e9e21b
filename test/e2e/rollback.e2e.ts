/**
 * A simulation in real pages: two Chromium contexts, each behind a local process of its own, and a bot in Node; keys are pressed, a page is reloaded, the
 * host leaves. Three engines' worth of arithmetic has to come to the same bits.
 */
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { det } from 'lanista';
import { openLan, openNodeLanPort, startBridge } from 'lanista/node';
import type { Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openBrowser } from '../lab/page.ts';
import type { LabBrowser } from '../lab/page.ts';
import { repositoryRoot, sleep, until } from '../lab/process.ts';
import { game, volley } from './volley/game.ts';

interface Look {
  readonly slot: number;
  readonly status: string;
  readonly tick: number;
  readonly confirmed: number;
  readonly players: readonly number[];
  readonly ys: readonly number[];
  readonly settled: readonly (readonly [number, number])[];
  readonly events: readonly string[];
  readonly stats: { readonly rollbacks: number; readonly inputDelay: number };
  readonly pictures: readonly { readonly at: number; readonly ticks: number }[];
  readonly drops: Readonly<Record<string, number>>;
}

const shots = join(repositoryRoot, 'test/out');
const folder = mkdtempSync(join(tmpdir(), 'lanista-volley-'));
const network = {
  interfaces: ['127.0.0.1'],
  profile: false as const,
  discovery: { mdns: false, beacon: false, localDirectory: mkdtempSync(join(tmpdir(), 'lanista-volley-lan-')) },
};
const closing: (() => Promise<void>)[] = [];
const pages: Page[] = [];
const failures: string[] = [];
let browser: LabBrowser | undefined;

beforeAll(async () => {
  mkdirSync(shots, { recursive: true });
  await build({
    root: join(repositoryRoot, 'test/e2e/volley'),
    configFile: false,
    logLevel: 'error',
    resolve: { conditions: ['@lanista/source'] },
    build: { outDir: folder, emptyOutDir: true, target: 'esnext' },
  });
  browser = await openBrowser(undefined);
  for (let i = 0; i < 2; i++) {
    const bridge = await startBridge({ lan: () => openNodeLanPort(game, network), game, root: folder });
    closing.push(() => bridge.close());
    const page = await browser.open(bridge.url, { width: 820, height: 470 });
    page.on('pageerror', (error) => failures.push(error.message));
    pages.push(page);
    await playing(page);
  }
  // On a busy machine the second may find the room of the first only when it has one of its own, and the two become one.
  await until('both pages to play one game', 20_000, async () => {
    const looks = await Promise.all(pages.map(look));
    return looks.every(({ players }) => players.length === 2) ? looks : undefined;
  });
  await Promise.all(pages.map((page) => page.evaluate('anew()')));
});

afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await Promise.all(closing.map((close) => close()));
});

function look(page: Page): Promise<Look> {
  return page.evaluate('look()');
}

function playing(page: Page): Promise<Look> {
  return until('a page to play', 20_000, async () => {
    const isUp = await page.evaluate('typeof look === "function"');
    const seen = isUp === true ? await look(page) : undefined;
    return seen?.status === 'playing' ? seen : undefined;
  });
}

/** Ticks that both have settled; every one of them has to be the same. */
function compare(a: Look['settled'], b: Look['settled']): number {
  const theirs = new Map(b);
  const shared = a.filter(([tick]) => theirs.has(tick));
  expect(shared.filter(([tick, hash]) => theirs.get(tick) !== hash)).toEqual([]);
  return shared.length;
}

async function fight(ms: number): Promise<void> {
  const end = performance.now() + ms;
  for (let i = 0; performance.now() < end; i++) {
    const page = pages[i % 2]!;
    const key = i % 3 === 0 ? 'ArrowUp' : 'ArrowDown';
    await page.keyboard.down(key);
    await sleep(90);
    await page.keyboard.up(key);
  }
}

it('[RB1] two pages and a bot come to the same state at every tick, and draw it evenly', async () => {
  const lan = await openLan(game, { presence: {}, ...network });
  closing.push(() => lan.close());
  const room = await lan.joinOrCreate({ name: 'Volley' });
  const settled: [number, number][] = [];
  const run = room.rollback(volley);
  run.on('confirm', ({ tick, state }) => settled.push([tick, det.hashState(state)]));
  room.clock.every(4, (tick) => run.setInput({ up: tick % 2 === 0, down: tick % 2 !== 0 }));
  await fight(500);
  await Promise.all(pages.map(look));
  await fight(4_000);
  const [ann, bob] = (await Promise.all(pages.map(look))) as [Look, Look];
  expect(ann.players).toEqual([0, 1, 2]);
  expect(compare(ann.settled, bob.settled)).toBeGreaterThan(150);
  expect(compare(ann.settled, settled)).toBeGreaterThan(150);
  expect(new Set(ann.ys).size).toBeGreaterThan(1);
  for (const { events, drops } of [ann, bob]) {
    expect(events.filter((event) => !['start', 'stall', 'resume'].includes(event))).toEqual([]);
    expect(Object.keys(drops).filter((reason) => reason.startsWith('rollback'))).toEqual([]);
  }
  // What is drawn goes with the time that passed: 60 ticks a second, whatever pictures the machine makes.
  const { pictures } = ann;
  const [first, last] = [pictures[0]!, pictures.at(-1)!];
  expect(pictures.length).toBeGreaterThan(60);
  expect((last.ticks - first.ticks) / (last.at - first.at)).toBeGreaterThan(0.057);
  expect((last.ticks - first.ticks) / (last.at - first.at)).toBeLessThan(0.063);
  expect(pictures.slice(1).filter((picture, i) => picture.ticks < pictures[i]!.ticks)).toEqual([]);
  await pages[0]!.screenshot({ path: join(shots, 'volley.png') });
});

it('[RB8] a page that is reloaded is in the game again, with its paddle', async () => {
  await pages[1]!.reload();
  await playing(pages[1]!);
  await fight(1_500);
  const [ann, bob] = (await Promise.all(pages.map(look))) as [Look, Look];
  expect(bob.players).toContain(bob.slot);
  expect(compare(ann.settled, bob.settled)).toBeGreaterThan(40);
  expect(bob.tick).toBeGreaterThan(200);
});

it('[RB7] the host’s page closes, and the other plays on', async () => {
  const before = await look(pages[1]!);
  await pages[0]!.close();
  const after = await until('the other to play on', 20_000, async () => {
    const seen = await look(pages[1]!);
    return seen.confirmed > before.confirmed + 120 ? seen : undefined;
  });
  expect(after.status).toBe('playing');
  expect(after.events.filter((event) => event === 'resync' || event === 'desync')).toEqual([]);
  expect(failures).toEqual([]);
});
