/** Calls of ours, and whom a door lets in: by which proof, after which wait, and what becomes of answers that are not for them. */
import { describe, expect, it } from 'vitest';
import { createRng } from '../sdk/base/rng.ts';
import type { CryptoProvider } from '../sdk/secure/provider.ts';
import { createSimCrypto, NonceRegistry } from '../sdk/testing/sim-crypto.ts';
import { decodeInit, encodeCookie, encodeResp } from '../sdk/wire/datagram.ts';
import { JOIN_PORT, Rig, linkOf, type Node } from './link-rig.ts';

const failures = (node: Node): unknown[] => node.events.flatMap((event) => (event.type === 'failed' ? [event.reason] : []));
const KEY = new Uint8Array(32).fill(5);

describe('a door', () => {
  it('[LK3] lets in by the proofs that it asks for, and by no other: not by none into a locked room, nor by a code where there is none', () => {
    const proofs = [
      ['open', undefined],
      ['code', 'K7Q'],
      ['code', ''],
      ['member', undefined],
    ] as const;
    for (const [open, code, roomKey, ...wanted] of [
      [true, undefined, undefined, true, false, false, false],
      [false, 'K7Q', undefined, false, true, false, false],
      [false, undefined, KEY, false, false, false, true],
      [false, 'K7Q', KEY, false, true, false, true],
      [true, undefined, KEY, true, false, false, true],
      [false, undefined, undefined, false, false, false, false],
    ] as const) {
      const came = proofs.map(([mode, word]) => {
        const rig = new Rig();
        const [a, b] = [rig.add(), rig.add()];
        a.endpoint.setDoor({ open: false, code: undefined, roomKey: KEY });
        b.endpoint.setDoor({ open, code, roomKey });
        rig.connect(a, b, mode, word);
        rig.run(500);
        // Who is not let in by this proof at all is not answered; who has a wrong one is, and fails with it.
        if (linkOf(b, a) === undefined && word !== '') expect(Object.keys(b.endpoint.drops)).toEqual(['door']);
        return linkOf(a, b) !== undefined && linkOf(b, a) !== undefined;
      });
      expect([open, code, roomKey === undefined, came]).toEqual([open, code, roomKey === undefined, wanted]);
    }
  });

  it('[SE13] takes no noise for a guess, nor what fails by another proof, however much of it comes', () => {
    const rig = new Rig();
    const [host, guest] = [rig.add('host'), rig.add('guest')];
    host.endpoint.setDoor({ open: false, code: 'K7Q', roomKey: KEY });
    guest.endpoint.setDoor({ open: false, code: undefined, roomKey: new Uint8Array(32).fill(6) });
    let fin: Uint8Array | undefined;
    rig.onSend = (from, _socket, _host, _port, bytes) => {
      if (from === guest && bytes[0] === 5) fin = bytes.slice();
      return fin === undefined;
    };
    rig.connect(guest, host, 'code', 'K7Q');
    rig.run(50);
    const forged = fin!.slice();
    forged[10]! ^= 1;
    for (let i = 0; i < 40; i++) rig.deliver(host, 'join', 'guest', JOIN_PORT, forged);
    expect(host.endpoint.drops).toEqual({ handshake: 40 });
    const truth = fin!;
    rig.onSend = undefined;
    // A member with another room's key is refused, each time, and has guessed no code by that.
    for (let i = 0; i < 8; i++) {
      guest.endpoint.connect(rig.now, { host: 'host', port: JOIN_PORT }, { mode: 'member' });
      rig.drain(guest);
    }
    rig.run(50);
    expect(host.endpoint.drops['handshake']).toBeGreaterThanOrEqual(48);
    rig.deliver(host, 'join', 'guest', JOIN_PORT, truth);
    expect([linkOf(host, guest) !== undefined, host.endpoint.drops['code-guess']]).toEqual([true, undefined]);
  });

  it('[LK10] knows a repeated INIT again though its first datagram’s memory holds something else', () => {
    const rig = new Rig();
    const [a, b] = [rig.add(), rig.add()];
    let init = new Uint8Array(0);
    const answers: Uint8Array[] = [];
    rig.onSend = (from, _socket, _host, _port, bytes) => {
      if (from === a && bytes[0] === 3) init = bytes.slice();
      if (from === b && bytes[0] === 4) answers.push(bytes.slice());
      return bytes[0] !== 3;
    };
    rig.connect(a, b);
    rig.run(10);
    const memory = init.slice();
    rig.deliver(b, 'join', a.host, JOIN_PORT, memory);
    memory.fill(0);
    rig.deliver(b, 'join', a.host, JOIN_PORT, init);
    expect([answers.length, b.endpoint.load.halfOpen]).toEqual([2, 1]);
    expect(answers[1]).toEqual(answers[0]);
  });
});

describe('a call', () => {
  it('[PR5] says each of its datagrams anew after 100 ms at first, and gives up a FIN after 2 s, an INIT after 2.5 s, once', () => {
    for (const [kind, mode] of [
      [3, 'open'],
      [5, 'code'],
    ] as const) {
      const rig = new Rig();
      const [a, b] = [rig.add(), rig.add()];
      b.endpoint.setDoor({ open: mode === 'open', code: 'K7Q', roomKey: undefined });
      const at: Record<number, number[]> = {};
      let deaf = true;
      rig.onSend = (from, _socket, _host, _port, bytes) => {
        if (from !== a) return true;
        (at[bytes[0]!] ??= []).push(rig.now);
        // The first HELLOs are lost, so that the waits have grown by then; what is looked at is lost, too.
        return !(bytes[0] === 1 && deaf) && bytes[0] !== kind;
      };
      rig.connect(a, b, mode, mode === 'code' ? 'K7Q' : undefined);
      rig.run(1_000);
      deaf = false;
      rig.run(6_000);
      const times = at[kind]!;
      const patience = kind === 5 ? 2_000 : 2_500;
      const gaps = times.slice(1, 5).map((one, i) => one - times[i]!);
      [100, 200, 400, 800].forEach((wait, i) => {
        if (gaps[i] !== undefined && times[i + 1]! - times[0]! < patience) expect(Math.abs(gaps[i] - wait)).toBeLessThanOrEqual(wait / 5);
      });
      if (mode === 'code') {
        const failed = a.events.findIndex((event) => event.type === 'failed');
        expect([failed >= 0, failures(a)]).toEqual([true, ['wrong-code']]);
        expect(times.at(-1)! - times[0]!).toBeLessThan(patience);
      } else {
        expect(failures(a)).toEqual(['timeout']);
        // Begun anew once, 2.5 s after its first INIT.
        expect(at[1]!.filter((one) => one > times[0]!).map((one) => one - times[0]!)).toEqual([patience]);
      }
    }
  });

  it('[LK34] is not over sooner by the time that its process stood still', () => {
    const rig = new Rig();
    const [a, b] = [rig.add(), rig.add()];
    let deaf = true;
    rig.onSend = () => !deaf;
    rig.connect(a, b);
    rig.run(1_000);
    a.paused = true;
    rig.run(6_000);
    a.paused = false;
    a.endpoint.handleTimeout(rig.now);
    rig.drain(a);
    rig.run(2_000);
    expect(failures(a)).toEqual([]);
    deaf = false;
    expect(rig.run(1_500, () => linkOf(a, b) !== undefined)).toBe(true);
  });

  it('[LK4] is not answered any more by a door that has heard too many wrong codes from there', () => {
    const rig = new Rig();
    const [host, bad] = [rig.add(), rig.add()];
    host.endpoint.setDoor({ open: false, code: 'K7Q', roomKey: undefined });
    let answered = 0;
    rig.onSend = (from, _socket, _host, _port, bytes) => {
      if (from === host && bytes[0] === 4) answered++;
      return true;
    };
    for (let i = 0; i < 8; i++) {
      rig.connect(bad, host, 'code', `wrong ${i}`);
      rig.run(50);
    }
    expect([answered, host.endpoint.load.halfOpen]).toEqual([5, 0]);
  });

  it('[LK39] that goes over a relay makes a link at the same address, which has no ports', () => {
    const rig = new Rig();
    const [a, b] = [rig.add('a'), rig.add('b')];
    rig.onSend = (from, socket, host, port, bytes) => {
      const to = from === a ? b : a;
      expect([host, port]).toEqual([`~${to.host}`, 0]);
      to.endpoint.handleDatagram(rig.now, socket, `~${from.host}`, 0, bytes.slice());
      return false;
    };
    a.endpoint.connect(rig.now, { host: '~b', port: 0 }, { mode: 'open' });
    for (let i = 0; i < 10; i++) for (const node of [a, b]) rig.drain(node);
    expect([a.endpoint.address(linkOf(a, b)!), b.endpoint.address(linkOf(b, a)!)]).toEqual([
      { host: '~b', port: 0 },
      { host: '~a', port: 0 },
    ]);
  });

  it('[PR5] tells a wrong code 2 s after its FIN', () => {
    const rig = new Rig();
    const [a, b] = [rig.add(), rig.add()];
    b.endpoint.setDoor({ open: false, code: 'K7Q', roomKey: undefined });
    rig.connect(a, b, 'code', 'wrong');
    const from = rig.now;
    expect(rig.run(5_000, () => failures(a).length > 0)).toBe(true);
    expect(rig.now - from).toBe(2_000);
  });

  it('[SE13] takes a cookie only with the nonce that it asked with', () => {
    const rig = new Rig();
    const [a, b] = [rig.add(), rig.add()];
    rig.onSend = (from, _socket, _host, _port, bytes) => from !== b || bytes[0] !== 2;
    const inits: number[] = [];
    rig.connect(a, b);
    for (let i = 0; i < 5; i++)
      rig.deliver(a, 'join', b.host, JOIN_PORT, encodeCookie({ nonce: new Uint8Array(8).fill(i), cookie: new Uint8Array(20) }).slice());
    expect(a.endpoint.drops).toEqual({ unexpected: 5 });
    // The true one comes three times: only the first moves the call on.
    rig.onSend = (from, socket, _host, _port, bytes) => {
      if (bytes[0] === 3) inits.push(decodeInit(bytes)!.cid);
      for (let i = 0; bytes[0] === 2 && i < 2; i++)
        rig.net.handleDatagram(rig.now, { from: { host: from.host, port: JOIN_PORT }, to: { host: a.host, port: JOIN_PORT }, socket, bytes });
      return true;
    };
    expect(rig.run(500, () => linkOf(a, b) !== undefined)).toBe(true);
    expect([new Set(inits).size, a.endpoint.drops]).toEqual([1, { unexpected: 5 + 2 }]);
  });

  it('[LK7] is silent to who calls at the same time for 300 ms at most, and not once it has sent FIN', () => {
    const order = { lower: 0, higher: 0 };
    for (let seed = 1; seed <= 12; seed++) {
      for (const lost of ['HELLO', 'FIN'] as const) {
        const rig = new Rig({ seed });
        const [a, b] = [rig.add(), rig.add()];
        const nonces = new Map<Node, string>();
        rig.onSend = (from, _socket, _host, _port, bytes) => {
          if (bytes[0] === 1) nonces.set(from, Buffer.from(bytes.subarray(2, 10)).toString('hex'));
          return from !== a || bytes[0] !== (lost === 'HELLO' ? 1 : 5);
        };
        rig.connect(a, b);
        rig.run(lost === 'HELLO' ? 310 : 20);
        rig.connect(b, a);
        expect([seed, lost, rig.run(250, () => linkOf(a, b) !== undefined && linkOf(b, a) !== undefined)]).toEqual([seed, lost, true]);
        order[nonces.get(a)! < nonces.get(b)! ? 'lower' : 'higher']++;
      }
    }
    expect(Math.min(order.lower, order.higher)).toBeGreaterThan(0);
  });

  it('[LK7] whose FIN is not answered ends after 2 s where a link to that peer stands already', () => {
    const rig = new Rig();
    const [a, b] = [rig.add('a'), rig.add('b')];
    rig.pair(a, b);
    rig.run(4_000);
    rig.onSend = (from, _socket, host, port, bytes) => {
      if (bytes[0] === 5) return false;
      if (host !== 'b2' && host !== 'a2') return true;
      const way = { from: { host: `${from.host}2`, port: JOIN_PORT }, to: { host: host[0]!, port } };
      rig.net.handleDatagram(rig.now, { ...way, socket: 'join', bytes });
      return false;
    };
    a.endpoint.connect(rig.now, { host: 'b2', port: JOIN_PORT }, { mode: 'open' });
    rig.drain(a);
    const from = rig.now;
    expect(rig.run(6_000, () => failures(a).length > 0)).toBe(true);
    expect([failures(a), rig.now - from, a.endpoint.load.links]).toEqual([['aborted'], 2_000, 1]);
  });

  it('[LK6] that came home once and is begun anew meets another process with our key all the same', () => {
    const rig = new Rig();
    const identity = createSimCrypto(createRng(9), new NonceRegistry()).generateKeyPair();
    const [a, copy] = [rig.add('a', undefined, undefined, identity), rig.add('b', undefined, undefined, identity)];
    let own = true;
    rig.onSend = (from, socket, host, _port, bytes) => {
      // At first our own door is asked, with all that we say to `b`; its answer is spoilt on the way, so we begin anew.
      if (from !== a || host !== 'b' || !own) return true;
      const copied = bytes.slice();
      if (copied[0] === 4) {
        own = false;
        copied[40]! ^= 1;
      }
      rig.net.handleDatagram(rig.now, { from: { host: 'b', port: JOIN_PORT }, to: { host: 'a', port: JOIN_PORT }, socket, bytes: copied });
      return false;
    };
    rig.connect(a, copy);
    rig.run(6_000);
    expect([own, failures(a), a.endpoint.drops]).toEqual([false, ['double'], { handshake: 1 }]);
  });

  it('[SE13] who answers before the one that was asked, however often, ends nothing, and makes nobody compute without bound', () => {
    let keys = 0;
    const inner = createSimCrypto(createRng(5), new NonceRegistry());
    const counted: CryptoProvider = { ...inner, dh: (secret, open) => (keys++, inner.dh(secret, open)) };
    const rig = new Rig({ delayMs: 2 });
    const [a, b] = [rig.add('a', undefined, undefined, undefined, counted), rig.add('b')];
    let each = 5;
    rig.onSend = (from, _socket, _host, _port, bytes) => {
      if (from !== a || bytes[0] !== 3) return true;
      const noise = new Uint8Array(137).fill(3);
      for (let i = 0; i < each; i++) rig.deliver(a, 'join', b.host, JOIN_PORT, encodeResp({ cid: decodeInit(bytes)!.cid, noise }).slice());
      return true;
    };
    rig.connect(a, b);
    expect(rig.run(100, () => linkOf(a, b) !== undefined)).toBe(true);
    expect(a.endpoint.drops).toEqual({ handshake: 5 });
    keys = 0;
    each = 500;
    rig.connect(a, rig.add('c'));
    rig.run(6_000);
    expect(failures(a)).toEqual(['incompatible']);
    expect(keys).toBeLessThan(40);
  });
});
