/**
 * What the parts of one endpoint share: who we are, which room this is, what a stranger must prove, and the
 * queues of what leaves on the join socket and of what the mesh has to hear.
 */
import { ByteWriter, asciiBytes, concatBytes, fromHex } from '../base/bytes.ts';
import { LanError } from '../base/errors.ts';
import type { HandshakeContext } from '../secure/handshake.ts';
import { ROOM_TAG_BYTES } from '../wire/datagram.ts';
import { PROTOCOL_VERSION } from '../wire/limits.ts';
import { Drops } from './drops.ts';
import type { Address, EndpointEvent, EndpointOptions } from './endpoint-types.ts';
import { isRelayed } from './path.ts';

export interface DoorSecrets {
  readonly open: boolean;
  readonly code: string | undefined;
  readonly roomKey: Uint8Array | undefined;
}

/** A handshake datagram on its way out. */
export interface JoinDatagram {
  readonly host: string;
  readonly port: number;
  readonly bytes: Uint8Array;
}

export class Premises {
  readonly options: EndpointOptions;
  readonly roomTag: Uint8Array;
  readonly drops = new Drops();
  readonly answers: JoinDatagram[] = [];
  /** Those whose connection ids must differ. */
  readonly cidHolders: { hasCid(cid: number): boolean }[] = [];
  door: DoorSecrets = { open: false, code: undefined, roomKey: undefined };
  readonly #roomId: Uint8Array;
  /** Between `#eventHead` and `#eventEnd`; starts over whenever it is empty, and is never shortened. */
  readonly #events: (EndpointEvent | undefined)[] = [];
  #eventHead = 0;
  #eventEnd = 0;

  constructor(options: EndpointOptions) {
    const roomId = fromHex(options.roomId);
    if (roomId === undefined || roomId.length !== 16) throw new LanError('bad-argument', 'A room id is 32 hexadecimal characters.');
    this.options = options;
    this.#roomId = roomId;
    this.roomTag = options.crypto.sha256(asciiBytes('lanista room'), roomId).slice(0, ROOM_TAG_BYTES);
  }

  tell(event: EndpointEvent): void {
    this.#events[this.#eventEnd++] = event;
  }

  pollEvent(): EndpointEvent | undefined {
    if (this.#eventHead === this.#eventEnd) return undefined;
    const event = this.#events[this.#eventHead];
    this.#events[this.#eventHead++] = undefined;
    if (this.#eventHead === this.#eventEnd) this.#eventHead = this.#eventEnd = 0;
    return event;
  }

  answer(host: string, port: number, bytes: Uint8Array): void {
    this.answers.push({ host, port, bytes });
  }

  handshakeContext(initiatorCid: number, cookie: Uint8Array): HandshakeContext {
    const { crypto, identity, sessionPort, joinPort, prologue } = this.options;
    const cid = new ByteWriter(4).u32(initiatorCid).copy();
    const bound = concatBytes(
      asciiBytes('lanista'),
      new Uint8Array([PROTOCOL_VERSION]),
      new ByteWriter(2).u16(prologue.length).copy(),
      prologue,
      this.#roomId,
      cid,
    );
    return { crypto, identity, roomId: this.#roomId, prologue: bound, sid: concatBytes(cid, cookie), sessionPort, joinPort };
  }

  /** Random, so that a stranger cannot aim at a link; unique among everything that is addressed by one. */
  newCid(): number {
    for (;;) {
      const bytes = this.options.crypto.randomBytes(4);
      const cid = ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 0;
      if (cid !== 0 && !this.cidHolders.some((holder) => holder.hasCid(cid))) return cid;
    }
  }
}

/** Where the sealed packets go: same host, the port told in the handshake. A relayed path has no ports. */
export function sessionAddress(join: Address, sessionPort: number): Address {
  return isRelayed(join) ? { host: join.host, port: join.port } : { host: join.host, port: sessionPort };
}
