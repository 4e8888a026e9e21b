/**
 * The one error class of the public API, and the catalogue of its codes.
 *
 * It is for two of the four kinds of error: a mistake of the caller (thrown at once) and trouble in
 * the world (rejected or emitted). Bytes from a peer never become an error, they become a drop
 * reason; our own bugs are assertions.
 */

/** Every code a `LanError` can carry. Codes are stable; messages are for people and may change. */
export type LanErrorCode =
  /** A value passed to the API has the wrong type, range or shape. */
  | 'bad-argument'
  /** A definition given to `defineGame` cannot be used. */
  | 'bad-definition'
  /** A value assigned to an entity field or message does not fit its schema. */
  | 'bad-value'
  /** The name is not part of the game definition. */
  | 'unknown-name'
  /** Written to an entity that another peer has authority over. */
  | 'not-owner'
  /** The object was closed, left or despawned before this call. */
  | 'closed'
  /** The caller's `AbortSignal` fired. */
  | 'aborted'
  /** No answer within the time allowed. */
  | 'timeout'
  /** The peer a request was sent to left or went away. */
  | 'peer-gone'
  /** The far side has no handler for the request. */
  | 'no-handler'
  /** The far side's handler failed; `message` carries its words, `cause` is undefined: no error travels whole. */
  | 'handler-failed'
  /** The request was refused; of a room: another machine plays there with this player's key. */
  | 'refused'
  /** More than may be is under way: to a peer, or of calls that wait for an answer, or of entities in the room. */
  | 'queue-full'
  /** The message is larger than the stated bound. */
  | 'too-large'
  /** The room has no free seat. */
  | 'room-full'
  /** The room needs a code, or the code was wrong. */
  | 'wrong-code'
  /** Kicked from this room, or banned for its life. */
  | 'kicked'
  /** The room runs another game, version, schema or protocol. */
  | 'incompatible'
  /** No room or peer answered at that address. */
  | 'unreachable'
  /** A socket could not be bound. */
  | 'bind-failed'
  /** This machine has none of the network interfaces that were named. */
  | 'no-network'
  /** The local process refused or lost the page's connection. */
  | 'bridge';

export interface LanErrorOptions {
  /** What to do next, in plain words. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** An error with a stable `code`, a sentence, and (in `hint`) what to do next. */
export class LanError extends Error {
  readonly code: LanErrorCode;
  readonly hint: string | undefined;

  constructor(code: LanErrorCode, message: string, options: LanErrorOptions = {}) {
    super(options.hint === undefined ? message : `${message} ${options.hint}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'LanError';
    this.code = code;
    this.hint = options.hint;
  }
}
