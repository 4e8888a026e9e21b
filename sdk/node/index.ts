/**
 * `lanista/node`: the local process. Opens the LAN for a game that runs here, serves pages that play
 * through it, and looks at the network for those who debug it.
 */
import { randomInt } from 'node:crypto';

import type { AnyGame } from '../sync/definition.ts';
import type { Init } from '../sync/field.ts';
import { assertLanOptions, createLan } from '../room/lan.ts';
import type { Lan, LanOptions } from '../room/types.ts';
import { openNodeLanPort, type NodeLanOptions } from './lan-port.ts';

export { LanError } from '../base/errors.ts';
export type { LanErrorCode } from '../base/errors.ts';
export type { DiscoveryState, GameFacts, LanPort, NetworkCheck, RoomListing } from '../port/lan-port.ts';
export { BRIDGE_PATH, attachBridge, startBridge } from './bridge-server.ts';
export type {
  AttachBridgeOptions,
  AttachedBridge,
  Bridge,
  BridgeStats,
  GuestOptions,
  Guests,
  GuestStats,
  StartBridgeOptions,
} from './bridge-server.ts';
export { diagnose, exitCode } from './cli/doctor-checks.ts';
export type { DoctorFacts } from './cli/doctor-facts.ts';
export { examine } from './cli/doctor-probe.ts';
export type { DoctorOptions } from './cli/doctor-probe.ts';
export type { DiscoverySwitches } from './discovery/discovery.ts';
export { NodeLanPort, openNodeLanPort } from './lan-port.ts';
export type { NodeLanOptions } from './lan-port.ts';
export { openSearch } from './search.ts';
export type { Search } from './search.ts';
export { closeOnSignal } from './shutdown.ts';

export interface OpenLanOptions<G extends AnyGame> extends LanOptions<G>, NodeLanOptions {
  readonly presence: Init<G['presence']>;
}

/**
 * Opens this machine's LAN for `game`: sockets, profile, discovery. Rejects with `bind-failed`,
 * `no-network` (an interface that does not exist) or `bad-argument`.
 *
 * A process that is ended by Ctrl-C just falls silent, and the others wait for it to come back; `closeOnSignal` says
 * goodbye first.
 *
 * @example
 * const lan = await openLan(game, { presence: { name: 'Ann' } });
 * closeOnSignal(() => lan.close());
 */
export async function openLan<G extends AnyGame>(game: G, options: OpenLanOptions<G>): Promise<Lan<G>> {
  // Before there is a network to let go of.
  assertLanOptions(game, options);
  const port = await openNodeLanPort({ id: game.id, version: game.version, schemaHash: game.schemaHash }, options);
  try {
    return createLan(game, port, { presence: options.presence, randomU32: () => randomInt(2 ** 32) });
  } catch (error) {
    await port.close();
    throw error;
  }
}
