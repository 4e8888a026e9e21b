/** `docs/protocol.md` against the code, above the link: messages of the mesh, what it carries for others, WHO and HERE. */
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../sdk/base/bytes.ts';
import { createRng } from '../sdk/base/rng.ts';
import { decodeMessage } from '../sdk/mesh/messages.ts';
import { World } from '../sdk/testing/index.ts';
import { decodeHere, encodeHere } from '../sdk/wire/datagram.ts';
import { decodeDatagram } from './protocol/decoder.ts';
import { peerId, roomTag } from './protocol/keys.ts';
import { decodeMesh, keepsToMesh, type MeshMessage } from './protocol/mesh.ts';
import { ours, oursFrames } from './protocol/own.ts';
import { Malformed, hex, verdict } from './protocol/reader.ts';
import { createRecordedCrypto } from './protocol/recorded-crypto.ts';
import { Wiretap } from './protocol/wiretap.ts';
import { expectSame } from './same.ts';

describe('the page and the mesh', () => {
  interface Capture {
    readonly world: World;
    readonly tap: Wiretap;
    /** Each as it travelled. */
    readonly bytes: Uint8Array[];
    readonly messages: { readonly at: number; readonly from: string; readonly message: MeshMessage }[];
  }

  /** A world whose members are read over their shoulder: every message of the mesh by both decoders. */
  function capture(peers: number, code?: string): Capture {
    const crypto = createRecordedCrypto();
    const world = new World({ seed: 3, peers, crypto: () => crypto.provider, ...(code === undefined ? {} : { code }) });
    const roomKeys: Uint8Array[] = [];
    const game = new Uint8Array([3, ...Buffer.from('sim'), 0, 1, 0, 0, 0, 1]);
    const tap = new Wiretap({ roomId: fromHex(world.roomId)!, game, code, roomKeys: () => roomKeys, drawn: crypto.drawn });
    const made: Capture = { world, tap, messages: [], bytes: [] };
    const parts = new Map<string, string>();
    const see = (socket: 'join' | 'session', bytes: Uint8Array, isCarried: boolean): void => {
      const seen = tap.see(socket, bytes, isCarried);
      expectSame(seen.datagram, ours(bytes));
      if (seen.type === 'plain') return;
      expectSame(seen.frames, oursFrames(seen.plain));
      for (const frame of seen.frames) {
        if (!('lane' in frame) || frame.type === 'FRAGMENT' || frame.lane !== 7) continue;
        const message = decodeMesh(frame.bytes);
        keepsToMesh(message);
        made.bytes.push(frame.bytes);
        const own = decodeMessage(frame.bytes);
        expectSame(normal(message), normal(own));
        made.messages.push({ at: world.now, from: seen.from, message });
        if (message.type === 'roster' && message.key !== undefined) roomKeys.push(fromHex(message.key)!);
        if (message.type !== 'relay' || message.relay.from !== seen.from || message.relay.hops !== 4) continue;
        const { relay } = message;
        const key = `${relay.from} ${relay.to} ${relay.id}`;
        const first = parts.get(key);
        if (relay.part + 1 < relay.parts) parts.set(key, relay.bytes);
        else see(relay.socket, fromHex((relay.parts === 2 ? first! : '') + relay.bytes)!, true);
      }
    };
    world.onTransmit = (_now, _peer, { socket, bytes }) => see(socket === 'join' ? 'join' : 'session', bytes.slice(), false);
    return made;
  }

  /** Bytes as text, so that both decoders' results compare. */
  function normal(value: unknown): unknown {
    if (value instanceof Uint8Array) return toHex(value);
    if (Array.isArray(value)) return value.map(normal);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, normal(one)]));
  }

  it('[PR7] joining, beats, a kick, a leave, a split and a merge are read with the page alone', () => {
    const { world, messages } = capture(4, 'k7q2mx');
    world.start(0, 'found');
    for (let i = 1; i < 4; i++) world.start(i, 'join');
    world.run(2_000);
    world.partition([0, 1], [2, 3]);
    world.run(3_000);
    world.mend();
    world.run(4_000);
    // Which half wins is up to the keys drawn; a host that moves writes the roster itself, everybody else sends MOVE.
    world.move(world.live().find((peer) => peer.mesh!.self !== peer.mesh!.roster().host)!.index, '10.0.9.4');
    world.run(1_500);
    const host = world.byId(world.peer(0).mesh!.roster().host)!;
    const other = world.live().find((peer) => peer !== host)!;
    host.mesh!.kick(host.clock(world.now), other.mesh!.self);
    world.drain(host);
    world.run(1_000);
    world.leave(world.live().find((peer) => peer !== host)!.index);
    world.run(2_000);
    const types = new Set(messages.map(({ message }) => message.type));
    for (const type of ['join', 'roster', 'refuse', 'leave', 'beat', 'move', 'propose'] as const) expect([...types]).toContain(type);
    const final = messages.findLast(({ message }) => message.type === 'roster')!.message;
    if (final.type !== 'roster') throw new Malformed('no roster');
    const roster = host.mesh!.roster();
    expect(final.roster).toMatchObject({ term: roster.term, host: roster.host, roomId: roster.roomId, name: roster.name });
    // A beat leaves ten times a second, whatever else happens.
    const beats = messages.filter(({ from, message }) => from === host.mesh!.self && message.type === 'beat').map(({ at }) => at);
    expect(Math.max(...beats.slice(1).map((at, i) => at - beats[i]!))).toBeLessThanOrEqual(151);
  });

  it('[PR8] what is carried for a pair that cannot reach each other is sealed end to end, and read as such', () => {
    const { world, tap, messages } = capture(3);
    world.start(0, 'found');
    for (let i = 1; i < 3; i++) world.start(i, 'join');
    world.run(3_000);
    world.cut(1, 2);
    world.run(4_000);
    const carried = messages.filter(({ message }) => message.type === 'relay');
    expect(carried.length).toBeGreaterThan(20);
    const between = tap.sessions.filter((session) => [session.initiator, session.responder].every((id) => id !== world.peer(0).mesh!.self));
    expect(between.length).toBeGreaterThan(0);
  });

  it('[PR9] WHO and HERE say the facts of the room', () => {
    const { world } = capture(3);
    world.start(0, 'found');
    for (let i = 1; i < 3; i++) world.start(i, 'join');
    world.run(3_000);
    const asked = world.peer(1);
    const nonce = Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8]);
    const tag = roomTag(fromHex(world.roomId)!);
    // Written by hand, from the page.
    const who = new Uint8Array(512);
    who.set([0x06, 1, ...nonce, 3, ...tag, 3, ...Buffer.from('sim')]);
    expect(decodeDatagram(who)).toEqual(ours(who));
    asked.mesh!.handleDatagram(asked.clock(world.now), 'join', '10.0.0.99', 7, who);
    const answer = asked.mesh!.pollTransmit(asked.clock(world.now))!.bytes.slice();
    const here = decodeDatagram(answer);
    expect(here).toEqual(ours(answer));
    expect(here).toMatchObject({ kind: 'HERE', nonce: hex(nonce) });
    if (here.kind !== 'HERE') return;
    const facts = { roomId: world.roomId as string, name: 'sim', players: 3, max: 32, locked: false, gameId: 'sim', version: 1, schemaHash: 1 };
    expect(here.facts).toMatchObject({ ...facts, peer: peerId(asked.identity.publicKey) });
    expect(here.facts.members.map((member) => member.host).toSorted()).toEqual([world.peer(0).host, world.peer(2).host]);
  });

  it('[PR10] damaged messages and answers are refused by the page exactly where the project refuses them', () => {
    const { world, bytes } = capture(3, 'k7q2mx');
    world.start(0, 'found');
    for (let i = 1; i < 3; i++) world.start(i, 'join');
    world.run(1_500);
    world.cut(1, 2);
    world.run(1_500);
    const roster = encodeHere({ nonce: new Uint8Array(8), facts: world.peer(1).mesh!.facts(0) }).slice();
    const rng = createRng(4);
    const damaged = (from: Uint8Array): Uint8Array => {
      const copy = from.slice(0, rng.chance(0.1) ? rng.int(from.length + 1) : from.length);
      for (let n = 1 + rng.int(3); n > 0 && copy.length > 0; n--) copy[rng.int(copy.length)] = rng.chance(0.5) ? 0x80 + rng.int(128) : rng.int(256);
      return copy;
    };
    const verdicts = { taken: 0, refused: 0 };
    for (let i = 0; i < 40_000; i++) {
      const isAnswer = i % 8 === 0;
      const one = damaged(isAnswer ? roster : bytes[rng.int(bytes.length)]!);
      if (isAnswer && one[0] !== roster[0]) continue;
      const ourRefusal = (isAnswer ? decodeHere(one) : decodeMessage(one)) === undefined;
      const refusal = refused(() => (isAnswer ? decodeDatagram(one) : decodeMesh(one)));
      if ((refusal !== undefined) !== ourRefusal)
        throw new Error(`${toHex(one)}: the page ${refusal ?? 'takes it'}, the project ${ourRefusal ? 'refuses' : 'takes'} it`);
      verdicts[ourRefusal ? 'refused' : 'taken']++;
    }
    expect(verdicts.taken).toBeGreaterThan(1_000);
    expect(verdicts.refused).toBeGreaterThan(1_000);
  }, 60_000);
});

/** Why the page refuses what is read; undefined when it does not. */
function refused(read: () => unknown): string | undefined {
  const judged = verdict(read);
  return 'refusal' in judged ? judged.refusal : undefined;
}
