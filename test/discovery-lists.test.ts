/** Interfaces, candidates, rooms: what each list holds, in which order, and for how long. */
import type { NetworkInterfaceInfo } from 'node:os';
import { describe, expect, it } from 'vitest';
import type { PeerId, RoomId } from '../sdk/base/brand.ts';
import {
  CANDIDATE_BACKOFF_MAX_MS,
  CANDIDATE_TTL_MS,
  MAX_INTERFACES,
  MAX_ROOMS,
  MAX_ROOM_ADDRESSES,
  PROBE_AFTER,
  PROBE_HINT_MISSES,
  PROBE_HINT_MS,
  PROBE_MISSES_LEAST,
  PROBE_MS,
  PROBE_QUIET_MS,
  PROBE_RETRY_MAX_MS,
  WHO_WAIT_MS,
} from '../sdk/node/discovery/bounds.ts';
import { CandidateTable } from '../sdk/node/discovery/candidates.ts';
import { InterfaceWatch, isLocalOnly, parseIpv4, scanInterfaces } from '../sdk/node/discovery/interfaces.ts';
import { RoomList } from '../sdk/node/discovery/room-list.ts';
import type { HereFacts } from '../sdk/wire/datagram.ts';
import { AT, FACTS } from './here-facts.ts';
import { lo, nic } from './nics.ts';

describe('interfaces', () => {
  it('[DI1] an address is four numbers of up to 255', () => {
    expect(['0.0.0.0', '192.168.1.7', '255.255.255.255'].map(parseIpv4)).toEqual([0, 0xc0a8_0107, 0xffff_ffff]);
    for (const text of [
      '',
      '1.2.3',
      '1.2.3.',
      '.1.2.3',
      '1..2.3',
      '1.2.3.4.',
      '1.2.3.4.5',
      '1.2.3.256',
      '1.2.3.0004',
      '1.2.3.-4',
      '1.2.3.4 ',
      'a.b.c.d',
      '::1',
    ])
      expect(parseIpv4(text), text).toBeUndefined();
  });

  it('[DI1] private networks are LANs, of all three kinds; what is beyond them is not', () => {
    const kinds = ['10.0.0.1', '172.16.0.1', '172.31.9.9', '192.168.0.1', '172.32.0.1', '172.15.0.1', '192.169.0.1', '8.8.8.8'].map(
      (address) => scanInterfaces(() => ({ x: [nic(address)] }))[0]!.kind,
    );
    expect(kinds).toEqual(['lan', 'lan', 'lan', 'lan', 'public', 'public', 'public', 'public']);
    expect(['172.20.1.1', '169.254.1.1', '127.0.0.1', '172.40.1.1', 'host'].map(isLocalOnly)).toEqual([true, true, true, false, false]);
  });

  it('[DI1] loopback is what has such an address, and is in the list beside others only when it was asked for', () => {
    const read = () => ({ ...lo, pseudo: [nic('127.0.0.9', '255.0.0.0')], eth0: [nic('192.168.1.7')] });
    expect(scanInterfaces(read).map((one) => one.name)).toEqual(['eth0']);
    expect(scanInterfaces(read, ['lo', 'eth0']).map((one) => one.name)).toEqual(['eth0', 'lo']);
  });

  it('[DI1] of more than sixteen the best sixteen are used, wherever the system lists them', () => {
    const many = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`br-${i}`, [nic(`172.20.${i}.1`)]]));
    const list = scanInterfaces(() => ({ ...many, wlan0: [nic('192.168.1.7')] }));
    expect([list.length, list[0]!.name]).toEqual([MAX_INTERFACES, 'wlan0']);
  });

  it('[DI2] another mask or name of an address is a change; our own address is one machine, and not another one', () => {
    let list = { eth0: [nic('192.168.1.7')] } as ReturnType<typeof scan>;
    const scan = (): NodeJS.Dict<NetworkInterfaceInfo[]> => list;
    const watch = new InterfaceWatch(scan, []);
    list = { eth0: [nic('192.168.1.7', '255.255.0.0')] };
    expect([watch.poll(0, 0), watch.poll(1_000, 1_000)]).toEqual(['changed', undefined]);
    list = { eth1: [nic('192.168.1.7', '255.255.0.0')] };
    expect([watch.poll(2_000, 2_000), watch.poll(3_000, 3_000)]).toEqual(['changed', undefined]);
    expect(['192.168.1.7', '192.168.9.9', '10.0.0.1'].map((host) => watch.isOther(host))).toEqual([false, true, false]);
    const tunnel = new InterfaceWatch(() => ({ tun0: [nic('10.8.0.2', '255.255.255.255')] }), ['tun0']);
    expect(tunnel.isUnicast('10.8.0.2')).toBe(true);
  });
});

describe('candidates', () => {
  const table = (source: 'mdns' | 'gossip' | 'local' | 'direct' = 'mdns'): CandidateTable => {
    const made = new CandidateTable();
    made.add(0, AT, source);
    return made;
  };

  it('[DI5] one that is named again stays, and is asked every five seconds at last', () => {
    const made = table();
    const times: number[] = [];
    for (let now = 0; now <= 60_000; now += 50) {
      if (now % 10_000 === 0) made.add(now, AT, 'mdns');
      if (made.due(now).length > 0) times.push(now);
    }
    expect(times.slice(0, 5)).toEqual([0, 250, 750, 1_750, 3_750]);
    for (const [i, at] of times.slice(6).entries()) expect(at - times[i + 5]!).toBe(CANDIDATE_BACKOFF_MAX_MS);
    expect(made.due(60_000 + CANDIDATE_TTL_MS + 1)).toEqual([]);
    expect(made.size).toBe(0);
  });

  it('[DI6] one that answers is watched by the list; a second address of a member goes on by its back-off', () => {
    const made = table();
    made.due(0);
    made.answered(10, AT, false);
    expect(made.nextAt()).toBe(250);
    made.due(250);
    made.answered(260, AT);
    expect(made.nextAt()).toBe(260 + CANDIDATE_BACKOFF_MAX_MS);
  });

  it('[DI36] silent is who was named by others and left so many questions unanswered since its last answer', () => {
    for (const [source, isTold] of [
      ['mdns', true],
      ['gossip', true],
      ['local', false],
      ['direct', false],
    ] as const) {
      const made = table(source);
      for (const now of [0, 250]) made.due(now);
      expect(made.silent(3)).toEqual([]);
      expect(made.silent(2)).toEqual(isTold ? [AT] : []);
      made.answered(300, AT, false);
      expect(made.silent(1)).toEqual([]);
    }
  });

  it('[DI39] hurrying puts nobody off, and what may not be asked now is asked a little later', () => {
    const made = new CandidateTable();
    made.add(0, AT, 'beacon', 100);
    made.hurry(10, AT, 'beacon', 300, 0);
    expect(made.nextAt()).toBe(100);
    expect(made.due(100, () => false)).toEqual([]);
    expect([made.nextAt(), made.silent(1)]).toEqual([100 + WHO_WAIT_MS, []]);
  });
});

describe('rooms', () => {
  const at = (i: number) => ({ host: `10.0.0.${i}`, port: 29_798 });
  const peer = (i: number): PeerId => 'abcdefghijklmnopqrstuvwxyz'[i]!.repeat(16) as PeerId;
  const room = (i: number): RoomId => i.toString(16).padStart(32, '0') as RoomId;
  const made = (): RoomList => new RoomList('zzzzzzzzzzzzzzzz' as PeerId, undefined);
  const hear = (list: RoomList, now: number, i: number, part: Partial<HereFacts> = {}, pingMs = 4): boolean =>
    list.heard(now, at(i), { ...FACTS, peer: peer(i), ...part }, pingMs);
  /** Lets members of these numbers answer at once, until `end`. Gives how often each was asked. */
  const run = (list: RoomList, from: number, end: number, living: readonly number[]): Map<number, number> => {
    const asked = new Map<number, number>();
    for (let now = Math.max(from, list.nextAt()); now < end; now = Math.max(now, list.nextAt()))
      for (const { host } of list.due(now)) {
        const i = Number(host.split('.')[3]);
        asked.set(i, (asked.get(i) ?? 0) + 1);
        if (living.includes(i)) hear(list, now, i);
      }
    return asked;
  };

  it('[DI12] are bounded in number, and so are the addresses of each, of which one lost answer takes none away', () => {
    const list = made();
    for (let i = 0; i < MAX_ROOMS + 10; i++) list.heard(0, { host: `10.1.${i >> 8}.${i & 255}`, port: 1 }, { ...FACTS, roomId: room(i) }, 1);
    expect([list.size, list.listings.length]).toEqual([MAX_ROOMS, MAX_ROOMS]);
    const one = made();
    for (let i = 0; i < MAX_ROOM_ADDRESSES; i++) hear(one, 0, i);
    one.due(one.nextAt());
    expect(hear(one, 1_000, 20)).toBe(false);
    expect(one.addresses(FACTS.roomId)).toHaveLength(MAX_ROOM_ADDRESSES);
  });

  it('[DI6] of many members two are asked at the full rate, the others a third as often', () => {
    const list = made();
    for (let i = 1; i <= 4; i++) hear(list, 0, i);
    const asked = run(list, 0, 63_000, [1, 2, 3, 4]);
    expect([1, 2, 3, 4].map((i) => asked.get(i))).toEqual([89, 89, 29, 29]);
  });

  it('[DI38] a list that is at its old pace again puts nothing off', () => {
    const list = made();
    list.setQuiet(0, true);
    hear(list, 0, 1);
    expect(list.nextAt()).toBe(PROBE_QUIET_MS);
    list.setQuiet(PROBE_QUIET_MS - 100, false);
    expect(list.nextAt()).toBe(PROBE_QUIET_MS);
    list.setQuiet(PROBE_QUIET_MS - 50, false);
    expect(list.nextAt()).toBe(PROBE_QUIET_MS);
  });

  it('[DI8] at a hint the other members are asked as well; one that had missed much is given all its questions', () => {
    const list = made();
    for (let i = 1; i <= 3; i++) hear(list, 0, i);
    list.hint(100, at(1));
    expect(list.due(100)).toEqual([at(1), at(2), at(3)]);
    const alone = made();
    hear(alone, 0, 1);
    let now = 0;
    for (let questions = 0; questions < PROBE_HINT_MISSES + 2;) questions += alone.due((now = alone.nextAt())).length;
    alone.hint(now + 1, at(1));
    let questions = 0;
    while (alone.listings.length > 0) questions += alone.due((now = alone.nextAt())).length;
    expect(questions).toBe(PROBE_HINT_MISSES);
  });

  it('[DI35] a room whose only member left is no room, and takes no place', () => {
    const list = made();
    hear(list, 0, 1);
    expect(list.left(at(1), FACTS.roomId)).toBe(true);
    expect([list.size, list.facts(FACTS.roomId), list.addresses(FACTS.roomId)]).toEqual([0, undefined, []]);
  });

  it('[DI34] a slow one that is gone is asked as often as any other, and not named among the addresses meanwhile', () => {
    const list = made();
    hear(list, 0, 1, {}, 80);
    hear(list, 0, 2, { members: [at(9)] });
    let now = 0;
    while (list.takeDropped().length === 0)
      for (const { host } of list.due((now = list.nextAt()))) if (host === '10.0.0.2') hear(list, now, 2, { members: [at(9)] });
    expect(list.addresses(FACTS.roomId)).toEqual([at(2), at(9)]);
    const asked = run(list, now, now + 20_000, [2]);
    expect(asked.get(1)! + 1).toBeLessThanOrEqual(PROBE_AFTER + 1);
    expect(asked.get(1)! + 1).toBeGreaterThanOrEqual(PROBE_AFTER - 1);
    expect(PROBE_MISSES_LEAST).toBeLessThan(PROBE_AFTER);
  });

  it('[DI7] a question that may not leave now is no miss, and is tried a little later', () => {
    const list = made();
    hear(list, 0, 1);
    expect(list.due(PROBE_MS, () => false)).toEqual([]);
    expect([list.nextAt(), list.takeTrouble()]).toEqual([PROBE_MS + WHO_WAIT_MS, false]);
    for (let i = 0; i < 200; i++) list.due(list.nextAt(), () => false);
    expect(list.listings).toHaveLength(1);
  });

  it('[DI7] who answers slowly is asked again after twice that time, but never much later', () => {
    for (const [pingMs, gapMs] of [
      [4, 200],
      [400, 800],
      [3_000, PROBE_RETRY_MAX_MS],
    ] as const) {
      const list = made();
      hear(list, 0, 1, {}, pingMs);
      list.due(PROBE_MS);
      expect(list.nextAt()).toBe(PROBE_MS + gapMs);
    }
  });

  it('[DI6] the address that is shown is one that answers, and trouble is told once', () => {
    const list = made();
    hear(list, 0, 1, {}, 1);
    hear(list, 0, 2, {}, 9);
    expect(list.takeChange()![0]!.address).toBe('10.0.0.1:29798');
    let now = 0;
    while (!list.isChanged) for (const { host } of list.due((now = list.nextAt()))) if (host === '10.0.0.2') hear(list, now, 2, {}, 9);
    expect(now).toBeLessThan(1_000);
    expect(list.takeChange()![0]!.address).toBe('10.0.0.2:29798');
    expect([list.takeTrouble(), list.takeTrouble()]).toEqual([true, false]);
  });

  it('[DI6] each fact that changes is told, and a room that its last member left for another one is gone', () => {
    const list = made();
    hear(list, 0, 1);
    let shown = list.takeChange()![0]!;
    for (const part of [{ locked: true }, { players: 5 }, { max: 9 }, { name: 'Monday' }, { version: 9 }, { schemaHash: 9 }]) {
      hear(list, 1, 1, part);
      const next = list.takeChange()?.[0];
      expect(next, JSON.stringify(part)).toMatchObject(part);
      shown = next ?? shown;
    }
    const two = made();
    hear(two, 0, 1, { roomId: room(1) });
    hear(two, 0, 2, { roomId: room(2) });
    two.takeChange();
    // The player of the second room has this address, too, which somebody of the first had before.
    expect(two.heard(10, at(1), { ...FACTS, roomId: room(2), peer: peer(2) }, 4)).toBe(false);
    expect(two.takeChange()?.map(({ id }) => id)).toEqual([room(2)]);
  });

  it('[DI8] a flood of hints while one is under way does not give the dead more questions', () => {
    const list = made();
    hear(list, 0, 1);
    let now = 100;
    let questions = 0;
    for (; list.listings.length > 0 && now < 5_000; now += PROBE_HINT_MS / 4) {
      list.hint(now, at(1));
      questions += list.due(now).length;
    }
    expect(questions).toBe(PROBE_HINT_MISSES);
    expect(now).toBeLessThan(600);
  });
});
