/** Edges of the Node process: profile, sockets, driver, doctor. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

import { LanError } from '../sdk/base/errors.ts';
import type { MeshLike } from '../sdk/mesh/mesh-types.ts';
import { diagnose, exitCode, type DoctorFacts, type InterfaceFacts } from '../sdk/node/cli/doctor-checks.ts';
import { nodeCrypto } from '../sdk/node/crypto-node.ts';
import { Driver } from '../sdk/node/driver.ts';
import { NodeTime, monotonicMs } from '../sdk/node/local-time.ts';
import { openProfile, profileHome } from '../sdk/node/profile.ts';
import { openUdp } from '../sdk/node/udp.ts';

const home = (): string => mkdtempSync(join(tmpdir(), 'lanista-home-'));

describe('profile', () => {
  it('[DI20] keeps the key, for its owner alone, and gives it to one process at a time', () => {
    const at = home();
    const first = openProfile(nodeCrypto, 'ann', at);
    const second = openProfile(nodeCrypto, 'ann', at);
    expect([first.name, second.name]).toEqual(['ann', 'ann-2']);
    expect(Buffer.from(first.identity.publicKey).equals(second.identity.publicKey)).toBe(false);
    expect(statSync(join(at, 'ann.key')).mode & 0o777).toBe(0o600);
    first.release();
    const again = openProfile(nodeCrypto, 'ann', at);
    expect(Buffer.from(again.identity.publicKey).equals(first.identity.publicKey)).toBe(true);
    again.release();
    second.release();
  });

  it('[DI20] takes over the profile of a process that was killed, and not that of one that lives', async () => {
    const at = home();
    const sleeper = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)']);
    await new Promise((resolve) => sleeper.once('spawn', resolve));
    writeFileSync(join(at, 'ann.lock'), `${sleeper.pid} `);
    const other = openProfile(nodeCrypto, 'ann', at);
    expect(other.name).toBe('ann-2');
    other.release();
    const gone = new Promise((resolve) => sleeper.once('exit', resolve));
    sleeper.kill('SIGKILL');
    await gone;
    const mine = openProfile(nodeCrypto, 'ann', at);
    expect(mine.name).toBe('ann');
    expect(readFileSync(join(at, 'ann.lock'), 'utf8')).toMatch(new RegExp(`^${process.pid} `));
    mine.release();
  });

  it("[DI20] a lock whose process id was given to another process is nobody's", () => {
    const at = home();
    // Our parent lives, but did not begin then; only Linux tells when a process began.
    writeFileSync(join(at, 'ann.lock'), `${process.ppid} 1`);
    const profile = openProfile(nodeCrypto, 'ann', at);
    expect(profile.name).toBe(process.platform === 'linux' ? 'ann' : 'ann-2');
    profile.release();
  });

  it('[DI20] processes that start at the same instant over a dead lock get a key each', async () => {
    const at = home();
    writeFileSync(join(at, 'ann.lock'), '999999999 ');
    const url = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);
    const script = `
      import { nodeCrypto } from ${url('../sdk/node/crypto-node.ts')};
      import { openProfile } from ${url('../sdk/node/profile.ts')};
      process.stdout.write('ready\\n');
      process.stdin.once('data', () => {
        const profile = openProfile(nodeCrypto, 'ann', ${JSON.stringify(at)});
        process.stdout.write(Buffer.from(profile.identity.publicKey).toString('hex') + '\\n');
      });
      process.stdin.once('end', () => process.exit(0));`;
    const children = Array.from({ length: 4 }, () =>
      spawn(process.execPath, ['--conditions=@lanista/source', '--import', 'tsx', '--input-type=module', '-e', script]),
    );
    const next = (child: (typeof children)[number]): Promise<string> =>
      new Promise((resolve, reject) => {
        child.stdout.once('data', (text: Buffer) => resolve(text.toString().trim()));
        child.once('exit', (code) => reject(new Error(`ended with ${code}`)));
      });
    expect(await Promise.all(children.map(next))).toEqual(['ready', 'ready', 'ready', 'ready']);
    const keys = Promise.all(children.map(next));
    for (const child of children) child.stdin.write('go\n');
    expect(new Set(await keys).size).toBe(children.length);
    for (const child of children) child.stdin.end();
  });

  it('[DI20] goes on without a disk, and refuses names that are paths', () => {
    writeFileSync(join(home(), 'x'), '');
    const file = join(home(), 'file');
    writeFileSync(file, '');
    const profile = openProfile(nodeCrypto, 'ann', file);
    expect(profile.warning).toMatch(/cannot be used/);
    expect(profile.identity.publicKey.length).toBe(32);
    expect(() => openProfile(nodeCrypto, '../ann', home())).toThrow(LanError);
    expect(profileHome({ LANISTA_HOME: '/x' })).toBe('/x');
    expect(profileHome({ XDG_CONFIG_HOME: '/c' }, 'linux')).toBe(join('/c', 'lanista'));
  });
});

describe('sockets', () => {
  it('[DI21] two processes get four ports, and a taken one is said in plain words', async () => {
    const a = await openUdp({ host: '127.0.0.1', onDatagram: () => undefined });
    const b = await openUdp({ host: '127.0.0.1', onDatagram: () => undefined });
    expect(new Set([a.joinPort, a.sessionPort, b.joinPort, b.sessionPort]).size).toBe(4);
    await expect(openUdp({ host: '127.0.0.1', port: a.joinPort, onDatagram: () => undefined })).rejects.toMatchObject({
      code: 'bind-failed',
      message: expect.stringMatching(/is taken by another program/),
    });
    await expect(openUdp({ host: '203.0.113.9', onDatagram: () => undefined })).rejects.toMatchObject({
      code: 'bind-failed',
      message: expect.stringMatching(/no address 203\.0\.113\.9/),
    });
    await a.close();
    await b.close();
  });

  it('[DI21] delivers by socket kind, survives closed ports and bad hosts, counts what failed', async () => {
    const heard: string[] = [];
    const a = await openUdp({ host: '127.0.0.1', onDatagram: () => undefined });
    const b = await openUdp({
      host: '127.0.0.1',
      onDatagram: (kind, _host, port, bytes) => heard.push(`${kind} ${port === a.sessionPort ? 'session' : 'join'} ${bytes.length}`),
    });
    a.send('join', '127.0.0.1', b.joinPort, new Uint8Array(3));
    a.send('session', '127.0.0.1', b.sessionPort, new Uint8Array(4));
    a.send('join', '127.0.0.1', b.joinPort, new Uint8Array(1_600));
    a.send('join', 'not-an-address', 9, new Uint8Array(3));
    a.send('join', '127.0.0.1', 0, new Uint8Array(3));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(heard.sort()).toEqual(['join join 3', 'session session 4']);
    expect(b.oversized).toBe(1);
    expect(a.sendErrors.get('EAFNOSUPPORT')).toBe(1);
    const { joinPort } = b;
    await b.close();
    for (let i = 0; i < 5; i++) a.send('join', '127.0.0.1', joinPort, new Uint8Array(3));
    await new Promise((resolve) => setTimeout(resolve, 30));
    await a.close();
  });
});

describe('driver', () => {
  it('[DI22] wakes on absolute deadlines, never before them, and bundles a turn of the loop', async () => {
    const start = monotonicMs();
    let deadline = start + 10;
    const handled: number[] = [];
    let datagrams = 0;
    let drains = 0;
    const mesh = {
      joinState: { type: 'joined' },
      handleDatagram: () => void datagrams++,
      handleTimeout(now: number) {
        handled.push(now - deadline);
        deadline += 10;
      },
      pollTransmit: () => void drains++,
      pollTimeout: () => (handled.length < 5 ? deadline : Number.POSITIVE_INFINITY),
    } as unknown as MeshLike;
    const driver = new Driver({ send: () => undefined }, new NodeTime());
    driver.add(mesh, () => undefined);
    for (let i = 0; i < 50; i++) driver.handleDatagram('join', '127.0.0.1', 1, new Uint8Array(1));
    await new Promise((resolve) => setTimeout(resolve, 120));
    driver.close();
    expect(datagrams).toBe(50);
    expect(drains).toBeLessThan(20);
    expect(handled.length).toBe(5);
    expect(Math.min(...handled)).toBeGreaterThanOrEqual(0);
  });
});

const NIC: InterfaceFacts = {
  nic: { name: 'eth0', address: '192.168.1.5', netmask: '255.255.255.0', broadcast: '192.168.1.255', kind: 'lan', rank: 0 },
  mtu: 1_500,
  multicastError: undefined,
  multicastEcho: true,
  broadcastError: undefined,
  broadcastEcho: true,
  unicastError: undefined,
  unicastEcho: true,
};
const WELL: DoctorFacts = {
  platform: 'linux',
  nodePath: 'node',
  interfaces: [NIC],
  onlyIpv6: false,
  isWsl: false,
  isContainer: false,
  defaultRoute: 'eth0',
  defaultRouteIsVirtual: false,
  mdnsBindError: undefined,
  beaconPort: 29_797,
  beaconBindError: undefined,
  dataPortsFree: 32,
  dataPortsTotal: 32,
  mdnsHosts: 2,
  rooms: [],
  clockJumpMs: 0,
  timerLateMs: 3,
  probe: undefined,
  versions: { node: '20' },
  socketHooked: true,
};
const nicWith = (part: Partial<InterfaceFacts>): DoctorFacts => ({ ...WELL, interfaces: [{ ...NIC, ...part }] });
const bad = (facts: DoctorFacts): string[] =>
  diagnose(facts)
    .filter((check) => check.level !== 'ok')
    .map((check) => `${check.level} ${check.id}: ${check.what} ${check.fix}`);

describe('doctor', () => {
  it('[DI23] says nothing is wrong when nothing is', () => {
    expect(bad(WELL)).toEqual([]);
    expect(exitCode(diagnose(WELL))).toBe(0);
  });

  it.each<[string, DoctorFacts, RegExp, 1 | 2]>([
    ['multicast filtered out of this machine', nicWith({ multicastError: 'EPERM', multicastEcho: false }), /Multicast cannot be sent.*firewall/, 1],
    ['multicast filtered on the way in', nicWith({ multicastEcho: false }), /incoming mDNS is blocked.*ufw/, 1],
    [
      'multicast filtered by the network',
      { ...WELL, mdnsHosts: 0, rooms: [{ name: 'R', address: '192.168.1.9:29798', gameId: 'g', pingMs: 1 }] },
      /the network filters multicast/,
      1,
    ],
    [
      'UDP blocked',
      nicWith({
        multicastEcho: false,
        broadcastEcho: false,
        unicastEcho: false,
        unicastError: 'EPERM',
        broadcastError: 'EPERM',
        multicastError: 'EPERM',
      }),
      /UDP is blocked on eth0/,
      2,
    ],
    ['a tunnel owns the route', { ...WELL, defaultRoute: 'wg0', defaultRouteIsVirtual: true }, /tunnel or VPN \(wg0\) owns the default route/, 1],
    ['5353 held', { ...WELL, mdnsBindError: 'EADDRINUSE' }, /Another program holds UDP port 5353.*broadcast/, 2],
    ['no network', { ...WELL, interfaces: [] }, /No network interface is up/, 2],
    ['only IPv6', { ...WELL, interfaces: [], onlyIpv6: true }, /Only IPv6/, 2],
    ['nobody hears', { ...WELL, mdnsHosts: 0 }, /AP isolation/, 1],
    ['probe unanswered', { ...WELL, probe: { address: '192.168.1.9:29798', answered: false, pingMs: undefined } }, /does not answer/, 2],
    ['small MTU', nicWith({ mtu: 576 }), /576 bytes/, 1],
    ['clock stepped', { ...WELL, clockJumpMs: 60_000 }, /clock jumped/, 1],
    ['WSL', { ...WELL, isWsl: true }, /WSL/, 1],
    ['macOS local network privacy', { ...nicWith({ multicastError: 'EHOSTUNREACH', multicastEcho: false }), platform: 'darwin' }, /Local Network/, 1],
  ])('[DI23] names the cause and the fix: %s', (_name, facts, pattern, code) => {
    const found = bad(facts);
    expect(
      found.some((line) => pattern.test(line)),
      found.join('\n'),
    ).toBe(true);
    expect(exitCode(diagnose(facts))).toBe(code);
    for (const check of diagnose(facts)) if (check.level !== 'ok') expect(check.fix).not.toBe('');
  });
});
