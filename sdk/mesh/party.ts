/**
 * What the parts of a mesh share: the links, the words, the time, and the way to speak. Built once by
 * `mesh.ts`; the parts know each other only through it.
 */
import type { PeerId } from '../base/brand.ts';
import type { Address, EndpointLike } from '../link/endpoint-types.ts';
import type { PortDeparture, PortEvent } from '../port/port.ts';
import type { LinkState } from './link-state.ts';
import type { Links } from './links.ts';
import type { MeshOptions } from './mesh-types.ts';
import type { MeshMessage } from './messages.ts';
import type { RoomTime } from './room-time.ts';

export interface Party {
  readonly self: PeerId;
  /** Random number of this process's life in the room. */
  readonly instance: number;
  readonly options: MeshOptions;
  readonly endpoint: EndpointLike;
  readonly links: Links;
  readonly linkState: LinkState;
  readonly time: RoomTime;
  /** Reliable control message; false when there is no link. */
  send(now: number, peer: PeerId, message: MeshMessage): boolean;
  emit(event: PortEvent): void;
  /** Somebody of this room may answer there. */
  call(now: number, address: Address): void;
  /** The list of seats changed. */
  onRoster(left: readonly PortDeparture[]): void;
  /** Something changed that others should hear of at once. */
  hurry(now: number): void;
}
