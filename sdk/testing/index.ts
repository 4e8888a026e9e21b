/**
 * `lanista/testing`: a network and a clock of your own, for tests that need many peers, bad luck and
 * the same luck again.
 */
export { createRng } from '../base/rng.ts';
export { Agreement } from './agreement.ts';
export { Host, JOIN_PORT, SESSION_PORT } from './host.ts';
export type { HeldDatagram, HostProcess } from './host.ts';
export { Hosts } from './hosts.ts';
export type { HostsOptions } from './hosts.ts';
export { Netem, swarmOptions } from './netem.ts';
export type { NetemCounts, NetemDatagram, NetemOptions } from './netem.ts';
export { NonceRegistry, createSimCrypto } from './sim-crypto.ts';
export { World, WorldPeer } from './world.ts';
export type { StartOptions, WorldOptions, WorldWatcher } from './world.ts';
