/**
 * Reliable messages that are early: to a seat whose link is still to be made, or from a linked peer whose seat is not known yet. Everything arrives
 * in order, or a `reset` says that it did not.
 */
import { describe, expect, it } from 'vitest';
import type { PeerId, RoomId } from '../sdk/base/brand.ts';
import { createRng } from '../sdk/base/rng.ts';
import type { AttemptId, EndpointEvent, EndpointLike, LinkClock, LinkId } from '../sdk/link/endpoint-types.ts';
import { Delivery } from '../sdk/mesh/delivery.ts';
import { EarlyMessages } from '../sdk/mesh/early.ts';
import { LinkState } from '../sdk/mesh/link-state.ts';
import type { Links } from '../sdk/mesh/links.ts';
import { Mesh } from '../sdk/mesh/mesh.ts';
import { encodeMessage, type Word } from '../sdk/mesh/messages.ts';
import type { Roster } from '../sdk/mesh/roster.ts';
import type { World } from '../sdk/testing/index.ts';
import { NonceRegistry, createSimCrypto } from '../sdk/testing/sim-crypto.ts';
import { MAX_EARLY_MESSAGES, MAX_MESSAGE_BYTES, MESH_LANE } from '../sdk/wire/limits.ts';
import { room, rosterOf, type Room } from './mesh-rig.ts';

function seats(world: World, at: number, who: number, id = world.peer(who).mesh!.self): boolean {
  return rosterOf(world, at).peers.some((peer) => peer.id === id && peer.status === 'present');
}

/** Sends `n` in four bytes. */
function say({ world }: Room, from: number, to: number, n: number): boolean {
  const peer = world.peer(from);
  const taken = peer.mesh!.send(peer.clock(world.now), world.peer(to).mesh!.self, 'reliable', new Uint8Array([n >> 8, n & 255, 0, 0]));
  world.drain(peer);
  return taken;
}

/** What `at` was told by and of `from`, in order: numbers, and 'reset'. */
function told({ world, events }: Room, at: number, from: number): (number | 'reset')[] {
  const id = world.peer(from).mesh!.self;
  return events.flatMap(({ peer, event }): (number | 'reset')[] => {
    if (peer !== at) return [];
    if (event.type === 'reset' && event.peer === id) return ['reset'];
    return event.type === 'message' && event.from === id ? [(event.bytes[0]! << 8) | event.bytes[1]!] : [];
  });
}

describe('early messages', () => {
  it('[ME59] where somebody called from is not called again when it is found there, so the link they speak over stays', () => {
    const made = room({ peers: 2, discovery: false, network: { delayMs: 5 } });
    const { world } = made;
    const [ann, bob] = [world.start(0, 'found'), world.start(1, 'found')];
    const calls: number[] = [];
    for (const peer of [ann, bob]) {
      const connect = peer.endpoint!.connect.bind(peer.endpoint);
      peer.endpoint!.connect = (...how) => {
        calls.push(peer.index);
        return connect(...how);
      };
    }
    const find = (who: typeof ann, whom: typeof ann): void => {
      who.mesh!.addCandidate(who.clock(world.now), whom.address);
      world.drain(who);
    };
    find(ann, bob);
    expect(world.runUntil(() => bob.endpoint!.stats(0, 1 as LinkId) !== undefined, 1_000, 1)).toBeDefined();
    find(bob, ann);
    find(ann, bob);
    world.run(3_000);
    expect(seats(world, 0, 1) && seats(world, 1, 0)).toBe(true);
    expect(calls).toEqual([0]);
  });

  it('[ME45] what waits for a link is for the process that had the seat, not for the next one, and its sender is told', () => {
    const made = room({ peers: 3, discovery: false, network: { delayMs: 20 } });
    const { world } = made;
    const know = (who: number): void => {
      const peer = world.peer(who);
      peer.mesh!.addCandidate(peer.clock(world.now), world.peer(0).address);
      world.drain(peer);
    };
    world.start(0, 'found');
    world.start(1, 'join');
    know(1);
    world.run(1_000);
    const id = world.start(2, 'join').mesh!.self;
    know(2);
    // Peer 1 knows of its seat, and is not linked to it yet.
    expect(world.runUntil(() => seats(world, 1, 2) && !world.peer(1).mesh!.stats(0).peers.has(id), 3_000, 1)).toBeDefined();
    expect(say(made, 1, 2, 1)).toBe(true);
    world.crash(2);
    world.run(5_000);
    expect(seats(world, 1, 2, id)).toBe(false);
    world.start(2, 'join');
    know(2);
    world.run(3_000);
    expect(seats(world, 1, 2)).toBe(true);
    expect(say(made, 1, 2, 2)).toBe(true);
    world.run(1_000);
    expect(told(made, 2, 1).filter((one) => typeof one === 'number')).toEqual([2]);
    expect(told(made, 1, 2)).toContain('reset');
  });

  it('[ME45] what waits for a link is not handed to the next process of the seat, though its link comes before word of it', () => {
    const made = room({ peers: 3, discovery: false, network: { delayMs: 20 } });
    const { world } = made;
    const know = (who: number, whom: number): void => {
      const peer = world.peer(who);
      peer.mesh!.addCandidate(peer.clock(world.now), world.peer(whom).address);
      world.drain(peer);
    };
    world.start(0, 'found');
    world.start(1, 'join');
    know(1, 0);
    world.run(1_000);
    const id = world.start(2, 'join').mesh!.self;
    know(2, 0);
    expect(world.runUntil(() => seats(world, 1, 2) && !world.peer(1).mesh!.stats(0).peers.has(id), 3_000, 1)).toBeDefined();
    expect(say(made, 1, 2, 1)).toBe(true);
    world.crash(2);
    world.start(2, 'join');
    know(2, 1);
    world.run(3_000);
    expect(seats(world, 1, 2, id)).toBe(true);
    expect(say(made, 1, 2, 2)).toBe(true);
    world.run(1_000);
    expect(told(made, 2, 1).filter((one) => typeof one === 'number')).toEqual([2]);
    expect(told(made, 1, 2)).toContain('reset');
  });

  it('[ME46] more than is kept of a peer without a seat ends in a reset for its sender, and nothing comes out of order', () => {
    const [talker, late] = [2, 1];
    let lost = 0;
    for (const seed of [1, 3, 5]) {
      const made = room({ peers: 4, seed, graceMs: 300, network: { delayMs: 20 } });
      const { world } = made;
      world.start(0, 'found');
      for (let i = 1; i < 4; i++) world.start(i, 'join');
      world.run(3_000);
      world.partition([0, 1], [2, 3]);
      world.run(2_500);
      expect(seats(world, late, talker) || seats(world, talker, late)).toBe(false);
      world.mend();
      // It hears of the merge last, and from the one who talks to it.
      for (const other of [0, 3]) world.cutOneWay(other, late);
      if (world.runUntil(() => seats(world, talker, late) && !seats(world, late, talker), 2_000, 1) === undefined) continue;
      const before = told(made, talker, late).length;
      let said = MAX_EARLY_MESSAGES + 100;
      for (let n = 1; n <= said; n++) expect(say(made, talker, late, n)).toBe(true);
      world.run(50);
      world.mend();
      for (let i = 0; i < 100; i++) {
        if (say(made, talker, late, said + 1)) said++;
        world.run(20);
      }
      world.run(500);
      const heard = told(made, late, talker);
      expect(heard.at(-1)).toBe(said);
      // Without a gap, but where a reset says so.
      const gaps = heard.filter((one, i) => typeof one === 'number' && i > 0 && heard[i - 1] !== 'reset' && one !== Number(heard[i - 1]) + 1);
      expect(gaps).toEqual([]);
      if (heard.filter((one) => typeof one === 'number').length === said) continue;
      lost++;
      expect(told(made, talker, late).slice(before)).toContain('reset');
    }
    expect(lost).toBeGreaterThan(0);
  });

  it('[ME45] where there is no memory for what waited, the link ends instead of what is lost being passed over', () => {
    const peer = 'bbbbbbbbbbbbbbbb' as PeerId;
    const sent: number[] = [];
    const closed: string[] = [];
    const endpoint = {
      send: (_now: number, _link: LinkId, _channel: string, bytes: Uint8Array) => bytes[0] !== 2 && sent.push(bytes[0]!) > 0,
      close: (_now: number, _link: LinkId, reason: string) => closed.push(reason),
    } as unknown as EndpointLike;
    const links = { get: () => ({ id: 7 as LinkId }) } as unknown as Links;
    const roster = { seats: [{ id: peer, status: 'present', instance: 5 }] } as unknown as Roster;
    const delivery = new Delivery(endpoint, links, { roster, emit: () => undefined, drop: () => undefined });
    delivery.onRoster(roster, []);
    for (const n of [1, 2, 3]) delivery.hold(0, peer, { channel: 'reliable', lane: 0, bytes: Uint8Array.of(n) });
    delivery.onWords(1, peer, [{ id: peer, instance: 5 } as Word]);
    expect([sent, closed, delivery.waits(peer)]).toEqual([[1], ['exhausted'], false]);
  });

  it('[ME45] a message of the largest size waits for a link, too, and what comes after it is refused until then', () => {
    const early = new EarlyMessages();
    const said = (size: number): boolean => early.hold(0, 'bob' as PeerId, { channel: 'reliable', lane: 0, bytes: new Uint8Array(size) });
    expect([said(MAX_MESSAGE_BYTES), said(1)]).toEqual([true, false]);
    expect(early.take('bob' as PeerId).map(({ bytes }) => bytes.length)).toEqual([MAX_MESSAGE_BYTES]);
    expect([said(1), said(MAX_MESSAGE_BYTES)]).toEqual([true, false]);
    early.hold(0, 'bob' as PeerId, { channel: 'reliable', lane: 1, bytes: new Uint8Array(20) });
    expect([0, 1, 2].map((lane) => early.bytesOf('bob' as PeerId, lane))).toEqual([65, 84, 0]);
    expect(early.bytesOf('ann' as PeerId, 0)).toBe(0);
  });

  it('[ME50] a link that was gone when its peer got a seat counts as one before the next', () => {
    const crypto = createSimCrypto(createRng(1), new NonceRegistry());
    const endpoint = new ScriptedEndpoint();
    const game = { id: 'early', version: 1, schemaHash: 1 };
    const roomId = '00112233445566778899aabbccddeeff' as RoomId;
    const options = {
      crypto,
      rng: createRng(2),
      identity: crypto.generateKeyPair(),
      game,
      roomId,
      name: 'room',
      max: 8,
      code: undefined,
      spectate: false,
    };
    const ports = { joinPort: 1, sessionPort: 2, addresses: [], wallClockMs: 0 };
    const mesh = new Mesh(0, { ...options, ...ports, entry: 'found' }, () => endpoint);
    const told: string[] = [];
    const happens = (now: number, event: EndpointEvent): void => {
      endpoint.events.push(event);
      mesh.handleDatagram(now, 'session', '10.0.0.9', 2, new Uint8Array([1]));
      mesh.handleTimeout(now);
      for (let one = mesh.poll(); one !== undefined; one = mesh.poll()) {
        if (one.type === 'message') told.push(`message ${one.bytes[0]}`);
        else if (one.type === 'reset') told.push('reset');
      }
    };
    const [early, member] = ['aaaaaaaaaaaaaaaa' as PeerId, 'bbbbbbbbbbbbbbbb' as PeerId];
    const linked = (link: number, peer: PeerId): EndpointEvent => ({
      type: 'linked',
      link: link as LinkId,
      peer,
      publicKey: new Uint8Array(32),
      mode: 'open',
      address: { host: '10.0.0.9', port: 2 },
      door: { host: '10.0.0.9', port: 1 },
      attempt: undefined,
      replaces: undefined,
    });
    const says = (link: number, peer: PeerId, lane: number, bytes: Uint8Array): EndpointEvent => ({
      type: 'message',
      link: link as LinkId,
      peer,
      channel: 'reliable',
      lane,
      bytes,
    });
    const join = { instance: 7, spectate: false, joinPort: 1, addresses: [], term: 0, time: 0 };
    happens(10, linked(1, early));
    happens(20, linked(2, member));
    happens(30, says(2, member, MESH_LANE, encodeMessage({ type: 'join', join })));
    happens(40, says(1, early, 0, new Uint8Array([1])));
    happens(50, { type: 'closed', link: 1 as LinkId, peer: early, reason: 'replaced', byPeer: true });
    expect(told).toEqual([]);
    const word = { id: member, instance: 7, seq: 1, host: false, eligible: true, left: false, term: 0, epoch: 0 };
    const beat = { type: 'beat' as const, time: 0, words: [{ ...word, heard: LinkState.encodeHeard([early]) }] };
    happens(55, says(2, member, MESH_LANE, encodeMessage(beat)));
    happens(60, says(2, member, MESH_LANE, encodeMessage({ type: 'forward', peer: early, join })));
    expect(told).toEqual(['message 1']);
    happens(70, linked(3, early));
    expect(told).toEqual(['message 1', 'reset']);
  });
});

/** Whatever a test says that happens. */
class ScriptedEndpoint implements EndpointLike {
  readonly self = 'mmmmmmmmmmmmmmmm' as PeerId;
  readonly events: EndpointEvent[] = [];
  readonly drops = {};
  stats = (): undefined => undefined;
  queued = (): number => 0;
  clock = (): LinkClock => ({ offsetMs: undefined, errorMs: Infinity, at: 0 });
  address = (): undefined => undefined;
  hearsDirectly = (): boolean => true;
  handleDatagram(): void {}
  handleTimeout(): void {}
  connect = (): AttemptId => 1 as AttemptId;
  setDoor(): void {}
  shut(): void {}
  send = (): boolean => true;
  flush(): void {}
  setAddress(): void {}
  close(): void {}
  readonly waiting = false;
  pollTransmit = (): undefined => undefined;
  pollEvent = (): EndpointEvent | undefined => this.events.shift();
  pollTimeout = (): number => Infinity;
}
