/**
 * `lanista`: what page and process share. Definitions, the schema language, errors, deterministic
 * maths, and the types of rooms. Opening one is the business of `lanista/node` and `lanista/browser`.
 */
export type { EntityId, PeerId, RoomId, Slot, Tick } from './base/brand.ts';
export { LanError } from './base/errors.ts';
export type { LanErrorCode } from './base/errors.ts';
export { createRng } from './base/rng.ts';
export type { Rng } from './base/rng.ts';
export type { DiscoveryState, NetworkCheck, RoomListing } from './port/lan-port.ts';
export type { LeaveReason, PeerStats, SeatStatus } from './port/port.ts';
export { defineGame, entity, message, request } from './sync/definition.ts';
export type { AnyGame, Authority, Delivery, EntityDef, Game, MessageDef, OnOwnerLeave, RequestDef, Transfer } from './sync/definition.ts';
export * as det from './sync/det.ts';
export type { Field, Fields, Infer, Init } from './sync/field.ts';
export type { Difference } from './sync/rollback/data.ts';
export { simulation } from './sync/rollback/simulation.ts';
export type { Simulation, SimulationInit, SimulationPlayer } from './sync/rollback/simulation.ts';
export type {
  DesyncReport,
  PlayerStats,
  Rollback,
  RollbackCloseReason,
  RollbackEvents,
  RollbackOptions,
  RollbackStats,
  RollbackStatus,
} from './sync/rollback/types.ts';
export { s } from './sync/schema.ts';
export type { StandardSchemaV1 } from './sync/standard-schema.ts';
export type * from './room/types.ts';
