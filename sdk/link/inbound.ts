/**
 * The receiving half of a link: takes one opened packet apart and hands every frame to its owner.
 *
 * A packet counts as received (is acknowledged, moves the loss figures) only when every frame of it was
 * taken; what that means for the link is the link's to decide, from the verdict.
 */
import { Sheets } from '../base/bytes.ts';
import type { Channel } from '../port/port.ts';
import {
  CLOSE_REASONS,
  FRAME_ACK,
  FRAME_CLOSE,
  FRAME_FRAGMENT,
  FRAME_MTU_ACK,
  FRAME_MTU_PROBE,
  FRAME_PATH_CHALLENGE,
  FRAME_PATH_RESPONSE,
  FRAME_PING,
  FRAME_PONG,
  FRAME_RELIABLE,
  FRAME_SEQUENCED,
  FRAME_UNRELIABLE,
  FrameReader,
} from '../wire/frame.ts';
import type { DropReason } from './drops.ts';
import type { CloseReason } from './endpoint-types.ts';
import type { HeldBudget, HeldOwner } from './held-budget.ts';
import type { Outbound } from './outbound.ts';
import type { Path } from './path.ts';
import { SequencedReceive } from './realtime.ts';
import { ReliableReceive, type PieceVerdict } from './reliable-receive.ts';

/** What the frames of a packet do to the link around this half. */
export interface InboundOwner extends HeldOwner {
  readonly finished: boolean;
  deliver(channel: Channel, lane: number, bytes: Uint8Array): void;
  drop(reason: DropReason): void;
  /** The path was validated and is another one now. */
  moved(now: number): void;
}

/**
 * - `taken`: every frame was taken.
 * - `later`: there is no memory for a piece of it now. Not acknowledged, so it comes again; nobody's fault.
 * - `refused`: a frame breaks a rule; `refusal` says which. Not acknowledged.
 * - `lied`: it acknowledges what never left, which cannot happen by accident.
 * - `closed`: the peer said goodbye; `closeReason` is its word.
 * - `gone`: a message's handler ended the link.
 */
export type PacketVerdict = 'taken' | 'later' | 'refused' | 'lied' | 'closed' | 'gone';

/** One reader serves all links: it is not used across calls. */
const reader = new FrameReader();

/** Of realtime messages, which leave the link at once. */
const sheets = new Sheets();

export class Inbound {
  readonly #owner: InboundOwner;
  readonly #path: Path;
  readonly #out: Outbound;
  readonly #reliable: ReliableReceive;
  readonly #sequenced = new SequencedReceive();

  /** Of the last packet: something in it wants to be acknowledged; some of that was reliable. */
  eliciting = false;
  reliable = false;
  refusal: DropReason = 'frame';
  closeReason: CloseReason = 'bye';

  constructor(owner: InboundOwner, path: Path, out: Outbound, budget: HeldBudget) {
    this.#owner = owner;
    this.#path = path;
    this.#out = out;
    this.#reliable = new ReliableReceive(budget, owner, (lane, bytes) => owner.deliver('reliable', lane, bytes));
  }

  release(): void {
    this.#reliable.release();
  }

  /** @param closing after our goodbye only acknowledgements and the peer's goodbye count. */
  read(now: number, plain: Uint8Array, size: number, datagramBytes: number, host: string, port: number, closing: boolean): PacketVerdict {
    reader.reset(plain, size);
    this.eliciting = false;
    this.reliable = false;
    for (;;) {
      const type = reader.next();
      if (type === 0) return 'taken';
      if (type < 0) return this.#refuse('frame');
      if (type === FRAME_ACK) {
        if (!this.#out.handleAck(now, reader.id, reader.a, reader.b, reader.c)) return 'lied';
        continue;
      }
      if (type === FRAME_CLOSE) {
        this.closeReason = CLOSE_REASONS[reader.c]!;
        return 'closed';
      }
      this.eliciting = true;
      if (closing) continue;
      let verdict: PieceVerdict = 'ok';
      switch (type) {
        case FRAME_RELIABLE:
          this.reliable = true;
          verdict = this.#reliable.whole(now, reader.lane, reader.id, plain, reader.bodyAt, reader.bodySize);
          break;
        case FRAME_FRAGMENT:
          this.reliable = true;
          verdict = this.#reliable.fragment(now, reader.lane, reader.id, reader.a, reader.b, reader.c, plain, reader.bodyAt, reader.bodySize);
          break;
        case FRAME_SEQUENCED:
          if (this.#sequenced.accept(reader.lane, reader.id))
            this.#owner.deliver('sequenced', reader.lane, sheets.copy(plain, reader.bodyAt, reader.bodyAt + reader.bodySize));
          else this.#owner.drop('late');
          break;
        case FRAME_UNRELIABLE:
          this.#owner.deliver('unreliable', reader.lane, sheets.copy(plain, reader.bodyAt, reader.bodyAt + reader.bodySize));
          break;
        default:
          if (!this.#control(now, type, plain, datagramBytes, host, port)) return this.#refuse('frame');
      }
      if (verdict === 'full') return 'later';
      if (verdict === 'broken') return this.#refuse('reliable');
      // A message handler's effects may have closed us; nothing of the rest counts then.
      if (this.#owner.finished) return 'gone';
    }
  }

  #refuse(reason: DropReason): PacketVerdict {
    this.refusal = reason;
    return 'refused';
  }

  /** Pings, path and MTU. False for a frame that contradicts its datagram. */
  #control(now: number, type: number, plain: Uint8Array, datagramBytes: number, host: string, port: number): boolean {
    switch (type) {
      case FRAME_PING:
        this.#out.pings.handlePing(now, reader.id);
        return true;
      case FRAME_PONG:
        if (!this.#out.handlePong(now, reader.id, reader.a, reader.b)) this.#owner.drop('pong');
        return true;
      case FRAME_PATH_CHALLENGE:
        this.#path.onChallenge(host, port, plain.slice(reader.bodyAt, reader.bodyAt + reader.bodySize));
        return true;
      case FRAME_PATH_RESPONSE: {
        const moved = this.#path.onResponse(now, host, port, plain.subarray(reader.bodyAt, reader.bodyAt + reader.bodySize));
        if (moved === undefined) this.#owner.drop('path');
        else this.#owner.moved(now);
        return true;
      }
      case FRAME_MTU_PROBE:
        if (reader.c !== datagramBytes) return false;
        this.#out.confirmMtu(datagramBytes);
        return true;
      case FRAME_MTU_ACK:
        this.#out.handleMtuAck(reader.c);
        return true;
      default:
        return true;
    }
  }
}
