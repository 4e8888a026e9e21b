/**
 * Why input was refused: the closed list, and its counters.
 */

export const DROP_REASONS = [
  'empty', // no bytes
  'oversize', // larger than any datagram of ours
  'kind', // first byte unknown, or on the wrong socket
  'malformed', // a handshake datagram that does not parse
  'room', // for a room that is not ours
  'cookie', // the cookie does not verify or is too old
  'rate', // too many handshakes from one source, or cookies in all
  'door', // we do not accept this mode
  'code-guess', // code joins are suspended after too many wrong codes
  'unexpected', // no handshake of ours waits for it
  'handshake', // Noise refused it
  'half-open', // too many handshakes under way: the oldest gave way
  'duplicate', // a repeated handshake datagram that is no longer answered
  'links', // no room for another link
  'link', // sealed for a connection we do not know
  'seal', // the tag does not verify
  'replay', // opened before, or too old to tell
  'frame', // a packet that does not parse
  'unsent-ack', // acknowledges what never left
  'held', // no memory for it now; it comes again
  'reliable', // breaks a rule of the reliable channel
  'late', // an older sequenced message
  'pong', // answers no ping of ours
  'path', // answers no challenge of ours
  'closing', // for a link that is saying goodbye
] as const;

export type DropReason = (typeof DROP_REASONS)[number];

export class Drops {
  readonly counts: Record<string, number> = {};

  count(reason: DropReason): void {
    this.counts[reason] = (this.counts[reason] ?? 0) + 1;
  }
}
