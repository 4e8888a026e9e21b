/**
 * Carries datagrams of pairs that cannot reach each other, over members that reach both. The carried
 * bytes are what the pair's endpoints sealed end to end: whoever carries them can read nothing and
 * alter nothing, only lose them.
 *
 *   endpoint -- datagram to "~X" --> wrap -- RELAY parts --> next hop ... -> X: unwrap -> endpoint
 *
 * A datagram may be larger than one message holds, so it travels in one or two parts. At each member
 * the count of hops falls; at zero the part is dropped, so no loop lives long.
 */
import type { PeerId } from '../base/brand.ts';
import { concatBytes } from '../base/bytes.ts';
import type { SocketKind } from '../link/endpoint-types.ts';
import { MAX_RELAY_HOPS, MAX_RELAY_PARTIALS } from '../wire/limits.ts';
import type { RelayPart } from './messages.ts';

/** Bytes of a datagram in one part: a message of `MAX_DATAGRAM_MESSAGE_BYTES` less the head of RELAY. */
const PART_BYTES = 1_040;

export interface Carried {
  readonly from: PeerId;
  readonly socket: SocketKind;
  readonly bytes: Uint8Array;
}

export class Relay {
  readonly #self: PeerId;
  readonly #partials = new Map<string, RelayPart>();
  #nextId = 0;

  constructor(self: PeerId) {
    this.#self = self;
  }

  /** The parts that carry `bytes` to `to`. Copies nothing: encode them before the bytes change. */
  wrap(to: PeerId, socket: SocketKind, bytes: Uint8Array): readonly RelayPart[] {
    const id = (this.#nextId = (this.#nextId + 1) & 0xffff);
    const parts = bytes.length > PART_BYTES ? 2 : 1;
    const out: RelayPart[] = [];
    for (let part = 0; part < parts; part++) {
      out.push({
        hops: MAX_RELAY_HOPS,
        from: this.#self,
        to,
        socket,
        id,
        part,
        parts,
        bytes: bytes.subarray(part * PART_BYTES, part === parts - 1 ? bytes.length : PART_BYTES),
      });
    }
    return out;
  }

  /** The same part for the next member, or undefined when it has come far enough. */
  forward(part: RelayPart): RelayPart | undefined {
    return part.hops <= 1 ? undefined : { ...part, hops: part.hops - 1 };
  }

  /** The whole datagram once its last part is here. */
  unwrap(part: RelayPart): Carried | undefined {
    if (part.parts === 1) return { from: part.from, socket: part.socket, bytes: part.bytes };
    const key = `${part.from} ${part.id}`;
    const other = this.#partials.get(key);
    if (other === undefined || other.part === part.part) {
      if (this.#partials.size >= MAX_RELAY_PARTIALS) this.#partials.delete(this.#partials.keys().next().value!);
      this.#partials.set(key, part);
      return undefined;
    }
    this.#partials.delete(key);
    const bytes = part.part === 1 ? concatBytes(other.bytes, part.bytes) : concatBytes(part.bytes, other.bytes);
    return { from: part.from, socket: part.socket, bytes };
  }
}
