/**
 * The seam one level up: finding rooms and opening one. Same three implementations as `RoomPort`.
 */
import type { PeerId, RoomId } from '../base/brand.ts';
import type { RoomPort } from './port.ts';

/** Time and wake-ups, given by the edge that owns the loop. */
export interface LocalTime {
  /** Monotonic ms. */
  now(): number;
  /**
   * Calls `tick` once at or soon after monotonic time `at`; a new call replaces the one before.
   * In a page this keeps working while the tab is hidden.
   */
  schedule(at: number, tick: () => void): void;
  /** Forgets what was scheduled. */
  cancel(): void;
}

/** A room somebody answered for, as the list shows it. */
export interface RoomListing {
  readonly id: RoomId;
  readonly name: string;
  readonly players: number;
  readonly max: number;
  readonly locked: boolean;
  /** ms, or undefined until measured. */
  readonly pingMs: number | undefined;
  readonly gameId: string;
  readonly version: number;
  readonly schemaHash: number;
  readonly compatible: boolean;
  /** Why not, in words ("runs version 3, you run version 2"); undefined when compatible. */
  readonly reason: string | undefined;
  /** Where it answers; opaque to the game. */
  readonly address: string;
}

/** What the network half has to know of a game. */
export interface GameFacts {
  readonly id: string;
  /** u16. */
  readonly version: number;
  /** u32 over everything that must be equal on both sides. */
  readonly schemaHash: number;
}

export type OpenRequest =
  | { readonly type: 'create'; readonly name: string; readonly max: number; readonly code: string | undefined; readonly spectate: boolean }
  /** `target`: a `RoomListing.id`, `host:port`, or a join code that encodes an address. */
  | { readonly type: 'join'; readonly target: string; readonly code: string | undefined; readonly spectate: boolean }
  | { readonly type: 'join-or-create'; readonly name: string; readonly max: number; readonly code: string | undefined; readonly spectate: boolean };

export type DiscoverySource = 'local' | 'mdns' | 'beacon' | 'known' | 'direct' | 'gossip';

export interface DiscoveryState {
  readonly level: 'ok' | 'degraded' | 'unavailable';
  /** Plain sentences, empty when ok. */
  readonly reasons: readonly string[];
}

/** One thing the doctor looked at. */
export interface NetworkCheck {
  /** Stable, for programs: `interfaces`, `multicast:eth0`, … */
  readonly id: string;
  readonly level: 'ok' | 'warn' | 'fail';
  /** What is, in one sentence. */
  readonly what: string;
  /** What to do, in one sentence; empty when nothing. */
  readonly fix: string;
}

export interface LanPort {
  readonly self: PeerId;
  readonly time: LocalTime;
  /** Rejects with `LanError`: `room-full`, `wrong-code`, `kicked`, `incompatible`, `unreachable`, `aborted`. */
  open(request: OpenRequest, signal?: AbortSignal): Promise<RoomPort>;
  /** Calls `onChange` with the whole list now and after each change, until disposed. */
  watchRooms(onChange: (rooms: readonly RoomListing[]) => void): Disposable;
  discovery(): DiscoveryState;
  /** What another machine's `open` takes as `target` to reach this one; undefined without a network. */
  joinCode(): string | undefined;
  /**
   * Looks at the network as `lanista doctor` does: what is well, and what keeps players apart, with the fix. Takes
   * 3 to 8 s. Rejects with `bind-failed`, or `bridge` when the process is gone.
   */
  diagnose(): Promise<readonly NetworkCheck[]>;
  /**
   * The hash of `bytes`, 32 bytes: SHA-256, and in memory a quick one that is equal for equal bytes. They are not changed until it is there. A page has it
   * from its process, for a guest's has no cryptography of its own. Rejects with `bridge` when the process is gone.
   */
  digest(bytes: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}
