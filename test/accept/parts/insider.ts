/**
 * A member that lies. It holds a real seat at the door (cookie, Noise, session keys), but seals whatever
 * plaintext it likes: what stands behind the AEAD is attacked from here.
 */
import { ByteWriter, asciiBytes, concatBytes, fromHex } from '../../../sdk/base/bytes.ts';
import type { Endpoint } from '../../../sdk/link/endpoint.ts';
import type { EndpointEvent, SocketKind } from '../../../sdk/link/endpoint-types.ts';
import { InitiatorHandshake } from '../../../sdk/secure/handshake.ts';
import type { CryptoProvider } from '../../../sdk/secure/provider.ts';
import { Session } from '../../../sdk/secure/session.ts';
import { decodeCookie, decodeResp, encodeFin, encodeHello, encodeInit } from '../../../sdk/wire/datagram.ts';
import { PROTOCOL_VERSION } from '../../../sdk/wire/limits.ts';

export interface Sent {
  readonly socket: SocketKind;
  readonly host: string;
  readonly port: number;
  readonly bytes: Uint8Array;
}

/** Takes everything an endpoint has to say. */
export function drain(now: number, endpoint: Endpoint, events: EndpointEvent[] = []): Sent[] {
  const out: Sent[] = [];
  for (let t = endpoint.pollTransmit(now); t !== undefined; t = endpoint.pollTransmit(now))
    out.push({ socket: t.socket, host: t.host, port: t.port, bytes: t.bytes.slice() });
  for (let e = endpoint.pollEvent(); e !== undefined; e = endpoint.pollEvent()) events.push(e);
  endpoint.pollTimeout();
  return out;
}

export function roomTagOf(crypto: CryptoProvider, roomId: string): Uint8Array {
  return crypto.sha256(asciiBytes('lanista room'), fromHex(roomId)!).slice(0, 8);
}

export class Insider {
  readonly host: string;
  readonly #crypto: CryptoProvider;
  readonly #target: Endpoint;
  readonly #roomId: string;
  readonly #prologue: Uint8Array;
  readonly #identity;
  readonly #buffer = new Uint8Array(2_048);
  session: Session | undefined;
  /** What the target has sent us that we have not looked at. */
  readonly inbox: Uint8Array[] = [];
  /** Carries what the target sends to others; without it that is lost. */
  onOther: ((sent: Sent) => void) | undefined;
  /** Events of the target since we came. */
  readonly events: EndpointEvent[] = [];

  constructor(crypto: CryptoProvider, target: Endpoint, roomId: string, prologue: Uint8Array, host = 'insider') {
    this.#crypto = crypto;
    this.#target = target;
    this.#roomId = roomId;
    this.#prologue = prologue;
    this.#identity = crypto.generateKeyPair();
    this.host = host;
  }

  /** Shakes hands; false when the target does not answer. */
  connect(now: number): boolean {
    const knocked = this.knock(now);
    if (knocked === undefined) return false;
    this.inbox.length = 0;
    this.#hand(now, 'join', knocked.fin);
    return this.events.some((e) => e.type === 'linked');
  }

  /** Shakes hands up to the FIN, which it keeps; undefined when the target does not answer. */
  knock(now: number): { readonly cid: number; readonly fin: Uint8Array } | undefined {
    const crypto = this.#crypto;
    const roomTag = roomTagOf(crypto, this.#roomId);
    const nonce = crypto.randomBytes(8);
    const cookie = this.#ask(now, encodeHello({ nonce, roomTag }).slice(), decodeCookie)?.cookie;
    if (cookie === undefined) return undefined;
    const roomId = fromHex(this.#roomId)!;
    const cid = ((crypto.randomBytes(1)[0]! << 16) | 0x100_0001) >>> 0;
    const cidBytes = new ByteWriter(4).u32(cid).copy();
    const size = new ByteWriter(2).u16(this.#prologue.length).copy();
    const prologue = concatBytes(asciiBytes('lanista'), new Uint8Array([PROTOCOL_VERSION]), size, this.#prologue, roomId, cidBytes);
    const context = { crypto, identity: this.#identity, roomId, prologue, sid: concatBytes(cidBytes, cookie), sessionPort: 2, joinPort: 1 };
    const handshake = new InitiatorHandshake(context, 'open', { code: undefined, roomKey: undefined });
    const resp = this.#ask(now, encodeInit({ cid, nonce, cookie, roomTag, noise: handshake.message1 }).slice(), decodeResp);
    const result = resp === undefined ? undefined : handshake.handleMessage2(resp.noise.slice());
    if (resp === undefined || result === undefined) return undefined;
    this.session = new Session({ crypto, sendKey: result.keys.send, receiveKey: result.keys.receive, remoteCid: result.cid, now });
    return { cid: result.cid, fin: encodeFin({ cid: result.cid, noise: result.message3 }).slice() };
  }

  #ask<T>(now: number, bytes: Uint8Array, decode: (bytes: Uint8Array) => T | undefined): T | undefined {
    this.inbox.length = 0;
    this.#hand(now, 'join', bytes);
    for (const reply of this.inbox) {
      const message = decode(reply);
      if (message !== undefined) return message;
    }
    return undefined;
  }

  #hand(now: number, socket: 'join' | 'session', bytes: Uint8Array): void {
    this.#target.handleDatagram(now, socket, this.host, socket === 'join' ? 1 : 2, bytes);
    this.collect(now);
  }

  /** Empties the target's queues into `inbox` and `events`. */
  collect(now: number): void {
    for (const sent of drain(now, this.#target, this.events)) {
      if (sent.host === this.host) this.inbox.push(sent.bytes);
      else this.onOther?.(sent);
    }
  }

  seal(now: number, plain: Uint8Array): Uint8Array {
    const size = this.session!.seal(now, plain, this.#buffer);
    return this.#buffer.slice(0, size);
  }

  /** Seals any plaintext and hands it to the target. */
  send(now: number, plain: Uint8Array): void {
    this.#hand(now, 'session', this.seal(now, plain));
  }

  /** Plaintext of one datagram of the target, or undefined. */
  open(now: number, datagram: Uint8Array): Uint8Array | undefined {
    const out = new Uint8Array(2_048);
    const size = this.session!.open(now, datagram, out);
    return typeof size === 'number' ? out.subarray(0, size) : undefined;
  }

  get linked(): boolean {
    const last = this.events.findLast((e) => e.type === 'linked' || e.type === 'closed');
    return last?.type === 'linked';
  }
}
