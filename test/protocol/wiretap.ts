/**
 * Reads captured datagrams as somebody who holds the players' secrets and `docs/protocol.md`: follows every handshake,
 * opens every packet, and checks on the way what the page says a sender keeps to. Throws `Malformed` at the first
 * byte that is not as written there.
 */
import { decodeDatagram, decodeFrames, HEADER_BYTES, socketOf, type Datagram, type Frame } from './decoder.ts';
import { Transcript, generator, open, peerId, prologueOf, pskOf, publicOf, ratchet, roomTag, x25519, type Hello, type Psk } from './keys.ts';
import { Malformed, hex, join, must, same, uint } from './reader.ts';

/** What the tap knows besides the page. */
export interface Secrets {
  readonly roomId: Uint8Array;
  /** The game's prologue. */
  readonly game: Uint8Array;
  readonly code: string | undefined;
  /** Asked when a member handshake is met: every room key seen so far. */
  readonly roomKeys: () => readonly Uint8Array[];
  /** Secret keys and CPace scalars drawn by the players, in any order. */
  readonly drawn: readonly Uint8Array[];
}

export interface Packet {
  readonly type: 'packet';
  readonly datagram: Extract<Datagram, { kind: 'DATA' }>;
  readonly from: string;
  readonly to: string;
  readonly session: Session;
  readonly direction: Direction;
  readonly frames: readonly Frame[];
  readonly plain: Uint8Array;
  readonly bytes: number;
}

export type Seen = Packet | { readonly type: 'plain'; readonly datagram: Exclude<Datagram, { kind: 'DATA' }> };

/** One way of one session. */
export class Direction {
  /** Peer id of the sender. */
  readonly from: string;
  key: Uint8Array;
  epoch = 0;
  newest = -1;
  lastSkip = -1;
  readonly skipped: number[] = [];
  largest = 1_200;
  probed = 0;
  /** Some of it went over members that lose packets unseen. */
  carried = false;
  /** Next id per lane of RELIABLE and FRAGMENT together, and of SEQUENCED. */
  readonly reliable = new Array<number>(8).fill(0);
  readonly sequenced = new Array<number>(8).fill(0);

  constructor(from: string, key: Uint8Array) {
    this.from = from;
    this.key = key;
  }
}

export interface Session {
  readonly mode: number;
  readonly initiator: string;
  readonly responder: string;
  readonly hellos: readonly [Hello, Hello];
  /** By the cid that the datagram carries. */
  readonly ways: ReadonlyMap<number, Direction>;
}

interface Handshake {
  readonly init: Extract<Datagram, { kind: 'INIT' }>;
  readonly first: Hello;
  readonly transcript: Transcript;
  second?: Hello;
  resp?: string;
  responder?: number;
}

export class Wiretap {
  readonly sessions: Session[] = [];
  readonly #secrets: Secrets;
  readonly #byPublic = new Map<string, Uint8Array>();
  #known = 0;
  readonly #hellos = new Set<string>();
  readonly #cookies = new Set<string>();
  readonly #byInitiator = new Map<number, Handshake>();
  readonly #byResponder = new Map<number, Handshake>();
  readonly #byCid = new Map<number, { session: Session; way: Direction }>();

  constructor(secrets: Secrets) {
    this.#secrets = secrets;
  }

  /**
   * One datagram, in the order in which they left.
   * @param carried taken out of RELAY messages: some may have been lost before anybody saw them.
   */
  see(socket: 'join' | 'session', bytes: Uint8Array, carried = false): Seen {
    const datagram = decodeDatagram(bytes);
    must(socketOf(datagram.kind) === socket, `${datagram.kind} on the ${socket} socket`);
    switch (datagram.kind) {
      case 'HELLO':
        must(datagram.roomTag === hex(roomTag(this.#secrets.roomId)), 'room tag');
        this.#hellos.add(datagram.nonce);
        break;
      case 'COOKIE':
        must(this.#hellos.has(datagram.nonce), 'a COOKIE for no HELLO');
        this.#cookies.add(datagram.cookie);
        break;
      case 'INIT':
        this.#init(datagram);
        break;
      case 'RESP':
        this.#resp(datagram, bytes);
        break;
      case 'FIN':
        this.#fin(datagram);
        break;
      case 'DATA':
        return this.#data(datagram, bytes, carried);
      default:
        break;
    }
    return { type: 'plain', datagram };
  }

  // ── handshake ───────────────────────────────────────────────────────────────────────────────────────

  #secretOf(publicKey: Uint8Array): Uint8Array | undefined {
    for (; this.#known < this.#secrets.drawn.length; this.#known++) {
      const secret = this.#secrets.drawn[this.#known]!;
      this.#byPublic.set(hex(publicOf(secret)), secret);
    }
    return this.#byPublic.get(hex(publicKey));
  }

  #init(init: Extract<Datagram, { kind: 'INIT' }>): void {
    must(init.roomTag === hex(roomTag(this.#secrets.roomId)), 'room tag');
    must(this.#cookies.has(init.cookie), 'an INIT with no COOKIE of ours');
    const known = this.#byInitiator.get(init.cid);
    if (known !== undefined) return must(same(known.init.noise, init.noise), 'two INITs of one cid');
    const transcript = new Transcript(prologueOf(this.#secrets.game, this.#secrets.roomId, init.cid), (key) => this.#secretOf(key));
    this.#byInitiator.set(init.cid, { init, transcript, first: transcript.message1(init.noise) });
  }

  #resp(resp: Extract<Datagram, { kind: 'RESP' }>, bytes: Uint8Array): void {
    const handshake = this.#byInitiator.get(resp.receiver);
    if (handshake === undefined) throw new Malformed('a RESP to nobody');
    if (handshake.resp !== undefined) return must(handshake.resp === hex(bytes), 'two RESPs to one INIT');
    handshake.resp = hex(bytes);
    const second = handshake.transcript.message2(resp.noise);
    handshake.responder = second.cid;
    handshake.second = second;
    must(second.mode === handshake.first.mode, 'another mode');
    this.#byResponder.set(second.cid, handshake);
  }

  #fin(fin: Extract<Datagram, { kind: 'FIN' }>): void {
    const handshake = this.#byResponder.get(fin.receiver);
    if (handshake === undefined) throw new Malformed('a FIN to nobody');
    const initiatorCid = handshake.init.cid;
    if (this.#byCid.has(initiatorCid)) return;
    const { first, second, transcript } = handshake;
    const keys = transcript.message3(fin.noise, () => this.#psk(handshake));
    const [initiator, responder] = [peerId(transcript.initiatorS), peerId(transcript.responderS)];
    const there = new Direction(initiator, keys.first);
    const back = new Direction(responder, keys.second);
    const ways = new Map([
      [fin.receiver, there],
      [initiatorCid, back],
    ]);
    const session: Session = { mode: first.mode, initiator, responder, hellos: [first, second!], ways };
    this.sessions.push(session);
    for (const [cid, way] of ways) this.#byCid.set(cid, { session, way });
  }

  #psk({ init, first, second, transcript }: Handshake): Uint8Array {
    const { roomId, code, drawn } = this.#secrets;
    const psk = (what: Psk): Uint8Array => pskOf(what);
    if (first.mode === 0) return psk({ mode: 0, roomId });
    if (first.mode === 2) {
      const roomKey = this.#secrets.roomKeys().at(-1);
      if (roomKey === undefined) throw new Malformed('no room key');
      return psk({ mode: 2, roomKey, peers: [peerId(transcript.initiatorS), peerId(transcript.responderS)] });
    }
    const sid = join(uint(init.cid, 4), Buffer.from(init.cookie, 'hex'));
    const g = generator(code!, roomId, sid);
    const scalar = drawn.findLast((secret) => same(x25519(secret, g), first.share));
    if (scalar === undefined) throw new Malformed('a share that is no scalar times the generator');
    return psk({ mode: 1, sid, scalar, initiatorShare: first.share, responderShare: second!.share });
  }

  // ── packets ─────────────────────────────────────────────────────────────────────────────────────────

  #data(datagram: Extract<Datagram, { kind: 'DATA' }>, bytes: Uint8Array, carried: boolean): Packet {
    const found = this.#byCid.get(datagram.receiver);
    if (found === undefined) throw new Malformed('DATA of no session');
    const { session, way } = found;
    if (carried) must(bytes.length <= 1_200, 'a relayed datagram too long');
    way.carried ||= carried;
    this.#number(way, datagram);
    const plain = open(way.key, datagram.seq, bytes.slice(0, HEADER_BYTES), datagram.sealed);
    if (plain === undefined) throw new Malformed(`packet ${datagram.seq} of ${way.from} does not open`);
    const frames = decodeFrames(plain, bytes.length);
    const to = way.from === session.initiator ? session.responder : session.initiator;
    keepsTo(
      way,
      [...session.ways.values()].find((other) => other !== way)!,
      frames,
      bytes.length,
    );
    return { type: 'packet', datagram, from: way.from, to, session, direction: way, frames, plain, bytes: bytes.length };
  }

  /** Sequence and epoch: from 0, one left out in every 64 to 511, one step of the ratchet at a time. */
  #number(way: Direction, { seq, epoch }: Extract<Datagram, { kind: 'DATA' }>): void {
    if (way.carried) must(seq > way.newest, `packet ${seq} after ${way.newest}`);
    else must(seq === way.newest + 1 || seq === way.newest + 2, `packet ${seq} after ${way.newest}`);
    if (way.carried) way.lastSkip = seq - 1;
    else if (seq === way.newest + 2) {
      const gap = seq - 1 - way.lastSkip - 1;
      must(gap >= 64 && gap <= 511, `a number left out after ${gap}`);
      way.lastSkip = seq - 1;
      way.skipped.push(seq - 1);
    }
    must(seq - way.lastSkip - 1 <= 511, 'no number left out for too long');
    way.newest = seq;
    if (epoch === way.epoch % 4) return;
    must(epoch === (way.epoch + 1) % 4, 'two epochs at once');
    way.epoch++;
    way.key = ratchet(way.key);
  }
}

const CONTROL = ['ACK', 'PONG', 'PING', 'MTU_ACK', 'MTU_PROBE', 'PATH_RESPONSE', 'PATH_CHALLENGE'];
const RANK = (frame: Frame): number => {
  const control = CONTROL.indexOf(frame.type);
  if (control >= 0) return control;
  return frame.type === 'CLOSE' ? 99 : frame.type === 'SEQUENCED' || frame.type === 'UNRELIABLE' ? 50 : 60;
};

/** What the page says of a sender. */
function keepsTo(way: Direction, other: Direction, frames: readonly Frame[], bytes: number): void {
  for (let i = 1; i < frames.length; i++) must(RANK(frames[i]!) >= RANK(frames[i - 1]!), `${frames[i]!.type} after ${frames[i - 1]!.type}`);
  const isPath = frames.some((frame) => frame.type.startsWith('PATH_'));
  if (isPath) must(bytes <= 27 + 18 && frames.every((frame) => frame.type.startsWith('PATH_')), 'more than path frames in such a packet');
  if (way.newest === 0)
    must(
      frames.some((frame) => frame.type === 'PING') || frames.every((frame) => frame.type === 'CLOSE' && frame.reason === 'replaced'),
      'a first packet without PING',
    );
  const isProbe = frames.some((frame) => frame.type === 'MTU_PROBE');
  if (!isProbe) must(bytes <= way.largest, `${bytes} bytes where ${way.largest} were confirmed`);
  for (const frame of frames) {
    switch (frame.type) {
      case 'MTU_PROBE':
        must([1_452, 1_372, 1_280].includes(frame.size), 'a probe of another size');
        way.probed = frame.size;
        break;
      case 'MTU_ACK':
        if (frame.size === other.probed) other.largest = Math.max(other.largest, frame.size);
        break;
      case 'ACK':
        must(frame.newest <= other.newest && !names(frame, other.skipped), 'an ACK of what was never sent');
        break;
      case 'RELIABLE':
      case 'FRAGMENT':
        must(frame.id <= way.reliable[frame.lane]!, 'an id left out');
        way.reliable[frame.lane] = Math.max(way.reliable[frame.lane]!, frame.id + 1);
        if (frame.type === 'RELIABLE') must(frame.bytes.length <= 1_120, 'a whole message too long');
        break;
      case 'SEQUENCED':
        must(frame.id === way.sequenced[frame.lane], 'an id left out');
        way.sequenced[frame.lane]!++;
        break;
      default:
        break;
    }
  }
}

/** The numbers an ACK names, of those given. */
export function names(ack: Extract<Frame, { type: 'ACK' }>, seqs: readonly number[]): boolean {
  return seqs.some(
    (seq) => seq === ack.newest || (seq < ack.newest && seq >= ack.newest - 64 && ((ack.bits >> BigInt(ack.newest - 1 - seq)) & 1n) === 1n),
  );
}
