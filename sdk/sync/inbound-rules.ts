/** What a peer's stream of state asks of the rest of the room, and what it is answered. */
import type { PeerId } from '../base/brand.ts';
import type { EntityCore, EntityHome } from './entity.ts';
import type { KindSpec } from './kind.ts';
import type { Grave } from './store.ts';

/**
 * What the rules of authority say to a claim. `later`: not decidable yet, so the tick must not be acked. `buried`: the entity was despawned by
 * a claim at least as good, and the sender has to be told so. `outbid`: this replica had it by a better claim, which the sender has to go above.
 */
export type Claim = 'accept' | 'refuse' | 'later' | 'buried' | 'outbid';

export interface InboundRules {
  readonly home: EntityHome;
  readonly self: PeerId;
  /** `core` is undefined for an entity that is new here. */
  judge(from: PeerId, kind: KindSpec, core: EntityCore | undefined, grave: Grave | undefined, epoch: number, session: number): Claim;
  /** What the end of the reign (`epoch`, `from`) means for `core`: `accept` when it ends here too. */
  judgeEnd(from: PeerId, core: EntityCore, epoch: number): Claim;
  /** Tells `to` that the entity was despawned. */
  tellBuried(to: PeerId, origin: number, counter: number, grave: Grave): void;
  /** Tells `to`, who started anew, of a reign of its own that is newer than what it says. */
  tellNewer(to: PeerId, core: EntityCore): void;
  /** `core` is despawned by the word of another peer. */
  bury(core: EntityCore, grave: Grave): void;
  /** The peer turned out not to have `core`. False when that is not sure, and it has to say everything once more. */
  abandoned(core: EntityCore): boolean;
  /** Authority over `core` moved to `from`. */
  yielded(core: EntityCore, previous: PeerId): void;
  /** All of the peer's full state has been applied. */
  settled(from: PeerId): void;
  /** This replica is not what the peer says it should be. */
  diverged(from: PeerId): void;
  hash(from: PeerId): number;
}
