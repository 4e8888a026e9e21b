/**
 * One mesh over an endpoint that does what a test says: who is linked, what they say, and what is said to them.
 */
import type { PeerId, RoomId } from '../sdk/base/brand.ts';
import { toBase32 } from '../sdk/base/bytes.ts';
import { createRng } from '../sdk/base/rng.ts';
import type {
  Address,
  AttemptId,
  CloseReason,
  DoorKey,
  EndpointEvent,
  EndpointLike,
  EndpointOptions,
  LinkClock,
  LinkId,
} from '../sdk/link/endpoint-types.ts';
import { LinkState } from '../sdk/mesh/link-state.ts';
import { Mesh } from '../sdk/mesh/mesh.ts';
import type { MeshOptions } from '../sdk/mesh/mesh-types.ts';
import { decodeMessage, encodeMessage, type MeshMessage, type Word } from '../sdk/mesh/messages.ts';
import { foundRoster, seatPeer, type Newcomer, type Roster } from '../sdk/mesh/roster.ts';
import type { PortEvent } from '../sdk/port/port.ts';
import { NonceRegistry, createSimCrypto } from '../sdk/testing/sim-crypto.ts';
import { MESH_LANE } from '../sdk/wire/limits.ts';

export const ROOM = '00112233445566778899aabbccddeeff' as RoomId;
export const idOf = (n: number): PeerId => toBase32(Uint8Array.from({ length: 10 }, (_, i) => (n * 37 + i * 11) & 0xff)) as PeerId;
export const newcomer = (n: number): Newcomer => ({
  id: idOf(n),
  instance: n,
  spectator: false,
  addresses: [{ host: `10.0.0.${n}`, port: 1 }],
});

export class ScriptedEndpoint implements EndpointLike {
  readonly self: PeerId;
  readonly events: EndpointEvent[] = [];
  readonly said: { readonly peer: PeerId | undefined; readonly message: MeshMessage; readonly bytes: number }[] = [];
  readonly closed: { readonly link: LinkId; readonly reason: CloseReason }[] = [];
  readonly calls: {
    readonly at: number;
    readonly address: Address;
    readonly door: DoorKey;
    readonly expect: PeerId | undefined;
    readonly probe: boolean;
  }[] = [];
  readonly links = new Map<LinkId, PeerId>();
  readonly drops = {};
  doors = 0;
  roomKey: Uint8Array | undefined;
  /** Whose datagrams were handed to it. */
  readonly heard: string[] = [];
  shuts = 0;
  queuedBytes = 0;
  /** What `send` answers. */
  takes = true;

  constructor(self: PeerId) {
    this.self = self;
  }

  stats = (): never => ({ queuedBytes: this.queuedBytes }) as never;
  queued = (): number => this.queuedBytes;
  clock = (): LinkClock => ({ offsetMs: undefined, errorMs: Infinity, at: 0 });
  address = (): undefined => undefined;
  hearsDirectly = (): boolean => true;
  handleDatagram(_now: number, _socket: string, host: string): void {
    this.heard.push(host);
  }
  handleTimeout(): void {}
  connect = (at: number, address: Address, door: DoorKey, expect?: PeerId, probe = false): AttemptId =>
    this.calls.push({ at, address, door, expect, probe }) as AttemptId;
  setDoor({ roomKey }: { readonly roomKey: Uint8Array | undefined }): void {
    this.doors++;
    this.roomKey = roomKey;
  }
  shut(): void {
    this.shuts++;
  }
  send = (_now: number, link: LinkId, _channel: string, bytes: Uint8Array, lane?: number): boolean => {
    const message = this.takes && lane === MESH_LANE ? decodeMessage(bytes) : undefined;
    if (message !== undefined) this.said.push({ peer: this.links.get(link), message, bytes: bytes.length });
    return this.takes;
  };
  flush(): void {}
  setAddress(): void {}
  close(_now: number, link: LinkId, reason: CloseReason): void {
    this.closed.push({ link, reason });
    const peer = this.links.get(link);
    if (peer === undefined) return;
    this.links.delete(link);
    this.events.push({ type: 'closed', link, peer, reason, byPeer: false });
  }
  readonly waiting = false;
  pollTransmit = (): undefined => undefined;
  pollEvent = (): EndpointEvent | undefined => this.events.shift();
  pollTimeout = (): number => Infinity;
}

/** A mesh, what it says and tells, and the others around it as a test plays them. */
export class Script {
  readonly endpoint: ScriptedEndpoint;
  readonly mesh: Mesh;
  readonly told: PortEvent[] = [];
  /** What the mesh asks of its endpoint. */
  asked!: EndpointOptions;
  now = 0;
  #link = 0;
  #seq = 0;

  constructor(entry: MeshOptions['entry'], more: Partial<MeshOptions> = {}) {
    const crypto = createSimCrypto(createRng(1), new NonceRegistry());
    this.endpoint = new ScriptedEndpoint(idOf(200));
    const game = { id: 'script', version: 1, schemaHash: 1 };
    const ports = { joinPort: 1, sessionPort: 2, addresses: [{ host: '10.0.0.200', port: 1 }], wallClockMs: 0 };
    const facts = { game, roomId: ROOM, name: 'room', max: 8, code: undefined, spectate: false };
    const options = { crypto, rng: createRng(2), identity: crypto.generateKeyPair(), ...facts, ...ports, entry, ...more };
    this.mesh = new Mesh(0, options, (asked) => {
      this.asked = asked;
      return this.endpoint;
    });
    this.drain();
  }

  get self(): PeerId {
    return this.endpoint.self;
  }

  drain(): void {
    for (let event = this.mesh.poll(); event !== undefined; event = this.mesh.poll()) this.told.push(event);
  }

  /** Lets time pass, in steps of 10 ms. */
  pass(ms: number): void {
    for (const end = this.now + ms; this.now < end;) {
      this.now += 10;
      if (this.mesh.pollTimeout() <= this.now) this.mesh.handleTimeout(this.now);
      this.drain();
    }
  }

  happens(event: EndpointEvent): void {
    this.endpoint.events.push(event);
    this.mesh.handleDatagram(this.now, 'session', '10.0.0.9', 2, new Uint8Array([1]));
    this.drain();
  }

  /** Peer `n` is linked; returns the link. */
  links(n: number, host = `10.0.0.${n}`): LinkId {
    const link = ++this.#link as LinkId;
    const peer = idOf(n);
    this.endpoint.links.set(link, peer);
    const at = { address: { host, port: 2 }, door: { host, port: 1 } };
    this.happens({ type: 'linked', link, peer, publicKey: new Uint8Array(32), mode: 'open', ...at, attempt: undefined, replaces: undefined });
    return link;
  }

  linkOf(n: number): LinkId {
    return [...this.endpoint.links].find(([, peer]) => peer === idOf(n))![0];
  }

  says(n: number, message: MeshMessage): void {
    const channel = message.type === 'beat' || message.type === 'relay' ? 'unreliable' : 'reliable';
    this.happens({ type: 'message', link: this.linkOf(n), peer: idOf(n), channel, lane: MESH_LANE, bytes: encodeMessage(message) });
  }

  /** Peer `n` says a word of itself, or of another; it hears us and whoever `hears` names. */
  beats(n: number, word: Partial<Word> & { readonly hears?: readonly number[] } = {}): void {
    const { hears = [], ...rest } = word;
    const heard = LinkState.encodeHeard([this.self, ...hears.map(idOf)]);
    const own = { id: idOf(n), instance: n, seq: ++this.#seq, host: false, eligible: true, left: false, term: 0, epoch: 0, heard };
    this.says(n, { type: 'beat', time: 0, words: [{ ...own, ...rest }] });
  }

  closes(n: number, reason: CloseReason, byPeer = true): void {
    const link = this.linkOf(n);
    this.endpoint.links.delete(link);
    this.happens({ type: 'closed', link, peer: idOf(n), reason, byPeer });
  }

  /** What was said to peer `n` of this type. */
  saidTo<T extends MeshMessage['type']>(n: number, type: T): Extract<MeshMessage, { readonly type: T }>[] {
    return this.endpoint.said.flatMap(({ peer, message }) =>
      peer === idOf(n) && message.type === type ? [message as Extract<MeshMessage, { readonly type: T }>] : [],
    );
  }

  /** The number of this process, as it says when it asks for a seat of the linked peer `n`. */
  instanceSaidTo(n: number): number {
    return this.saidTo(n, 'join')[0]!.join.instance;
  }

  seatOf(n: number): { readonly slot: number; readonly status: string } | undefined {
    return this.mesh.roster().peers.find((peer) => peer.id === idOf(n));
  }
}

/** The list that peer `host` founded, with the others. */
export function listOf(host: number, ...others: readonly Newcomer[]): Roster {
  let roster = foundRoster({ roomId: ROOM, name: 'room', max: 8, locked: false }, newcomer(host), 5);
  for (const one of others) roster = seatPeer(roster, one) as Roster;
  return roster;
}

/** A member of the room of peer 1, with peer 2; both are linked and follow. */
export function member(more: Partial<MeshOptions> = {}): { readonly script: Script; readonly roster: Roster; readonly self: Newcomer } {
  const script = new Script('join', more);
  script.links(1);
  script.pass(50);
  const self: Newcomer = { id: script.self, instance: script.instanceSaidTo(1), spectator: false, addresses: [{ host: '10.0.0.200', port: 1 }] };
  const roster = listOf(1, newcomer(2), self);
  script.says(1, { type: 'roster', roster, key: undefined });
  script.links(2);
  for (const n of [1, 2]) script.beats(n, { host: n === 1, term: roster.term, epoch: roster.epoch, hears: [3 - n] });
  script.pass(50);
  return { script, roster, self };
}

export const follow = (script: Script, n: number, roster: Roster, key?: Uint8Array): void => script.says(n, { type: 'roster', roster, key });
export const failed = (script: Script, attempt: number, reason: 'wrong-code' | 'self' | 'double' | 'incompatible' | 'timeout'): void =>
  script.happens({ type: 'failed', attempt: attempt as never, reason });

/** Lets time pass while peer `n` says its words. */
export function passWith(script: Script, ms: number, n: number, word: Parameters<Script['beats']>[1]): void {
  for (const end = script.now + ms; script.now < end;) {
    script.beats(n, word);
    script.pass(100);
  }
}

export const lastList = (script: Script) => script.told.findLast((event) => event.type === 'roster')!;
