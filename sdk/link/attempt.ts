/**
 * One attempt of ours to connect.
 *
 *   hello --COOKIE--> init --RESP--> fin --first sealed packet--> linked
 *   any --repeats at 100, 200, 400 … ms until the deadline--> failed
 *   init --RESP that does not open--> init (whoever stands on the way may answer first: at the deadline `incompatible`)
 *   init --RESP of another peer than expected, or of one whose link is alive to a probe--> failed
 *   init --no RESP for INIT_PATIENCE_MS--> hello (once)
 *   fin --no packet for FIN_PATIENCE_MS--> hello; where a code was tried: --COOKIE--> failed as `wrong-code`
 */
import type { PeerId } from '../base/brand.ts';
import type { Rng } from '../base/rng.ts';
import type { FarSide, InitiatorHandshake } from '../secure/handshake.ts';
import type { Session } from '../secure/session.ts';
import { HANDSHAKE_RETRY_MS, HANDSHAKE_TIMEOUT_MS } from '../wire/limits.ts';
import type { Address, AttemptId, DoorKey, DoorMode } from './endpoint-types.ts';

/** How long FIN is repeated before the answer counts as "no". A wrong code is answered with silence, and so is everything by who is gone meanwhile. */
const FIN_PATIENCE_MS = 2_000;

/**
 * How long INIT is repeated before the attempt begins anew, once: its cookie may have been a forgery, which the
 * other side drops in silence.
 */
const INIT_PATIENCE_MS = 2_500;

/** Longest pause between repeats. */
const MAX_RETRY_MS = 800;

export type AttemptState =
  | { readonly type: 'hello' }
  | { readonly type: 'init'; readonly cid: number; readonly since: number; readonly handshake: InitiatorHandshake }
  | { readonly type: 'fin'; readonly cid: number; readonly since: number; readonly session: Session; readonly far: FarSide };

export class Attempt {
  readonly id: AttemptId;
  readonly address: Address;
  readonly mode: DoorMode;
  readonly code: string | undefined;
  readonly expect: PeerId | undefined;
  /** Ends where somebody answers whose link is alive. */
  readonly probe: boolean;
  readonly startedAt: number;
  deadline: number;
  nonce: Uint8Array;
  state: AttemptState = { type: 'hello' };
  /** What is repeated. */
  datagram: Uint8Array;
  nextAt: number;
  restarts = 0;
  /** RESPs that did not open. */
  misfits = 0;
  /** FIN with a code was met with silence: if anybody still opens there, the code is wrong. */
  isUntaken = false;
  /** Our own door was asked. */
  isOwn = false;
  #waitMs = HANDSHAKE_RETRY_MS;

  constructor(
    now: number,
    id: AttemptId,
    address: Address,
    door: DoorKey,
    expect: PeerId | undefined,
    probe: boolean,
    nonce: Uint8Array,
    hello: Uint8Array,
  ) {
    this.id = id;
    this.address = address;
    this.mode = door.mode;
    this.code = door.code;
    this.expect = expect;
    this.probe = probe;
    this.nonce = nonce;
    this.datagram = hello;
    this.startedAt = now;
    this.deadline = now + HANDSHAKE_TIMEOUT_MS;
    this.nextAt = now;
  }

  /** Our connection id; undefined before INIT. */
  get cid(): number | undefined {
    return this.state.type === 'hello' ? undefined : this.state.cid;
  }

  /** A new state, with something new to send at once. */
  enter(now: number, state: AttemptState, datagram: Uint8Array): void {
    this.state = state;
    this.datagram = datagram;
    this.#waitMs = HANDSHAKE_RETRY_MS;
    this.nextAt = now;
  }

  /** Called when the datagram leaves: sets the time of its repetition, jittered by a fifth. */
  onSent(now: number, rng: Rng): void {
    this.nextAt = now + this.#waitMs * (0.8 + 0.4 * rng.float());
    this.#waitMs = Math.min(MAX_RETRY_MS, this.#waitMs * 2);
  }

  /** True when the other side has had our datagram and its repeats for long, and says nothing. */
  isUnheard(now: number): boolean {
    return now >= this.#patienceUntil();
  }

  #patienceUntil(): number {
    if (this.state.type === 'fin') return this.state.since + FIN_PATIENCE_MS;
    return this.state.type === 'init' && this.restarts === 0 ? this.state.since + INIT_PATIENCE_MS : Infinity;
  }

  get wakeAt(): number {
    return Math.min(this.nextAt, this.deadline, this.#patienceUntil());
  }

  /** We did not run for so long (ms): an answer may lie in the socket. */
  excuse(lateMs: number): void {
    this.deadline += lateMs;
    if (this.state.type !== 'hello') this.state = { ...this.state, since: this.state.since + lateMs };
  }

  /** The peer answers us with a handshake of its own: ours waits, in case that one fails. */
  park(until: number): void {
    if (this.nextAt < until) this.nextAt = until;
  }
}
