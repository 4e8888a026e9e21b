/** Two endpoints on a bad network whose every datagram is read over their shoulder as it leaves. */
import { fromHex } from '../../sdk/base/bytes.ts';
import type { SocketKind } from '../../sdk/link/endpoint-types.ts';
import { ROOM, Rig, type Node } from '../link-rig.ts';
import { decodeDatagram, type Datagram, type Frame, type FrameOf } from './decoder.ts';
import { createRecordedCrypto, type RecordedCrypto } from './recorded-crypto.ts';
import { Wiretap, type Packet, type Seen } from './wiretap.ts';

/** The game's prologue of these endpoints, and the room key where they have one. */
const GAME = new Uint8Array([1]);
export const ROOM_KEY = new Uint8Array(32).fill(9);

interface Arrival {
  readonly seq: number;
  readonly at: number;
}

export class Tapped extends Rig {
  readonly crypto: RecordedCrypto = createRecordedCrypto();
  readonly tap: Wiretap;
  readonly seen: { readonly at: number; readonly from: string; readonly to: string; readonly what: Seen; readonly bytes: Uint8Array }[] = [];
  /** What arrived, by the cid it carried. */
  readonly arrived = new Map<number, Arrival[]>();

  constructor(options: ConstructorParameters<typeof Rig>[0], code?: string) {
    super(options);
    const roomKeys = (): readonly Uint8Array[] => [ROOM_KEY];
    this.tap = new Wiretap({ roomId: fromHex(ROOM)!, game: GAME, code, roomKeys, drawn: this.crypto.drawn });
    this.onSend = (from, socket, host, _port, bytes) => {
      const what = this.tap.see(socket, bytes.slice());
      this.seen.push({ at: this.now, from: from.host, to: host, what, bytes: bytes.slice() });
      return true;
    };
  }

  peer(host: string): Node {
    return this.add(host, ROOM, GAME, undefined, this.crypto.provider);
  }

  override deliver(node: Node, socket: SocketKind, host: string, port: number, bytes: Uint8Array): void {
    const datagram = decodeDatagram(bytes);
    if (datagram.kind === 'DATA') {
      const list = this.arrived.get(datagram.receiver) ?? [];
      this.arrived.set(datagram.receiver, list);
      if (!list.some((one) => one.seq === datagram.seq)) list.push({ seq: datagram.seq, at: this.now });
    }
    super.deliver(node, socket, host, port, bytes);
  }

  packets(from?: string): (Packet & { readonly at: number; readonly to: string })[] {
    return this.seen.flatMap(({ what, at, to, from: by }) =>
      what.type === 'packet' && (from === undefined || by === from) ? [{ ...what, at, to }] : [],
    );
  }

  framesOf<T extends Frame['type']>(type: T, from?: string): (FrameOf<T> & { readonly at: number; readonly toHost: string })[] {
    return this.packets(from).flatMap((packet) =>
      packet.frames.filter((frame) => frame.type === type).map((frame) => ({ ...(frame as FrameOf<T>), at: packet.at, toHost: packet.to })),
    );
  }

  plain<K extends Datagram['kind']>(kind: K): (Extract<Datagram, { kind: K }> & { readonly at: number; readonly from: string })[] {
    return this.seen.flatMap(({ what, at, from }) => {
      if (what.type !== 'plain' || what.datagram.kind !== kind) return [];
      return [{ ...(what.datagram as unknown as Extract<Datagram, { kind: K }>), at, from }];
    });
  }
}
