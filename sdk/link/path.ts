/**
 * Where the peer is. A packet that opens proves who sent it, not that its source address is real: before
 * anything is sent to a new address, a random token has to come back from there.
 *
 *   steady --packet from elsewhere--> challenging(address) --token back from there--> steady(address)
 *                                     challenging          --1.4 s-->                 steady(old)
 *
 * Somebody on the path can carry a peer's packets on under any source, so what goes to such an address stays
 * small: a packet draws at most one challenge, three within 1.4 s (0, 200 and 600 ms after the first), and a
 * challenge is shorter than any packet that can draw it twice.
 *
 * A relayed path (`~PeerId`) is chosen by the mesh, never by a packet; while on one, the last direct
 * address is challenged every few seconds, so that the link returns to it by itself.
 */
import { equalBytes } from '../base/bytes.ts';
import { PATH_SWITCH_MS } from '../wire/limits.ts';
import type { Address } from './endpoint-types.ts';

const TRIES = 3;
const RETRY_MS = 200;
const DIRECT_RETRY_MS = 2_000;
/** How long an answer to the first of the challenges counts. */
const CHALLENGE_LIFE_MS = RETRY_MS * (2 ** TRIES - 1);

/** No address of a network begins with it. */
const TILDE = 0x7e;

export function isRelayedHost(host: string): boolean {
  return host.charCodeAt(0) === TILDE;
}

export function isRelayed(address: Address): boolean {
  return isRelayedHost(address.host);
}

/** Path frames for one packet. */
export interface PathFrames {
  readonly to: Address;
  readonly answer: Uint8Array | undefined;
  readonly challenge: Uint8Array | undefined;
}

export class Path {
  address: Address;
  /** Where a direct packet last proved itself; kept while relayed. */
  #direct: Address | undefined;
  #challenged: Address | undefined;
  #token: Uint8Array | undefined;
  #tries = 0;
  #nextTryAt = 0;
  #sendChallenge = false;
  #switchedAt = -Infinity;
  /** One answer waits at most; a newer challenge replaces it. */
  #answer: { readonly to: Address; readonly token: Uint8Array } | undefined;
  readonly #random: (size: number) => Uint8Array;
  /** When `handleTimeout` is wanted. */
  wakeAt = Infinity;

  constructor(address: Address, random: (size: number) => Uint8Array) {
    this.address = address;
    this.#direct = isRelayed(address) ? undefined : address;
    this.#random = random;
  }

  /** True when `poll` has something. */
  get waiting(): boolean {
    return this.#sendChallenge || this.#answer !== undefined;
  }

  isCurrent(host: string, port: number): boolean {
    return this.address.port === port && this.address.host === host;
  }

  /** The newest packet came from somewhere else. */
  onElsewhere(now: number, host: string, port: number): void {
    if (isRelayedHost(host) || now - this.#switchedAt < PATH_SWITCH_MS) return;
    const target = this.#challenged;
    if (target !== undefined && target.host === host && target.port === port) return this.#again(now);
    // While a challenge is open another address has to wait, or a flood of sources would starve the real one.
    if (target !== undefined && !isRelayed(this.address)) return;
    this.#begin(now, { host, port });
  }

  #begin(now: number, address: Address): void {
    this.#challenged = address;
    this.#token = this.#random(8);
    this.#tries = 1;
    this.#sendChallenge = true;
    this.#nextTryAt = now + RETRY_MS;
    this.wakeAt = this.#retriesItself() ? this.#nextTryAt : now + CHALLENGE_LIFE_MS;
  }

  /** Repeats the challenge, if it is time and any try is left. */
  #again(now: number): void {
    if (this.#tries >= TRIES || now < this.#nextTryAt) return;
    this.#sendChallenge = true;
    this.#nextTryAt = now + RETRY_MS * 2 ** this.#tries++;
  }

  /** The address that was left for a relay has proved itself, and may be blocked: no packet from there repeats the challenge. */
  #retriesItself(): boolean {
    return isRelayed(this.address) && this.#challenged === this.#direct;
  }

  onChallenge(host: string, port: number, token: Uint8Array): void {
    this.#answer = { to: { host, port }, token };
  }

  /** True when the answer moved the link. Undefined when it answers nothing we asked. */
  onResponse(now: number, host: string, port: number, token: Uint8Array): boolean | undefined {
    const target = this.#challenged;
    if (target === undefined || this.#token === undefined || !equalBytes(token, this.#token)) return undefined;
    if (target.host !== host || target.port !== port) return undefined;
    this.move(now, target);
    return true;
  }

  /** Switches at once, without a challenge. */
  move(now: number, address: Address): void {
    this.address = address;
    this.#challenged = undefined;
    this.#token = undefined;
    this.#sendChallenge = false;
    this.#switchedAt = now;
    if (!isRelayed(address)) this.#direct = address;
    this.wakeAt = isRelayed(address) && this.#direct !== undefined ? now + DIRECT_RETRY_MS : Infinity;
  }

  handleTimeout(now: number): void {
    if (now < this.wakeAt) return;
    if (this.#challenged === undefined) {
      this.wakeAt = Infinity;
      if (isRelayed(this.address) && this.#direct !== undefined) this.#begin(now, this.#direct);
    } else if (this.#retriesItself() && this.#tries < TRIES) {
      this.#again(now);
      this.wakeAt = this.#nextTryAt;
    } else {
      this.#challenged = undefined;
      this.#token = undefined;
      this.wakeAt = isRelayed(this.address) && this.#direct !== undefined ? now + DIRECT_RETRY_MS : Infinity;
    }
  }

  /** What has to leave to an address that may not be the link's own: an answer, a challenge, or both in one. */
  poll(): PathFrames | undefined {
    const answer = this.#answer;
    const target = this.#sendChallenge ? this.#challenged : undefined;
    const together = answer === undefined || (target?.host === answer.to.host && target.port === answer.to.port);
    const to = answer?.to ?? target;
    if (to === undefined) return undefined;
    this.#answer = undefined;
    if (together) this.#sendChallenge = false;
    return { to, answer: answer?.token, challenge: together && target !== undefined ? this.#token : undefined };
  }
}
