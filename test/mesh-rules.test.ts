/**
 * Early messages, requests that travel over a member, the search for a seat, answers to strangers: the rules of each part by itself.
 */
import { describe, expect, it } from 'vitest';
import type { PeerId } from '../sdk/base/brand.ts';
import { createRng } from '../sdk/base/rng.ts';
import { asciiBytes, fromHex } from '../sdk/base/bytes.ts';
import { Delivery } from '../sdk/mesh/delivery.ts';
import { EarlyMessages } from '../sdk/mesh/early.ts';
import type { JoinRequest, Word } from '../sdk/mesh/messages.ts';
import type { Party } from '../sdk/mesh/party.ts';
import { seatPeer, updateSeat, type Roster } from '../sdk/mesh/roster.ts';
import { SeatSearch } from '../sdk/mesh/seat-search.ts';
import { Vouching } from '../sdk/mesh/vouching.ts';
import { WhoAnswers } from '../sdk/mesh/who.ts';
import type { PortEvent } from '../sdk/port/port.ts';
import { NonceRegistry, createSimCrypto } from '../sdk/testing/sim-crypto.ts';
import { ROOM_TAG_BYTES, encodeWho } from '../sdk/wire/datagram.ts';
import {
  JOIN_RETRY_MAX_MS,
  JOIN_RETRY_MS,
  JOIN_TIMEOUT_MS,
  MAX_EARLY_BYTES,
  MAX_EARLY_MESSAGES,
  MAX_PEERS,
  SEAT_SETTLE_MS,
  WHO_BURST,
  WHO_RATE_PER_SECOND,
} from '../sdk/wire/limits.ts';
import { ROOM, idOf, listOf, newcomer } from './mesh-script.ts';

describe('a request over a member', () => {
  const join = (instance: number): JoinRequest => ({ instance, spectate: false, joinPort: 1, addresses: [], term: 0, time: 0 });
  const made = () => {
    const heard = new Set<PeerId>();
    const silent = new Set<PeerId>();
    const sent: PeerId[] = [];
    const party = {
      links: { get: (peer: PeerId) => (silent.has(peer) ? { silent: true } : undefined) },
      linkState: { isHeard: (_now: number, peer: PeerId) => heard.has(peer) },
      send: (_now: number, peer: PeerId) => sent.push(peer) > 0,
    };
    return { vouching: new Vouching(party as unknown as Party), heard, silent, sent };
  };

  it('[ME43] is remembered of so many, for as long as somebody asks, and answered once', () => {
    const { vouching, sent } = made();
    for (let n = 0; n <= 2 * MAX_PEERS; n++) vouching.forward(0, idOf(250), idOf(n), join(n));
    vouching.forward(0, idOf(250), idOf(3), join(33));
    expect(sent).toHaveLength(2 * MAX_PEERS + 1);
    expect(vouching.take((id, instance) => id === idOf(3) && instance === 33)).toEqual([idOf(3)]);
    expect(vouching.take((id) => id === idOf(3))).toEqual([]);
    expect(vouching.forget(idOf(4))).toEqual({ instance: 4, at: 0 });
    expect(vouching.forget(idOf(4))).toBeUndefined();
    vouching.forward(JOIN_TIMEOUT_MS + 1, idOf(250), idOf(90), join(90));
    expect(vouching.take(() => true)).toEqual([idOf(90)]);
  });

  it('[ME74] waits with the host for a sign of its asker, each once, and those of so many', () => {
    const { vouching, heard, silent } = made();
    for (let n = 0; n <= 2 * MAX_PEERS; n++) vouching.wait({ peer: idOf(n), join: join(n), via: idOf(250), at: 0 });
    vouching.wait({ peer: idOf(0), join: join(99), via: idOf(250), at: 10 });
    silent.add(idOf(1));
    for (const n of [0, 2 * MAX_PEERS]) heard.add(idOf(n));
    expect(vouching.due(20).map((request) => request.join.instance)).toEqual([99]);
    expect(vouching.due(30)).toEqual([]);
    heard.add(idOf(1));
    expect(vouching.due(JOIN_RETRY_MAX_MS + 1)).toEqual([]);
    vouching.wait({ peer: idOf(1), join: join(1), via: idOf(250), at: 1_000 });
    expect(vouching.due(1_000)).toHaveLength(1);
  });
});

describe('the search for a seat', () => {
  const made = (count: number, speakers: readonly number[] = []) => {
    const asked: [number, PeerId][] = [];
    const links = Array.from({ length: count }, (_, n) => ({ peer: idOf(n), silent: false }));
    const party = {
      links: {
        all: () => links,
        get size() {
          return links.length;
        },
      },
      linkState: { speaks: (_now: number, peer: PeerId) => speakers.some((n) => idOf(n) === peer) },
      send: (at: number, peer: PeerId) => asked.push([at, peer]) > 0,
      hurry: () => undefined,
    };
    const search = new SeatSearch(0, party as unknown as Party);
    const pass = (from: number, to: number) => {
      for (let now = from; now < to; now += 10) {
        const failure = search.tick(now, () => ({}) as JoinRequest);
        if (failure !== undefined) return [failure, now];
      }
      return undefined;
    };
    return { asked, links, search, pass };
  };

  it('[ME37] asks three at a time: those that have a list first, others in turn, none that is silent', () => {
    const { asked, links, pass } = made(6, [4]);
    links[5]!.silent = true;
    pass(0, 3_000);
    const times = [...new Set(asked.map(([at]) => at))];
    const doubling = [0, 1, 3, 7].map((n) => n * JOIN_RETRY_MS);
    expect(times).toEqual([...doubling, ...[1, 2].map((n) => 7 * JOIN_RETRY_MS + n * JOIN_RETRY_MAX_MS)]);
    for (const time of times) {
      const turn = asked.filter(([at]) => at === time);
      expect([turn.length, turn[0]![1]]).toEqual([3, idOf(4)]);
    }
    expect(new Set(asked.map(([, peer]) => peer))).toEqual(new Set([0, 1, 2, 3, 4].map(idOf)));
  });

  it('[ME1] asks at once who is linked just now', () => {
    const { asked, search, pass } = made(1);
    pass(0, 1_000);
    asked.length = 0;
    search.onLinked(1_000);
    pass(1_000, 1_000 + JOIN_RETRY_MS + 10);
    expect(asked.map(([at]) => at)).toEqual([1_000, 1_000 + JOIN_RETRY_MS]);
  });

  it('[ME4] gives up after ten seconds of its own time', () => {
    const { search, pass } = made(0);
    search.excuse(5_000);
    expect(pass(0, 60_000)).toEqual(['unreachable', JOIN_TIMEOUT_MS + 5_010]);
  });

  it('[ME32] goes on after a wrong code while anybody is linked', () => {
    const { links, search, pass } = made(1);
    search.onRefused(0, 'wrong-code');
    expect(pass(0, 5_000)).toBeUndefined();
    links.length = 0;
    expect(pass(5_000, 6_000)).toEqual(['wrong-code', 5_000]);
  });
});

describe('early messages', () => {
  const message = (size: number) => ({ channel: 'reliable' as const, lane: 0, bytes: new Uint8Array(size) });

  it('[ME43] are kept of so many, so many and so large', () => {
    const early = new EarlyMessages();
    for (let n = 0; n <= 2 * MAX_PEERS; n++) expect(early.hold(0, idOf(n), message(1))).toBe(n < 2 * MAX_PEERS);
    const held = (size: number): number => {
      const one = new EarlyMessages();
      let count = 0;
      while (count < 2_000 && one.hold(0, idOf(1), message(size))) count++;
      return count;
    };
    expect(held(1)).toBe(MAX_EARLY_MESSAGES);
    expect(held(10_000) * 10_064).toBeLessThanOrEqual(MAX_EARLY_BYTES);
    expect(early.expire(SEAT_SETTLE_MS, SEAT_SETTLE_MS)).toEqual([]);
    expect(early.expire(SEAT_SETTLE_MS + 1, SEAT_SETTLE_MS)).toHaveLength(2 * MAX_PEERS);
  });

  const peer = idOf(1);
  const made = () => {
    let roster: Roster | undefined;
    const told: string[] = [];
    const closed: number[] = [];
    const links = new Map<PeerId, { readonly id: number }>();
    const sent: number[] = [];
    const endpoint = {
      send: (_now: number, _link: number, _channel: string, bytes: Uint8Array) => sent.push(bytes[0]!) > 0,
      close: (_now: number, link: number) => closed.push(link),
    };
    const delivery = new Delivery(endpoint as never, links as never, {
      get roster() {
        return roster;
      },
      emit: (event: PortEvent) => told.push(event.type === 'message' ? `message ${event.bytes[0]}` : event.type),
      drop: (reason: string) => told.push(`drop ${reason}`),
    });
    const follow = (next: Roster, left: readonly { readonly id: PeerId }[] = []): void => {
      roster = next;
      delivery.onRoster(next, left as never);
    };
    const link = (id: number): void => {
      links.set(peer, { id });
      delivery.onLinked({ peer } as never);
    };
    const comes = (now: number, n: number, channel = 'reliable'): void =>
      delivery.onMessage(now, { peer, channel, lane: 0, bytes: Uint8Array.of(n) } as never);
    const hold = (n: number): boolean => delivery.hold(0, peer, { channel: 'reliable', lane: 0, bytes: Uint8Array.of(n) });
    const word = (instance: number): boolean => delivery.onWords(0, peer, [{ id: peer, instance } as Word]);
    return { delivery, told, closed, links, sent, follow, link, comes, hold, word };
  };
  const alone = listOf(2);
  const seated = seatPeer(alone, newcomer(1)) as Roster;

  it('[ME46] of a peer without a seat come with it, in order; those of an older link do not', () => {
    const { told, follow, link, comes } = made();
    follow(alone);
    link(1);
    comes(0, 1);
    comes(0, 2, 'unreliable');
    link(2);
    comes(0, 3);
    comes(0, 4);
    follow(seated);
    comes(0, 5);
    expect(told).toEqual(['drop no-seat', 'message 3', 'message 4', 'message 5']);
  });

  it('[ME46] that are more than is kept end in a new link as well', () => {
    const { delivery, told, closed, follow, link, comes } = made();
    follow(alone);
    link(1);
    for (let n = 0; n <= MAX_EARLY_MESSAGES; n++) comes(0, n);
    follow(seated);
    comes(0, 7);
    delivery.closeBroken(0);
    expect([told.length, told[0], told.at(-1), closed]).toEqual([MAX_EARLY_MESSAGES + 2, 'drop no-seat', 'drop no-seat', [1]]);
  });

  it('[ME46] that waited too long end in a new link, and nothing comes after the gap before it', () => {
    const { delivery, told, closed, links, follow, link, comes } = made();
    follow(alone);
    link(1);
    comes(0, 1);
    delivery.expire(SEAT_SETTLE_MS + 1);
    comes(3_000, 2);
    delivery.closeBroken(3_000);
    expect(closed).toEqual([]);
    follow(seated);
    comes(3_000, 3);
    delivery.closeBroken(3_000);
    expect([told, closed]).toEqual([['drop no-seat', 'drop no-seat'], [1]]);
    link(2);
    comes(3_100, 4);
    expect(told.slice(2)).toEqual(['reset', 'message 4']);
    delivery.closeBroken(3_200);
    expect(closed).toEqual([1]);
    // A link that is gone is mended by the next one.
    links.delete(peer);
    delivery.onClosed(peer);
    link(3);
    expect(told.at(-1)).toBe('reset');
  });

  it('[ME45] to a seat leave when its process has linked and spoken, or are dropped and told of', () => {
    const { delivery, told, sent, follow, link, hold, word } = made();
    follow(seated);
    expect([hold(1), word(1)]).toEqual([true, false]);
    link(1);
    expect([word(9), delivery.onWords(0, peer, []), sent, word(1), sent, delivery.waits(peer)]).toEqual([false, false, [1], true, [1], false]);
    expect(told).toEqual([]);
  });

  it.each(['another process’s', 'away', 'gone'] as const)('[ME45] to a seat that is %s by then are dropped, and the next link is told of', (what) => {
    const { delivery, told, sent, follow, link, hold, word } = made();
    follow(seated);
    hold(1);
    if (what === 'away') follow(updateSeat(seated, peer, { status: 'away' }));
    else if (what === 'gone') follow(alone, [{ id: peer }]);
    else follow(seatPeer(seated, { ...newcomer(1), instance: 9 }) as Roster);
    expect(delivery.waits(peer)).toBe(false);
    if (what === 'gone') follow(seated);
    link(1);
    word(what === 'another process’s' ? 9 : 1);
    // Of a seat that is gone its departure was told.
    expect([sent, told]).toEqual([[], what === 'gone' ? [] : ['reset']]);
    link(2);
    expect(told.at(-1)).toBe('reset');
  });

  it('[ME45] to a seat whose link is there are dropped with a reset when another process has it', () => {
    const { told, follow, link, hold } = made();
    follow(seated);
    hold(1);
    link(1);
    follow(seatPeer(seated, { ...newcomer(1), instance: 9 }) as Roster);
    expect(told).toEqual(['reset']);
  });

  it('[ME50] a second link of a seat is a new start, also where the first was there before the seat', () => {
    const { told, follow, link } = made();
    follow(alone);
    link(1);
    follow(seated);
    expect(told).toEqual([]);
    link(2);
    expect(told).toEqual(['reset']);
    follow(alone, [{ id: peer }]);
    follow(alone);
    const other = made();
    other.follow(seated);
    other.link(1);
    other.follow(alone, [{ id: peer }]);
    other.links.delete(peer);
    other.follow(seated);
    other.link(2);
    expect(other.told).toEqual([]);
  });
});

describe('an answer to WHO', () => {
  const crypto = createSimCrypto(createRng(1), new NonceRegistry());
  const tag = crypto.sha256(asciiBytes('lanista room'), fromHex(ROOM)!).slice(0, ROOM_TAG_BYTES);
  const who = (roomTag?: Uint8Array, gameId?: string): Uint8Array => encodeWho({ nonce: new Uint8Array(8), roomTag, gameId }).slice();
  const facts = {
    roomId: ROOM,
    name: 'room',
    players: 1,
    max: 8,
    locked: false,
    gameId: 'script',
    version: 1,
    schemaHash: 1,
    peer: idOf(1),
    joinPort: 1,
    members: [],
  };

  it('[ME22] is given of this room and game alone, and only so often', () => {
    const answers = new WhoAnswers(crypto, ROOM);
    const asks = (now: number, bytes: Uint8Array) => answers.handle(now, { host: '10.0.0.9', port: 1 }, bytes, () => facts);
    expect([asks(0, who()), asks(0, who(tag)), asks(0, who(tag, 'script'))]).toEqual([undefined, undefined, undefined]);
    expect([asks(0, who(tag.map((byte) => byte ^ 1))), asks(0, who(tag, 'other')), asks(0, new Uint8Array(3))]).toEqual([
      'who-other',
      'who-other',
      'who-malformed',
    ]);
    const burst = (now: number): number => {
      let count = 0;
      while (count < 1_000 && asks(now, who()) === undefined) count++;
      return count;
    };
    expect([burst(0), burst(0), burst(100), burst(100), burst(3_600_000)]).toEqual([WHO_BURST - 3, 0, WHO_RATE_PER_SECOND / 10, 0, WHO_BURST]);
  });
});
