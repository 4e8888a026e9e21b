import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createNetServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { expect, test } from 'vitest';
import { createServer } from 'vite';
import type { InlineConfig } from 'vite';
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

const quiet: InlineConfig = { logLevel: 'silent', appType: 'custom', optimizeDeps: { noDiscovery: true }, server: { port: 0, ws: false } };

test('[BR25] a dev server that gets no port gives the network back when it is closed', async () => {
  await using bench = new Bench();
  let ended = 0;
  const taken = createNetServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const { port } = taken.address() as AddressInfo;
  const lan = Object.assign(Object.create(bench.lan) as typeof bench.lan, { close: () => Promise.resolve(void ended++) });
  const server = await createServer({
    ...quiet,
    configFile: false,
    server: { ...quiet.server, port, strictPort: true },
    plugins: [lanista({ start: () => lan, game: GAME, onUrl: () => undefined })],
  });
  await expect(server.listen()).rejects.toThrow(/already in use/);
  await server.close();
  taken.close();
  expect(ended).toBe(1);
});

test('[BR25] a restart of the dev server keeps the token, and has one network open at a time', async () => {
  const folder = mkdtempSync(joinPath(tmpdir(), 'lanista-vite-'));
  const log: string[] = [];
  await using bench = new Bench();
  // The file is read again at a restart, and makes another plugin; the module of the plugin stays.
  const plugin = () =>
    lanista({
      start: () => {
        log.push('open');
        return Object.assign(Object.create(bench.lan) as typeof bench.lan, { close: () => Promise.resolve(void log.push('close')) });
      },
      onUrl: (url) => log.push(new URL(url).hash),
    });
  Object.assign(globalThis, { restartedPlugin: plugin });
  writeFileSync(joinPath(folder, 'vite.config.mjs'), 'export default { plugins: [globalThis.restartedPlugin()] };');
  try {
    const server = await createServer({ ...quiet, root: folder });
    await server.listen(0);
    await expect.poll(() => log.length).toBe(2);
    await server.restart();
    await expect.poll(() => log.length).toBe(5);
    await server.close();
    const token = log[1];
    expect(token).toMatch(/^#.{16,}/);
    expect(log).toEqual(['open', token, 'close', 'open', token, 'close']);
  } finally {
    Reflect.deleteProperty(globalThis, 'restartedPlugin');
    rmSync(folder, { recursive: true });
  }
});
