/**
 * Messages: typed, numbered by order of declaration, checked on both sides.
 *
 * `sequenced` and `unreliable` ride on the unreliable channel with a stamp of their own per peer and name: the sender's session and a sequence
 * number, so that copies (`redundancy`) are recognised, an older one never follows a newer, and what a page left behind is not taken for the next
 * page's.
 */
import type { PeerId } from '../base/brand.ts';
import { assertCallback, callGuarded } from '../base/callback.ts';
import { disposable } from '../base/emitter.ts';
import { LanError } from '../base/errors.ts';
import { distance16 } from '../base/sequence.ts';
import type { Channel } from '../port/port.ts';
import { MAX_DATAGRAM_MESSAGE_BYTES, MAX_MESSAGE_BYTES, MAX_PEERS } from '../wire/limits.ts';
import { PackReader, PackWriter } from '../wire/pack.ts';
import type { BodyCodec } from './body.ts';
import { bodyCodec } from './body.ts';
import type { AnyGame, MessageDef } from './definition.ts';
import { among, show } from './definition.ts';
import { MESSAGE } from './wire.ts';

export type MessageDrop = 'message-malformed' | 'message-unknown' | 'message-invalid' | 'message-old' | 'request-busy';

export interface MessageWorld {
  readonly self: PeerId;
  /** Of this Room instance. */
  readonly session: number;
  /** The Room instance of another peer. */
  sessionOf(peer: PeerId): number | undefined;
  now(): number;
  roomTime(): number;
  host(): PeerId;
  /** Present peers but this one, by slot. */
  present(): readonly PeerId[];
  send(to: PeerId, channel: Channel, bytes: Uint8Array): boolean;
  /** Whether what `send` refused was too much; else there is no link to the peer, or none any more because this room is being left. */
  isFull(peer: PeerId): boolean;
  /** Calls `fn` at the next pump: what a peer sends itself arrives as everything else does. */
  later(fn: () => void): void;
  drop(reason: MessageDrop): void;
  /** A handler of the game threw. */
  failed(what: string, cause: unknown): void;
}

interface MessageSpec {
  readonly index: number;
  readonly name: string;
  readonly def: MessageDef<unknown>;
  readonly codec: BodyCodec;
  readonly listeners: Set<(body: unknown, meta: { readonly from: PeerId; readonly time: number }) => void>;
  /** By peer: its session, the newest sequence of that with the room time of sending, and a bit for each of the 32 before it. */
  readonly received: Map<PeerId, { readonly session: number; newest: number; time: number; mask: number }>;
  next: number;
}

interface Repeat {
  readonly bytes: Uint8Array;
  readonly to: readonly PeerId[];
  left: number;
}

/** Messages that are still to be repeated; beyond it the first copy has to do. */
const MAX_REPEATS = 256;

/** Senders whose last numbers are kept, of each message. Who leaves a list and is back is the same process still, and its copies are on the way. */
const MAX_SENDERS = 4 * MAX_PEERS;

export class Messages {
  readonly #world: MessageWorld;
  readonly #byName = new Map<string, MessageSpec>();
  readonly #byIndex: readonly MessageSpec[];
  #repeats: Repeat[] = [];
  readonly #out = new PackWriter(1_024);
  bytesOut = 0;
  bytesIn = 0;

  constructor(game: AnyGame, world: MessageWorld) {
    this.#world = world;
    this.#byIndex = Object.entries<MessageDef<unknown>>(game.messages).map(([name, def], index) => ({
      index,
      name,
      def,
      codec: bodyCodec(def.body),
      listeners: new Set(),
      received: new Map(),
      next: 0,
    }));
    for (const spec of this.#byIndex) this.#byName.set(spec.name, spec);
  }

  #message(name: string): MessageSpec {
    const spec = this.#byName.get(name);
    if (spec === undefined) throw new LanError('unknown-name', `there is no message '${name}'.`, { hint: among('Messages', this.#byName.keys()) });
    return spec;
  }

  send(name: string, body: unknown, to: PeerId | 'host' | 'all' | readonly PeerId[]): void {
    const spec = this.#message(name);
    const { delivery, redundancy } = spec.def;
    const time = this.#world.roomTime();
    const out = this.#out;
    out.reset();
    out.array(5);
    out.int(MESSAGE);
    out.int(spec.index);
    out.int(delivery === 'reliable' ? 0 : ((this.#world.session << 16) | spec.next) >>> 0);
    out.int(Math.floor(time));
    spec.codec.write(out, body, name);
    const limit = delivery === 'reliable' ? MAX_MESSAGE_BYTES : MAX_DATAGRAM_MESSAGE_BYTES;
    if (out.offset > limit)
      throw new LanError('too-large', `message '${name}' takes ${out.offset} bytes, and ${delivery} carries ${limit}.`, {
        hint: delivery === 'reliable' ? 'Cut it into pieces.' : "Send it 'reliable'.",
      });
    spec.next = (spec.next + 1) & 0xffff;
    const bytes = out.copy();
    const targets = this.#targets(to);
    let refused: PeerId | undefined;
    for (const peer of targets) {
      if (peer === this.#world.self) this.#world.later(() => this.handle(this.#world.self, bytes));
      else {
        this.bytesOut += bytes.length;
        const taken = this.#world.send(peer, delivery === 'reliable' ? 'reliable' : 'unreliable', bytes);
        if (!taken && delivery === 'reliable' && this.#world.isFull(peer)) refused ??= peer;
      }
    }
    if (redundancy > 1 && delivery !== 'reliable' && this.#repeats.length < MAX_REPEATS)
      this.#repeats.push({ bytes, to: targets.filter((peer) => peer !== this.#world.self), left: redundancy - 1 });
    // Only now: one peer that takes nothing must not keep it from the others.
    if (refused !== undefined)
      throw new LanError('queue-full', `message '${name}' was not taken: more is queued for ${refused} than the link may hold.`, {
        hint: 'Send less, or wait. Whoever could take it was sent it.',
      });
  }

  #targets(to: PeerId | 'host' | 'all' | readonly PeerId[]): readonly PeerId[] {
    if (to === 'all') return this.#world.present();
    if (to === 'host') return [this.#world.host()];
    if (typeof to === 'string') return [to];
    if (!Array.isArray(to) || to.some((peer) => typeof peer !== 'string'))
      throw new LanError('bad-argument', `to: expected a peer, a list of peers, 'host' or 'all', got ${show(to)}.`);
    // Named twice is not meant twice.
    return [...new Set(to)];
  }

  /** Sends again what is to be sent more than once; called every tick. */
  repeat(): void {
    if (this.#repeats.length === 0) return;
    for (const repeat of this.#repeats) {
      repeat.left--;
      for (const peer of repeat.to) if (this.#world.send(peer, 'unreliable', repeat.bytes)) this.bytesOut += repeat.bytes.length;
    }
    this.#repeats = this.#repeats.filter((repeat) => repeat.left > 0);
  }

  onMessage(name: string, listener: (body: unknown, meta: { readonly from: PeerId; readonly time: number }) => void): Disposable {
    const { listeners } = this.#message(name);
    assertCallback(`onMessage('${name}')`, listener);
    const entry: typeof listener = (body, meta) => listener(body, meta);
    listeners.add(entry);
    return disposable(() => listeners.delete(entry));
  }

  /** A message arrived, from another peer or from this one. */
  handle(from: PeerId, bytes: Uint8Array): void {
    this.bytesIn += bytes.length;
    const input = new PackReader(bytes);
    if (input.array(5) !== 5 || input.int() !== MESSAGE) return this.#world.drop('message-malformed');
    const spec = this.#byIndex[input.int()];
    const stamp = input.count(0xffff_ffff);
    const time = input.count(0xffff_ffff);
    if (!input.ok) return this.#world.drop('message-malformed');
    if (spec === undefined) return this.#world.drop('message-unknown');
    const read = spec.codec.read(input);
    if (read === undefined) return this.#world.drop('message-invalid');
    if (from !== this.#world.self && !this.#isNew(spec, from, stamp, time)) {
      // A copy sent for redundancy is no refusal worth counting.
      if (spec.def.redundancy === 1) this.#world.drop('message-old');
      return;
    }
    for (const listener of [...spec.listeners])
      if (spec.listeners.has(listener))
        callGuarded(
          () => listener(read.body, { from, time }),
          (cause) => this.#world.failed(`onMessage('${spec.name}')`, cause),
        );
  }

  #isNew(spec: MessageSpec, from: PeerId, stamp: number, time: number): boolean {
    if (spec.def.delivery === 'reliable') return true;
    const session = this.#world.sessionOf(from);
    // Sent by the peer's former page: numbers of another count.
    if (session === undefined || stamp >>> 16 !== (session & 0xffff)) return false;
    const seq = stamp & 0xffff;
    const known = spec.received.get(from);
    if (known === undefined || known.session !== session) {
      spec.received.delete(from);
      if (spec.received.size >= MAX_SENDERS) spec.received.delete(spec.received.keys().next().value!);
      spec.received.set(from, { session, newest: seq, time, mask: 0 });
      return true;
    }
    const ahead = distance16(seq, known.newest);
    // Numbers count what was sent to anybody: whoever is named once in a while finds them half round the circle, and behind. Sent later is newer all the same.
    if (ahead > 0 || time > known.time) {
      // A shift by 32 is one by 0.
      known.mask = ahead <= 0 || ahead > 32 ? 0 : (ahead === 32 ? 0 : known.mask << ahead) | (1 << (ahead - 1));
      known.newest = seq;
      known.time = time;
      return true;
    }
    const bit = 1 << (-ahead - 1);
    if (spec.def.delivery === 'sequenced' || ahead === 0 || ahead < -32 || (known.mask & bit) !== 0) return false;
    known.mask |= bit;
    return true;
  }
}
