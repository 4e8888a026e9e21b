/**
 * `lanista/browser`: the page. No `node:` anywhere below this file.
 */
export type { EntityId, PeerId, RoomId, Slot, Tick } from '../base/brand.ts';
export { LanError } from '../base/errors.ts';
export type { LanErrorCode } from '../base/errors.ts';
export { BridgeClient } from './bridge-client.ts';
export type { BridgeClientOptions, BridgeState, KeptSeat } from './bridge-client.ts';
export { connectLan, openPageLan } from './connect-lan.ts';
export type { ConnectOptions, PageLan } from './connect-lan.ts';
export type { PageWebSocket } from './page-socket.ts';
export { TickSource } from './tick-source.ts';
export type { PageClock } from './tick-source.ts';
export type { DiscoveryState, GameFacts, LanPort, LocalTime, NetworkCheck, RoomListing } from '../port/lan-port.ts';
export type { LeaveReason, PeerStats, SeatStatus } from '../port/port.ts';
export type { AnyGame } from '../sync/definition.ts';
export type * from '../room/types.ts';
