/**
 * `lanista/testing`: a network and a clock of your own, for tests that need many peers, bad luck and
 * the same luck again.
 */
export { createRng } from '../base/rng.ts';
export { Agreement } from './agreement.ts';
export { Netem, swarmOptions } from './netem.ts';
export type { NetemCounts, NetemDatagram, NetemOptions } from './netem.ts';
export { NonceRegistry, createSimCrypto } from './sim-crypto.ts';
export { World, WorldPeer } from './world.ts';
export type { WorldOptions, WorldWatcher } from './world.ts';
