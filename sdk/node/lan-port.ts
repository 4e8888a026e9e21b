/**
 * The network of one local process: finds rooms, opens one, keeps it findable while it is open.
 *
 *   open(create)          found a room with a random id
 *   open(join)            ask there (room id, host:port or join code) ─► join what answers
 *   open(join-or-create)  search a moment ─► join the room of that name ┐
 *                                        └─► found it, id derived from the name: whoever founds it at the
 *                                            same instant founds another part of ONE room, and parts merge
 */
import { networkInterfaces } from 'node:os';

import type { PeerId, RoomId } from '../base/brand.ts';
import { asciiBytes, concatBytes, toHex } from '../base/bytes.ts';
import { LanError } from '../base/errors.ts';
import { createRng, type Rng } from '../base/rng.ts';
import type { Address } from '../link/endpoint-types.ts';
import { Mesh } from '../mesh/mesh.ts';
import type { MeshLike, MeshOptions, RoomFacts } from '../mesh/mesh-types.ts';
import type { DiscoveryState, GameFacts, LanPort, LocalTime, NetworkCheck, OpenRequest, RoomListing } from '../port/lan-port.ts';
import type { RoomPort } from '../port/port.ts';
import { peerIdOf } from '../secure/identity.ts';
import { copied } from '../room/lan.ts';
import type { CryptoProvider } from '../secure/provider.ts';
import type { HereFacts } from '../wire/datagram.ts';
import { LEAVE_LINGER_MS, MAX_ENDPOINTS_PER_PEER } from '../wire/limits.ts';
import { loadCrypto } from './crypto.ts';
import { diagnose } from './cli/doctor-checks.ts';
import { examine } from './cli/doctor-probe.ts';
import { Discovery, type DiscoverySwitches } from './discovery/discovery.ts';
import type { InterfaceReader } from './discovery/interfaces.ts';
import { encodeJoinCode } from './discovery/join-code.ts';
import { KnownPeers } from './discovery/known-peers.ts';
import { whyIncompatible } from './discovery/words.ts';
import { Driver, type DrivenPort } from './driver.ts';
import { NodeTime, monotonicMs } from './local-time.ts';
import { checkGame, checkLanOptions, chosenInterfaces } from './option-checks.ts';
import { openProfile, type Profile } from './profile.ts';
import { aborted, checkRoom, incompatible, joinError, normaliseCode, resolveTarget } from './room-request.ts';
import { searchRoom } from './room-search.ts';
import { sha256 } from './sha256.ts';
import { bindHost, openUdp, type Udp } from './udp.ts';

export interface NodeLanOptions {
  /** Names or IPv4 addresses of the interfaces to use; empty or missing means every usable one. A name keeps working when its address changes. */
  readonly interfaces?: readonly string[];
  /** UDP port of the join socket; 0 or missing takes the first free one from 29798 on. */
  readonly port?: number;
  /**
   * Which stored identity to be: who comes back with it gets its seat again. Default `default`. While it is in use on this
   * machine, whoever opens it too is another peer, with the first free identity of `ann-2`, `ann-3`, …, kept as well. It
   * lies in `$LANISTA_HOME`, or where the system keeps settings. `false` for one that lasts until this is closed.
   */
  readonly profile?: string | false;
  /** Ways of finding rooms to leave out, for tests and odd networks. Default: every one is used. */
  readonly discovery?: DiscoverySwitches;
  /** How long an absent peer keeps its seat, ms. Default 20,000. */
  readonly graceMs?: number;
  /** For tests: the list of interfaces. */
  readonly readInterfaces?: InterfaceReader;
}

/** How long `joinOrCreate` looks before it founds, ms: least, and a random part so that not all found at once. */
const SETTLE_MS = 280;
const SETTLE_SPREAD_MS = 400;
/** How long an address or a room id may take to answer, ms. */
const ANSWER_MS = 3_000;
/** How long a join may take after somebody answered, ms. */
const JOIN_MS = 8_000;
/** How long a room that was left may go on telling the others, ms. */
const FAREWELL_MS = LEAVE_LINGER_MS + 100;

interface OpenRoom {
  readonly port: DrivenPort;
  readonly mesh: MeshLike;
  readonly addresses: readonly Address[];
}

/** `LanPort` over UDP. Opened by `openNodeLanPort`. */
export class NodeLanPort implements LanPort {
  readonly self: PeerId;
  readonly time: LocalTime = new NodeTime();
  readonly #options: NodeLanOptions;
  readonly #game: GameFacts;
  readonly #crypto: CryptoProvider;
  readonly #rng: Rng;
  readonly #udp: Udp;
  readonly #profile: Profile;
  readonly #driver: Driver;
  readonly #known: KnownPeers;
  readonly #discovery: Discovery;
  #room: OpenRoom | undefined;
  /** Rooms that were left, while they tell the others. */
  readonly #parting = new Set<OpenRoom>();
  /** What is being opened: what calls it off, and when it is over. */
  #opening: { readonly signal: AbortSignal; readonly over: Promise<void> } | undefined;
  #diagnosis: Promise<readonly NetworkCheck[]> | undefined;
  /** Ends what is being opened when this is closed. */
  readonly #closing = new AbortController();
  #closed = false;
  #ending: Promise<void> | undefined;
  #isCopied = false;

  /** Use `openNodeLanPort`. */
  constructor(parts: { game: GameFacts; options: NodeLanOptions; crypto: CryptoProvider; rng: Rng; udp: Udp; profile: Profile }) {
    this.#game = parts.game;
    this.#options = parts.options;
    this.#crypto = parts.crypto;
    this.#rng = parts.rng;
    this.#udp = parts.udp;
    this.#profile = parts.profile;
    this.self = peerIdOf(parts.profile.identity.publicKey, parts.crypto);
    this.#driver = new Driver(parts.udp, new NodeTime());
    this.#known = new KnownPeers(parts.profile.directory, parts.profile.name);
    this.#discovery = new Discovery({
      self: this.self,
      game: parts.game,
      crypto: parts.crypto,
      rng: parts.rng,
      udp: parts.udp,
      time: new NodeTime(),
      readInterfaces: parts.options.readInterfaces ?? networkInterfaces,
      interfaces: parts.options.interfaces ?? [],
      switches: parts.options.discovery ?? {},
      known: this.#known,
      facts: () => this.#facts(),
      onMember: (address) => this.#room?.mesh.addCandidate(monotonicMs(), address),
      onNetworkChange: () => {
        this.#room?.mesh.setAddresses(monotonicMs(), this.addresses());
        this.#driver.soon();
      },
    });
  }

  handleDatagram(socket: 'join' | 'session', host: string, port: number, bytes: Uint8Array): void {
    if (socket === 'join' && this.#discovery.handleDatagram(host, port, bytes)) this.#driver.soon();
    else this.#driver.handleDatagram(socket, host, port, bytes);
  }

  /** Where others reach our join socket, best interface first. */
  addresses(): readonly Address[] {
    const { host } = this.#udp;
    // A socket that is bound to one address is reached at no other, and loopback may have two.
    const nics = this.#discovery.interfaces.list.filter((nic) => host === '0.0.0.0' || nic.address === host);
    return nics.slice(0, MAX_ENDPOINTS_PER_PEER).map((nic) => ({ host: nic.address, port: this.#udp.joinPort }));
  }

  /** What to read aloud where nobody finds anybody; undefined without a network. */
  joinCode(): string | undefined {
    const [address] = this.#discovery.interfaces.hasNetwork ? this.addresses() : [];
    return address === undefined ? undefined : encodeJoinCode(address);
  }

  get joinPort(): number {
    return this.#udp.joinPort;
  }

  /** Name of the crypto provider that seals here: `native`, `wasm` or `node`. */
  get sealedBy(): string {
    return this.#crypto.name;
  }

  discovery(): DiscoveryState {
    const state = this.#discovery.state();
    const warning = this.#profile.warning;
    return warning === undefined ? state : { level: state.level === 'ok' ? 'degraded' : state.level, reasons: [...state.reasons, warning] };
  }

  /** The doctor, beside whatever is open. Two callers share one examination. */
  diagnose(): Promise<readonly NetworkCheck[]> {
    this.#assertOpen();
    const { interfaces, discovery } = this.#options;
    this.#diagnosis ??= examine({ ...(interfaces && { interfaces }), ...(discovery && { discovery }) })
      .then(diagnose)
      .finally(() => (this.#diagnosis = undefined));
    return this.#diagnosis;
  }

  digest(bytes: Uint8Array): Promise<Uint8Array> {
    return sha256(bytes);
  }

  watchRooms(onChange: (rooms: readonly RoomListing[]) => void): Disposable {
    this.#assertOpen();
    return this.#discovery.watch(onChange);
  }

  async open(request: OpenRequest, signal?: AbortSignal): Promise<RoomPort> {
    // What was called off takes a moment to end, and whoever called it off may ask for another room at once.
    while (this.#opening?.signal.aborted === true) await this.#opening.over;
    this.#assertOpen();
    if (signal?.aborted) throw aborted(signal);
    if (this.#isCopied) throw copied();
    if (this.#room !== undefined)
      throw new LanError('bad-argument', 'This player sits in a room already.', { hint: 'Leave that room first, or open a second lan.' });
    if (this.#opening !== undefined)
      throw new LanError('bad-argument', 'This player is on the way into a room already.', { hint: 'Wait for that, or abort it.' });
    const ends = signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal]);
    const opened = this.#enter(request, ends);
    const over = (): void => void (this.#opening = undefined);
    this.#opening = { signal: ends, over: opened.then(over, over) };
    try {
      return await opened;
    } catch (error) {
      this.#assertOpen();
      throw error;
    }
  }

  /** Who closes it again waits for the same end: it may be about to end the process. */
  close(): Promise<void> {
    return (this.#ending ??= this.#end());
  }

  async #end(): Promise<void> {
    this.#closed = true;
    this.#closing.abort();
    this.#room?.port.leave(monotonicMs());
    await this.#parted(() => true);
    await this.#discovery.close();
    this.#driver.close();
    this.time.cancel();
    await this.#udp.close();
    this.#profile.release();
  }

  // ---- opening ----

  #assertOpen(): void {
    if (this.#closed) throw new LanError('closed', 'This lan is closed.', { hint: 'Open a new one.' });
  }

  #facts(): RoomFacts | undefined {
    const mesh = this.#room?.mesh;
    return mesh?.joinState.type === 'joined' ? mesh.facts(monotonicMs()) : undefined;
  }

  #mesh(parts: Pick<MeshOptions, 'roomId' | 'name' | 'max' | 'code' | 'spectate' | 'entry'>, addresses: readonly Address[]): OpenRoom {
    // A room nobody drives would keep the process alive, and nobody could leave it.
    this.#assertOpen();
    const mesh: MeshLike = new Mesh(monotonicMs(), {
      ...parts,
      crypto: this.#crypto,
      rng: this.#rng,
      identity: this.#profile.identity,
      game: this.#game,
      joinPort: this.#udp.joinPort,
      sessionPort: this.#udp.sessionPort,
      addresses: this.addresses(),
      wallClockMs: Date.now(),
      mayCall: (host) => this.#discovery.interfaces.isUnicast(host),
      ...(this.#options.graceMs === undefined ? {} : { graceMs: this.#options.graceMs }),
    });
    const port = this.#driver.add(mesh, () => this.#left(room));
    const room: OpenRoom = { port, mesh, addresses };
    this.#room = room;
    return room;
  }

  /** The room is not told about any more, while its farewell is still on the way. */
  #left(room: OpenRoom): void {
    const state = room.mesh.joinState;
    if ((state.type === 'left' || state.type === 'failed') && state.reason === 'copied') this.#renew();
    if (this.#room === room) {
      this.#room = undefined;
      this.#discovery.withdraw();
    }
    // A member that hears a late question must not answer for a room it left; its mesh goes on until
    // the others know.
    this.#parting.add(room);
    setTimeout(() => {
      this.#parting.delete(room);
      this.#driver.remove(room.port);
    }, FAREWELL_MS).unref();
  }

  /**
   * Until the others know that we left. Who enters the same room sooner would be two of one key there, and the others take the new
   * session for a twin of the old one.
   */
  async #parted(of: (room: OpenRoom) => boolean): Promise<void> {
    const rooms = [...this.#parting].filter(of);
    const end = monotonicMs() + FAREWELL_MS;
    const isLeaving = ({ mesh }: OpenRoom): boolean => mesh.joinState.type === 'joined';
    while (rooms.some(isLeaving) && monotonicMs() < end) {
      this.#driver.drain();
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    if (rooms.length > 0) this.#driver.drain();
  }

  #partedFrom(roomId: RoomId): Promise<void> {
    return this.#parted(({ port }) => port.roster().roomId === roomId);
  }

  /** Somebody else plays with our key. It is ours no more: this process opens no room with it, and the next one has another. */
  #renew(): void {
    this.#isCopied = true;
    try {
      this.#profile.renew();
    } catch {
      // A disk that is read-only by now: the next process meets the same trouble, and says so.
    }
  }

  #found(request: { name: string; max: number; code: string | undefined; spectate: boolean }, roomId: RoomId): OpenRoom {
    checkRoom(request);
    const room = this.#mesh(
      { roomId, name: request.name, max: request.max, code: normaliseCode(request.code), spectate: request.spectate, entry: 'found' },
      [],
    );
    this.#driver.drain();
    this.#discovery.advertise();
    return room;
  }

  async #enter(request: OpenRequest, signal: AbortSignal): Promise<RoomPort> {
    switch (request.type) {
      case 'create':
        return this.#found(request, toHex(this.#crypto.randomBytes(16)) as RoomId).port;
      case 'join':
        return this.#joinTarget(request, signal);
      case 'join-or-create':
        return this.#joinOrCreate(request, signal);
    }
  }

  async #joinOrCreate(request: Extract<OpenRequest, { type: 'join-or-create' }>, signal: AbortSignal | undefined): Promise<RoomPort> {
    checkRoom(request);
    const roomId = this.#derivedId(request.name, normaliseCode(request.code));
    const fits = (room: RoomListing): boolean => room.name === request.name && room.compatible && room.locked === (request.code !== undefined);
    const choose = (rooms: readonly RoomListing[]): RoomListing | undefined =>
      rooms.find((room) => room.id === roomId && room.compatible) ??
      rooms.filter(fits).sort((a, b) => b.players - a.players || (a.id < b.id ? -1 : 1))[0];
    const found = await searchRoom(this.#discovery, { choose, withinMs: SETTLE_MS + this.#rng.int(SETTLE_SPREAD_MS), signal });
    if (found !== undefined) {
      try {
        return await this.#join(found.facts, found.addresses, request.code, request.spectate, signal);
      } catch (error) {
        // It was the last member and left while we knocked: the room is ours to found.
        if (!(error instanceof LanError) || error.code !== 'unreachable') throw error;
      }
    }
    await this.#partedFrom(roomId);
    if (signal?.aborted === true) throw aborted(signal);
    return this.#found(request, roomId).port;
  }

  async #joinTarget(request: Extract<OpenRequest, { type: 'join' }>, signal: AbortSignal | undefined): Promise<RoomPort> {
    const { target } = request;
    if (/^[0-9a-f]{32}$/i.test(target)) {
      const id = target.toLowerCase();
      const found = await searchRoom(this.#discovery, { choose: (rooms) => rooms.find((room) => room.id === id), withinMs: ANSWER_MS, signal });
      if (found === undefined)
        throw new LanError('unreachable', 'Nobody of that room answers any more.', { hint: 'Look at the list of rooms again.' });
      if (!found.listing.compatible) throw incompatible(found.listing.reason);
      return this.#join(found.facts, found.addresses, request.code, request.spectate, signal);
    }
    const address = await resolveTarget(target, signal);
    const listed = (rooms: readonly RoomListing[], answered: RoomId | undefined): RoomListing | undefined =>
      rooms.find((room) => room.id === answered) ??
      rooms.find((room) => this.#discovery.rooms.addresses(room.id).some((one) => one.host === address.host && one.port === address.port));
    const found = await searchRoom(this.#discovery, { choose: listed, withinMs: ANSWER_MS, signal, ask: address });
    if (found === undefined) {
      throw new LanError('unreachable', `No room of this game answers at ${address.host}:${address.port}.`, {
        hint: 'Check the address, and that the other player is in a room; a firewall there may block UDP. "lanista doctor" on both machines tells.',
      });
    }
    if (!found.listing.compatible) throw incompatible(found.listing.reason);
    return this.#join(found.facts, [address, ...found.addresses], request.code, request.spectate, signal);
  }

  async #join(
    facts: HereFacts,
    addresses: readonly Address[],
    code: string | undefined,
    spectate: boolean,
    signal: AbortSignal | undefined,
  ): Promise<RoomPort> {
    const reason = whyIncompatible(this.#game, facts);
    if (reason !== undefined) throw incompatible(reason);
    if (facts.locked && code === undefined)
      throw new LanError('wrong-code', `The room "${facts.name}" needs a code.`, { hint: 'Ask somebody in the room for it.' });
    await this.#partedFrom(facts.roomId);
    const room = this.#mesh(
      { roomId: facts.roomId, name: facts.name, max: facts.max, code: facts.locked ? normaliseCode(code) : undefined, spectate, entry: 'join' },
      addresses,
    );
    const now = monotonicMs();
    for (const address of addresses) room.mesh.addCandidate(now, address);
    this.#driver.soon();
    try {
      await this.#joined(room, signal);
    } catch (error) {
      room.port.leave(monotonicMs());
      this.#driver.drain();
      throw error;
    }
    for (const address of addresses.slice(0, 4).reverse()) this.#known.add(address);
    this.#discovery.advertise();
    return room.port;
  }

  /**
   * Resolves when the mesh has its seat, and the time of the room: until then its time is of this machine's clock, which may be days ahead, and a room
   * that had begun there would say nothing for as long.
   */
  #joined(room: OpenRoom, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const until = monotonicMs() + JOIN_MS;
      const look = (): void => {
        const state = room.mesh.joinState;
        if (signal?.aborted) reject(aborted(signal));
        else if (state.type === 'joined' && room.mesh.timeErrorMs(monotonicMs()) < Infinity) resolve();
        else if (state.type === 'failed') reject(joinError(state.reason));
        else if (state.type === 'left')
          reject(state.reason === 'copied' ? copied() : new LanError('closed', 'The room was left before it was joined.'));
        else if (monotonicMs() > until) reject(joinError('unreachable'));
        else setTimeout(look, 5);
      };
      look();
    });
  }

  /** The same for everybody who asks for that name (and code) of this build of the game, so that founders meet, and only they. */
  #derivedId(name: string, code: string | undefined): RoomId {
    const field = (text: string): Uint8Array => {
      const bytes = new TextEncoder().encode(text);
      return concatBytes(Uint8Array.of(bytes.length >>> 8, bytes.length), bytes);
    };
    // The code itself stays out: the id is on the air, and a guess could be tested against it.
    const hash = this.#crypto.sha256(
      asciiBytes('lanista derived room'),
      field(this.#game.id),
      field(`${this.#game.version} ${this.#game.schemaHash}`),
      field(name),
      field(code === undefined ? 'open' : 'code'),
    );
    return toHex(hash.subarray(0, 16)) as RoomId;
  }
}

/**
 * Opens sockets, profile and discovery: the network half that a bridge gives to pages. A game that runs in Node itself
 * opens `openLan`. Rejects with `bind-failed`, `no-network` (an interface that does not exist) or `bad-argument`.
 *
 * @example
 * const bridge = await startBridge({ lan: () => openNodeLanPort(game), root: 'dist', game });
 */
export async function openNodeLanPort(game: GameFacts, options: NodeLanOptions = {}): Promise<NodeLanPort> {
  checkGame('openNodeLanPort', game);
  checkLanOptions(options);
  const crypto = await loadCrypto();
  const wanted = options.interfaces ?? [];
  const nics = chosenInterfaces(options.readInterfaces ?? networkInterfaces, wanted);
  let port: NodeLanPort | undefined;
  const udp = await openUdp({
    host: bindHost(wanted, nics),
    port: options.port,
    onDatagram: (socket, host, from, bytes) => port?.handleDatagram(socket, host, from, bytes),
  });
  let profile: Profile | undefined;
  try {
    profile = openProfile(crypto, options.profile);
    const seed = crypto.randomBytes(4);
    const rng = createRng(new DataView(seed.buffer, seed.byteOffset).getUint32(0));
    port = new NodeLanPort({ game, options, crypto, rng, udp, profile });
    return port;
  } catch (error) {
    profile?.release();
    await udp.close();
    throw error;
  }
}
