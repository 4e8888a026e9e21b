/**
 * Searching without playing: sockets and discovery, no room, no identity that is kept. For
 * `lanista browse` and the doctor; lists the rooms of every game unless told one.
 */
import { networkInterfaces } from 'node:os';

import { createRng } from '../base/rng.ts';
import type { PeerId } from '../base/brand.ts';
import type { Address } from '../link/endpoint-types.ts';
import type { RoomFacts } from '../mesh/mesh-types.ts';
import type { DiscoveryState, GameFacts, RoomListing } from '../port/lan-port.ts';
import { peerIdOf } from '../secure/identity.ts';
import type { HereFacts } from '../wire/datagram.ts';
import { nodeCrypto } from './crypto-node.ts';
import { Discovery, type DiscoverySwitches } from './discovery/discovery.ts';
import { interfacesNow } from './discovery/interfaces.ts';
import { KnownPeers } from './discovery/known-peers.ts';
import { NodeTime } from './local-time.ts';
import { bindHost, openUdp } from './udp.ts';

export interface Search {
  watch(onChange: (rooms: readonly RoomListing[]) => void): Disposable;
  rooms(): readonly RoomListing[];
  /** @param onAnswer told what answers there, also where that comes from another address of the machine */
  ask(address: Address, onAnswer?: (facts: HereFacts) => void): void;
  /** Addresses that were named by others and left at least so many questions unanswered. */
  silent(misses: number): readonly Address[];
  /** From the join socket. */
  send(address: Address, bytes: Uint8Array): void;
  state(): DiscoveryState;
  readonly isMdnsHooked: boolean;
  close(): Promise<void>;
}

export interface SearchOptions {
  /** Names or addresses; empty or missing means all. */
  readonly interfaces?: readonly string[];
  /** Missing lists the rooms of every game. */
  readonly game?: GameFacts;
  readonly discovery?: DiscoverySwitches;
  /** What to tell others who search, as a room of its own; missing tells nothing. */
  readonly facts?: (self: PeerId, joinPort: number) => RoomFacts;
  /** Sees what comes to the join socket first; true when it was for it alone. */
  readonly onDatagram?: (address: Address, bytes: Uint8Array) => boolean;
}

/** Rejects with `bind-failed`. */
export async function openSearch(options: SearchOptions = {}): Promise<Search> {
  const interfaces = options.interfaces ?? [];
  let discovery: Discovery | undefined;
  const udp = await openUdp({
    host: bindHost(interfaces, interfacesNow(networkInterfaces, interfaces)),
    onDatagram(socket, host, port, bytes) {
      if (socket === 'join' && options.onDatagram?.({ host, port }, bytes) !== true) discovery?.handleDatagram(host, port, bytes);
    },
  });
  const self = peerIdOf(nodeCrypto.generateKeyPair().publicKey, nodeCrypto);
  const facts = options.facts?.(self, udp.joinPort);
  const seed = nodeCrypto.randomBytes(4);
  const made = new Discovery({
    self,
    game: options.game,
    crypto: nodeCrypto,
    rng: createRng(new DataView(seed.buffer, seed.byteOffset).getUint32(0)),
    udp,
    time: new NodeTime(),
    readInterfaces: networkInterfaces,
    interfaces,
    switches: options.discovery ?? {},
    known: new KnownPeers(undefined, ''),
    facts: () => facts,
    onMember: () => undefined,
    onNetworkChange: () => undefined,
  });
  discovery = made;
  if (facts !== undefined) made.advertise();
  return {
    watch: (onChange) => made.watch(onChange),
    rooms: () => made.rooms.listings,
    ask: (address, onAnswer) => made.ask(address, onAnswer),
    silent: (misses) => made.candidates.silent(misses),
    send: ({ host, port }, bytes) => udp.send('join', host, port, bytes),
    state: () => made.state(),
    get isMdnsHooked() {
      return made.mdns === undefined || made.mdns.socket.isHooked;
    },
    async close() {
      await made.close();
      await udp.close();
    },
  };
}
