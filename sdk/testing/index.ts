/**
 * `lanista/testing`: a network and a clock of your own, for tests that need many peers, bad luck and
 * the same luck again.
 *
 *   openMemoryRooms   rooms as a game sees them, for tests of a game
 *   syncTest          whether a simulation for `room.rollback` is deterministic
 *   World             the network half alone over an emulated network, for tests of what is below a room
 */
export { createRng } from '../base/rng.ts';
export { Agreement } from './agreement.ts';
export { Host, JOIN_PORT, SESSION_PORT } from './host.ts';
export type { HeldDatagram, HostProcess } from './host.ts';
export { Hosts } from './hosts.ts';
export type { HostsOptions } from './hosts.ts';
export { openMemoryRooms } from './memory-rooms.ts';
export type { MemoryJoinOptions, MemoryRooms, MemoryRoomsOptions } from './memory-rooms.ts';
export { Netem, swarmOptions } from './netem.ts';
export type { NetemCounts, NetemDatagram, NetemOptions } from './netem.ts';
export { NonceRegistry, createSimCrypto } from './sim-crypto.ts';
export { syncTest } from './sync-test.ts';
export type { SyncTestOptions, SyncTestResult } from './sync-test.ts';
export { World, WorldPeer } from './world.ts';
export type { StartOptions, WorldEntry, WorldOptions, WorldWatcher } from './world.ts';
