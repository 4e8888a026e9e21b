import { expect, test } from 'vitest';
import { createServer } from 'vite';
import { lanista } from '../sdk/vite/index.ts';
import { Bench, GAME, join } from './bridge-fake.ts';

test('[BR25] the dev server carries the bridge: a page of its own address gets in with its token', async () => {
  await using bench = new Bench();
  const urls: string[] = [];
  const server = await createServer({
    configFile: false,
    logLevel: 'silent',
    appType: 'custom',
    optimizeDeps: { noDiscovery: true },
    server: { port: 0, ws: false },
    plugins: [lanista({ start: () => bench.lan, game: GAME, onUrl: (url) => urls.push(url) })],
  });
  await server.listen(0);
  try {
    await expect.poll(() => urls.length).toBe(1);
    const url = new URL(urls[0]!);
    expect(url.hostname).toBe('127.0.0.1');
    const page = await bench.page({ port: Number(url.port), token: url.hash.slice(1) });
    await page.open(join());
    expect(bench.lan.rooms).toHaveLength(1);
    await expect(bench.page({ port: Number(url.port), token: 'wrong-wrong-wrong-wrong' })).rejects.toMatchObject({ code: 'bridge' });
    await page.close();
  } finally {
    await server.close();
  }
});
