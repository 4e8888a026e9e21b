/** What the doctor says of each single trouble, and that it says nothing of what is well. */
import { describe, expect, it, vi } from 'vitest';
import { diagnose, exitCode } from '../sdk/node/cli/doctor-checks.ts';
import type { DoctorFacts, InterfaceFacts } from '../sdk/node/cli/doctor-facts.ts';
import { DoctorPeer, decodeAnswer, decodeAsk, encodeAnswer, encodeAsk, type Neighbour } from '../sdk/node/cli/doctor-peer.ts';
import { linkLayer, udpInodes, withoutHome } from '../sdk/node/cli/doctor-system.ts';
import { chooseRooms, plain } from '../sdk/node/cli/room-lines.ts';
import type { InterfaceKind } from '../sdk/node/discovery/interfaces.ts';
import type { RoomListing } from '../sdk/port/lan-port.ts';
import { decodeWho, encodeHere } from '../sdk/wire/datagram.ts';
import { MTU_FLOOR_BYTES } from '../sdk/wire/limits.ts';
import { NIC, OTHER, WELL } from './doctor-well.ts';
import { FACTS } from './here-facts.ts';

const nic = (part: Partial<InterfaceFacts> = {}, kind: InterfaceKind = 'lan', address = '192.168.1.5'): InterfaceFacts => ({
  ...NIC,
  nic: { ...NIC.nic, address, kind },
  ...part,
});
const facts = (part: Partial<DoctorFacts> = {}): DoctorFacts => ({ ...WELL, ...part });
const neighbour = (part: Partial<Neighbour> = {}): Neighbour => ({ ...OTHER, ...part });
/** Levels and names of all checks that are not well. */
const bad = (part: Partial<DoctorFacts>): string[] => diagnose(facts(part)).flatMap(({ level, id }) => (level === 'ok' ? [] : [`${level} ${id}`]));
const words = (part: Partial<DoctorFacts>, id: string): string => diagnose(facts(part)).find((check) => check.id === id)?.what ?? '';

describe('each trouble alone', () => {
  it.each<[string, Partial<DoctorFacts>, string[]]>([
    ['nothing but loopback', { interfaces: [nic({}, 'loopback', '127.0.0.1')] }, ['warn interfaces']],
    ['nothing but a tunnel', { interfaces: [nic({}, 'virtual')] }, ['warn interfaces']],
    ['no address from a router', { interfaces: [nic({}, 'link-local')] }, ['warn interfaces']],
    ['a public address', { interfaces: [nic({}, 'public')] }, []],
    ['WSL', { isWsl: true }, ['warn interfaces']],
    ['a container', { isContainer: true, interfaces: [nic({}, 'lan', '172.17.0.2')] }, ['warn interfaces']],
    ['a container in the host’s network', { isContainer: true }, []],
    ['a network that Docker could have', { interfaces: [nic({}, 'lan', '172.17.0.2')] }, []],
    ['unicast that does not arrive', { interfaces: [nic({ unicastEcho: false })] }, ['fail unicast:eth0']],
    ['a broadcast that does not come back', { interfaces: [nic({ broadcastEcho: false })] }, ['warn broadcast:eth0']],
    ['a broadcast that is refused', { interfaces: [nic({ broadcastError: 'EACCES', broadcastEcho: false })] }, ['warn broadcast:eth0']],
    [
      'mDNS that is held elsewhere, and so not heard',
      { mdnsBindError: 'EADDRINUSE', interfaces: [nic({ multicastEcho: false })] },
      ['fail mdns-port'],
    ],
    ['5353 that is refused', { mdnsBindError: 'EACCES', interfaces: [nic({ multicastEcho: false })] }, ['fail mdns-port']],
    [
      'nothing heard where mDNS could not be sent: no firewall is blamed for that',
      { mdnsBindError: 'EADDRINUSE', interfaces: [nic({ multicastEcho: false, broadcastEcho: false })] },
      ['warn broadcast:eth0', 'fail mdns-port'],
    ],
    [
      'nothing heard where sending was refused',
      { interfaces: [nic({ multicastEcho: false, broadcastEcho: false, broadcastError: 'EPERM', multicastError: 'EPERM' })] },
      ['warn multicast:eth0', 'warn broadcast:eth0'],
    ],
    ['the broadcasts’ port', { beaconBindError: 'EADDRINUSE' }, ['warn beacon-port']],
    ['one data port left', { dataPortsFree: 1 }, ['warn data-ports']],
    ['two data ports left', { dataPortsFree: 2 }, []],
    ['a clock that was set back', { clockJumpMs: -60_000 }, ['warn clock']],
    ['a busy machine', { timerLateMs: 400 }, ['warn load']],
    ['a library that does not take our socket', { socketHooked: false }, ['fail mdns-library']],
    ['an MTU of 1,280', { interfaces: [nic({ mtu: 1_280 })] }, []],
    ['an MTU of 1,279', { interfaces: [nic({ mtu: 1_279 })] }, ['warn mtu:eth0']],
    ['a system that tells no MTU', { interfaces: [nic({ mtu: undefined })] }, []],
    ['no default route', { defaultRoute: undefined }, []],
    ['one lost answer of twenty', { neighbours: [neighbour({ answered: 19 })] }, []],
    ['two of twenty', { neighbours: [neighbour({ answered: 18 })] }, ['warn reach:192.168.1.9:29798']],
    ['a path of exactly the floor', { neighbours: [neighbour({ largestBytes: MTU_FLOOR_BYTES })] }, []],
    ['a path below it', { neighbours: [neighbour({ largestBytes: MTU_FLOOR_BYTES - 1 })] }, ['warn path-mtu:192.168.1.9:29798']],
  ])('[DI23] %s', (_what, part, expected) => {
    expect(bad(part)).toEqual(expected);
    expect(exitCode(diagnose(facts(part)))).toBe(expected.some((one) => one.startsWith('fail')) ? 2 : expected.length > 0 ? 1 : 0);
  });

  it('[DI23] who is deaf is not told that nobody is there, nor who looks at loopback alone', () => {
    expect(bad({ mdnsHosts: 0 })).toEqual(['warn alone']);
    expect(bad({ mdnsHosts: 0, interfaces: [nic({ multicastEcho: false, broadcastEcho: false })] })).toEqual(['fail udp-in:eth0']);
    expect(bad({ mdnsHosts: 0, interfaces: [nic({}, 'loopback', '127.0.0.1')] })).toEqual(['warn interfaces']);
    const deaf = { unicastEcho: false, multicastEcho: false, broadcastEcho: false };
    expect(words({ interfaces: [nic(deaf)] }, 'udp:eth0')).toMatch(/does not come back/);
    expect(words({ interfaces: [nic({ ...deaf, multicastError: 'EHOSTUNREACH' })], platform: 'darwin' }, 'udp:eth0')).toMatch(/Local Network/);
  });

  it('[DI23] interfaces that carry no LAN are told apart', () => {
    const said = (kind: InterfaceKind, address?: string): string => words({ interfaces: [nic({}, kind, address)] }, 'interfaces');
    expect(said('loopback', '127.0.0.1')).toMatch(/^Only loopback is in use/);
    expect(said('virtual')).toMatch(/^Only tunnels or virtual adapters are up/);
    expect(said('link-local')).toMatch(/^No address from a router/);
    expect(said('lan')).toMatch(/^In this order/);
    expect(words({ interfaces: [nic({}, 'loopback', '127.0.0.1'), nic({}, 'virtual')] }, 'interfaces')).toMatch(/^Only tunnels/);
  });

  it('[DI36] a clock that is ahead is ahead', () => {
    const clock = (clockAheadMs: number): string => words({ neighbours: [neighbour({ clockAheadMs })] }, 'clock:192.168.1.9:29798');
    expect(clock(90_000)).toMatch(/is 90 s ahead/);
    expect(clock(-90_000)).toMatch(/is 90 s behind/);
    expect(clock(1_999)).toMatch(/agrees with ours/);
  });
});

describe('questions of doctors', () => {
  const at = { host: '10.0.0.1', port: 29_798 };

  it('[DI36] an answer is counted once, at its first copy, and forgotten with its question', async () => {
    const sent: Uint8Array[] = [];
    const peer = new DoctorPeer((_address, bytes) => void sent.push(bytes.slice()));
    const measured = peer.measure(at, 'doctor');
    await new Promise((resolve) => setTimeout(resolve, 60));
    const asks = sent.slice();
    expect(asks.every((bytes) => bytes.length >= 128)).toBe(true);
    for (let copy = 0; copy < 3; copy++)
      for (const ask of asks) {
        // Its clock goes an hour ahead, and a copy is late.
        expect(peer.handle(at, encodeAnswer(decodeAsk(ask)!, ask.length, Date.now() + 3_600_000 - copy * 60_000))).toBe(true);
      }
    const result = await measured;
    expect(result.answered).toBeLessThan(result.asked);
    expect(result.answered).toBe(asks.filter(({ length }) => length === 128).length);
    expect(Math.abs(result.clockAheadMs! - 3_600_000)).toBeLessThan(60);
    expect(result.largestBytes).toBe(Math.max(...asks.map(({ length }) => length)));
    // What comes now is nobody's answer.
    sent.length = 0;
    const late = await peer.measure(at, 'game').then(({ answered }) => answered);
    expect(late).toBe(0);
    const here = encodeHere({ nonce: decodeWho(sent[0]!)!.nonce, facts: FACTS }).slice();
    expect(peer.handle(at, here)).toBe(false);
  }, 10_000);

  it('[DI36] an offset of clocks is taken from the middle of the round trip', async () => {
    vi.useFakeTimers();
    const marks: Uint8Array[] = [];
    const peer = new DoctorPeer((_address, bytes) => void marks.push(decodeAsk(bytes)!));
    const measured = peer.measure(at, 'doctor');
    await vi.advanceTimersByTimeAsync(200);
    // It was written half way, by a clock that goes as ours does.
    peer.handle(at, encodeAnswer(marks[0]!, 128, Date.now() - 100));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await measured).toMatchObject({ answered: 1, pingMs: 200, clockAheadMs: 0 });
    vi.useRealTimers();
    const answer = encodeAnswer(marks[0]!, 128, 1_700_000_000_123.9);
    expect(answer.length).toBeLessThan(128 / 4);
    expect(decodeAnswer(answer)).toEqual({ mark: marks[0], receivedBytes: 128, wallMs: 1_700_000_000_123 });
    for (const bytes of [answer.slice(1), Uint8Array.from([...answer, 0]), encodeAsk(marks[0]!, 128)]) expect(decodeAnswer(bytes)).toBeUndefined();
  });

  it('[DI36] of the system’s tables the very address and the own port are read, and nobody who is still looked for', () => {
    const table =
      'IP address       HW type     Flags       HW address            Mask     Device\n' +
      '192.168.1.10     0x1         0x2         02:00:00:00:00:01     *        eth0\n' +
      '192.168.1.1      0x1         0x0         02:00:00:00:00:02     *        eth0\n' +
      '192.168.1.2      0x1         0x2         00:00:00:00:00:00     *        eth0\n';
    expect(['192.168.1.10', '192.168.1.1', '192.168.1.2'].map((host) => linkLayer(host, table))).toEqual(['answers', 'silent', 'silent']);
    const udp =
      '   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n' +
      '  101: 0100007F:9C40 0100007F:14E9 01 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 0\n' +
      '  102: 00000000:14E9 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 0\n';
    expect([...udpInodes(5_353, udp)]).toEqual(['4712']);
  });
});

it('[DI23] a report names no home folder, and is whole where there is none', () => {
  const path = '/players/ann/.nvm/bin/node at /players/ann';
  expect(withoutHome(path, () => '/players/ann')).toBe('~/.nvm/bin/node at ~');
  expect(withoutHome(path, () => '/')).toBe(path);
  const unknown = (): string => {
    throw new Error('uv_os_homedir returned ENOENT');
  };
  expect([withoutHome(path, unknown), withoutHome(7, unknown), withoutHome(undefined, unknown)]).toEqual([path, 7, undefined]);
});

it('[DI37] what turns the direction of text, or breaks a line, is shown as a question mark', () => {
  expect(plain('a\u202eb\u2028c\u2029d\u0007e\u200f')).toBe('a?b?c?d?e?');
  expect(plain('Ann 🎨 日本')).toBe('Ann 🎨 日本');
  const doctor = { gameId: 'lanista-doctor' } as RoomListing;
  expect(chooseRooms([doctor], undefined)).toEqual([]);
});
