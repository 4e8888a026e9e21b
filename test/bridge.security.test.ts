import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { BRIDGE_VERSION, createCommandOutbox } from '../sdk/bridge/index.ts';
import type { PageCommand } from '../sdk/bridge/index.ts';
import { filePartsOf } from '../sdk/node/static-files.ts';
import { attachBridge } from '../sdk/node/bridge-server.ts';
import type { Bridge } from '../sdk/node/bridge-server.ts';
import { Bench, GAME } from './bridge-fake.ts';

const bench = new Bench();
let bridge: Bridge;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lanista-page-'));
  const root = join(folder, 'page');
  await mkdir(join(root, 'assets'), { recursive: true });
  await writeFile(join(folder, 'secret.txt'), 'secret');
  await writeFile(join(root, 'index.html'), '<!doctype html>');
  await writeFile(join(root, '.env'), 'secret');
  await writeFile(join(root, 'assets', 'main-abc.js'), 'export {};');
  await writeFile(join(root, 'large.mp3'), new Uint8Array(20_000_000));
  await symlink(join(folder, 'secret.txt'), join(root, 'link.txt'));
  await symlink(join(root, '.env'), join(root, 'inside.txt'));
  bridge = await bench.start({ root, game: GAME });
});
afterAll(async () => {
  await bench[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}

function ask(path: string, options: { method?: string; host?: string; headers?: Record<string, string> } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { Host: options.host ?? `127.0.0.1:${bridge.port}`, ...options.headers };
    const asked = request({ host: '127.0.0.1', port: bridge.port, path, method: options.method ?? 'GET', headers }, (response) => {
      let body = '';
      response.on('data', (part) => (body += String(part)));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    asked.on('error', reject);
    asked.end();
  });
}

/** What a WebSocket attempt comes to: `open`, or the status that refused it. */
function upgrade(options: { origin?: string | undefined; host?: string; path?: string; port?: number }): Promise<string> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://127.0.0.1:${options.port ?? bridge.port}${options.path ?? '/__lanista'}`, {
      ...(options.origin !== undefined && { origin: options.origin }),
      headers: { Host: options.host ?? `127.0.0.1:${bridge.port}` },
    });
    socket.on('open', () => {
      resolve('open');
      socket.terminate();
    });
    socket.on('unexpected-response', (_request, response) => {
      resolve(String(response.statusCode));
      socket.terminate();
    });
    socket.on('error', () => resolve('refused'));
  });
}

/** Sends `first` on an accepted socket; the close code, or `welcome`. */
function greet(first: Uint8Array | string | undefined): Promise<number | 'welcome'> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://127.0.0.1:${bridge.port}/__lanista`, { origin: `http://127.0.0.1:${bridge.port}` });
    socket.on('open', () => {
      if (first !== undefined) socket.send(first);
    });
    socket.on('message', () => {
      resolve('welcome');
      socket.terminate();
    });
    socket.on('close', (code) => resolve(code));
    socket.on('error', () => undefined);
  });
}

function batch(...commands: PageCommand[]): Uint8Array {
  const out = createCommandOutbox();
  for (const command of commands) out.add(command);
  return out.take()!;
}

const hello = (token: string): PageCommand => ({ type: 'hello', version: BRIDGE_VERSION, token, game: GAME, page: '' });

describe('bridge: who gets in', () => {
  test('[BR20] a WebSocket opens only with exactly our Host and the same Origin', async () => {
    const { port } = bridge;
    const own = `127.0.0.1:${port}`;
    const cases: readonly [string, Parameters<typeof upgrade>[0], string][] = [
      ['own page by number', { origin: `http://${own}` }, 'open'],
      ['own page by name', { origin: `http://localhost:${port}`, host: `localhost:${port}` }, 'open'],
      ['no origin', {}, '403'],
      ['null origin (file, sandboxed frame)', { origin: 'null' }, '403'],
      ['foreign site', { origin: 'http://evil.example' }, '403'],
      ['foreign site, our host name', { origin: 'http://evil.example', host: `localhost:${port}` }, '403'],
      ['rebound name', { origin: `http://evil.example:${port}`, host: `evil.example:${port}` }, '403'],
      ['rebound name, our origin', { origin: `http://${own}`, host: `evil.example:${port}` }, '403'],
      ['another local port', { origin: `http://127.0.0.1:${port + 1}` }, '403'],
      ['origin without port', { origin: 'http://127.0.0.1' }, '403'],
      ['https origin', { origin: `https://${own}` }, '403'],
      ['0.0.0.0', { origin: `http://0.0.0.0:${port}`, host: `0.0.0.0:${port}` }, '403'],
      ['name and number mixed', { origin: `http://localhost:${port}`, host: own }, '403'],
      ['prefix of our origin', { origin: `http://${own}.evil.example` }, '403'],
      ['upper case', { origin: `HTTP://${own}` }, '403'],
      ['user in origin', { origin: `http://a@${own}` }, '403'],
      ['host without port', { origin: `http://${own}`, host: '127.0.0.1' }, '403'],
      ['host with other port', { origin: `http://${own}`, host: `127.0.0.1:${port + 1}` }, '403'],
      ['other path', { origin: `http://${own}`, path: '/' }, 'refused'],
      ['path below ours', { origin: `http://${own}`, path: '/__lanista/x' }, 'refused'],
    ];
    for (const [name, options, expected] of cases) expect([name, await upgrade(options)]).toEqual([name, expected]);
  });

  test('[BR20] on a dev server that speaks TLS the Origin is of that scheme, and so is the address', async () => {
    await using own = new Bench();
    const server = createServer();
    // What a TLS server's sockets say of themselves; the handshake itself is Node's.
    server.on('connection', (socket) => void Object.assign(socket, { encrypted: true }));
    const bridge = attachBridge(server, { lan: own.lan, game: GAME });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    expect(await upgrade({ origin: `https://127.0.0.1:${port}`, host: `127.0.0.1:${port}`, port })).toBe('open');
    expect(await upgrade({ origin: `http://127.0.0.1:${port}`, host: `127.0.0.1:${port}`, port })).toBe('403');
    expect(await upgrade({ origin: `https://evil.example:${port}`, host: `127.0.0.1:${port}`, port })).toBe('403');
    await bridge.close();
    server.close();
    expect(attachBridge(createTlsServer(), { lan: own.lan }).url()).toMatch(/^https:\/\/127\.0\.0\.1:/);
  });

  test('[BR21] the first message must be a hello with the token of this launch, in time and small', async () => {
    const { token } = bridge;
    expect(await greet(batch(hello('')))).toBe(4_001);
    expect(await greet(batch(hello(`${token}x`)))).toBe(4_001);
    expect(await greet(batch(hello(token.slice(1))))).toBe(4_001);
    expect(await greet(batch({ type: 'ping', stamp: 1 }, hello(token)))).toBe(4_001);
    expect(await greet(token)).toBe(4_001);
    expect(await greet(new Uint8Array(0))).toBe(4_001);
    expect(await greet(new Uint8Array(5_000))).toBe(4_001);
    expect(await greet(batch(hello(token), { type: 'send', room: 1, peer: 1, channel: 'reliable', lane: 0, bytes: new Uint8Array(5_000) }))).toBe(
      4_001,
    );
    const began = performance.now();
    expect(await greet(undefined)).toBe(4_006);
    expect(performance.now() - began).toBeLessThan(3_500);
    expect(await greet(batch(hello(token)))).toBe('welcome');
    expect(token).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(bridge.url).toBe(`http://127.0.0.1:${bridge.port}/#${token}`);
  });

  test('[BR22] the page is served with fences around it, to GET and HEAD, to our Host only', async () => {
    const page = await ask('/');
    expect(page.status).toBe(200);
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(page.headers['cache-control']).toBe('no-store');
    expect(page.headers['x-content-type-options']).toBe('nosniff');
    expect(page.headers['content-security-policy']).toContain("default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:");
    expect(page.headers['content-security-policy']).toContain("frame-ancestors 'none'");
    // A game's own WebAssembly runs, and `eval` does not; fonts that the build wrote into a style sheet are seen.
    expect(page.headers['content-security-policy']).toContain("; script-src 'self' 'wasm-unsafe-eval'; font-src 'self' data:;");
    expect(page.headers['access-control-allow-origin']).toBeUndefined();
    expect((await ask('/assets/main-abc.js?v=1')).headers).toMatchObject({
      'content-type': 'text/javascript; charset=utf-8',
      'cache-control': expect.stringContaining('immutable'),
    });
    expect(await ask('/', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' });
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) expect([method, (await ask('/', { method })).status]).toEqual([method, 405]);
    for (const host of ['evil.example', `evil.example:${bridge.port}`, '127.0.0.1', `127.0.0.1:${bridge.port + 1}`])
      expect([host, (await ask('/', { host })).status]).toEqual([host, 403]);
  });

  test("[BR23] no path leads out of the page's folder", async () => {
    const paths = [
      '/../secret.txt',
      '/..%2fsecret.txt',
      '/%2e%2e/secret.txt',
      '/assets/../../secret.txt',
      '/..%5csecret.txt',
      '/.env',
      '/%2eenv',
      '/link.txt',
      '/inside.txt',
      '/index.html%00.js',
      '//etc/passwd',
      '/c:/x',
      '/%',
      '/assets',
      '/assets/',
      '/index.html.',
    ];
    for (const path of paths) {
      const answer = await ask(path);
      expect([path, answer.status >= 400 && answer.status < 500, answer.body.includes('secret')]).toEqual([path, true, false]);
    }
    expect(filePartsOf('http://evil.example/x')).toBeUndefined();
    expect(filePartsOf('/a/b.js?x=/../y')).toEqual(['a', 'b.js']);
  });

  test.skipIf(!existsSync('/proc/self/fd'))('[BR22] a page that reloads while it loads leaves no file open', async () => {
    const open = (): number => readdirSync('/proc/self/fd').filter((fd) => linkOf(fd).endsWith('large.mp3')).length;
    await new Promise<void>((resolve) => {
      const asked = request({ host: '127.0.0.1', port: bridge.port, path: '/large.mp3' }, (answer) => {
        answer.once('data', () => {
          expect(open()).toBe(1);
          asked.destroy();
          resolve();
        });
      });
      asked.on('error', () => undefined).end();
    });
    await expect.poll(open).toBe(0);
  });

  test('[BR22] of a file one part can be had, as a browser asks for sound and film', async () => {
    await writeFile(join(folder, 'page', 'film.mp4'), '0123456789');
    const part = async (range: string, more: Record<string, string> = {}) => {
      const { status, headers, body } = await ask('/film.mp4', { headers: { range, ...more } });
      return [status, headers['content-range'], status === 416 ? '' : body];
    };
    expect(await part('bytes=0-1')).toEqual([206, 'bytes 0-1/10', '01']);
    expect(await part('bytes=8-')).toEqual([206, 'bytes 8-9/10', '89']);
    expect(await part('bytes=-3')).toEqual([206, 'bytes 7-9/10', '789']);
    expect(await part('bytes=-99')).toEqual([206, 'bytes 0-9/10', '0123456789']);
    expect(await part('bytes=5-999999999999999999999')).toEqual([206, 'bytes 5-9/10', '56789']);
    for (const beyond of ['bytes=10-', 'bytes=999999999999999999999-', 'bytes=-0']) expect(await part(beyond)).toEqual([416, 'bytes */10', '']);
    for (const none of ['bytes=', 'bytes=-', 'bytes=5-2', 'bytes=0-1,4-5', 'lines=0-1', 'bytes=a-b'])
      expect(await part(none)).toEqual([200, undefined, '0123456789']);
    expect(await part('bytes=0-1', { 'if-range': '"old"' })).toEqual([200, undefined, '0123456789']);
    expect((await ask('/film.mp4')).headers).toMatchObject({ 'content-type': 'video/mp4', 'accept-ranges': 'bytes', 'content-length': '10' });
    await writeFile(join(folder, 'page', 'film.mp4'), '');
    for (const range of ['bytes=0-', 'bytes=-1']) expect(await part(range)).toEqual([416, 'bytes */0', '']);
  });

  test('[BR22] a file that is written anew while it is sent is sent as long as it was said to be, or ends the connection', async () => {
    const file = join(folder, 'page', 'built.bin');
    const change = async (during: () => Promise<void>): Promise<number | string> => {
      await writeFile(file, new Uint8Array(20_000_000));
      return new Promise((resolve) => {
        const asked = request({ host: '127.0.0.1', port: bridge.port, path: '/built.bin' }, (answer) => {
          let bytes = 0;
          answer.on('data', (part: Buffer) => (bytes += part.length));
          answer.on('end', () => resolve(bytes));
          answer.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
          answer.once('data', () => {
            answer.pause();
            void during().then(() => answer.resume());
          });
        });
        asked.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message)).end();
      });
    };
    expect(await change(() => appendFile(file, new Uint8Array(1_000_000)))).toBe(20_000_000);
    expect(await change(() => truncate(file, 10_000_000))).toBe('ECONNRESET');
    await writeFile(file, '');
    expect(await ask('/built.bin')).toMatchObject({ status: 200, body: '' });
  });

  test('[BR20] who is refused cannot keep the bridge from closing', async () => {
    const other = await bench.start({ game: GAME });
    const host = `127.0.0.1:${other.port}`;
    const socket = connect({ host: '127.0.0.1', port: other.port, allowHalfOpen: true });
    socket.on('error', () => undefined);
    socket.write(`GET /__lanista HTTP/1.1\r\nHost: ${host}\r\nOrigin: http://evil.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n`);
    await new Promise((resolve) => socket.once('data', resolve));
    await other.close();
    socket.destroy();
  }, 3_000);

  test('[BR24] bytes that are no HTTP end the connection and nothing else', async () => {
    await new Promise<void>((resolve) => {
      const socket = connect(bridge.port, '127.0.0.1', () => socket.write('\x16\x03\x01\x00\xff\r\n\r\n'));
      socket.on('close', () => resolve());
      socket.on('error', () => undefined);
      socket.resume();
    });
    expect((await ask('/')).status).toBe(200);
  });
});
