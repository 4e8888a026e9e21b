/**
 * The asking side of handshakes: every attempt of ours to connect, its answers and its repeats. The states of
 * one attempt are drawn in `attempt.ts`.
 */
import type { PeerId } from '../base/brand.ts';
import { equalBytes } from '../base/bytes.ts';
import { LanError } from '../base/errors.ts';
import { InitiatorHandshake } from '../secure/handshake.ts';
import { Session } from '../secure/session.ts';
import { NONCE_BYTES, decodeCookie, decodeResp, encodeFin, encodeHello, encodeInit } from '../wire/datagram.ts';
import { MAX_ATTEMPTS } from '../wire/limits.ts';
import { Attempt } from './attempt.ts';
import type { Address, AttemptId, ConnectFailure, DoorKey } from './endpoint-types.ts';
import type { Premises } from './premises.ts';

/** For so long the side with the lower nonce does not answer an INIT that crossed its own (ms). */
const CROSSING_MS = 300;
/** For so long the other side waits with its own handshake (ms). */
const PARK_MS = 1_000;
/** RESPs of one INIT that are tried: each costs a scalar multiplication, and who sees the INIT can send any number. */
const MAX_MISFITS = 16;
/** So many and no true one until the deadline are no damage on the way: somebody else answers there. */
const MISFITS_OF_OTHERS = 3;

export class Attempts {
  readonly #premises: Premises;
  readonly #self: PeerId;
  readonly #byId = new Map<AttemptId, Attempt>();
  readonly #byCid = new Map<number, Attempt>();
  #nextId = 1;
  /** Nobody is called anew. */
  #isShut = false;

  constructor(premises: Premises, self: PeerId) {
    this.#premises = premises;
    this.#self = self;
    premises.cidHolders.push(this);
  }

  get size(): number {
    return this.#byId.size;
  }

  hasCid(cid: number): boolean {
    return this.#byCid.has(cid);
  }

  /** The attempt that waits for a sealed packet under this connection id. */
  awaiting(cid: number): Attempt | undefined {
    const attempt = this.#byCid.get(cid);
    return attempt?.state.type === 'fin' ? attempt : undefined;
  }

  connect(now: number, address: Address, door: DoorKey, expect: PeerId | undefined, probe: boolean): AttemptId {
    if (door.mode === 'code' && door.code === undefined) throw new LanError('bad-argument', 'Connecting with a code needs the code.');
    const premises = this.#premises;
    const id = this.#nextId++ as AttemptId;
    if (this.#byId.size >= MAX_ATTEMPTS || (door.mode === 'member' && premises.door.roomKey === undefined)) {
      premises.tell({ type: 'failed', attempt: id, reason: this.#byId.size >= MAX_ATTEMPTS ? 'busy' : 'aborted' });
      return id;
    }
    const nonce = premises.options.crypto.randomBytes(NONCE_BYTES);
    const attempt = new Attempt(now, id, { host: address.host, port: address.port }, door, expect, probe, nonce, this.#hello(nonce));
    this.#byId.set(id, attempt);
    return id;
  }

  handleCookie(now: number, bytes: Uint8Array): void {
    const premises = this.#premises;
    const message = decodeCookie(bytes);
    if (message === undefined) return premises.drops.count('malformed');
    for (const attempt of this.#byId.values()) {
      if (attempt.state.type !== 'hello' || !equalBytes(attempt.nonce, message.nonce)) continue;
      if (attempt.isUntaken) return this.fail(attempt, 'wrong-code');
      const cid = premises.newCid();
      const context = premises.handshakeContext(cid, message.cookie);
      const handshake = new InitiatorHandshake(context, attempt.mode, { code: attempt.code, roomKey: premises.door.roomKey });
      const init = { cid, nonce: attempt.nonce, cookie: message.cookie, roomTag: premises.roomTag, noise: handshake.message1 };
      this.#byCid.set(cid, attempt);
      attempt.enter(now, { type: 'init', cid, since: now, handshake }, encodeInit(init).slice());
      return;
    }
    premises.drops.count('unexpected');
  }

  /** @param isAlive whether a peer has a link and was heard just now. */
  handleResp(now: number, bytes: Uint8Array, isAlive: (peer: PeerId) => boolean): void {
    const { drops, options } = this.#premises;
    const resp = decodeResp(bytes);
    if (resp === undefined) return drops.count('malformed');
    const attempt = this.#byCid.get(resp.cid);
    if (attempt === undefined || attempt.state.type !== 'init') return drops.count('unexpected');
    const { cid, handshake } = attempt.state;
    const result = attempt.misfits < MAX_MISFITS * (attempt.restarts + 1) ? handshake.handleMessage2(resp.noise) : undefined;
    if (result === undefined) {
      // Whoever sees the INIT may have answered it before the one that was asked.
      attempt.misfits++;
      return drops.count('handshake');
    }
    const { far, keys, cid: remoteCid } = result;
    if (far.peer === this.#self) return this.fail(attempt, attempt.isOwn ? 'self' : 'double');
    if (attempt.expect !== undefined && attempt.expect !== far.peer) return this.fail(attempt, 'incompatible', far.peer);
    if (attempt.probe && isAlive(far.peer)) return this.fail(attempt, 'linked', far.peer);
    const session = new Session({ crypto: options.crypto, sendKey: keys.send, receiveKey: keys.receive, remoteCid, now });
    const fin = encodeFin({ cid: remoteCid, noise: result.message3 }).slice();
    attempt.enter(now, { type: 'fin', cid, since: now, session, far }, fin);
  }

  /** @param isLinked whether a peer has a link already, which makes waiting for its answer needless. */
  handleTimeout(now: number, isLinked: (peer: PeerId) => boolean): void {
    for (const attempt of this.#byId.values()) {
      if (now >= attempt.deadline) this.fail(attempt, isOfOthers(attempt) ? 'incompatible' : 'timeout');
      else if (attempt.isUnheard(now)) {
        if (attempt.state.type === 'fin' && isLinked(attempt.state.far.peer)) this.fail(attempt, 'aborted');
        else {
          attempt.isUntaken = attempt.state.type === 'fin' && attempt.mode === 'code';
          this.#restart(now, attempt);
        }
      }
    }
  }

  handleStall(lateMs: number): void {
    for (const attempt of this.#byId.values()) attempt.excuse(lateMs);
  }

  /** The attempt whose datagram is due, marked as sent. */
  pollDue(now: number): Attempt | undefined {
    for (const attempt of this.#byId.values()) {
      if (attempt.nextAt > now) continue;
      attempt.onSent(now, this.#premises.options.rng);
      return attempt;
    }
    return undefined;
  }

  wakeAt(): number {
    let at = Infinity;
    if (this.#byId.size === 0) return at;
    for (const attempt of this.#byId.values()) at = Math.min(at, attempt.wakeAt);
    return at;
  }

  /**
   * Both sides opened at once. The one with the higher nonce lets its own handshake rest and answers; the
   * other one expects that and stays silent for a moment. True when this INIT is not to be answered.
   */
  crosses(now: number, host: string, port: number, nonce: Uint8Array): boolean {
    for (const attempt of this.#byId.values()) {
      if (attempt.state.type === 'fin' || attempt.address.port !== port || attempt.address.host !== host) continue;
      if (isLower(attempt.nonce, nonce)) return now - attempt.startedAt < CROSSING_MS;
      attempt.park(now + PARK_MS);
    }
    return false;
  }

  /** An INIT with this connection id came to our own door: whoever answers it with our key is us. */
  cameHome(cid: number): void {
    const attempt = this.#byCid.get(cid);
    if (attempt !== undefined) attempt.isOwn = true;
  }

  /**
   * An attempt of ours that a link opened by the other side makes needless. Not one that has sent FIN: its
   * session may already stand on the other side, and only the rule for twins picks the same one there.
   */
  neededNoMore(peer: PeerId, host: string, port: number): Attempt | undefined {
    for (const attempt of this.#byId.values()) {
      if (attempt.state.type === 'fin') continue;
      if (attempt.expect === peer) return attempt;
      if (attempt.address.host === host && attempt.address.port === port) return attempt;
    }
    return undefined;
  }

  forget(attempt: Attempt): void {
    this.#byId.delete(attempt.id);
    if (attempt.cid !== undefined) this.#byCid.delete(attempt.cid);
  }

  fail(attempt: Attempt, reason: ConnectFailure, found?: PeerId): void {
    this.forget(attempt);
    this.#premises.tell({ type: 'failed', attempt: attempt.id, reason, found });
  }

  /** Ends all but those that have sent FIN: the other side may have made the link already, and has to hear what becomes of it. */
  abort(): void {
    this.#isShut = true;
    for (const attempt of this.#byId.values()) if (attempt.state.type !== 'fin') this.fail(attempt, 'aborted');
  }

  /** Back to the start of an attempt, with everything fresh; its deadline stays. */
  #restart(now: number, attempt: Attempt): void {
    if (this.#isShut) return this.fail(attempt, 'aborted');
    attempt.restarts++;
    attempt.isOwn = false;
    if (attempt.cid !== undefined) this.#byCid.delete(attempt.cid);
    attempt.nonce = this.#premises.options.crypto.randomBytes(NONCE_BYTES);
    attempt.enter(now, { type: 'hello' }, this.#hello(attempt.nonce));
  }

  #hello(nonce: Uint8Array): Uint8Array {
    return encodeHello({ nonce, roomTag: this.#premises.roomTag }).slice();
  }
}

/** True when all that came for an answer was somebody else's. */
function isOfOthers({ state, misfits }: Attempt): boolean {
  return state.type === 'init' && misfits >= MISFITS_OF_OTHERS;
}

function isLower(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! < b[i]!;
  return false;
}
