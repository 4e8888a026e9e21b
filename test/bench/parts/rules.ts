/** What a replica is told in a room with one owner and nothing to decide. */
import type { PeerId } from '../../../sdk/base/brand.ts';
import type { EntityHome } from '../../../sdk/sync/entity.ts';
import type { InboundRules } from '../../../sdk/sync/inbound-rules.ts';

/** @param room what differs between one such room and another. */
export function soleOwnerRules(room: {
  readonly self: string;
  readonly home: EntityHome;
  readonly hash: () => number;
  readonly diverged: () => void;
}): InboundRules {
  return {
    ...room,
    self: room.self as PeerId,
    judge: () => 'accept',
    judgeEnd: () => 'accept',
    tellBuried: () => undefined,
    tellNewer: () => undefined,
    bury: () => undefined,
    abandoned: () => true,
    yielded: () => undefined,
    settled: () => undefined,
  };
}
