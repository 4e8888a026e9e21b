/** A system that does not tell its interfaces: Android never, any other while the process has no descriptor left. On loopback only. */
import os, { networkInterfaces, tmpdir } from 'node:os';
import { syncBuiltinESMExports } from 'node:module';
import { createSocket } from 'node:dgram';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';

import { examine } from '../sdk/node/cli/doctor-probe.ts';
import { InterfaceWatch, scanInterfaces } from '../sdk/node/discovery/interfaces.ts';
import { decodeJoinCode } from '../sdk/node/discovery/join-code.ts';
import { openNodeLanPort, type NodeLanPort } from '../sdk/node/lan-port.ts';
import { bindHost } from '../sdk/node/udp.ts';
import { MAX_ENDPOINTS_PER_PEER } from '../sdk/wire/limits.ts';

const real = os.networkInterfaces;
const open: NodeLanPort[] = [];
afterEach(async () => {
  seeAgain();
  for (const port of open.splice(0)) await port.close();
});

const blind = (): never => {
  throw Object.assign(new Error('uv_interface_addresses returned Unknown system error 13'), { code: 'ERR_SYSTEM_ERROR' });
};

/** Nobody is told, neither we nor the libraries. */
function turnBlind(): void {
  os.networkInterfaces = blind;
  syncBuiltinESMExports();
}

function seeAgain(): void {
  os.networkInterfaces = real;
  syncBuiltinESMExports();
}

const game = { id: `blind-${process.pid}`, version: 1, schemaHash: 1 };
const discovery = { beacon: false, localDirectory: mkdtempSync(join(tmpdir(), 'lanista-test-')) };
const create = { type: 'create', name: 'Friday', max: 4, code: undefined, spectate: false } as const;

async function lan(options: object): Promise<NodeLanPort> {
  const port = await openNodeLanPort(game, { profile: false, discovery, ...options });
  open.push(port);
  return port;
}

it('[DI2] a system that never tells its interfaces is one without any: the process opens, and joins by address', async () => {
  const host = await lan({ interfaces: ['127.0.0.1'] });
  await host.open(create);
  const guest = await lan({ readInterfaces: blind, discovery: { mdns: false, beacon: false, local: false } });
  expect(guest.discovery().level).toBe('unavailable');
  const room = await guest.open({ type: 'join', target: `127.0.0.1:${host.joinPort}`, code: undefined, spectate: false });
  expect(room.roster().peers).toHaveLength(2);
  const watch = new InterfaceWatch(blind, []);
  expect(watch.list).toEqual([]);
  await expect(openNodeLanPort(game, { profile: false, discovery, readInterfaces: blind, interfaces: ['wlan0'] })).rejects.toMatchObject({
    code: 'no-network',
  });
});

it('[DI31] a machine without a network says so, and has no join code to read aloud', async () => {
  const { lo } = real();
  const port = await lan({ readInterfaces: () => ({ lo }), discovery: { mdns: false, beacon: false, local: false } });
  expect(port.discovery()).toEqual({ level: 'unavailable', reasons: ['No network interface is up: only players on this machine are found.'] });
  expect(port.joinCode()).toBeUndefined();
});

it('[DI2] a system that stops telling its interfaces ends nothing: a room opens, and is announced when it tells again', async () => {
  const said: string[] = [];
  const onUncaught = (error: Error): void => void said.push(error.message);
  process.on('uncaughtException', onUncaught);
  const only = { interfaces: ['127.0.0.1'], readInterfaces: real, discovery: { beacon: false, local: false } };
  turnBlind();
  expect(networkInterfaces).toThrow();
  const port = await lan(only);
  // The library that sends the adverts used to ask as soon as its socket was open, and every five seconds.
  await new Promise((resolve) => setTimeout(resolve, 100));
  await port.open(create);
  seeAgain();
  let names: readonly string[] = [];
  using watch = (await lan(only)).watchRooms((rooms) => void (names = rooms.map((room) => room.name)));
  void watch;
  for (let i = 0; i < 400 && names.length === 0; i++) await new Promise((resolve) => setTimeout(resolve, 10));
  process.off('uncaughtException', onUncaught);
  expect(names).toEqual(['Friday']);
  expect(said).toEqual([]);
}, 15_000);

/** A machine that is reached at every address of 127.0.0.0/8, and answers as 127.0.0.1: as one with cable and Wi-Fi on one router does. */
const manyAddresses = { readInterfaces: () => ({ lo: real()['lo'] }), discovery: { mdns: false, beacon: false, local: false } };

it('[DI26] a machine is joined at any address of it, also where its answers come from another one, listed already or not', async () => {
  const host = await lan(manyAddresses);
  await host.open(create);
  const target = `127.0.0.2:${host.joinPort}`;
  for (const isListed of [false, true]) {
    const guest = await lan(manyAddresses);
    let names: readonly string[] = [];
    using watch = guest.watchRooms((rooms) => void (names = rooms.map((room) => room.name)));
    void watch;
    if (isListed) {
      const abort = new AbortController();
      const first = guest.open({ type: 'join', target: `127.0.0.1:${host.joinPort}`, code: undefined, spectate: false }, abort.signal);
      const ended = expect(first).rejects.toMatchObject({ code: 'aborted' });
      for (let i = 0; i < 100 && names.length === 0; i++) await new Promise((resolve) => setTimeout(resolve, 1));
      abort.abort();
      await ended;
    }
    const room = await guest.open({ type: 'join', target, code: undefined, spectate: false });
    expect(room.roster().name).toBe('Friday');
  }
});

it('[DI36] a machine that the doctor is told to ask is one that answers, whichever of its addresses the answer comes from', async () => {
  const host = await lan(manyAddresses);
  await host.open(create);
  const { probe } = await examine({
    interfaces: ['127.0.0.1'],
    probe: { host: '127.0.0.2', port: host.joinPort },
    listenMs: 200,
    discovery: manyAddresses.discovery,
  });
  expect(probe).toMatchObject({ address: `127.0.0.2:${host.joinPort}`, answered: true });
});

it('[DI21] a process on loopback alone is told of where its socket is, though loopback has two addresses, as in WSL', async () => {
  const [one] = real()['lo']!;
  const wsl = { lo: [{ ...one!, address: '10.255.255.254', netmask: '255.255.255.255' }, one!] } as ReturnType<typeof real>;
  for (const interfaces of [['lo'], ['lo', '127.0.0.1']]) {
    const port = await lan({ interfaces, readInterfaces: () => wsl, discovery: { mdns: false, beacon: false, local: false } });
    expect(port.addresses()).toEqual([{ host: '127.0.0.1', port: port.joinPort }]);
    expect(decodeJoinCode(port.joinCode()!)).toEqual(port.addresses()[0]);
    expect(
      bindHost(
        interfaces,
        scanInterfaces(() => wsl, interfaces),
      ),
    ).toBe('127.0.0.1');
  }
});

it('[DI18] a room that was left while its advert waited for the system is never announced', async () => {
  const only = { interfaces: ['127.0.0.1'], readInterfaces: real, discovery: { beacon: false, local: false } };
  turnBlind();
  const port = await lan(only);
  const room = await port.open(create);
  room.leave(port.time.now());
  seeAgain();
  const seen: string[] = [];
  using watch = (await lan(only)).watchRooms((rooms) => seen.push(...rooms.map((one) => one.name)));
  void watch;
  const said: Buffer[] = [];
  const listener = createSocket({ type: 'udp4', reuseAddr: true });
  listener.on('message', (bytes) => said.push(bytes));
  await new Promise<void>((resolve) => listener.bind(5_353, '0.0.0.0', () => resolve()));
  listener.addMembership('224.0.0.251', '127.0.0.1');
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  await new Promise<void>((resolve) => listener.close(() => resolve()));
  expect([seen, said.filter((bytes) => bytes.includes(`g=${game.id}`)).length]).toEqual([[], 0]);
});

it('[DI21] a machine of many addresses tells as many as others keep', async () => {
  const [one] = real()['lo']!;
  const many = { lo: Array.from({ length: 14 }, (_, i) => ({ ...one!, address: `127.0.0.${i + 1}` })) };
  const port = await lan({ readInterfaces: () => many, discovery: { mdns: false, beacon: false, local: false } });
  expect(port.addresses()).toHaveLength(MAX_ENDPOINTS_PER_PEER);
  expect(port.addresses()[0]).toEqual({ host: '127.0.0.1', port: port.joinPort });
});
