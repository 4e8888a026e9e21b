import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createNetServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { expect, test, vi } from 'vitest';
import { createLogger, createServer, preview } from 'vite';
import type { InlineConfig } from 'vite';
import { lanista } from '../sdk/vite/index.ts';
import { Bench, GAME, join } from './bridge-fake.ts';
import { builtModule, scriptFlags } from './built.ts';

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

test('[RO28] a slip in a configuration, whose types nobody checks, is told in words', () => {
  const { lan } = new Bench();
  for (const [options, words] of [
    [undefined, 'start'],
    [{ game: GAME }, 'start'],
    [{ lan: () => lan, game: GAME }, 'lan'],
    [{ start: Promise.resolve(lan), game: GAME }, '() => openNodeLanPort'],
  ] as const)
    expect(() => lanista(options as never)).toThrowError(
      expect.objectContaining({ code: 'bad-argument', message: expect.stringContaining(words) as string }) as Error,
    );
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

test('[BR25] `vite preview` carries the bridge for the page that was built', async () => {
  const folder = mkdtempSync(joinPath(tmpdir(), 'lanista-vite-'));
  mkdirSync(joinPath(folder, 'dist'));
  writeFileSync(joinPath(folder, 'dist', 'index.html'), '<title>built</title>');
  await using bench = new Bench();
  let ended = 0;
  const lan = Object.assign(Object.create(bench.lan) as typeof bench.lan, { close: () => Promise.resolve(void ended++) });
  const urls: string[] = [];
  const server = await preview({
    configFile: false,
    root: folder,
    logLevel: 'silent',
    preview: { port: 0 },
    plugins: [lanista({ start: () => lan, game: GAME, onUrl: (url) => urls.push(url) })],
  });
  try {
    await expect.poll(() => urls.length).toBe(1);
    const url = new URL(urls[0]!);
    expect(url.hostname).toBe('127.0.0.1');
    expect(await (await fetch(url)).text()).toContain('built');
    const page = await bench.page({ port: Number(url.port), token: url.hash.slice(1) });
    await page.open(join());
    await page.close();
  } finally {
    await server.close();
    rmSync(folder, { recursive: true });
  }
  expect(ended).toBe(1);
});

test('[BR25] in middleware mode, where Vite has no server, the plugin opens no network and says what does', async () => {
  await using bench = new Bench();
  const logger = createLogger('silent');
  const warned: string[] = [];
  logger.warn = (line) => void warned.push(line);
  let started = 0;
  const start = () => {
    started++;
    return bench.lan;
  };
  const server = await createServer({
    ...quiet,
    configFile: false,
    customLogger: logger,
    server: { ...quiet.server, middlewareMode: true },
    plugins: [lanista({ start })],
  });
  await server.close();
  expect([started, warned]).toEqual([0, [expect.stringContaining('attachBridge')]]);
});

test.each(['SIGINT', 'SIGHUP'] as const)(
  '[BR25] a dev server that is interrupted, or whose terminal is closed, says goodbye first (%s)',
  async (signal) => {
    const script = `
    import { createServer } from 'vite';
    import { lanista } from ${builtModule('sdk/vite/index.ts')};
    const lan = { self: 'a', time: {}, discovery: () => ({ level: 'ok', reasons: [] }), joinCode: () => undefined, close: async () => void console.log('goodbye') };
    const server = await createServer({
      configFile: false, logLevel: 'silent', appType: 'custom', optimizeDeps: { noDiscovery: true }, server: { port: 0, ws: false },
      plugins: [lanista({ start: () => lan, onUrl: () => console.log('up') })],
    });
    await server.listen();`;
    const child = spawn(process.execPath, scriptFlags(script));
    let said = '';
    child.stdout.on('data', (text: Buffer) => {
      said += text.toString();
      if (text.toString().includes('up')) child.kill(signal);
    });
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect([said, code]).toEqual(['up\ngoodbye\n', signal === 'SIGINT' ? 130 : 129]);
  },
);

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

test('[BR25] a restart that cannot open the network leaves the one before in place, as Vite leaves its server', async () => {
  const folder = mkdtempSync(joinPath(tmpdir(), 'lanista-vite-'));
  const log: string[] = [];
  await using bench = new Bench();
  const given = { works: true };
  const plugin = () => {
    const { works } = given;
    return lanista({
      start: () => {
        log.push(works ? 'open' : 'fail');
        if (!works) throw new Error('no interface wlan9');
        return Object.assign(Object.create(bench.lan) as typeof bench.lan, { close: () => Promise.resolve(void log.push('close')) });
      },
      game: GAME,
      onUrl: (url) => log.push(url),
    });
  };
  Object.assign(globalThis, { failingPlugin: plugin });
  writeFileSync(joinPath(folder, 'vite.config.mjs'), 'export default { plugins: [globalThis.failingPlugin()] };');
  try {
    const server = await createServer({ ...quiet, root: folder });
    await server.listen(0);
    await expect.poll(() => log.length).toBe(2);
    const url = new URL(log[1]!);
    given.works = false;
    await server.restart().catch(() => undefined);
    await expect.poll(() => log.filter((line) => line === 'open').length).toBe(2);
    const page = await bench.page({ port: Number(url.port), token: url.hash.slice(1) });
    await page.close();
    given.works = true;
    await server.restart();
    await expect.poll(() => log.length).toBe(8);
    await server.close();
    expect(log).toEqual(['open', url.href, 'close', 'fail', 'open', 'close', 'open', url.href, 'close']);
  } finally {
    Reflect.deleteProperty(globalThis, 'failingPlugin');
    rmSync(folder, { recursive: true });
  }
});

test('[BR25] what Vite prints and opens by itself carries the token', async () => {
  const folder = mkdtempSync(joinPath(tmpdir(), 'lanista-vite-'));
  const browser = joinPath(folder, 'browser.js');
  const opened = joinPath(folder, 'opened');
  writeFileSync(browser, `require('node:fs').writeFileSync(${JSON.stringify(opened)}, process.argv.at(-1));`);
  vi.stubEnv('BROWSER', browser);
  await using bench = new Bench();
  const told: string[] = [];
  const printed: string[] = [];
  const logger = createLogger('silent');
  logger.info = (line) => void printed.push(line);
  const server = await createServer({
    ...quiet,
    configFile: false,
    root: folder,
    base: '/game/',
    customLogger: logger,
    server: { ...quiet.server, open: '/game/play.html?name=Ann' },
    plugins: [lanista({ start: () => bench.lan, onUrl: (url) => told.push(url) })],
  });
  try {
    await server.listen(0);
    server.printUrls();
    await expect.poll(() => told.length).toBe(1);
    const url = new URL(told[0]!);
    expect(url.pathname).toBe('/game/');
    expect(url.hash).toMatch(/^#.{16,}/);
    expect(printed.join()).toContain(`/game/${url.hash}`);
    await expect
      .poll(() => existsSync(opened) && readFileSync(opened, 'utf8'), { timeout: 5_000 })
      .toBe(`${url.origin}/game/play.html?name=Ann${url.hash}`);
    await server.restart();
    expect(server.resolvedUrls?.local).toEqual([url.href]);
  } finally {
    vi.unstubAllEnvs();
    await server.close();
    rmSync(folder, { recursive: true });
  }
});
