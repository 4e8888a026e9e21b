/**
 * Discovery as one thing: every candidate source, the questions, the answers, the list of rooms.
 *
 *   local registry ─┐                        ┌─► room list ──► watchers
 *   mDNS adverts   ─┤                        │
 *   known peers    ─┼─► candidates ─► WHO ───┤ HERE (answers a nonce of ours)
 *   by address     ─┤    beacon ────► WHO ───┤
 *   gossip         ─┘                        └─► onMember: an address of our own room, for the mesh
 *   a stranger's WHO by broadcast ──► a candidate, too: whoever searches may sit in a room
 *
 * A source only names addresses. What is listed has answered our own question; what joins has proved its
 * key to the mesh. Time is one absolute deadline; nothing here runs while nobody searches and no room
 * is open.
 */
import type { PeerId } from '../../base/brand.ts';
import { asciiBytes, toHex } from '../../base/bytes.ts';
import { disposable } from '../../base/emitter.ts';
import type { Rng } from '../../base/rng.ts';
import type { Address } from '../../link/endpoint-types.ts';
import type { RoomFacts } from '../../mesh/mesh-types.ts';
import type { DiscoverySource, DiscoveryState, GameFacts, LocalTime, RoomListing } from '../../port/lan-port.ts';
import type { CryptoProvider } from '../../secure/provider.ts';
import { KIND_HERE, KIND_WHO, decodeHere, decodeWho, type HereFacts } from '../../wire/datagram.ts';
import type { Udp } from '../udp.ts';
import { Answers, isMember } from './answers.ts';
import { Beacon } from './beacon.ts';
import { BeaconLadder } from './beacon-ladder.ts';
import {
  ADVERT_WAIT_MS,
  ASK_BACK_GAP_MS,
  ASK_BACK_PER_S,
  BEACON_ASK_MS,
  BEACON_CROWD,
  BEACON_QUIET_MS,
  BEACON_SLOW_MS,
  HERE_MAX_SOURCES,
  LOCAL_POLL_MS,
  TROUBLE_GAP_MS,
} from './bounds.ts';
import { CandidateTable, addressKey } from './candidates.ts';
import { Health, stateOf } from './health.ts';
import { InterfaceWatch, type InterfaceReader } from './interfaces.ts';
import type { KnownPeers } from './known-peers.ts';
import { LocalRegistry } from './local.ts';
import { Mdns } from './mdns.ts';
import { Questions } from './questions.ts';
import { RoomList } from './room-list.ts';
import { SourceRates } from './source-rates.ts';

export interface DiscoverySwitches {
  /** Advertise and look for rooms by multicast DNS (224.0.0.251 port 5353). Default true. */
  readonly mdns?: boolean;
  /** Ask for rooms by UDP broadcast, and answer such questions: for networks that drop multicast. Default true. */
  readonly beacon?: boolean;
  /** Find the other processes of this machine by small files, without any network. Default true. */
  readonly local?: boolean;
  /** UDP port of the broadcasts, the same for all who are to find each other. Default 29797. */
  readonly beaconPort?: number;
  /** Folder of those small files, the same for all who are to find each other. Default: one per user in the system's temporary folder. */
  readonly localDirectory?: string;
}

export interface DiscoveryOptions {
  readonly self: PeerId;
  /** Undefined lists the rooms of every game. */
  readonly game: GameFacts | undefined;
  readonly crypto: CryptoProvider;
  readonly rng: Rng;
  readonly udp: Udp;
  /** Owned by discovery alone. */
  readonly time: LocalTime;
  readonly readInterfaces: InterfaceReader;
  /** Names or addresses; empty means all. */
  readonly interfaces: readonly string[];
  readonly switches: DiscoverySwitches;
  readonly known: KnownPeers;
  /** Facts of the room we sit in; undefined when there is none to tell about. */
  readonly facts: () => RoomFacts | undefined;
  /** A member of our room answers there. */
  readonly onMember: (address: Address) => void;
  /** Interfaces changed, or the machine slept. */
  readonly onNetworkChange: () => void;
}

export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly interfaces: InterfaceWatch;
  readonly rooms: RoomList;
  readonly candidates = new CandidateTable();
  readonly mdns: Mdns | undefined;
  readonly #beacon: Beacon | undefined;
  readonly #local: LocalRegistry | undefined;
  readonly #watchers = new Set<(rooms: readonly RoomListing[]) => void>();
  readonly #questions: Questions;
  readonly #answers: Answers;
  /** Whose broadcasts were heard in this search, as far as it matters. */
  readonly #searchers = new Set<string>();
  readonly #ladder = new BeaconLadder();
  readonly #health = new Health();
  readonly #askBackRates = new SourceRates(ASK_BACK_PER_S, ASK_BACK_PER_S, HERE_MAX_SOURCES);
  #advertised: RoomFacts | undefined;
  #localAt = Number.POSITIVE_INFINITY;
  #troubleAt = 0;
  /** When the watchers are told the list, if it changed: after all that one turn of the loop brought. */
  #publishAt = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(options: DiscoveryOptions) {
    const { switches } = options;
    this.#options = options;
    this.interfaces = new InterfaceWatch(options.readInterfaces, options.interfaces);
    this.rooms = new RoomList(options.self, options.game);
    const { crypto, rng, facts, udp } = options;
    this.#questions = new Questions(crypto, options.game?.id);
    this.#answers = new Answers({ crypto, rng, facts, send: ({ host, port }, bytes) => udp.send('join', host, port, bytes) });
    const nics = this.interfaces.list;
    if (switches.mdns !== false) {
      this.mdns = new Mdns(
        {
          rng: options.rng,
          now: () => options.time.now(),
          onCandidate: (address, peer, gameId) => this.#onAdvert(address, peer, gameId),
          onGone: (address) => this.#hint(address),
          onHeard: (host) => this.#health.heardMdns(host),
          onState: () => this.#reschedule(),
        },
        nics,
      );
    }
    if (switches.beacon !== false) {
      this.#beacon = new Beacon({
        port: switches.beaconPort,
        // Where loopback is all there is now, a network may come.
        loopbackOnly: options.interfaces.length > 0 && nics.length > 0 && nics.every((nic) => nic.kind === 'loopback'),
        onWho: (host, port, bytes) => this.#handleWho({ host, port }, bytes, true),
        onState: () => undefined,
      });
    }
    if (switches.local !== false) this.#local = new LocalRegistry(switches.localDirectory);
    this.#reschedule();
  }

  // ---- for the room list ----

  /** Calls back with the list now and after each change; searching goes on while anybody watches. */
  watch(onChange: (rooms: readonly RoomListing[]) => void): Disposable {
    this.#watchers.add(onChange);
    if (this.#watchers.size === 1) this.search();
    onChange(this.rooms.listings);
    return disposable(() => {
      this.#watchers.delete(onChange);
      if (this.#watchers.size > 0) return;
      this.rooms.clear();
      this.rooms.takeChange();
      if (this.#advertised === undefined) {
        this.mdns?.stopSearching();
        this.#ladder.stop();
        this.#localAt = Number.POSITIVE_INFINITY;
      }
      this.#reschedule();
    });
  }

  /** Starts every ladder anew. */
  search(): void {
    const now = this.#options.time.now();
    this.#ladder.start(now);
    this.#localAt = now;
    for (const address of this.#options.known.addresses) if (this.interfaces.onLink(address.host)) this.candidates.add(now, address, 'known');
    this.candidates.restart(now);
    this.#health.restart();
    this.#searchers.clear();
    this.mdns?.search(now);
    this.#run();
  }

  /**
   * Asks one address, whatever the back-off says.
   * @param onAnswer told what answers there: a machine with two addresses may answer from the other one
   */
  ask(address: Address, onAnswer?: (facts: HereFacts) => void): void {
    this.candidates.add(this.#options.time.now(), address, 'direct');
    // Many answer at a broadcast address, and none of them was meant.
    this.#sendWho(address.host, address.port, this.interfaces.isUnicast(address.host) ? onAnswer : undefined);
  }

  state(): DiscoveryState {
    const now = this.#options.time.now();
    const { lastSendError } = this.#options.udp;
    if (lastSendError !== undefined) this.#health.sendFailed(lastSendError.at, lastSendError.code);
    const mdns = this.mdns?.socket.reasons() ?? [];
    const reasons = [...mdns, ...(this.#beacon?.reasons() ?? []), ...(this.#local?.reasons() ?? [])];
    if (this.mdns !== undefined && !this.mdns.socket.isHooked) reasons.push('mDNS is off: this version of multicast-dns does not take a socket.');
    reasons.push(...this.#health.reasons(now, this.mdns !== undefined && mdns.length === 0));
    return stateOf(this.interfaces.hasNetwork, reasons);
  }

  // ---- for the room we sit in ----

  /** Tells the network about our room from now on, and looks for its other parts. */
  advertise(): void {
    const facts = this.#options.facts();
    if (facts === undefined || this.#closed) return;
    this.#advertised = facts;
    const { udp, crypto } = this.#options;
    const session = toHex(crypto.sha256(asciiBytes(facts.roomId))).slice(0, 8);
    this.mdns?.publish({ peer: this.#options.self, gameId: facts.gameId, session, joinPort: udp.joinPort });
    this.#local?.publish({ host: udp.host === '0.0.0.0' ? '127.0.0.1' : udp.host, port: udp.joinPort });
    this.search();
  }

  /** The room is left: those who asked about it lately are told to ask again. */
  withdraw(): void {
    if (this.#advertised === undefined) return;
    const last = this.#advertised;
    this.#advertised = undefined;
    this.mdns?.unpublish();
    this.#local?.unpublish();
    const now = this.#options.time.now();
    this.#answers.sayGone(now, last);
    this.rooms.setQuiet(now, false);
    if (this.#watchers.size === 0) {
      this.mdns?.stopSearching();
      this.#ladder.stop();
      this.#localAt = Number.POSITIVE_INFINITY;
    }
    this.#reschedule();
  }

  // ---- datagrams ----

  /** Takes WHO and HERE off the join socket; false for everything else. */
  handleDatagram(host: string, port: number, bytes: Uint8Array): boolean {
    if (bytes[0] === KIND_WHO) this.#handleWho({ host, port }, bytes, false);
    else if (bytes[0] === KIND_HERE) this.#handleHere(host, port, bytes);
    else return false;
    return true;
  }

  #handleWho(address: Address, bytes: Uint8Array, broadcast: boolean): void {
    // A broadcast from outside the chosen interfaces is not for us; unicast may come through a router.
    if (broadcast && this.interfaces.onLink(address.host) === undefined) return;
    const who = decodeWho(bytes);
    if (who === undefined) return;
    const now = this.#options.time.now();
    this.#answers.handleWho(now, address, who, broadcast);
    if (broadcast && !this.#closed) this.#askBack(now, address, who.gameId);
  }

  /** Whoever searches may sit in a room we do not know: a room that opens, or another part of ours. */
  #askBack(now: number, address: Address, gameId: string | undefined): void {
    const { game } = this.#options;
    if (game !== undefined && gameId !== undefined && gameId !== game.id) return;
    if (this.#isOurs(address)) return;
    if (this.#searchers.size < BEACON_CROWD) this.#searchers.add(addressKey(address));
    const ours = this.#options.facts();
    if (this.#watchers.size === 0 && ours === undefined) return;
    if (this.rooms.knows(address) || (ours !== undefined && isMember(ours, address))) return;
    if (!this.#askBackRates.take(addressKey(address), now)) return;
    this.candidates.hurry(now, address, 'beacon', this.#isDense(now) ? BEACON_ASK_MS : 0, this.#isCrowd ? ASK_BACK_GAP_MS : 0);
    this.#reschedule();
  }

  #isOurs({ host, port }: Address): boolean {
    return port === this.#options.udp.joinPort && this.interfaces.list.some((nic) => nic.address === host);
  }

  #handleHere(host: string, port: number, bytes: Uint8Array): void {
    const here = decodeHere(bytes);
    if (here === undefined) return;
    const now = this.#options.time.now();
    // Whoever is named is asked and called: nobody makes us ask everybody.
    const facts = { ...here.facts, members: here.facts.members.filter((member) => this.interfaces.isUnicast(member.host)) };
    const address = { host, port: facts.joinPort };
    const asked = this.#questions.asked(now, here.nonce);
    if (facts.peer === this.#options.self) {
      // We hear ourselves, or another machine has a copy of our key: the mesh tells the two apart.
      const isThisRoom = this.#options.facts()?.roomId === facts.roomId;
      if (isThisRoom && asked !== undefined && port === facts.joinPort && !this.#isOurs(address)) this.#options.onMember(address);
      return;
    }
    if (asked === undefined || port !== facts.joinPort) {
      // Not an answer to us. A farewell is worth a question, and nothing else is.
      if (facts.max === 0) this.#hint({ host, port });
      return;
    }
    if (this.interfaces.isOther(host)) this.#health.answered(now, host);
    if (facts.max === 0) {
      if (this.rooms.left(address, facts.roomId)) this.#run();
      return;
    }
    const ours = this.#options.facts();
    if (ours !== undefined && ours.roomId === facts.roomId) {
      this.#options.onMember(address);
      for (const member of facts.members) this.#options.onMember(member);
    }
    if (this.#watchers.size === 0) return this.candidates.answered(now, address);
    const isNews = this.rooms.heard(now, address, facts, now - asked.at);
    this.candidates.answered(now, address, isNews);
    if (isNews) {
      for (const member of facts.members) if (!this.rooms.knows(member)) this.candidates.add(now, member, 'gossip');
    }
    if (this.rooms.isChanged) this.#publishAt = now;
    asked.onAnswer?.(facts);
    this.#reschedule();
  }

  #onAdvert(address: Address, peer: string | undefined, gameId: string | undefined): void {
    const { game, self } = this.#options;
    if (peer === self || (game !== undefined && gameId !== undefined && gameId !== game.id)) return;
    if (this.rooms.knows(address)) return;
    this.#addCandidate(address, 'mdns', this.#isDense(this.#options.time.now()) ? ADVERT_WAIT_MS : 0);
  }

  #addCandidate(address: Address, source: DiscoverySource, waitMs: number): void {
    this.candidates.add(this.#options.time.now(), address, source, waitMs);
    this.#reschedule();
  }

  /** Our own broadcasts of these moments find whoever is there. */
  #isDense(now: number): boolean {
    return this.#beacon !== undefined && this.#ladder.isDense(now);
  }

  #hint(address: Address): void {
    const now = this.#options.time.now();
    this.rooms.hint(now, address);
    this.#reschedule();
  }

  #sendWho(host: string, port: number, onAnswer?: (facts: HereFacts) => void): void {
    const { time, udp } = this.#options;
    udp.send('join', host, port, this.#questions.ask(time.now(), onAnswer));
  }

  // ---- time ----

  #run(): void {
    if (this.#closed) return;
    const { time } = this.#options;
    const now = time.now();
    if (this.interfaces.nextAt <= now) this.#pollInterfaces(now);
    if (this.#localAt <= now) {
      this.#localAt = this.#watchers.size > 0 ? now + LOCAL_POLL_MS : now + BEACON_SLOW_MS;
      for (const address of this.#local?.read() ?? []) this.#addLocal(now, address);
    }
    if (this.#ladder.nextAt <= now) this.#broadcast(now);
    this.mdns?.poll(now);
    this.rooms.setQuiet(now, this.#isPlaying());
    const mayAsk = (): boolean => this.#questions.take(now);
    if (this.#watchers.size > 0) for (const address of this.rooms.due(now, mayAsk)) this.#sendWho(address.host, address.port);
    for (const address of this.rooms.takeDropped()) this.candidates.forget(address);
    if (this.rooms.takeTrouble() && now >= this.#troubleAt) {
      this.#troubleAt = now + TROUBLE_GAP_MS;
      this.candidates.restart(now);
    }
    for (const address of this.candidates.due(now, mayAsk)) this.#sendWho(address.host, address.port);
    this.#publishChange();
    this.#reschedule();
  }

  get #isCrowd(): boolean {
    return Math.max(this.rooms.size, this.#searchers.size) >= BEACON_CROWD;
  }

  /** Together with others: then discovery is nearly silent, whoever still watches the list. */
  #isPlaying(): boolean {
    return (this.#options.facts()?.players ?? 0) >= 2;
  }

  #addLocal(now: number, address: Address): void {
    if (!this.rooms.knows(address)) this.candidates.add(now, address, 'local');
  }

  #broadcast(now: number): void {
    const isSent = this.#ladder.take(now, this.#isCrowd, this.#isPlaying() ? BEACON_QUIET_MS : BEACON_SLOW_MS);
    const beacon = this.#beacon;
    if (beacon === undefined || !isSent) return;
    for (const target of beacon.targets(this.interfaces.list)) this.#sendWho(target, beacon.port);
  }

  #pollInterfaces(now: number): void {
    const change = this.interfaces.poll(now, Date.now());
    // Each time, changed or not: an interface that was re-created has lost its multicast membership.
    this.mdns?.socket.setInterfaces(this.interfaces.list);
    if (change === undefined) return;
    this.mdns?.socket.announce();
    this.#options.onNetworkChange();
    if (this.#watchers.size > 0 || this.#advertised !== undefined) this.search();
  }

  #publishChange(): void {
    this.#publishAt = Number.POSITIVE_INFINITY;
    const changed = this.rooms.takeChange();
    if (changed === undefined) return;
    for (const watcher of [...this.#watchers]) watcher(changed);
  }

  #reschedule(): void {
    if (this.#closed) return;
    const rooms = this.#watchers.size > 0 ? this.rooms.nextAt() : Number.POSITIVE_INFINITY;
    const next = Math.min(
      this.interfaces.nextAt,
      this.#localAt,
      this.#ladder.nextAt,
      this.#publishAt,
      this.mdns?.nextAt ?? Number.POSITIVE_INFINITY,
      this.candidates.nextAt(),
      rooms,
    );
    this.#options.time.schedule(next, () => this.#run());
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.withdraw();
    this.#closed = true;
    this.#watchers.clear();
    const { time } = this.#options;
    time.cancel();
    await Promise.all([this.mdns?.close(), this.#beacon?.close()]);
    // Who just heard our farewell asks whether it is true.
    while (this.#answers.isAwaited(time.now())) await new Promise((resolve) => setTimeout(resolve, 10));
    this.#answers.close();
  }
}
