/**
 * Lab `phone`: one host plays Chroma Rush with `--phones`, another has nothing but a browser with a small touch screen, and
 * plays along as a guest. Passes when the phone's page, which is no secure context, gets into the owner's room by the printed
 * address, moves and paints by touch, is never host, has its seat again after a reload, is out of the room when its owner is, and
 * says so when the game is closed; and when a third host, which asks by another name, gets nothing.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { chromaState, connected, enterRoom, floorHash, testUrl } from './chroma.ts';
import { Lab, run } from './netns.ts';
import { openBrowser } from './page.ts';
import { ProcessGroup, gameUrl, repositoryRoot, sleep, startGame, until } from './process.ts';
import type { LabResult } from './run.ts';

export const needsChromium = true;

const PHONE = { width: 390, height: 844 };

export async function lab(): Promise<LabResult> {
  const shots = join(repositoryRoot, 'test/out');
  mkdirSync(shots, { recursive: true });
  using network = new Lab(3);
  await using held = new ProcessGroup();
  const [laptop, pocket, other] = [network.host(0), network.host(1), network.host(2)];
  const game = held.use(startGame('Ann', { lab: network, host: laptop }, ['--phones']));
  const url = await gameUrl(game);
  const [, link = ''] = await game.waitFor(/play along at (http:\/\/\S+)/u, 10_000);
  const { hostname, port } = new URL(link);
  const browsers = await Promise.all([laptop, pocket].map((host) => openBrowser({ lab: network, host })));
  const [atHome, atHand] = [held.use(browsers[0]!), held.use(browsers[1]!)];
  const ann = await atHome.open(testUrl(url, 'plain'), { width: 640, height: 360 });
  const bob = await atHand.open(testUrl(link, 'plain'), PHONE, true);
  const complaints: string[] = [];
  bob.on('pageerror', (error) => complaints.push(error.message));
  await Promise.all([connected(ann), connected(bob)]);
  const insecure = await bob.evaluate(() => !isSecureContext && crypto.subtle === undefined);
  await bob.screenshot({ path: join(shots, 'phone-home.png') });

  const invited = (await ann.locator('#phones .link').textContent()) === link && (await bob.locator('#phones').isHidden());
  await ann.locator('#phones summary').click();
  await ann.locator('#phones .code').waitFor();
  await ann.locator('#phones').screenshot({ path: join(shots, 'phone-code.png') });

  // Nobody is in a room yet, and a guest founds none.
  await bob.locator('#play').tap();
  await bob.getByRole('alert').filter({ hasText: 'sits in no room' }).waitFor({ timeout: 10_000 });
  await enterRoom(ann, 1);
  await bob.locator('#rooms button').tap();
  await until('the phone to be in the room', 15_000, async () => ((await chromaState(ann)).players === 2 ? true : undefined));
  await until('the round to begin', 20_000, async () => ((await chromaState(bob)).phase === 'match' ? true : undefined));
  const before = await chromaState(bob);
  const { batches, seconds } = await touchAndCount(bob);
  const seat = await chromaState(bob);
  const moved = Math.hypot(seat.x - before.x, seat.y - before.y) > 40;
  await bob.screenshot({ path: join(shots, 'phone.png') });
  const floorEqual = await until('equal floors', 8_000, async () => ((await floorHash(ann)) === (await floorHash(bob)) ? true : undefined), 200);
  const painted = Math.max(...(await chromaState(ann)).coverage) > 0;

  await bob.reload({ waitUntil: 'domcontentloaded' });
  await connected(bob);
  const again = await until('the phone to be back', 10_000, async () => {
    const now = await chromaState(bob);
    return now.players === 2 ? now : undefined;
  });
  const sameSeat = again.slot === seat.slot && !again.host;

  // Another name for the same address, as a page of somebody else's would use it.
  const ask = `require('node:http').get({ host: '${hostname}', port: ${port}, headers: { Host: 'game.example' } }, (answer) => { console.log(answer.statusCode); process.exit(); })`;
  const command = network.on(other, [process.execPath, '-e', ask]);
  const reboundRefused = run(command.file, command.args).stdout.trim() === '403';

  await ann.evaluate(() => (globalThis as unknown as { chroma: { leave(): Promise<void> } }).chroma.leave());
  await until('the guest to leave with its owner', 10_000, async () => ((await chromaState(bob)).phase === 'home' ? true : undefined));
  await enterRoom(ann, 1);
  await bob.locator('#rooms button').tap();
  await until('the phone to be back in', 10_000, async () => ((await chromaState(bob)).players === 2 ? true : undefined));
  await game.stop();
  await bob
    .getByRole('alert')
    .filter({ hasText: /came from (?:does not answer|is out of reach)/u })
    .waitFor({ timeout: 10_000 });
  await bob.screenshot({ path: join(shots, 'phone-closed.png') });

  const bound = hostname === laptop.address && port !== '';
  const pass = insecure && bound && invited && moved && painted && floorEqual && sameSeat && reboundRefused && !seat.host && complaints.length === 0;
  return {
    lab: 'phone',
    insecure,
    bound,
    invited,
    moved,
    painted,
    floor_equal: floorEqual,
    same_seat: sameSeat,
    rebound_refused: reboundRefused,
    batches_per_s: Math.round(batches / seconds),
    complaints,
    pass,
  };
}

/** Left thumb drags to the right, right thumb aims and fires; batches that the page sends meanwhile are counted. */
async function touchAndCount(page: Page): Promise<{ batches: number; seconds: number }> {
  const session = await page.context().newCDPSession(page);
  let batches = 0;
  await session.send('Network.enable');
  session.on('Network.webSocketFrameSent', () => (batches += 1));
  const from = performance.now();
  const touch = async (type: 'touchStart' | 'touchMove' | 'touchEnd', points: readonly { x: number; y: number; id: number }[]): Promise<void> => {
    await session.send('Input.dispatchTouchEvent', { type, touchPoints: points.map((point) => ({ ...point })) });
  };
  const [left, right] = [
    { x: 90, y: 700, id: 0 },
    { x: 300, y: 700, id: 1 },
  ];
  await touch('touchStart', [left]);
  await touch('touchStart', [left, right]);
  for (let step = 1; step <= 12; step += 1) {
    await touch('touchMove', [
      { ...left, x: left.x + Math.min(step, 8) * 6 },
      { ...right, y: right.y - Math.min(step, 8) * 6 },
    ]);
    await sleep(150);
  }
  return { batches, seconds: (performance.now() - from) / 1_000 };
}
