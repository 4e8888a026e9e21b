/** The links of an endpoint: which of two stays, who is let in when there is no place, and what is made of packets for none of them. */
import { describe, expect, it } from 'vitest';
import { createRng } from '../sdk/base/rng.ts';
import { Endpoint } from '../sdk/link/endpoint.ts';
import type { EndpointEvent, LinkId } from '../sdk/link/endpoint-types.ts';
import { createSimCrypto } from '../sdk/testing/sim-crypto.ts';
import { decodeInit } from '../sdk/wire/datagram.ts';
import { HELD_STALE_MS, MAX_LINKS, REPLAY_WINDOW_PACKETS } from '../sdk/wire/limits.ts';
import { Insider, drain } from './accept/parts/insider.ts';
import { PROLOGUE, ROOM, createVictim } from './accept/parts/victim.ts';
import { JOIN_PORT, Rig, SESSION_PORT, linkOf, messagesOf, numbered, type Node } from './link-rig.ts';

type Linked = Extract<EndpointEvent, { type: 'linked' }>;

/** The link that a node has to another, as it was told. */
const linkedTo = (node: Node, to: Node): Linked | undefined => {
  const link = linkOf(node, to);
  return node.events.find((event): event is Linked => event.type === 'linked' && event.link === link);
};

/** Two nodes that know each other by a second address as well: what is for `a2` goes to `a`, and comes from `b2`. */
function twoAddresses(seed: number): { rig: Rig; a: Node; b: Node; cids: number[] } {
  const rig = new Rig({ seed, delayMs: 2 });
  const [a, b] = [rig.add('a'), rig.add('b')];
  const cids: number[] = [];
  rig.onSend = (from, socket, host, port, bytes) => {
    if (bytes[0] === 3) cids.push(decodeInit(bytes)!.cid);
    if (host !== 'a2' && host !== 'b2') return true;
    const way = { from: { host: `${from.host}2`, port: socket === 'join' ? JOIN_PORT : SESSION_PORT }, to: { host: host[0]!, port } };
    rig.net.handleDatagram(rig.now, { ...way, socket, bytes });
    return false;
  };
  return { rig, a, b, cids };
}

/** What a node was told last, but for packets that come for what it has no more. */
const lastOf = (node: Node): EndpointEvent | undefined => node.events.findLast((event) => event.type !== 'stray');

const call = (rig: Rig, from: Node, host: string): void => {
  from.endpoint.connect(rig.now, { host, port: JOIN_PORT }, { mode: 'open' });
  rig.drain(from);
};

describe('of two sessions of one pair', () => {
  it('[LK7] that both began at once the one stays that the lower peer id began, and all that comes later is told', () => {
    const lower = { a: 0, b: 0 };
    for (let seed = 1; seed <= 10; seed++) {
      const { rig, a, b } = twoAddresses(seed);
      call(rig, a, 'b');
      call(rig, b, 'a2');
      rig.run(1_000);
      const first = a.endpoint.self < b.endpoint.self ? a : b;
      lower[first === a ? 'a' : 'b']++;
      expect([linkedTo(a, b)!.attempt !== undefined, linkedTo(b, a)!.attempt !== undefined]).toEqual([first === a, first === b]);
      rig.run(5_000);
      expect([a.endpoint.load.links, b.endpoint.load.links]).toEqual([1, 1]);
      const [link, back] = [linkOf(a, b)!, linkOf(b, a)!];
      a.endpoint.send(rig.now, link, 'reliable', numbered(seed));
      a.endpoint.close(rig.now, link, 'bye');
      rig.run(100);
      expect([messagesOf(b).length, lastOf(b), lastOf(a)]).toMatchObject([
        1,
        { type: 'closed', link: back, reason: 'bye', byPeer: true },
        { type: 'closed', link, reason: 'bye', byPeer: false },
      ]);
    }
    expect(Math.min(lower.a, lower.b)).toBeGreaterThan(0);
  });

  it('[LK7] that one side began within three seconds the one with the lower number stays, later the newer one', () => {
    const stays = { older: 0, newer: 0 };
    for (let seed = 1; seed <= 8; seed++) {
      for (const [afterMs, twins] of [
        [2_900, true],
        [3_100, false],
      ] as const) {
        const { rig, a, b, cids } = twoAddresses(seed);
        call(rig, a, 'b');
        rig.run(100);
        const [older, olderBack] = [linkOf(a, b)!, linkOf(b, a)!];
        rig.run(afterMs - 100);
        call(rig, a, 'b2');
        rig.run(1_000);
        const olderStays = twins && cids[0]! < cids[1]!;
        expect([seed, afterMs, linkOf(a, b) === older, linkOf(b, a) === olderBack]).toEqual([seed, afterMs, olderStays, olderStays]);
        if (twins) stays[olderStays ? 'older' : 'newer']++;
        rig.run(5_000);
        expect([a.endpoint.load.links, b.endpoint.load.links, a.endpoint.load.attempts]).toEqual([1, 1, 0]);
        // One that ended does not hide the other: a probe finds it.
        a.endpoint.connect(rig.now, { host: 'b2', port: JOIN_PORT }, { mode: 'open' }, undefined, true);
        rig.drain(a);
        rig.run(100);
        expect(lastOf(a)).toMatchObject({ type: 'failed', reason: 'linked' });
      }
    }
    expect(Math.min(stays.older, stays.newer)).toBeGreaterThan(0);
  });

  it('[LK8] an older one that has heard nothing for half a second is no twin, whatever its number', () => {
    for (let seed = 1; seed <= 6; seed++) {
      const { rig, a, b } = twoAddresses(seed);
      call(rig, a, 'b');
      rig.run(100);
      const older = linkOf(b, a)!;
      // a is started anew, with the same key, where b cannot tell but by silence.
      a.paused = true;
      rig.run(510);
      a.paused = false;
      call(rig, a, 'b2');
      const alive = rig.onSend!;
      rig.onSend = (from, socket, host, port, bytes) =>
        from === a && socket === 'session' && host === 'b' ? false : alive(from, socket, host, port, bytes);
      rig.run(40);
      expect(linkOf(b, a)).not.toBe(older);
    }
  });

  it('[LK8] the one that is replaced says so, and a call of ours that a link makes needless ends with it', () => {
    const { rig, a, b } = twoAddresses(3);
    call(rig, a, 'b');
    rig.run(4_000);
    const [older, back] = [linkOf(a, b)!, linkOf(b, a)!];
    call(rig, a, 'b2');
    rig.run(3_000);
    for (const [node, link] of [
      [a, older],
      [b, back],
    ] as const) {
      expect(node.events.filter((event) => event.type === 'closed')).toMatchObject([{ link, reason: 'replaced' }]);
      expect(node.endpoint.drops).toEqual({});
    }
    // b calls where nobody answers and says whom it wants; that one comes by itself.
    const other = rig.add('c');
    b.endpoint.connect(rig.now, { host: 'nowhere', port: JOIN_PORT }, { mode: 'open' }, other.endpoint.self);
    const attempt = b.endpoint.connect(rig.now, { host: 'nobody', port: JOIN_PORT }, { mode: 'open' });
    rig.pair(other, b);
    expect([linkedTo(b, other)!.attempt, b.endpoint.load.attempts]).toEqual([attempt - 1, 1]);
    // So does one to the address that the other side calls from, whoever is there.
    const third = rig.add('d');
    rig.net.block('b', 'd');
    const same = b.endpoint.connect(rig.now, { host: 'd', port: JOIN_PORT }, { mode: 'open' });
    rig.run(350);
    rig.net.unblock('b', 'd');
    rig.pair(third, b);
    expect([linkedTo(b, third)!.attempt, b.endpoint.load.attempts]).toEqual([same, 1]);
  });
});

describe('an endpoint', () => {
  it('[LK50] reads nothing that is empty, too large, cut before its tag or on the wrong socket, and tells of no stray by it', () => {
    const rig = new Rig({ delayMs: 1 });
    const [a, b] = [rig.add('a'), rig.add('b')];
    const seen: { socket: 'join' | 'session'; bytes: Uint8Array }[] = [];
    rig.onSend = (_from, socket, _host, _port, bytes) => seen.push({ socket, bytes: bytes.slice() }) > 0;
    rig.pair(a, b);
    rig.run(100);
    const node = rig.add('c');
    for (const { socket, bytes } of seen) rig.deliver(node, socket === 'join' ? 'session' : 'join', 'x', JOIN_PORT, bytes);
    expect([node.endpoint.drops, node.datagramsOut]).toEqual([{ kind: seen.length }, 0]);
    const sealed = seen.find((one) => one.socket === 'session')!.bytes;
    for (const at of [b, node]) {
      const before = { ...at.endpoint.drops };
      for (const socket of ['join', 'session'] as const) {
        rig.deliver(at, socket, 'x', 9, new Uint8Array(0));
        for (const kind of [1, 3, 0x80])
          rig.deliver(at, socket, 'x', 9, Uint8Array.from([kind, ...sealed.subarray(1), ...new Uint8Array(1_501 - sealed.length)]));
      }
      for (let size = 1; size < 27; size++) rig.deliver(at, 'session', 'x', 9, sealed.subarray(0, size));
      // A carried one tells nothing of where its sender is, however long no other came.
      if (at === node) rig.deliver(at, 'session', '~abcdefghijklmnop', 0, sealed);
      expect(at.endpoint.drops).toEqual({ ...before, empty: 2, oversize: 6, malformed: 26, ...(at === node ? { link: 1 } : {}) });
      expect(at.events.filter((event) => event.type === 'stray')).toEqual([]);
    }
  });

  it('[LK1] answers a FIN again until it has heard the other side, and never after', () => {
    const rig = new Rig({ delayMs: 1 });
    const [a, b] = [rig.add('a'), rig.add('b')];
    let fin = new Uint8Array(0);
    let deaf = true;
    rig.onSend = (from, socket, _host, _port, bytes) => {
      if (bytes[0] === 5) fin = bytes.slice();
      return !(deaf && from === b && socket === 'session');
    };
    rig.connect(a, b);
    rig.run(20);
    expect(linkOf(b, a)).toBeDefined();
    for (let i = 0; i < 3; i++) {
      const before = b.datagramsOut;
      rig.deliver(b, 'join', 'a', JOIN_PORT, fin);
      expect(b.datagramsOut).toBe(before + 1);
    }
    deaf = false;
    rig.run(300);
    expect(linkOf(a, b)).toBeDefined();
    const { datagramsOut, endpoint } = b;
    rig.deliver(b, 'join', 'a', JOIN_PORT, fin);
    expect([b.datagramsOut, endpoint.drops]).toEqual([datagramsOut, { unexpected: 1 }]);
  });

  it('[LK1] hears what came with the first packet, and stands at the session port the other side told', () => {
    const rig = new Rig({ delayMs: 1 });
    const [a, b] = [rig.add('a'), rig.add('b')];
    rig.onEvent = (node, event) => {
      if (node !== b || event.type !== 'linked') return;
      b.endpoint.send(rig.now, event.link, 'reliable', numbered(7));
      b.endpoint.flush(rig.now);
    };
    const sealed: string[] = [];
    rig.onSend = (from, socket, host, port) => socket === 'join' || sealed.push(`${from.host} ${host} ${port}`) > 0;
    rig.pair(a, b);
    rig.run(20);
    expect(messagesOf(a)).toHaveLength(1);
    // Not one packet is passed over, be it the one that made the link.
    const [mine, its] = [a.endpoint.stats(rig.now, linkOf(a, b)!)!, b.endpoint.stats(rig.now, linkOf(b, a)!)!];
    expect([mine.packetsIn, its.packetsIn]).toEqual([its.packetsOut, mine.packetsOut]);
    expect([...new Set(sealed)].toSorted()).toEqual(['a b 2', 'b a 2']);
  });

  it('[SE4] counts what it has seen, or can no longer tell, as a replay, and what does not open as a forgery', () => {
    const rig = new Rig();
    const [a, b] = [rig.add('a'), rig.add('b')];
    const [link] = rig.pair(a, b);
    const kept: Uint8Array[] = [];
    rig.onSend = (from, _socket, _host, _port, bytes) => from !== a || kept.length > 0 || kept.push(bytes.slice()) === 0;
    const tick = (): void => {
      a.endpoint.send(rig.now, link, 'unreliable', numbered(1));
      a.endpoint.flush(rig.now);
      rig.drain(a);
    };
    tick();
    rig.onSend = undefined;
    for (let i = 0; i < REPLAY_WINDOW_PACKETS + 10; i++) {
      tick();
      if (i % 100 === 0) rig.run(1);
    }
    rig.run(10);
    const before = messagesOf(b).length;
    rig.deliver(b, 'session', 'a', SESSION_PORT, kept[0]!);
    expect([b.endpoint.drops, messagesOf(b).length]).toEqual([{ replay: 1 }, before]);
    const forged = kept[0]!.slice();
    forged[6] = 0x70;
    rig.deliver(b, 'session', 'a', SESSION_PORT, forged);
    expect(b.endpoint.drops).toEqual({ replay: 1, seal: 1 });
  });

  it('[LK5] keeps a room key and an address as they were when it was given them', () => {
    const rig = new Rig();
    const [a, b] = [rig.add('a'), rig.add('b')];
    const key = new Uint8Array(32).fill(5);
    a.endpoint.setDoor({ open: false, code: undefined, roomKey: key });
    key.fill(0);
    b.endpoint.setDoor({ open: false, code: undefined, roomKey: new Uint8Array(32).fill(5) });
    rig.connect(a, b, 'member');
    rig.run(100);
    const link = linkOf(a, b)!;
    expect(link).toBeDefined();
    const address = { host: 'x', port: 9 };
    a.endpoint.setAddress(rig.now, link, address);
    address.host = 'y';
    expect(a.endpoint.address(link)).toEqual({ host: 'x', port: 9 });
  });

  it('[LK76] says busy where its own call is answered and every place is taken', () => {
    const rig = new Rig();
    const hub = rig.add('hub');
    for (let i = 0; i < MAX_LINKS; i++) rig.pair(rig.add(`n${i}`), hub);
    const late = rig.add('late');
    rig.connect(hub, late);
    rig.run(1_000);
    expect([lastOf(hub), hub.endpoint.load]).toMatchObject([
      { type: 'failed', reason: 'busy' },
      { links: MAX_LINKS, attempts: 0 },
    ]);
  });

  it('[LK34] excuses a stall once, by what it was late, and none that it was not asked to end', () => {
    const rig = new Rig({ delayMs: 1 });
    const [a, b] = [rig.add('a'), rig.add('b')];
    rig.pair(a, b);
    rig.run(2_000);
    rig.net.block('b', 'a');
    const heardAt = rig.now;
    a.paused = true;
    rig.run(2_000);
    a.paused = false;
    // Called twice before it says again when it wants to be.
    a.endpoint.handleTimeout(rig.now);
    a.endpoint.handleTimeout(rig.now + 1);
    rig.drain(a);
    expect(rig.run(2_000, () => a.events.some((event) => event.type === 'silent'))).toBe(true);
    expect(rig.now - heardAt).toBeGreaterThan(2_000 + 300);
    expect(rig.now - heardAt).toBeLessThan(2_000 + 600);
    // While datagrams come, a timer that was not asked for is nobody's stall.
    const quiet = new Rig({ delayMs: 1 });
    const [c, d] = [quiet.add('c'), quiet.add('d')];
    quiet.pair(c, d);
    quiet.run(1_000);
    quiet.net.block('d', 'c');
    const from = quiet.now;
    for (let ms = 50; ms <= 5_000; ms += 50) c.endpoint.handleDatagram(from + ms, 'join', 'x', 1, Uint8Array.of(9));
    c.endpoint.pollTimeout();
    for (let e = c.endpoint.pollEvent(); e !== undefined; e = c.endpoint.pollEvent()) c.events.push(e);
    c.endpoint.handleTimeout(from + 5_050);
    c.endpoint.pollTimeout();
    c.endpoint.handleTimeout(from + 5_075);
    for (let e = c.endpoint.pollEvent(); e !== undefined; e = c.endpoint.pollEvent()) c.events.push(e);
    expect(c.events.some((event) => event.type === 'silent')).toBe(true);
  });

  it('[LK74] knows nothing more of a link that has ended: its packets are strays', () => {
    const rig = new Rig({ delayMs: 1 });
    const [a, b] = [rig.add('a'), rig.add('b')];
    const [link, back] = rig.pair(a, b);
    let sealed = new Uint8Array(0);
    rig.onSend = (from, socket, _host, _port, bytes) => from !== a || socket === 'join' || (sealed = bytes.slice()).length === 0;
    a.endpoint.send(rig.now, link, 'unreliable', numbered(1));
    a.endpoint.flush(rig.now);
    rig.drain(a);
    rig.onSend = undefined;
    b.endpoint.close(rig.now, back, 'bye');
    rig.run(3_000);
    expect([b.endpoint.load.links, b.endpoint.pollTimeout()]).toEqual([0, Infinity]);
    rig.deliver(b, 'session', 'a', SESSION_PORT, sealed);
    expect([b.endpoint.drops['closing'], b.endpoint.drops['link'], b.events.at(-1)]).toEqual([undefined, 1, { type: 'stray', host: 'a' }]);
  });

  it('[LK70] gives back what a link held that had to make room for another', () => {
    const crypto = createSimCrypto(createRng(1));
    const victim = new Endpoint({
      ...{ crypto, rng: createRng(1), identity: crypto.generateKeyPair(), roomId: ROOM, joinPort: 1, sessionPort: 2, prologue: PROLOGUE },
      needs: () => false,
    });
    victim.setDoor({ open: true, code: undefined, roomKey: undefined });
    const come = (now: number, i: number): LinkId => {
      const insider = new Insider(crypto, victim, ROOM, PROLOGUE, `h${i}`);
      expect(insider.connect(now)).toBe(true);
      return insider.events.findLast((event) => event.type === 'linked')!.link;
    };
    const links = Array.from({ length: MAX_LINKS }, (_, i) => come(1_000 + i, i));
    for (const link of links) expect(victim.send(1_100, link, 'reliable', new Uint8Array(936))).toBe(true);
    expect(victim.load.heldBytes).toBe(MAX_LINKS * 1_000);
    for (let i = 1; i <= 3; i++) {
      come(7_000 + i, 100 + i);
      expect(victim.load).toMatchObject({ links: MAX_LINKS, heldBytes: (MAX_LINKS - i) * 1_000 });
    }
  });

  it('[LK69] says goodbye for a link that gave way to another one’s need for memory', () => {
    const crypto = createSimCrypto(createRng(1));
    const victim = createVictim(crypto, 1);
    const guests = Array.from({ length: 12 }, (_, i) => new Insider(crypto, victim, ROOM, PROLOGUE, `h${i}`));
    const links = guests.map((guest) => {
      expect(guest.connect(1_000)).toBe(true);
      return guest.events.findLast((event) => event.type === 'linked')!.link;
    });
    for (const link of links.slice(1)) while (victim.send(1_000, link, 'reliable', new Uint8Array(20_000)));
    guests[0]!.collect(1_010);
    for (const guest of guests) guest.inbox.length = 0;
    expect(victim.send(1_000 + HELD_STALE_MS + 100, links[0]!, 'reliable', new Uint8Array(200_000))).toBe(true);
    const sent = drain(1_000 + HELD_STALE_MS + 100, victim, guests[0]!.events);
    const gone = guests[0]!.events.filter((event) => event.type === 'closed');
    expect(gone).toMatchObject([{ reason: 'exhausted' }]);
    const host = `h${links.indexOf((gone[0] as { link: LinkId }).link)}`;
    const to = guests.find((guest) => guest.host === host)!;
    const last = sent.filter((one) => one.host === host).at(-1)!;
    expect(to.open(4_000, last.bytes)?.slice(-2)).toEqual(Uint8Array.of(4, 5));
  });
});
