/**
 * The answering side of handshakes. What comes here is from anybody; the obligations, in this order:
 *   1. size, kind, version, padding; 2. room tag; 3. cookie (nothing is stored, nothing is computed before
 *   it verifies); 4. the source's allowance; 5. Noise; and only then state. Every refusal is silent.
 */
import { equalBytes } from '../base/bytes.ts';
import { CookieJar } from '../secure/cookie.ts';
import { ResponderHandshake, type FarSide, type HandshakeKeys, type HandshakeMode } from '../secure/handshake.ts';
import { decodeFin, decodeHello, decodeInit, encodeCookie, encodeResp } from '../wire/datagram.ts';
import type { Attempts } from './attempts.ts';
import type { DropReason } from './drops.ts';
import { HalfOpenTable, type HalfOpen } from './half-open.ts';
import { JoinGuard } from './join-guard.ts';
import type { Premises } from './premises.ts';

/** A handshake that FIN completed: both sides proved their keys. */
export interface Entrant {
  readonly half: HalfOpen;
  readonly far: FarSide;
  readonly keys: HandshakeKeys;
}

export class Door {
  readonly #premises: Premises;
  readonly #attempts: Attempts;
  readonly #guard = new JoinGuard();
  readonly #halfOpen = new HalfOpenTable();
  #cookies: CookieJar | undefined;

  constructor(premises: Premises, attempts: Attempts) {
    this.#premises = premises;
    this.#attempts = attempts;
    premises.cidHolders.push(this);
  }

  /** Handshakes being answered. */
  get size(): number {
    return this.#halfOpen.size;
  }

  hasCid(cid: number): boolean {
    return this.#halfOpen.has(cid);
  }

  handleTimeout(now: number): void {
    this.#halfOpen.expire(now);
  }

  handleHello(now: number, host: string, port: number, bytes: Uint8Array): void {
    const { drops, roomTag, door } = this.#premises;
    const hello = decodeHello(bytes);
    if (hello === undefined) return drops.count('malformed');
    if (!equalBytes(hello.roomTag, roomTag)) return drops.count('room');
    if (!door.open && door.code === undefined && door.roomKey === undefined) return drops.count('door');
    if (!this.#guard.allowCookie(now)) return drops.count('rate');
    const cookie = this.#jar(now).issue(now, host, port, hello.nonce);
    this.#premises.answer(host, port, encodeCookie({ nonce: hello.nonce, cookie }).slice());
  }

  handleInit(now: number, host: string, port: number, bytes: Uint8Array): void {
    const premises = this.#premises;
    const { drops, door } = premises;
    const init = decodeInit(bytes);
    if (init === undefined) return drops.count('malformed');
    if (!equalBytes(init.roomTag, premises.roomTag)) return drops.count('room');
    if (!this.#jar(now).verify(now, init.cookie, host, port, init.nonce)) return drops.count('cookie');
    this.#attempts.cameHome(init.cid);
    const known = this.#halfOpen.find(init.cid, host, port, init.nonce);
    if (known !== undefined) {
      if (!this.#halfOpen.mayReplay(known)) return drops.count('duplicate');
      return premises.answer(host, port, known.resp);
    }
    if (this.#attempts.crosses(now, host, port, init.nonce)) return drops.count('unexpected');
    if (!this.#guard.allow(now, host)) return drops.count('rate');
    let refusal: DropReason = 'handshake';
    const allows = (mode: HandshakeMode): boolean => {
      const refused = this.#refusal(now, host, mode);
      refusal = refused ?? refusal;
      return refused === undefined;
    };
    const context = premises.handshakeContext(init.cid, init.cookie);
    const cid = premises.newCid();
    const handshake = ResponderHandshake.start(context, init.noise, { code: door.code, roomKey: door.roomKey }, allows, cid);
    if (handshake === undefined) return drops.count(refusal);
    const resp = encodeResp({ cid: init.cid, noise: handshake.message2 }).slice();
    const nonce = init.nonce.slice();
    const evicted = this.#halfOpen.add({ cid, remoteCid: init.cid, host, port, nonce, handshake, resp, startedAt: now, replays: 0 });
    if (evicted) drops.count('half-open');
    premises.answer(host, port, resp);
  }

  /** Undefined when the FIN was refused, `unknown` when it ends no handshake of ours. */
  handleFin(now: number, host: string, port: number, bytes: Uint8Array): Entrant | { readonly unknown: number } | undefined {
    const { drops } = this.#premises;
    const fin = decodeFin(bytes);
    if (fin === undefined) {
      drops.count('malformed');
      return undefined;
    }
    // Here, too: who has neither link nor attempt sets no timer.
    this.#halfOpen.expire(now);
    const half = this.#halfOpen.match(fin.cid, host, port);
    if (half === undefined) return { unknown: fin.cid };
    const { handshake } = half;
    // Asked again: the door may be shut by now, and of the codes that were tried at once each would be a guess past the limit.
    const refused = this.#refusal(now, host, handshake.mode);
    if (refused !== undefined) {
      drops.count(refused);
      return undefined;
    }
    const result = handshake.handleMessage3(fin.noise);
    if (result !== 'wrong-psk') {
      this.#halfOpen.remove(half);
      return { half, far: result.far, keys: result.keys };
    }
    // Noise under a borrowed address ends nothing and is no guess: the true FIN may still come.
    if (handshake.over) this.#halfOpen.remove(half);
    if (handshake.failedGuess && handshake.mode === 'code') this.#guard.onWrongCode(now, host);
    drops.count('handshake');
    return undefined;
  }

  #jar(now: number): CookieJar {
    return (this.#cookies ??= new CookieJar(now, this.#premises.options.crypto));
  }

  #refusal(now: number, host: string, mode: HandshakeMode): DropReason | undefined {
    const { door } = this.#premises;
    if (mode === 'open') return door.open ? undefined : 'door';
    if (mode === 'member') return door.roomKey === undefined ? 'door' : undefined;
    if (door.code === undefined) return 'door';
    return this.#guard.allowsCode(now, host) ? undefined : 'code-guess';
  }
}
