/** The list of rooms: who is in it, who is still there, and at which address. */
import { describe, expect, it } from 'vitest';

import type { PeerId, RoomId } from '../sdk/base/brand.ts';
import { createRng } from '../sdk/base/rng.ts';
import { DOCTOR_GAME_ID } from '../sdk/node/cli/doctor-peer.ts';
import { chooseRooms, roomLine } from '../sdk/node/cli/room-lines.ts';
import {
  PROBE_AFTER,
  PROBE_MS,
  PROBE_QUIET_MS,
  PROBE_HINT_MISSES,
  PROBE_HINT_MS,
  PROBE_MISSES,
  PROBE_MISSES_LEAST,
  PROBE_MISSES_LOSSY,
} from '../sdk/node/discovery/bounds.ts';
import { RoomList } from '../sdk/node/discovery/room-list.ts';
import { whyIncompatible } from '../sdk/node/discovery/words.ts';
import type { HereFacts } from '../sdk/wire/datagram.ts';
import { AT, FACTS } from './here-facts.ts';

const SELF = 'zzzzzzzzzzzzzzzz' as PeerId;
const GAME = { id: 'paint', version: 3, schemaHash: 7 };

describe('room list', () => {
  it('[DI6] lists what answered, and says in words what does not fit', () => {
    const list = new RoomList(SELF, GAME);
    expect(list.heard(0, AT, FACTS, 4)).toBe(true);
    expect(list.listings[0]).toMatchObject({
      id: FACTS.roomId,
      name: 'Friday',
      players: 2,
      max: 16,
      pingMs: 4,
      compatible: true,
      reason: undefined,
      address: '10.0.0.5:29798',
    });
    list.heard(
      1,
      { host: '10.0.0.6', port: 29_798 },
      { ...FACTS, roomId: 'ff'.repeat(16) as RoomId, version: 4, peer: 'bbbbbbbbbbbbbbbb' as PeerId },
      4,
    );
    expect(list.listings.find((room) => room.version === 4)).toMatchObject({ compatible: false, reason: 'runs version 4, you run version 3' });
    expect(list.heard(2, AT, { ...FACTS, peer: SELF }, 1)).toBe(false);
    expect(list.heard(2, AT, { ...FACTS, gameId: 'other' }, 1)).toBe(false);
    expect(whyIncompatible(GAME, { ...FACTS, schemaHash: 8 })).toMatch(/another build/);
  });

  it('[DI7] a killed room leaves within 3 s by our own questions, and not while half of them are answered', () => {
    const list = new RoomList(SELF, GAME);
    list.heard(0, AT, FACTS, 4);
    let now = 0;
    let questions = 0;
    while (list.listings.length > 0 && now < 10_000) {
      now = Math.max(now, list.nextAt());
      questions += list.due(now).length;
    }
    expect(now).toBeLessThanOrEqual(2_800);
    // The last of them is the first of those that follow up.
    expect(questions).toBe(PROBE_MISSES + 1);

    const alive = new RoomList(SELF, GAME);
    alive.heard(0, AT, FACTS, 4);
    for (let i = 0, at = 0; i < 500; i++) {
      at = alive.nextAt();
      if (alive.due(at).length > 0 && i % 2 === 0) alive.heard(at + 5, AT, FACTS, 5);
    }
    expect(alive.listings.length).toBe(1);
  });

  it('[DI7] a room whose machine is slow to answer is gone within 3 s as well, and never after fewer than twelve questions', () => {
    for (const pingMs of [1, 40, 60, 80, 400]) {
      const list = new RoomList(SELF, GAME);
      list.heard(0, AT, FACTS, pingMs);
      let now = 0;
      let questions = 0;
      while (list.listings.length > 0) {
        now = list.nextAt();
        questions += list.due(now).length;
      }
      if (pingMs <= 80) expect(now).toBeLessThanOrEqual(2_900);
      expect(questions).toBeGreaterThanOrEqual(PROBE_MISSES_LEAST);
    }
  });

  it('[DI8] a goodbye is only a hint: silence after it ends the room in 0.5 s, an answer keeps it', () => {
    const list = new RoomList(SELF, GAME);
    list.heard(0, AT, FACTS, 4);
    list.hint(100, AT);
    expect(list.due(100)).toEqual([AT]);
    list.heard(103, AT, FACTS, 3);
    expect(list.due(103 + PROBE_HINT_MS)).toEqual([]);
    expect(list.listings.length).toBe(1);
    list.hint(700, AT);
    for (let i = 0; i <= PROBE_HINT_MISSES; i++) list.due(700 + i * PROBE_HINT_MS);
    expect(list.listings.length).toBe(0);
    expect(PROBE_HINT_MISSES * PROBE_HINT_MS).toBeLessThanOrEqual(500);
  });

  it('[DI7] on a network that loses half of all datagrams a room stays for hours, and a dead one leaves within 8 s', () => {
    const rng = createRng(17);
    const list = new RoomList(SELF, GAME);
    list.heard(0, AT, FACTS, 4);
    let now = 0;
    let left = 0;
    while (now < 3_600_000) {
      now = Math.max(now, list.nextAt());
      for (const address of list.due(now)) if (rng.float() < 0.5 && rng.float() < 0.5) list.heard(now, address, FACTS, 5);
      if (list.listings.length === 0) {
        left++;
        list.heard(now, AT, FACTS, 4);
      }
    }
    // At most one false leave in 32 peer-minutes is allowed; these are 60.
    expect(left).toBeLessThanOrEqual(1);
    const killedAt = now;
    while (list.listings.length > 0) list.due((now = Math.max(now, list.nextAt())));
    expect(now - killedAt).toBeLessThanOrEqual(8_000);
  });

  it('[DI8] a hundred spoofed goodbyes a second cost two questions a second, and end nothing that answers', () => {
    const list = new RoomList(SELF, GAME);
    list.heard(0, AT, FACTS, 4);
    let questions = 0;
    for (let now = 0; now < 10_000; now += 10) {
      list.hint(now, AT);
      for (const address of list.due(now)) {
        questions++;
        list.heard(now + 3, address, FACTS, 3);
      }
    }
    expect(list.listings.length).toBe(1);
    expect(questions).toBeLessThanOrEqual(22);
    // The real goodbye in the middle of them is still believed soon, because nobody answers any more.
    let now = 10_000;
    list.hint(now, AT);
    while (list.listings.length > 0) list.due((now = Math.max(now, list.nextAt())));
    expect(now - 10_000).toBeLessThanOrEqual(1_000);
  });

  it('[DI7] a room stays in which the members that are watched die together, and others answer', () => {
    const list = new RoomList(SELF, GAME);
    const answer = (now: number, i: number): boolean =>
      list.heard(now, { host: `10.0.0.${i}`, port: 29_798 }, { ...FACTS, peer: 'abcdefghijklmnop'[i]!.repeat(16) as PeerId }, 4);
    for (let i = 0; i < 8; i++) answer(0, i);
    expect(answer(0, 8)).toBe(false);
    for (let now = 0; now < 12_000; now += 10) {
      const asked = list.due(now).map(({ host }) => Number(host.split('.')[3]));
      // Those that are not watched are asked now and then.
      for (let i = 8; i < 16; i++) if (asked.includes(i) || now % 1_500 === 0) answer(now, i);
      expect(list.listings.length, `after ${now} ms`).toBe(1);
    }
    expect(list.addresses(FACTS.roomId)).toHaveLength(8);
  });

  it('[DI6] a member that misses makes the list look for its other address; one that is gone may be named anew', () => {
    const list = new RoomList(SELF, GAME);
    list.heard(0, AT, FACTS, 4);
    let now = 0;
    while (!list.takeTrouble()) list.due((now = list.nextAt()));
    expect(now).toBeLessThanOrEqual(1_000);
    const moved = { host: '10.0.0.77', port: 29_798 };
    expect(list.heard(now, moved, FACTS, 1)).toBe(true);
    while (list.knows(AT)) {
      for (const address of list.due((now = list.nextAt()))) if (address === moved) list.heard(now, moved, FACTS, 1);
    }
    expect(list.takeDropped()).toEqual([AT]);
    expect(list.listings.map((room) => room.address)).toEqual(['10.0.0.77:29798']);
  });

  it('[DI38] while its owner plays, a list asks seldom, and at its old pace again at once when that ends', () => {
    const list = new RoomList(SELF, GAME);
    list.setQuiet(0, true);
    let questions = 0;
    list.heard(0, AT, FACTS, 4);
    for (let now = 0; now < 60_000; now += 50)
      for (const address of list.due(now)) {
        questions++;
        list.heard(now, address, FACTS, 4);
      }
    expect(questions).toBeLessThanOrEqual(60_000 / PROBE_QUIET_MS);
    // A farewell is heeded at once all the same.
    list.hint(60_000, AT);
    expect(list.due(60_000)).toEqual([AT]);
    list.heard(60_002, AT, FACTS, 2);
    list.setQuiet(60_100, false);
    expect(list.nextAt()).toBe(60_100 + PROBE_MS);
  });

  it('[DI35] a member that says itself, to our question, that it left is gone at once', () => {
    const list = new RoomList(SELF, GAME);
    list.heard(0, AT, FACTS, 4);
    expect(list.left(AT, 'ab'.repeat(16) as RoomId)).toBe(false);
    expect(list.listings).toHaveLength(1);
    expect(list.left(AT, FACTS.roomId)).toBe(true);
    expect(list.listings).toEqual([]);
    expect(list.takeDropped()).toEqual([AT]);
    expect(list.nextAt()).toBe(Number.POSITIVE_INFINITY);
  });

  it('[DI34] a room that seemed dead is asked for 2 s more, and is back at its first answer; a goodbye is not followed up', () => {
    const list = new RoomList(SELF, GAME);
    list.heard(0, AT, FACTS, 4);
    let now = 0;
    while (list.listings.length > 0) list.due((now = list.nextAt()));
    const leftAt = now;
    expect(list.facts(FACTS.roomId)).toBeUndefined();
    expect(list.due((now = list.nextAt()))).toEqual([AT]);
    expect(list.heard(now + 5, AT, FACTS, 5)).toBe(true);
    expect(list.listings).toHaveLength(1);
    expect(now - leftAt).toBeLessThanOrEqual(200);
    // Now it is known as hard to hear; dead for good, it is asked to the end and forgotten.
    let questions = 0;
    while (list.nextAt() < Number.POSITIVE_INFINITY) questions += list.due((now = list.nextAt())).length;
    expect(questions).toBe(PROBE_MISSES_LOSSY + PROBE_AFTER);
    const polite = new RoomList(SELF, GAME);
    polite.heard(0, AT, FACTS, 4);
    polite.hint(100, AT);
    while (polite.listings.length > 0) polite.due((now = polite.nextAt()));
    expect(polite.nextAt()).toBe(Number.POSITIVE_INFINITY);
  });

  it('[DI34] what one member needs to be heard tells of the network of all; the dead tell nothing', () => {
    const at = (i: number) => ({ host: `10.0.0.${i}`, port: 29_798 });
    const facts = (i: number): HereFacts => ({ ...FACTS, roomId: `${i}`.repeat(32) as RoomId, peer: `${'abcdefg'[i]!}`.repeat(16) as PeerId });
    const goneAfter = (answers: (address: { host: string }, question: number) => boolean): number => {
      const list = new RoomList(SELF, GAME);
      for (const i of [1, 2, 3]) list.heard(0, at(i), facts(i), 4);
      let now = 0;
      const asked = new Map<string, number>();
      const listed = () => list.listings.some((room) => room.id === facts(1).roomId);
      while (listed() && now < 20_000) {
        now = list.nextAt();
        for (const address of list.due(now)) {
          const question = (asked.get(address.host) ?? 0) + 1;
          asked.set(address.host, question);
          if (address.host !== '10.0.0.1' && answers(address, question)) list.heard(now + 2, address, facts(Number(address.host.at(-1))), 4);
        }
      }
      return now;
    };
    expect(goneAfter(() => true)).toBeLessThanOrEqual(2_800);
    expect(goneAfter((address) => address.host === '10.0.0.3')).toBeLessThanOrEqual(2_800);
    const lossy = goneAfter((_, question) => question % 4 === 0);
    expect(lossy).toBeGreaterThan(6_000);
    expect(lossy).toBeLessThanOrEqual(8_000);
  });

  it('[DI33] an answer from a second address asks the first at once; when that is silent the second is listed within 0.5 s', () => {
    const list = new RoomList(SELF, GAME);
    list.heard(0, AT, FACTS, 4);
    const moved = { host: '10.0.0.77', port: 29_798 };
    expect(list.heard(100, moved, FACTS, 5)).toBe(false);
    expect(list.nextAt()).toBe(100);
    expect(list.due(100)).toEqual([AT]);
    // It does have both: the first answers, and the second is no news, however often it is heard.
    list.heard(102, AT, FACTS, 4);
    let questions = 0;
    for (let now = 110; now < 2_110; now += 10) {
      list.heard(now, moved, FACTS, 5);
      for (const address of list.due(now)) {
        expect(address).toEqual(AT);
        questions++;
        list.heard(now, address, FACTS, 4);
      }
    }
    expect(questions).toBeLessThanOrEqual(5);
    // It moved: the first is silent from here on.
    list.heard(2_700, moved, FACTS, 5);
    expect(list.due(2_700)).toEqual([AT]);
    expect(list.heard(2_950, moved, FACTS, 5)).toBe(true);
    list.due(2_950);
    expect(list.listings.map((room) => room.address)).toEqual(['10.0.0.77:29798']);
  });

  it('[DI6] one member with two addresses is one member; a member that moved takes its answer along', () => {
    const list = new RoomList(SELF, GAME);
    list.heard(0, AT, FACTS, 4);
    expect(list.heard(0, { host: '127.0.0.1', port: 29_798 }, FACTS, 1)).toBe(false);
    list.heard(5, AT, { ...FACTS, roomId: 'ab'.repeat(16) as RoomId }, 1);
    expect(list.listings.map((room) => room.id)).toEqual(['ab'.repeat(16)]);
  });
});

describe('lanista browse', () => {
  const list = new RoomList(SELF, undefined);
  list.heard(0, AT, { ...FACTS, name: 'Ann\u001b[2J' }, 4.26);
  const doctor = { ...FACTS, roomId: 'ff'.repeat(16) as RoomId, gameId: DOCTOR_GAME_ID, peer: 'bbbbbbbbbbbbbbbb' as PeerId };
  list.heard(0, { host: '10.0.0.6', port: 29_798 }, doctor, 4);

  it('[DI37] shows name, seats, ping, lock, game, version and build; no doctors, and nothing that steers a terminal', () => {
    const rooms = chooseRooms(list.listings, undefined);
    expect(rooms.map(roomLine)).toEqual(['Ann?[2J                    2/16    4.3 ms open   paint v3 00000007 10.0.0.5:29798']);
    expect(chooseRooms(list.listings, { id: 'other', version: undefined, schemaHash: undefined })).toEqual([]);
  });

  it('[DI37] says why a room does not fit the game that was named, and is content with what was not said', () => {
    const reason = (version: number | undefined, schemaHash: number | undefined) =>
      chooseRooms(list.listings, { id: 'paint', version, schemaHash })[0]?.reason;
    expect(reason(undefined, undefined)).toBeUndefined();
    expect(reason(3, undefined)).toBeUndefined();
    expect(reason(2, undefined)).toBe('runs version 3, you run version 2');
    expect(reason(3, 8)).toBe('runs another build of version 3');
    const [room] = chooseRooms(list.listings, { id: 'paint', version: 2, schemaHash: undefined });
    expect(roomLine(room!)).toMatch(/\n  x Ann\?\[2J runs version 3, you run version 2$/);
  });
});
