/**
 * What the edges see of the mesh. `Mesh` (mesh.ts) is a `RoomPort` plus the way in and out for
 * datagrams; `node/driver.ts` and `testing/world.ts` are the only ones that feed it.
 */
import type { RoomId } from '../base/brand.ts';
import type { Rng } from '../base/rng.ts';
import type { Address, SocketKind, Transmit } from '../link/endpoint-types.ts';
import type { GameFacts } from '../port/lan-port.ts';
import type { LeaveReason, RoomPort } from '../port/port.ts';
import type { CryptoProvider, KeyPair } from '../secure/provider.ts';
import type { HereFacts } from '../wire/datagram.ts';

export interface MeshOptions {
  readonly crypto: CryptoProvider;
  readonly rng: Rng;
  readonly identity: KeyPair;
  readonly game: GameFacts;
  readonly roomId: RoomId;
  readonly name: string;
  readonly max: number;
  /** Room code of a locked room, already normalised; undefined for a public room. */
  readonly code: string | undefined;
  readonly spectate: boolean;
  /**
   * `found`: we are the first member (others may found the same room id at the same time; the parts
   * merge). `join`: we have no seat until a member gives us one.
   */
  readonly entry: 'found' | 'join';
  readonly joinPort: number;
  readonly sessionPort: number;
  /** Our own addresses (join port), told to the others; may change later with `setAddresses`. */
  readonly addresses: readonly Address[];
  /** Wall clock at the start, ms: seeds room time so that parts that merge are close. */
  readonly wallClockMs: number;
  readonly graceMs?: number;
  /** Whether that is the address of one machine; nobody is called at others. Without it every address may be called. */
  readonly mayCall?: (host: string) => boolean;
}

/** The room's facts as anybody may ask for them: what `HERE` carries. */
export interface RoomFacts extends HereFacts {
  /** Every address of those in `members`: whoever broadcasts from there knows the room. */
  readonly endpoints?: readonly Address[];
}

export type JoinState =
  | { readonly type: 'joining' }
  | { readonly type: 'joined' }
  | { readonly type: 'failed'; readonly reason: 'unreachable' | 'wrong-code' | 'room-full' | 'kicked' | 'incompatible' | 'copied' }
  | { readonly type: 'left'; readonly reason: LeaveReason | 'copied' };

/** Sans-IO; drain `pollTransmit`, then `poll` (from `RoomPort`), then `pollTimeout` after every call. */
export interface MeshLike extends RoomPort {
  readonly joinState: JoinState;
  facts(now: number): RoomFacts;

  handleDatagram(now: number, socket: SocketKind, host: string, port: number, bytes: Uint8Array): void;
  handleTimeout(now: number): void;

  /** Somebody of this room may answer there (join socket). Cheap to repeat; unknown ones are tried with back-off. */
  addCandidate(now: number, address: Address): void;
  setAddresses(now: number, addresses: readonly Address[]): void;

  /** False when `pollTransmit` would give nothing. */
  readonly waiting: boolean;
  pollTransmit(now: number): Transmit | undefined;
  pollTimeout(): number;
}
