/**
 * Searching without playing: sockets and discovery, no room, no identity that is kept. For
 * `lanista browse` and the doctor; lists the rooms of every game unless told one.
 */
import { networkInterfaces } from 'node:os';

import { createRng } from '../base/rng.ts';
import type { Address } from '../link/endpoint-types.ts';
import type { DiscoveryState, GameFacts, RoomListing } from '../port/lan-port.ts';
import { peerIdOf } from '../secure/identity.ts';
import { nodeCrypto } from './crypto-node.ts';
import { Discovery, type DiscoverySwitches } from './discovery/discovery.ts';
import { scanInterfaces } from './discovery/interfaces.ts';
import { KnownPeers } from './discovery/known-peers.ts';
import { NodeTime } from './local-time.ts';
import { bindHost, openUdp } from './udp.ts';

export interface Search {
  watch(onChange: (rooms: readonly RoomListing[]) => void): Disposable;
  rooms(): readonly RoomListing[];
  ask(address: Address): void;
  state(): DiscoveryState;
  readonly isMdnsHooked: boolean;
  close(): Promise<void>;
}

/** Rejects with `bind-failed`. */
export async function openSearch(
  options: { readonly interfaces?: readonly string[]; readonly game?: GameFacts; readonly discovery?: DiscoverySwitches } = {},
): Promise<Search> {
  const interfaces = options.interfaces ?? [];
  const nics = interfaces.length === 0 ? [] : scanInterfaces(networkInterfaces, interfaces);
  let discovery: Discovery | undefined;
  const udp = await openUdp({
    host: bindHost(nics.map((nic) => nic.address)),
    onDatagram: (_socket, host, port, bytes) => void discovery?.handleDatagram(host, port, bytes),
  });
  const seed = nodeCrypto.randomBytes(4);
  const made = new Discovery({
    self: peerIdOf(nodeCrypto.generateKeyPair().publicKey, nodeCrypto),
    game: options.game,
    crypto: nodeCrypto,
    rng: createRng(new DataView(seed.buffer, seed.byteOffset).getUint32(0)),
    udp,
    time: new NodeTime(),
    readInterfaces: networkInterfaces,
    interfaces,
    switches: options.discovery ?? {},
    known: new KnownPeers(undefined, ''),
    facts: () => undefined,
    onMember: () => undefined,
    onNetworkChange: () => undefined,
  });
  discovery = made;
  return {
    watch: (onChange) => made.watch(onChange),
    rooms: () => made.rooms.listings,
    ask: (address) => made.ask(address),
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
