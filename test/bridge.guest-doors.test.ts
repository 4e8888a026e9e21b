/** Who gets to the server of the guests at all. On loopback, whose subnet is 127.0.0.0/8. */
import { createServer, get } from 'node:http';
import { connect, Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { NetworkInterfaceInfo } from 'node:os';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import type { LanError } from '../sdk/base/errors.ts';
import {
  BRIDGE_CLOSE,
  BRIDGE_VERSION,
  createCommandOutbox,
  MAX_BRIDGE_STRANGERS,
  MAX_GUEST_SOCKETS,
  MAX_GUEST_SOCKETS_PER_ADDRESS,
  MAX_GUEST_STRANGERS_PER_ADDRESS,
} from '../sdk/bridge/index.ts';
import type { PageCommand } from '../sdk/bridge/index.ts';
import { checkGuests } from '../sdk/node/guests.ts';
import type { GuestOptions } from '../sdk/node/guests.ts';
import { GAME, ScriptedLan, until } from './bridge-fake.ts';
import { failure, House, pageId, status } from './guest-house.ts';

afterEach(() => vi.restoreAllMocks());

const upgrade = (more: Record<string, string>): Record<string, string> => ({
  Upgrade: 'websocket',
  Connection: 'Upgrade',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  ...more,
});

/** Says hello by hand; resolves with how the socket was closed. */
function sayHello(
  port: number,
  hello: Partial<Extract<PageCommand, { type: 'hello' }>> & { token: string },
): Promise<{ code: number; words: string }> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/__lanista`, { origin: `http://127.0.0.1:${port}` });
  const out = createCommandOutbox();
  out.add({ type: 'hello', version: BRIDGE_VERSION, game: GAME, page: pageId('a'), ...hello });
  socket.on('open', () => socket.send(out.take()!));
  return new Promise((resolve) => socket.on('close', (code, words) => resolve({ code, words: words.toString() })));
}

describe('the server of the guests', () => {
  const nic = (address: string, internal = false): NetworkInterfaceInfo => ({
    address,
    netmask: '255.255.255.0',
    family: 'IPv4',
    mac: '',
    internal,
    cidr: null,
  });
  const loopback = { lo: [nic('127.0.0.1', true)] };

  test('[BR34] is there only when asked for, on the one address that was asked for', async () => {
    await using house = new House();
    const without = await house.start({ root: house.root, game: GAME });
    expect([without.guests, (await house.page(without)).guests]).toEqual([undefined, undefined]);
    const bridge = await house.open();
    const { guests, token, port } = bridge;
    expect((await house.page(bridge)).guests).toBe(guests.url);
    expect(guests.url).toBe(`http://127.0.0.1:${guests.port}/#${guests.token}`);
    expect([guests.token === token, guests.port === port, guests.token.length]).toEqual([false, false, 22]);
    const elsewhere = connect({ host: '127.0.0.2', port: guests.port });
    await expect(new Promise((resolve, reject) => elsewhere.on('connect', resolve).on('error', reject))).rejects.toThrow('ECONNREFUSED');
  });

  test('[BR34] has the address of the only network, and asks where there are several or none', () => {
    const at = (nics: NodeJS.Dict<NetworkInterfaceInfo[]>, options: GuestOptions = {}): string => {
      try {
        return checkGuests(options, { game: GAME, root: '.' }, () => nics).address;
      } catch (error) {
        return `${(error as LanError).code}: ${(error as LanError).message}`;
      }
    };
    const wifi = { wlan0: [nic('192.168.1.5')] };
    const wire = { eth0: [nic('10.0.0.7')] };
    expect(at({ ...loopback, ...wifi })).toBe('192.168.1.5');
    expect(at({ ...loopback, ...wifi, docker0: [nic('172.17.0.1')] })).toBe('192.168.1.5');
    expect(at({ ...loopback, tun0: [nic('10.8.0.2')] })).toBe('10.8.0.2');
    expect(at(loopback)).toMatch(/^no-network: This machine is in no network/);
    expect(at({ ...loopback, ...wifi, ...wire })).toMatch(/^bad-argument: This machine has several addresses: .*192\.168\.1\.5/);
    expect(at({ ...loopback, ...wifi, ...wire }, { interface: 'eth0' })).toBe('10.0.0.7');
    expect(at({ ...loopback, ...wifi, ...wire }, { interface: '192.168.1.5' })).toBe('192.168.1.5');
    expect(at(loopback, { interface: '127.0.0.1' })).toBe('127.0.0.1');
    for (const wrong of ['0.0.0.0', '192.168.1.9', '::', 'wlan9']) expect(at({ ...loopback, ...wifi }, { interface: wrong })).toMatch(/^no-network/);
    expect(at({ wlan0: [nic('192.168.1.5'), nic('192.168.2.5')] }, { interface: 'wlan0' })).toMatch(/^bad-argument/);
  });

  test('[BR34] is refused in words when it cannot be what was asked for, before anything is opened', async () => {
    await using house = new House();
    const { root } = house;
    const given = { root, game: GAME };
    const wrong: readonly [object, object, RegExp][] = [
      [{ interface: '127.0.0.1', host: '127.0.0.1' }, given, /no option 'host'/],
      [{ interface: 7 }, given, /interface/],
      [{ interface: '' }, given, /interface/],
      [{ interface: '127.0.0.1', port: 70_000 }, given, /port/],
      [{ interface: '127.0.0.1', most: 0 }, given, /most/],
      [{ interface: '127.0.0.1', most: 32 }, given, /most/],
      [{ interface: '127.0.0.1', most: 1.5 }, given, /most/],
      [{ interface: '127.0.0.1', lan: new ScriptedLan() }, given, /lan/],
      [{ interface: '127.0.0.1' }, { root }, /need game and root/],
      [{ interface: '127.0.0.1' }, { game: GAME }, /need game and root/],
    ];
    let opened = 0;
    const lan = (): ScriptedLan => {
      opened++;
      return new ScriptedLan();
    };
    for (const [guests, options, words] of wrong) {
      const error = await failure(house.start({ lan, ...options, guests: guests as GuestOptions }));
      expect([error.code, error.message]).toEqual(['bad-argument', expect.stringMatching(words)]);
    }
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.on('listening', resolve));
    const { port } = taken.address() as AddressInfo;
    expect((await failure(house.start({ lan, ...given, guests: { interface: '127.0.0.1', port } }))).code).toBe('bind-failed');
    taken.close();
    expect(opened).toBe(0);
    expect(checkGuests({ interface: '127.0.0.1', most: 1 }, given, () => loopback).address).toBe('127.0.0.1');
  });

  test('[BR35] answers to exactly its own Host and Origin, with the page and nothing else', async () => {
    await using house = new House();
    const { guests, port: bridgePort } = await house.open();
    const { port } = guests;
    const host = `127.0.0.1:${port}`;
    const origin = `http://${host}`;
    const tries: readonly [Parameters<typeof status>[1], string, string, number][] = [
      [{ Host: host }, 'GET', '/', 200],
      [{ Host: host }, 'HEAD', '/', 200],
      [{ Host: host }, 'GET', '/../secret', 400],
      [{ Host: host }, 'POST', '/', 405],
      [{ Host: `localhost:${port}` }, 'GET', '/', 403],
      [{ Host: '127.0.0.1' }, 'GET', '/', 403],
      [{ Host: 'game.example' }, 'GET', '/', 403],
      [upgrade({ Host: host, Origin: origin }), 'GET', '/__lanista', 101],
      [upgrade({ Host: host, Origin: origin }), 'POST', '/__lanista', 405],
      [upgrade({ Host: host, Origin: origin }), 'GET', '/other', 0],
      [upgrade({ Host: `localhost:${port}`, Origin: `http://localhost:${port}` }), 'GET', '/__lanista', 403],
      [upgrade({ Host: `localhost:${port}`, Origin: origin }), 'GET', '/__lanista', 403],
      [upgrade({ Host: host }), 'GET', '/__lanista', 403],
      [upgrade({ Host: host, Origin: 'null' }), 'GET', '/__lanista', 403],
      [upgrade({ Host: host, Origin: `https://${host}` }), 'GET', '/__lanista', 403],
      [upgrade({ Host: host, Origin: `http://127.0.0.1:${bridgePort}` }), 'GET', '/__lanista', 403],
    ];
    for (const [headers, method, path, wanted] of tries)
      expect([headers, method, path, await status(port, headers, method, path)]).toEqual([headers, method, path, wanted]);
    const policy = await new Promise<unknown>((resolve) =>
      get({ host: '127.0.0.1', port, headers: { Host: host } }, (answer) => resolve(answer.resume().headers['content-security-policy'])),
    );
    expect(policy).toContain(`connect-src 'self' data: blob: ws://${host};`);
  });

  test('[BR34] takes no connection from outside its subnet, and not too many of one machine', async () => {
    await using house = new House();
    const { guests } = await house.open();
    const { port } = guests;
    const headers = { Host: `127.0.0.1:${port}` };
    const peer = vi.spyOn(Socket.prototype as unknown as { _getpeername(): { address?: string } }, '_getpeername');
    for (const address of ['192.168.1.5', '128.0.0.1', '::1', undefined as never]) {
      peer.mockReturnValue({ address });
      expect([address, await status(port, headers)]).toEqual([address, 0]);
    }
    peer.mockRestore();
    expect(guests.stats().drops['bridge-guest-remote']).toBe(4);
    const held: Socket[] = [];
    for (let i = 0; i < MAX_GUEST_SOCKETS_PER_ADDRESS; i++) held.push(await connected(port));
    expect(await status(port, headers)).toBe(0);
    expect(guests.stats().drops['bridge-guest-sockets']).toBe(1);
    const other = await connected(port, '127.0.0.2');
    // For each that goes there is one place, and no more.
    held.pop()!.destroy();
    await until(async () => {
      const socket = await connected(port);
      // One too many is ended as soon as it is there.
      await Promise.race([new Promise((resolve) => socket.on('close', resolve)), new Promise((resolve) => setTimeout(resolve, 50))]);
      if (!socket.closed) held.push(socket);
      return !socket.closed;
    });
    expect(await status(port, headers)).toBe(0);
    for (const socket of [...held, other]) socket.destroy();
    await until(async () => (await status(port, headers)) === 200);
  });

  test('[BR34] takes no more connections than it has places for, from however many machines', async () => {
    await using house = new House();
    const { guests } = await house.open();
    const held: Socket[] = [];
    for (let i = 0; i < MAX_GUEST_SOCKETS; i++)
      held.push(await connected(guests.port, `127.0.0.${2 + Math.floor(i / MAX_GUEST_SOCKETS_PER_ADDRESS)}`));
    const one = connect({ host: '127.0.0.1', port: guests.port, localAddress: '127.0.0.100' });
    await new Promise((resolve) => one.on('error', resolve).on('close', resolve));
    await until(() => guests.stats().drops['bridge-guest-sockets'] === 1);
    for (const socket of held) socket.destroy();
  });

  test('[BR35] says nothing to what is no request', async () => {
    await using house = new House();
    const { guests } = await house.open();
    const socket = await connected(guests.port);
    let heard = 0;
    socket.on('data', (bytes) => (heard += bytes.length));
    socket.write('\x16\x03\x01 this is no HTTP\r\n\r\n');
    await new Promise((resolve) => socket.on('close', resolve));
    expect(heard).toBe(0);
  });

  function connected(port: number, localAddress = '127.0.0.1'): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, localAddress }, () => resolve(socket));
      socket.on('error', reject);
    });
  }

  test('[BR35] waits for the hello of few at a time, and for that with its own token', async () => {
    await using house = new House();
    const bridge = await house.open();
    const { port, token } = bridge.guests;
    const headers = upgrade({ Host: `127.0.0.1:${port}`, Origin: `http://127.0.0.1:${port}` });
    const silent = Array.from(
      { length: MAX_GUEST_STRANGERS_PER_ADDRESS },
      () => new WebSocket(`ws://127.0.0.1:${port}/__lanista`, { origin: `http://127.0.0.1:${port}` }),
    );
    await Promise.all(silent.map((socket) => new Promise((resolve) => socket.on('open', resolve))));
    expect(await status(port, headers, 'GET', '/__lanista')).toBe(503);
    const others = Array.from(
      { length: MAX_BRIDGE_STRANGERS - MAX_GUEST_STRANGERS_PER_ADDRESS },
      (_, i) =>
        new WebSocket(`ws://127.0.0.1:${port}/__lanista`, { origin: `http://127.0.0.1:${port}`, localAddress: `127.0.0.${2 + Math.floor(i / 2)}` }),
    );
    await Promise.all(others.map((socket) => new Promise((resolve) => socket.on('open', resolve))));
    expect(await status(port, headers, 'GET', '/__lanista', '127.0.0.9')).toBe(503);
    const ends = silent.map((socket) => new Promise((resolve) => socket.on('close', resolve)));
    expect(await Promise.all(ends)).toEqual(silent.map(() => BRIDGE_CLOSE.late));
    for (const wrong of [bridge.token, '', `${token}x`]) expect((await sayHello(port, { token: wrong })).code).toBe(BRIDGE_CLOSE.token);
    for (const page of ['', 'a', pageId('A'), `${pageId('a').slice(1)}\n`])
      expect((await sayHello(port, { token, page })).words).toContain('Reload it');
    expect((await sayHello(port, { token, version: BRIDGE_VERSION - 1 })).code).toBe(BRIDGE_CLOSE.version);
    expect((await sayHello(port, { token, game: { ...GAME, version: 2 } })).code).toBe(BRIDGE_CLOSE.version);
    // None of them cost a lan.
    expect([house.lans.length, bridge.guests.stats().drops['bridge-token'], bridge.guests.stats().drops['bridge-version']]).toEqual([0, 3, 6]);
    // The owner's page has another key than its guests.
    expect((await sayHello(bridge.port, { token })).code).toBe(BRIDGE_CLOSE.token);
  });
});
