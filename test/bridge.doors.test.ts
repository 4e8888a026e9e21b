/** Who knocks at the bridge, below what a browser or a WebSocket library would send: heads and frames by hand. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { Server } from 'node:http';
import { connect, Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { BRIDGE_VERSION, createCommandOutbox, MAX_BRIDGE_BATCH_BYTES, MAX_BRIDGE_STRANGERS } from '../sdk/bridge/index.ts';
import { attachBridge } from '../sdk/node/bridge-server.ts';
import { filePartsOf, securityHeaders } from '../sdk/node/static-files.ts';
import { Bench, GAME, join, until } from './bridge-fake.ts';

afterEach(() => vi.restoreAllMocks());

function hello(token: string): Uint8Array {
  const out = createCommandOutbox();
  out.add({ type: 'hello', version: BRIDGE_VERSION, token, game: GAME, page: '' });
  return out.take()!;
}

/** One frame as a page sends it; the mask is all zeros. */
function frame(body: Uint8Array, opcode: 'text' | 'binary' = 'binary', length = body.length): Uint8Array {
  const head = length < 126 ? [0x80 | length] : length < 65_536 ? [0xfe, length >> 8, length & 255] : [0xff, 0, 0, 0, 0, ...u32(length)];
  return Uint8Array.of(opcode === 'text' ? 0x81 : 0x82, ...head, 0, 0, 0, 0, ...body);
}
const u32 = (value: number): number[] => [value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255];

interface Knock {
  readonly socket: Socket;
  /** The status line's number; 0 when the connection ended without one. */
  readonly status: number;
  /** What came after the head. */
  said(): Buffer;
  isOver(): boolean;
}

/** Sends `lines` and waits for the head of the answer, or the end. */
function knock(port: number, lines: readonly string[], from = '127.0.0.1'): Promise<Knock> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, localAddress: from });
    let all = Buffer.alloc(0);
    let over = false;
    const tell = (): void => {
      const end = all.indexOf('\r\n\r\n');
      const status = Number(/^HTTP\/1.1 (\d+)/.exec(all.toString('latin1'))?.[1] ?? 0);
      if (end >= 0 || over) resolve({ socket, status, said: () => all.subarray(end < 0 ? 0 : end + 4), isOver: () => over });
    };
    socket.on('data', (part) => {
      all = Buffer.concat([all, part]);
      tell();
    });
    socket.on('close', () => {
      over = true;
      tell();
    });
    socket.on('error', () => undefined);
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  });
}

const upgradeLines = (host: string, more: readonly string[] = [], path = '/__lanista', method = 'GET'): string[] => [
  `${method} ${path} HTTP/1.1`,
  `Host: ${host}`,
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  ...more,
];
const own = (port: number, path?: string): string[] => upgradeLines(`127.0.0.1:${port}`, [`Origin: http://127.0.0.1:${port}`], path);

describe('an upgrade', () => {
  test('[BR20] is told apart by its head alone, and each refusal is counted by its reason', async () => {
    await using bench = new Bench();
    const bridge = await bench.start();
    const { port } = bridge;
    const host = `127.0.0.1:${port}`;
    const origin = `Origin: http://${host}`;
    const tries: readonly [string, readonly string[], number][] = [
      ['ours', own(port), 101],
      ['ours, with a query', own(port, '/__lanista?page=1'), 101],
      ['by its IPv6 name', upgradeLines(`[::1]:${port}`, [`Origin: http://[::1]:${port}`]), 101],
      ['two hosts', upgradeLines(host, [`Host: ${host}`, origin]), 403],
      ['another host second', upgradeLines(host, ['Host: evil.example', origin]), 403],
      ['two origins', upgradeLines(host, [origin, 'Origin: http://evil.example']), 403],
      ['another host', upgradeLines('evil.example', ['Origin: http://evil.example']), 403],
      ['no GET', upgradeLines(host, [origin], '/__lanista', 'POST'), 405],
    ];
    for (const [name, lines, status] of tries) {
      const { socket, status: got } = await knock(port, lines);
      socket.destroy();
      expect([name, got]).toEqual([name, status]);
    }
    const { drops } = bridge.stats();
    const counted = ['host', 'origin', 'method'].map((why) => drops[`bridge-upgrade-${why}`]);
    // Node itself refuses two hosts where it is strict; then they never come here.
    expect([counted[0]! >= 1, ...counted.slice(1)]).toEqual([true, 1, 1]);
  });

  test('[BR20] of another computer is refused, as is every request of it, and one of any loopback address is not', async () => {
    const root = await mkdtemp(joinPath(tmpdir(), 'lanista-doors-'));
    await writeFile(joinPath(root, 'index.html'), '<!doctype html>');
    await using bench = new Bench();
    const { port, stats } = await bench.start({ root });
    const page = [`GET / HTTP/1.1`, `Host: 127.0.0.1:${port}`];
    const statuses = async (from?: string): Promise<number[]> => {
      const answers = [await knock(port, page, from), await knock(port, own(port), from)];
      for (const { socket } of answers) socket.destroy();
      return answers.map(({ status }) => status);
    };
    expect(await statuses('127.0.0.2')).toEqual([200, 101]);
    // What a socket's remote address is read from.
    const peer = vi.spyOn(Socket.prototype as unknown as { _getpeername(): { address?: string } }, '_getpeername');
    for (const address of ['192.168.1.5', '::ffff:10.0.0.1', 'fe80::1', undefined as never]) {
      peer.mockReturnValue({ address });
      expect([address, await statuses()]).toEqual([address, [403, 403]]);
    }
    for (const address of ['::1', '::ffff:127.0.0.1']) {
      peer.mockReturnValue({ address });
      expect([address, await statuses()]).toEqual([address, [200, 101]]);
    }
    expect(stats().drops['bridge-upgrade-remote']).toBe(4);
    await rm(root, { recursive: true });
  });

  test('[BR20] on the default port of its scheme has none in Host and Origin', async () => {
    await using bench = new Bench();
    for (const [scheme, port] of [
      ['http', 80],
      ['https', 443],
    ] as const) {
      const server = createServer();
      server.on('connection', (socket) => void Object.assign(socket, { encrypted: scheme === 'https' }));
      const bridge = attachBridge(server, { lan: bench.lan });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const real = (server.address() as AddressInfo).port;
      vi.spyOn(server, 'address').mockReturnValue({ address: '::1', family: 'IPv6', port });
      expect(bridge.url()).toBe(`http://[::1]:${port}/#${bridge.token}`);
      const ours = await knock(real, upgradeLines('127.0.0.1', [`Origin: ${scheme}://127.0.0.1`]));
      const other = await knock(real, upgradeLines(`127.0.0.1:${real}`, [`Origin: ${scheme}://127.0.0.1:${real}`]));
      expect([scheme, ours.status, other.status]).toEqual([scheme, 101, 403]);
      for (const { socket } of [ours, other]) socket.destroy();
      await bridge.close();
      server.close();
    }
  });

  test('[BR21] waits for its hello together with seven others at most; who said it is none of them', async () => {
    await using bench = new Bench();
    const bridge = await bench.start();
    const { port } = bridge;
    const strangers: Knock[] = [];
    for (let i = 0; i < MAX_BRIDGE_STRANGERS; i++) strangers.push(await knock(port, own(port)));
    expect(strangers.map(({ status }) => status)).toEqual(Array.from({ length: MAX_BRIDGE_STRANGERS }, () => 101));
    expect((await knock(port, own(port))).status).toBe(503);
    strangers[0]!.socket.write(frame(hello(bridge.token)));
    await until(() => bridge.stats().pages === 1);
    const next = await knock(port, own(port));
    expect([next.status, (await knock(port, own(port))).status]).toEqual([101, 503]);
    next.socket.destroy();
    // Who goes without a word makes room, too.
    await until(() => next.isOver());
    let last = await knock(port, own(port));
    while (last.status === 503) last = await knock(port, own(port));
    expect(bridge.stats().drops['bridge-upgrade-strangers']).toBeGreaterThanOrEqual(2);
    for (const { socket } of [...strangers, last]) socket.destroy();
  });
});

describe('a page', () => {
  test('[BR21] whose hello was wrong, or text, is counted, and not let in by a right one after it', async () => {
    await using bench = new Bench();
    const bridge = await bench.start();
    const { port, token } = bridge;
    const wrong = await knock(port, own(port));
    wrong.socket.write(Buffer.concat([frame(hello('x'.repeat(22))), frame(hello(token))]));
    const text = await knock(port, own(port));
    text.socket.write(frame(hello(token), 'text'));
    // 0x88: a close frame, with its code.
    await until(() => [wrong, text].every((one) => one.said()[0] === 0x88));
    expect([wrong, text].map((one) => one.said().readUInt16BE(2))).toEqual([4_001, 4_001]);
    expect([bridge.stats().pages, bridge.stats().drops['bridge-token']]).toEqual([0, 2]);
    for (const { socket } of [wrong, text]) socket.destroy();
  });

  test('[BR2] that says text, or more than a batch may have, is not read; the second ends its connection at once', async () => {
    await using bench = new Bench();
    const bridge = await bench.start();
    const page = await knock(bridge.port, own(bridge.port));
    page.socket.write(frame(hello(bridge.token)));
    await until(() => bridge.stats().pages === 1);
    const before = bridge.stats().batchesIn;
    page.socket.write(frame(Uint8Array.of(1, 1), 'text'));
    await until(() => bridge.stats().drops['bridge-text'] === 1);
    expect([bridge.stats().batchesIn, bench.lan.watchers.size]).toEqual([before, 0]);
    page.socket.write(frame(Uint8Array.of(1), 'binary', MAX_BRIDGE_BATCH_BYTES + 1));
    await until(() => page.isOver());
  });
});

describe('the end of a bridge', () => {
  test('[BR33] sends away who has not said hello, and does not wait for who does not answer, or does not read', async () => {
    const root = await mkdtemp(joinPath(tmpdir(), 'lanista-doors-'));
    await writeFile(joinPath(root, 'large.bin'), new Uint8Array(20_000_000));
    await using bench = new Bench();
    const bridge = await bench.start({ root });
    const stranger = await knock(bridge.port, own(bridge.port));
    const slow = request({ host: '127.0.0.1', port: bridge.port, path: '/large.bin' });
    slow.on('error', () => undefined).end();
    await new Promise<void>((resolve) => slow.on('response', (answer) => resolve(void answer.once('data', () => answer.pause()))));
    await bridge.close();
    await until(() => stranger.isOver());
    expect(stranger.said().readUInt16BE(2)).toBe(4_005);
    slow.destroy();
    await rm(root, { recursive: true });
  }, 3_000);

  test('[BR33] closes the network half it was given a function for, and no other; an HTTP server that is not its own stays as it was', async () => {
    await using bench = new Bench();
    const close = vi.spyOn(bench.lan, 'close');
    await (await bench.start()).close();
    expect(close).toHaveBeenCalledTimes(0);
    await (await bench.start({ lan: () => bench.lan })).close();
    expect(close).toHaveBeenCalledTimes(1);
    const server: Server = createServer((_asked, answer) => void answer.end('mine'));
    const bridge = attachBridge(server, { lan: bench.lan });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    await bridge.close();
    expect([server.listening, server.listenerCount('upgrade'), close.mock.calls.length]).toEqual([true, 0, 1]);
    server.close();
  });
});

test('[BR22] without a folder there is no page, in words, with the fences; what is no HTTP gets no answer', async () => {
  await using bench = new Bench();
  const { port } = await bench.start();
  const page = await fetch(`http://127.0.0.1:${port}/`);
  expect([page.status, page.headers.get('x-content-type-options'), await page.text()]).toEqual([404, 'nosniff', 'No page is served here.\n']);
  const noise = await knock(port, ['\x16\x03\x01\x00\xff']);
  expect([noise.status, noise.said().length]).toEqual([0, 0]);
});

test('[BR17] a network half that does not open gives the port back, and is not opened for options that cannot be', async () => {
  await using bench = new Bench();
  const { port, close } = await bench.start();
  await close();
  const lan = vi.fn(() => Promise.reject(new Error('no socket')));
  for (const wrong of [{ token: 'short' }, { token: ['abcdefghijklmnopqrstuv'] as never }, { keepMs: -1 }, { root: 'package.json' }])
    await expect(bench.start({ port, lan, ...wrong })).rejects.toMatchObject({ code: 'bad-argument' });
  expect(lan).toHaveBeenCalledTimes(0);
  await expect(bench.start({ port, lan })).rejects.toThrow('no socket');
  const again = await bench.start({ port });
  await (await bench.page(again)).open(join());
});

test('[BR22] the fences are these, to the letter, and refusals have them too', async () => {
  expect(securityHeaders(['ws://127.0.0.1:5173', 'ws://localhost:5173', 'ws://[::1]:5173'])).toEqual({
    'Content-Security-Policy': [
      "default-src 'self'",
      "style-src 'self' 'unsafe-inline'",
      "img-src 'self' data: blob:",
      "media-src 'self' data: blob:",
      "script-src 'self' 'wasm-unsafe-eval'",
      "font-src 'self' data:",
      "connect-src 'self' data: blob: ws://127.0.0.1:5173 ws://localhost:5173",
      "object-src 'none'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
  });
});

test('[BR23] a path is decoded once, and names a plain file by parts that mean the same on every system', () => {
  const paths: readonly (readonly [string, readonly string[] | undefined])[] = [
    ['/', ['index.html']],
    ['/a/b.js?x=1#y', ['a', 'b.js']],
    ['/a%20b.js', ['a b.js']],
    ['/a%2520b.js', ['a%20b.js']],
    ['/%252e%252e/x', ['%2e%2e', 'x']],
    ...['/a//b', '/a/', '/.git/x', '/a/.b', '/a/..', '/a:b', '/a%5cb', '/a%00', '/a.', '/a%20', '/%', 'x', 'xa/b', ''].map(
      (path) => [path, undefined] as const,
    ),
  ];
  for (const [path, parts] of paths) expect([path, filePartsOf(path)]).toEqual([path, parts]);
});

test('[BR22] a type is told by the ending in either case; what has its content in its name is kept, and nothing else', async () => {
  const root = await mkdtemp(joinPath(tmpdir(), 'lanista-doors-'));
  for (const folder of ['assets', 'more/assets'].map((name) => joinPath(root, name))) await mkdir(folder, { recursive: true });
  const files = ['index.HTML', 'assets/a.PNG', 'assets/b.html', 'more/assets/c.js', 'd.dat', 'empty.txt'];
  for (const file of files) await writeFile(joinPath(root, file), file === 'empty.txt' ? '' : '0123456789');
  await using bench = new Bench();
  const { port } = await bench.start({ root });
  const facts = async (path: string, init: RequestInit = {}): Promise<unknown[]> => {
    const { status, headers } = await fetch(`http://127.0.0.1:${port}/${path}`, init);
    return [status, headers.get('content-type'), headers.get('cache-control'), headers.get('content-length')];
  };
  const kept = 'public, max-age=31536000, immutable';
  const html = 'text/html; charset=utf-8';
  expect(await Promise.all(files.map((file) => facts(file)))).toEqual([
    [200, html, 'no-store', '10'],
    [200, 'image/png', kept, '10'],
    [200, html, 'no-store', '10'],
    [200, 'text/javascript; charset=utf-8', 'no-cache', '10'],
    [200, 'application/octet-stream', 'no-cache', '10'],
    [200, 'text/plain; charset=utf-8', 'no-cache', '0'],
  ]);
  expect(await facts('d.dat', { method: 'HEAD', headers: { Range: 'bytes=0-1' } })).toEqual([200, 'application/octet-stream', 'no-cache', '10']);
  expect((await facts('none.js'))[0]).toBe(404);
  // Beside it, with a name that begins as its own.
  await mkdir(`${root}-beside`);
  await writeFile(joinPath(`${root}-beside`, 'secret.txt'), 'secret');
  await symlink(joinPath(`${root}-beside`, 'secret.txt'), joinPath(root, 'link.txt'));
  expect((await facts('link.txt'))[0]).toBe(404);
  for (const folder of [root, `${root}-beside`]) await rm(folder, { recursive: true });
});
