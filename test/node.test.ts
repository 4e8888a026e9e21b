/** Edges of the Node process: profile, sockets, driver, doctor. */
import { spawn, spawnSync } from 'node:child_process';
import { Socket } from 'node:dgram';
import { mkdtempSync, readFileSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';

import { NIC, OTHER, WELL } from './doctor-well.ts';
import { LanError } from '../sdk/base/errors.ts';
import { diagnose, exitCode } from '../sdk/node/cli/doctor-checks.ts';
import type { DoctorFacts, InterfaceFacts } from '../sdk/node/cli/doctor-facts.ts';
import { DoctorPeer, decodeAsk, encodeAsk } from '../sdk/node/cli/doctor-peer.ts';
import { linkLayer, udpInodes } from '../sdk/node/cli/doctor-system.ts';
import { MTU_FLOOR_BYTES } from '../sdk/wire/limits.ts';
import { nodeCrypto } from '../sdk/node/crypto-node.ts';
import { NodeTime } from '../sdk/node/local-time.ts';
import { openProfile, profileHome } from '../sdk/node/profile.ts';
import { bindHost, openUdp } from '../sdk/node/udp.ts';
import { Beacon } from '../sdk/node/discovery/beacon.ts';
import { scanInterfaces } from '../sdk/node/discovery/interfaces.ts';
import { builtModule, scriptFlags } from './built.ts';

const home = (): string => mkdtempSync(join(tmpdir(), 'lanista-home-'));

/** Whether this machine gives a process a view of the disk of its own. */
const maySplit = spawnSync('unshare', ['-m', 'sh', '-c', 'mount -t tmpfs none /mnt']).status === 0;

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

  it('[DI20] threads of one process are players of their own', () => {
    const at = home();
    const mine = openProfile(nodeCrypto, 'ann', at);
    const lock = readFileSync(join(at, 'ann.lock'), 'utf8');
    mine.release();
    writeFileSync(join(at, 'ann.lock'), `${lock} 7`);
    const beside = openProfile(nodeCrypto, 'ann', at);
    expect(beside.name).toBe('ann-2');
    beside.release();
    // Of this very thread, which does not hold it: an earlier process with this id.
    writeFileSync(join(at, 'ann.lock'), lock);
    const again = openProfile(nodeCrypto, 'ann', at);
    expect(again.name).toBe('ann');
    again.release();
  });

  it("[DI20] a lock that was made and never filled is nobody's after a while", () => {
    const at = home();
    const path = join(at, 'ann.lock');
    writeFileSync(path, '');
    const beside = openProfile(nodeCrypto, 'ann', at);
    expect(beside.name).toBe('ann-2');
    beside.release();
    utimesSync(path, new Date(Date.now() - 60_000), new Date(Date.now() - 60_000));
    const profile = openProfile(nodeCrypto, 'ann', at);
    expect(profile.name).toBe('ann');
    profile.release();
    expect(readdirSync(at).toSorted()).toEqual(['ann-2.key', 'ann.key']);
  });

  it.runIf(maySplit)('[DI20] a full disk leaves no lock behind', () => {
    const script = `
      import { nodeCrypto } from ${builtModule('sdk/node/crypto-node.ts')};
      import { openProfile } from ${builtModule('sdk/node/profile.ts')};
      console.log(openProfile(nodeCrypto, 'ann', process.env.AT).warning);`;
    const at = home();
    const shell = 'mount -t tmpfs -o size=4k none "$AT" && head -c 4096 /dev/zero >"$AT/full" && "$@" && ls "$AT"';
    const node = [process.execPath, ...scriptFlags(script)];
    const ran = spawnSync('unshare', ['-m', 'sh', '-c', shell, 'sh', ...node], { env: { ...process.env, AT: at }, encoding: 'utf8' });
    expect(ran.stdout).toMatch(/cannot be used \(ENOSPC\)[^\n]*\nfull\n$/);
  });

  it('[DI20] processes that start at the same instant over a dead lock get a key each', async () => {
    const at = home();
    writeFileSync(join(at, 'ann.lock'), '999999999 ');
    const script = `
      import { nodeCrypto } from ${builtModule('sdk/node/crypto-node.ts')};
      import { openProfile } from ${builtModule('sdk/node/profile.ts')};
      process.stdout.write('ready\\n');
      process.stdin.once('data', () => {
        const profile = openProfile(nodeCrypto, 'ann', ${JSON.stringify(at)});
        process.stdout.write(Buffer.from(profile.identity.publicKey).toString('hex') + '\\n');
      });
      process.stdin.once('end', () => process.exit(0));`;
    const children = Array.from({ length: 4 }, () => spawn(process.execPath, scriptFlags(script)));
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
    // Not where the game happens to be started.
    for (const home of ['', 'settings', './settings'])
      expect(profileHome({ XDG_CONFIG_HOME: home }, 'linux')).toBe(join(homedir(), '.config', 'lanista'));
    expect(isAbsolute(profileHome({ APPDATA: '' }, 'win32'))).toBe(true);
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

  it('[DI21] a system that refuses so much memory for what arrives is asked for less, and the sockets open all the same', async () => {
    const { setRecvBufferSize } = Socket.prototype;
    const asked: number[] = [];
    const spy = vi.spyOn(Socket.prototype, 'setRecvBufferSize').mockImplementation(function give(this: Socket, size) {
      asked.push(size);
      if (size > 300_000) throw Object.assign(new Error('ENOBUFS'), { code: 'ERR_SOCKET_BUFFER_SIZE' });
      setRecvBufferSize.call(this, size);
    });
    const halves = (mebibytes: number): number[] => {
      const sizes = [mebibytes * 1_048_576];
      while (sizes.at(-1)! > 300_000) sizes.push(sizes.at(-1)! / 2);
      return sizes;
    };
    const udp = await openUdp({ host: '127.0.0.1', onDatagram: () => undefined });
    expect(asked).toEqual([...halves(4), ...halves(4)]);
    const port = udp.joinPort;
    await udp.close();
    asked.length = 0;
    const beacon = await new Promise<Beacon>((resolve) => {
      const made: Beacon = new Beacon({ port, loopbackOnly: true, onWho: () => undefined, onState: () => resolve(made) });
    });
    expect([asked, beacon.reasons()]).toEqual([halves(1), []]);
    await beacon.close();
    spy.mockRestore();
  });

  it('[DI21] an interface that was named may change its address; one address that was asked for is the only one', () => {
    const read = () => ({
      lo: [{ address: '127.0.0.1', netmask: '255.0.0.0', family: 'IPv4' as const, mac: '', internal: true, cidr: null }],
      wlan0: [{ address: '192.168.1.5', netmask: '255.255.255.0', family: 'IPv4' as const, mac: '', internal: false, cidr: null }],
      eth0: [{ address: '10.0.0.5', netmask: '255.255.255.0', family: 'IPv4' as const, mac: '', internal: false, cidr: null }],
    });
    const bound = (...wanted: string[]) => bindHost(wanted, scanInterfaces(read, wanted));
    expect([bound(), bound('wlan0'), bound('wlan0', 'eth0'), bound('192.168.1.5', '10.0.0.5'), bound('none')]).toEqual(Array(5).fill('0.0.0.0'));
    expect([bound('192.168.1.5'), bound('lo'), bound('127.0.0.1')]).toEqual(['192.168.1.5', '127.0.0.1', '127.0.0.1']);
    // In WSL loopback has a second address.
    const lo = ['10.255.255.254', '127.0.0.1'].map((address) => ({ ...read().lo[0]!, address }));
    expect(
      bindHost(
        ['lo'],
        scanInterfaces(() => ({ lo }), ['lo']),
      ),
    ).toBe('127.0.0.1');
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
    await expect.poll(() => [heard.toSorted(), b.oversized], { timeout: 5_000 }).toEqual([['join join 3', 'session session 4'], 1]);
    expect(a.sendErrors.get('EAFNOSUPPORT')).toBe(1);
    const { joinPort } = b;
    await b.close();
    for (let i = 0; i < 5; i++) a.send('join', '127.0.0.1', joinPort, new Uint8Array(3));
    await new Promise((resolve) => setTimeout(resolve, 30));
    await a.close();
  });
});

describe('time', () => {
  it('[DI41] what is due already is done in the next turn of the event loop, not a millisecond later', async () => {
    const time = new NodeTime();
    let turns = 0;
    let timers = 0;
    const timer = setInterval(() => timers++, 1);
    await new Promise<void>((resolve) => {
      const next = (): void => (++turns === 500 ? resolve() : time.schedule(time.now(), next));
      time.schedule(time.now(), next);
    });
    clearInterval(timer);
    // Two turns of a loop take less than the shortest timer; each wake-up by a timer would have let one of these go first.
    expect(timers).toBeLessThan(turns / 2);
  });

  it('[DI41] a call that is no longer wanted does not come, due or not', async () => {
    const time = new NodeTime();
    let called = 0;
    time.schedule(time.now(), () => called++);
    time.cancel();
    time.schedule(time.now(), () => called++);
    time.schedule(Number.POSITIVE_INFINITY, () => called++);
    time.schedule(time.now() + 2, () => called++);
    time.cancel();
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(called).toBe(0);
    // A later deadline in place of one that is due moves it.
    let at = Number.NaN;
    const later = time.now() + 5;
    time.schedule(time.now(), () => called++);
    await new Promise<void>((resolve) => {
      time.schedule(later, () => {
        at = time.now();
        resolve();
      });
    });
    expect(called).toBe(0);
    expect(at).toBeGreaterThanOrEqual(later);
  });
});

const probeWith = (part: object): DoctorFacts => ({
  ...WELL,
  probe: { address: '192.168.1.9:29798', answered: false, pingMs: undefined, subnet: 'eth0', linkLayer: undefined, ...part },
});
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
      { ...WELL, mdnsHosts: 0, neighbours: [{ ...OTHER, kind: 'game', largestBytes: undefined, clockAheadMs: undefined, heardByMdns: false }] },
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
    [
      'a firewall that lets in only what the machine sends itself',
      nicWith({ multicastEcho: false, broadcastEcho: false }),
      /udp-in:eth0: Nothing that comes from the network by UDP is let in on eth0: a firewall.*ufw/,
      2,
    ],
    ['a tunnel owns the route', { ...WELL, defaultRoute: 'wg0', defaultRouteIsVirtual: true }, /tunnel or VPN \(wg0\) owns the default route/, 1],
    ['5353 held', { ...WELL, mdnsBindError: 'EADDRINUSE' }, /Another program holds UDP port 5353.*broadcast/, 2],
    [
      '5353 held by whom',
      { ...WELL, mdnsBindError: 'EADDRINUSE', mdnsHolders: ['mdnsd (process 7)'] },
      /mdnsd \(process 7\) holds UDP port 5353.*End it/,
      2,
    ],
    ['no network', { ...WELL, interfaces: [] }, /No network interface is up/, 2],
    ['only IPv6', { ...WELL, interfaces: [], onlyIpv6: true }, /Only IPv6/, 2],
    ['nobody hears', { ...WELL, mdnsHosts: 0 }, /AP isolation/, 1],
    ['the other is in another network', probeWith({ subnet: undefined }), /another network than this machine: 192\.168\.1\.5.*same Wi-Fi/, 2],
    ['the other is not there, or kept apart', probeWith({ linkLayer: 'silent' }), /no machine with that address.*client isolation/, 2],
    ['a firewall at the other', probeWith({ linkLayer: 'answers' }), /is there, but nothing answers by UDP.*firewall blocks UDP.*ufw/, 2],
    ['the other does not answer, the system says no more', probeWith({}), /does not answer.*firewall there.*client isolation/, 2],
    ['announced but unreachable', { ...WELL, silent: ['192.168.1.9:29798'] }, /announced on this network but does not answer.*client isolation/, 2],
    ['a lossy network', { ...WELL, neighbours: [{ ...OTHER, answered: 15 }] }, /15 of 20 questions: the network loses data.*cable/, 1],
    ['a narrow path', { ...WELL, neighbours: [{ ...OTHER, largestBytes: 576 }] }, /Only datagrams of up to 576 bytes/, 1],
    [
      'lost while asking',
      { ...WELL, neighbours: [{ ...OTHER, answered: 0, pingMs: undefined, largestBytes: undefined }] },
      /answers no question any more/,
      2,
    ],
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

  it('[DI36] tells how another doctor is reached: loss, size, clock; and a clock that is off is no trouble', () => {
    const words = diagnose({ ...WELL, neighbours: [{ ...OTHER, clockAheadMs: -90_000 }] }).map((check) => check.what);
    expect(words).toContain('192.168.1.9:29798 (another doctor) answers 20 of 20 questions by UDP, in 0.4 ms.');
    expect(words).toContain('Datagrams of 1452 bytes arrive at 192.168.1.9:29798.');
    expect(words).toContain('The clock of 192.168.1.9:29798 is 90 s behind; games keep a time of their own.');
    expect(bad({ ...WELL, neighbours: [{ ...OTHER, clockAheadMs: -90_000 }] })).toEqual([]);
  });

  it('[DI23] prints nothing of a room that would steer a terminal', () => {
    const rooms = [{ name: 'Ann\u001b[2J', address: '192.168.1.9:29798', gameId: 'paint\u009b1m', pingMs: 1 }];
    const words = diagnose({ ...WELL, rooms }).map((check) => check.what);
    expect(words).toContain('Rooms found: Ann?[2J (paint?1m) at 192.168.1.9:29798.');
  });

  it('[DI36] two doctors measure each other; everything else is ignored, and answers are small and bounded', async () => {
    const peers: DoctorPeer[] = [];
    const at = (i: number) => ({ host: `10.0.0.${i}`, port: 29_798 });
    let lost = 0;
    let bytesAsked = 0;
    let bytesAnswered = 0;
    for (const i of [0, 1]) {
      peers[i] = new DoctorPeer((_address, bytes) => {
        if (decodeAsk(bytes) === undefined) bytesAnswered += bytes.length;
        else bytesAsked += bytes.length;
        // Datagrams above 1,300 bytes do not pass, and one in ten is lost.
        if (bytes.length > 1_300 || ++lost % 10 === 0) return;
        const copy = Uint8Array.from(bytes);
        queueMicrotask(() => expect(peers[1 - i]!.handle(at(i), copy)).toBe(true));
      });
    }
    const measured = await peers[0]!.measure(at(1), 'doctor');
    expect(measured).toMatchObject({ address: '10.0.0.1:29798', kind: 'doctor', asked: 20, largestBytes: MTU_FLOOR_BYTES });
    expect(measured.answered).toBeGreaterThan(10);
    expect(measured.answered).toBeLessThan(20);
    expect(Math.abs(measured.clockAheadMs!)).toBeLessThan(50);
    expect(bytesAnswered).toBeLessThan(bytesAsked / 4);
    const answers: Uint8Array[] = [];
    const alone = new DoctorPeer((_address, bytes) => void answers.push(bytes));
    for (let i = 0; i < 500; i++) alone.handle(at(1), encodeAsk(new Uint8Array(8), 128));
    expect(answers.length).toBeLessThan(100);
    expect(alone.handle(at(1), answers[0]!)).toBe(true);
    for (const size of [0, 1, 15, 30, 31, 127]) expect(alone.handle(at(1), new Uint8Array(size))).toBe(false);
    expect(alone.handle(at(1), encodeAsk(new Uint8Array(8), 128).slice(0, 100))).toBe(false);
  });

  it('[DI36] reads from the system which sockets are bound to a port', () => {
    const table =
      '   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n' +
      '  101: 00000000:14E9 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 0\n' +
      '  102: 00000000:7465 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 0\n';
    expect([...udpInodes(5_353, table)]).toEqual(['4711']);
    expect([...udpInodes(29_797, table)]).toEqual(['4712']);
    expect([...udpInodes(1, table)]).toEqual([]);
    expect([...udpInodes(5_353, '')]).toEqual([]);
  });

  it('[DI36] reads from the system who answers on the cable', () => {
    const table =
      'IP address       HW type     Flags       HW address            Mask     Device\n' +
      '192.168.1.1      0x1         0x2         02:00:00:00:00:01     *        eth0\n' +
      '192.168.1.9      0x1         0x0         00:00:00:00:00:00     *        eth0\n';
    expect(linkLayer('192.168.1.1', table)).toBe('answers');
    expect(linkLayer('192.168.1.9', table)).toBe('silent');
    expect(linkLayer('192.168.1.44', table)).toBe('silent');
    expect(linkLayer('192.168.1.1', '')).toBeUndefined();
  });
});
