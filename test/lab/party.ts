/**
 * Lab `party`: three hosts, each with the game's process and a headless page. All three find each
 * other by mDNS alone, paint, agree on the floor; then the host is killed with -9 and the other two
 * go on. Passes when they found each other within 2 s, a new host ran the round within 2 s of the
 * kill, the round's end time did not move, and the floors are equal, before and after.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { chromaState, connected, enterRoom, floorHash, nextHostAt, press, testUrl } from './chroma.ts';
import { Lab } from './netns.ts';
import { openBrowser } from './page.ts';
import { ProcessGroup, gameUrl, repositoryRoot, sleep, sourceFlags, startGame, until } from './process.ts';
import type { LabProcess } from './process.ts';
import type { LabResult } from './run.ts';

export const needsChromium = true;

interface Seat {
  readonly name: string;
  readonly game: LabProcess;
  readonly page: Page;
}

export async function lab(): Promise<LabResult> {
  const shots = join(repositoryRoot, 'test/out');
  mkdirSync(shots, { recursive: true });
  buildPage();
  using network = new Lab(3);
  await using held = new ProcessGroup();
  const seats: Seat[] = [];
  for (const host of network.hosts) {
    const name = ['Ann', 'Bea', 'Cleo'][host.index] ?? 'Dora';
    const place = { lab: network, host };
    const game = held.use(startGame(name, place));
    const url = await gameUrl(game);
    const browser = held.use(await openBrowser(place));
    seats.push({ name, game, page: await browser.open(testUrl(url, 'plain'), { width: 640, height: 360 }) });
  }

  // Everybody presses Play at once: the clock runs from the last press to three seats on every page.
  const pages = seats.map((seat) => seat.page);
  await Promise.all(pages.map((page) => connected(page)));
  const entries = await Promise.all(pages.map((page) => enterRoom(page, pages.length)));
  const foundMs = Math.max(...entries.map((entry) => entry.togetherAt)) - Math.max(...entries.map((entry) => entry.pressedAt));

  await until('the round to begin', 20_000, async () =>
    (await Promise.all(pages.map(chromaState))).every((state) => state.phase === 'match') ? true : undefined,
  );
  await paint(pages, 6000);
  const before = await equalFloors(pages);
  await pages[0]?.screenshot({ path: join(shots, 'party.png') });

  const states = await Promise.all(pages.map(chromaState));
  const hostIndex = states.findIndex((state) => state.host);
  const endsAt = states[hostIndex]?.endsAt ?? Number.NaN;
  const phase = states[hostIndex]?.phase;
  const oldHostSlot = states[hostIndex]?.slot ?? -1;
  const left = seats.filter((_, index) => index !== hostIndex).map((seat) => seat.page);
  const watching = Promise.all(left.map((page) => nextHostAt(page, oldHostSlot)));
  await sleep(200);
  const killedAt = Date.now();
  seats[hostIndex]?.game.kill();
  const next = await watching;
  const agreed = next.every((one) => one.slot === next[0]?.slot);
  const hostChangeMs = Math.max(...next.map((one) => one.at)) - killedAt;
  const after = await Promise.all(left.map(chromaState));
  const timerIntact = after.every((state) => state.phase === phase && Math.abs(state.endsAt - endsAt) <= 50);
  await paint(left, 3000);
  const afterEqual = await equalFloors(left);
  await left[0]?.screenshot({ path: join(shots, 'party-after.png') });

  const floorEqual = before.equal && afterEqual.equal;
  return {
    lab: 'party',
    found_ms: Math.round(foundMs),
    host_change_ms: Math.round(hostChangeMs),
    floor_equal: floorEqual,
    floor_changed: before.hash !== afterEqual.hash,
    one_host: agreed,
    timer_intact: timerIntact,
    pass: foundMs <= 2000 && hostChangeMs <= 2000 && floorEqual && timerIntact && agreed,
  };
}

/** Builds the page once; three processes building it at the same time would only disturb each other. */
function buildPage(): void {
  execFileSync(process.execPath, [...sourceFlags, 'demo-game/process/main.ts', '--build-only'], { cwd: repositoryRoot, stdio: 'ignore' });
}

/** Everybody runs and shoots in a direction of their own for a while. */
async function paint(pages: readonly Page[], ms: number): Promise<void> {
  const end = performance.now() + ms;
  for (let step = 0; performance.now() < end; step += 1) {
    await Promise.all(pages.map((page, index) => press(page, { x: Math.cos(step + index * 2.1), y: Math.sin(step + index * 2.1), fire: true })));
    await sleep(400);
  }
  await Promise.all(pages.map((page) => press(page, { x: 0, y: 0, fire: false })));
}

/** Once nobody paints any more the floors must be the same within a few seconds. */
async function equalFloors(pages: readonly Page[]): Promise<{ equal: boolean; hash: string }> {
  const end = performance.now() + 5000;
  for (;;) {
    const hashes = await Promise.all(pages.map(floorHash));
    const first = hashes[0] ?? '';
    if (hashes.every((hash) => hash === first)) return { equal: true, hash: first };
    if (performance.now() > end) return { equal: false, hash: hashes.join(' ') };
    await sleep(200);
  }
}
