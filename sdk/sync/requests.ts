/**
 * Requests: a question to one peer, which ends exactly once, in its answer or in one error.
 *
 *   call ──► asked ──ANSWER──► resolved
 *              │  └──FAILURE, time-out, abort, the peer gone, the room left──► rejected
 *              └──FAILURE not-host──► asked again of whoever is host then
 *
 * Reliable both ways; an answer is matched by its id and its sender. A request for the host that reaches somebody who is not host is not handled
 * there, so that asking again cannot run it twice.
 */
import type { PeerId } from '../base/brand.ts';
import { assertCallback } from '../base/callback.ts';
import { disposable } from '../base/emitter.ts';
import type { LanErrorCode } from '../base/errors.ts';
import { LanError } from '../base/errors.ts';
import { MAX_MESSAGE_BYTES, MAX_PENDING_CALLS } from '../wire/limits.ts';
import { PackReader, PackWriter } from '../wire/pack.ts';
import type { BodyCodec } from './body.ts';
import { bodyCodec } from './body.ts';
import { assertSignal, deadlineAfter } from './clock.ts';
import type { AnyGame, RequestDef } from './definition.ts';
import { among, checkCall, show } from './definition.ts';
import type { MessageWorld } from './messages.ts';
import { ANSWER, CALL, FAILURE } from './wire.ts';

interface RequestSpec {
  readonly index: number;
  readonly name: string;
  readonly def: RequestDef<unknown, unknown>;
  readonly input: BodyCodec;
  readonly output: BodyCodec;
  handler: ((input: unknown, from: PeerId) => unknown) | undefined;
}

interface Pending {
  /** Whom it was asked of last. */
  to: PeerId;
  readonly spec: RequestSpec;
  readonly deadline: number;
  /** To be asked of whoever is host then; Infinity while an answer is awaited, or when it was for one peer only. */
  retryAt: number;
  /** Goes to the host, whoever that is. */
  readonly follows: boolean;
  readonly bytes: Uint8Array;
  readonly settle: (error: LanError | undefined, value?: unknown) => void;
}

/** Questions of one peer whose handlers have not settled yet: those of its present page, and all. */
interface Serving {
  page: { count: number };
  all: number;
}

export interface CallSettings {
  readonly to?: PeerId | 'host';
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

const CALL_OPTIONS = ['to', 'timeoutMs', 'signal'];
const DEFAULT_TIMEOUT_MS = 2_000;
/** Who was taken for the host and is not: asked again after this, ms. A change of host is known everywhere within a round trip or two. */
const HOST_RETRY_MS = 50;
/** Whoever claims to be one new page after the other gets no more served at once than this many of them. */
const MAX_PAGES = 4;
/** The failure that is not the caller's to see. */
const NOT_HOST = 'not-host';
const CARRIED_CODES: readonly string[] = [
  'bad-value',
  'bad-argument',
  'no-handler',
  'handler-failed',
  'refused',
  'not-owner',
  'closed',
  'unknown-name',
  'too-large',
];

export class Requests {
  readonly #world: MessageWorld;
  readonly #byName = new Map<string, RequestSpec>();
  readonly #byIndex: readonly RequestSpec[];
  readonly #pending = new Map<number, Pending>();
  readonly #serving = new Map<PeerId, Serving>();
  /** Begins at the session: an answer to what this peer's former page asked names none of our calls. */
  #lastCall: number;
  readonly #out = new PackWriter(1_024);
  bytesOut = 0;
  bytesIn = 0;

  constructor(game: AnyGame, world: MessageWorld) {
    this.#world = world;
    this.#lastCall = world.session;
    this.#byIndex = Object.entries<RequestDef<unknown, unknown>>(game.requests).map(([name, def], index) => ({
      index,
      name,
      def,
      input: bodyCodec(def.input),
      output: bodyCodec(def.output),
      handler: undefined,
    }));
    for (const spec of this.#byIndex) this.#byName.set(spec.name, spec);
  }

  #request(name: string): RequestSpec {
    const spec = this.#byName.get(name);
    if (spec === undefined) throw new LanError('unknown-name', `there is no request '${name}'.`, { hint: among('Requests', this.#byName.keys()) });
    return spec;
  }

  answer(name: string, handler: (input: unknown, from: PeerId) => unknown): Disposable {
    const spec = this.#request(name);
    assertCallback(`handle('${name}')`, handler);
    if (spec.handler !== undefined)
      throw new LanError('bad-argument', `request '${name}' already has a handler.`, { hint: 'Dispose the other one first.' });
    spec.handler = handler;
    return disposable(() => (spec.handler = undefined));
  }

  call(name: string, input: unknown, options: CallSettings): Promise<unknown> {
    let spec: RequestSpec;
    let bytes: Uint8Array;
    const id = (this.#lastCall = (this.#lastCall + 1) >>> 0);
    let to: PeerId;
    let deadline: number;
    let follows = false;
    try {
      spec = this.#request(name);
      checkCall(`request '${name}'`, options, CALL_OPTIONS);
      const target = options.to ?? (spec.def.to === 'host' ? 'host' : undefined);
      if (target === undefined)
        throw new LanError('bad-argument', `request '${name}' needs a peer to ask.`, { hint: 'Pass { to: peer } or { to: entity.owner }.' });
      if (typeof target !== 'string')
        throw new LanError('bad-argument', `request '${name}': expected to to be the id of a peer, or 'host', got ${show(target)}.`);
      assertSignal(`request '${name}'`, options.signal);
      follows = target === 'host';
      to = target === 'host' ? this.#world.host() : target;
      deadline = deadlineAfter(`request '${name}'`, this.#world.now(), options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
      bytes = this.#callBytes(spec, id, input);
    } catch (error) {
      return Promise.reject(error as Error);
    }
    const { signal } = options;
    if (signal?.aborted === true) return Promise.reject(new LanError('aborted', `request '${name}' was aborted before it was sent.`));
    if (this.#pending.size >= MAX_PENDING_CALLS)
      return Promise.reject(new LanError('queue-full', `${MAX_PENDING_CALLS} requests wait for an answer already.`));
    return new Promise((resolve, reject) => {
      const abort = (): void => settle(new LanError('aborted', `request '${name}' was aborted.`));
      const settle = (error: LanError | undefined, value?: unknown): void => {
        if (!this.#pending.delete(id)) return;
        signal?.removeEventListener('abort', abort);
        if (error === undefined) resolve(value);
        else reject(error);
      };
      const pending: Pending = { to, spec, deadline, retryAt: Number.POSITIVE_INFINITY, follows, bytes, settle };
      this.#pending.set(id, pending);
      signal?.addEventListener('abort', abort, { once: true });
      this.#ask(pending);
    });
  }

  #ask(pending: Pending): void {
    const { to, spec, bytes, settle } = pending;
    if (to === this.#world.self) this.#world.later(() => this.handle(to, bytes));
    else if (this.#world.send(to, 'reliable', bytes)) this.bytesOut += bytes.length;
    else
      settle(
        this.#world.isFull(to)
          ? new LanError('queue-full', `request '${spec.name}' was not taken: more is queued for ${to} than the link may hold.`)
          : new LanError('peer-gone', `request '${spec.name}': ${to} is not here.`),
      );
  }

  #callBytes(spec: RequestSpec, id: number, input: unknown): Uint8Array {
    const out = this.#out;
    out.reset();
    out.array(5);
    out.int(CALL);
    out.int(id);
    out.int(spec.index);
    out.int(Math.floor(this.#world.roomTime()));
    spec.input.write(out, input, spec.name);
    if (out.offset > MAX_MESSAGE_BYTES) throw new LanError('too-large', `request '${spec.name}' takes ${out.offset} bytes of ${MAX_MESSAGE_BYTES}.`);
    return out.copy();
  }

  /** A question, an answer or a failure arrived. */
  handle(from: PeerId, bytes: Uint8Array): void {
    this.bytesIn += bytes.length;
    const input = new PackReader(bytes);
    const count = input.array(5);
    const type = input.int();
    if (type === CALL && count === 5) return this.#handleCall(from, input);
    if (type === ANSWER && count === 3) return this.#handleAnswer(from, input);
    if (type === FAILURE && count === 4) return this.#handleFailure(from, input);
    this.#world.drop('message-malformed');
  }

  #handleCall(from: PeerId, input: PackReader): void {
    const id = input.count(0xffff_ffff);
    const spec = this.#byIndex[input.int()];
    input.count(0xffff_ffff);
    if (!input.ok) return this.#world.drop('message-malformed');
    if (spec === undefined) return this.#world.drop('message-unknown');
    const read = spec.input.read(input);
    if (read === undefined) {
      this.#world.drop('message-invalid');
      return this.#fail(from, id, 'bad-value', `the request '${spec.name}' did not validate`);
    }
    const { handler } = spec;
    if (spec.def.to === 'host' && this.#world.host() !== this.#world.self)
      return this.#fail(from, id, NOT_HOST, `'${spec.name}' is for the host, and ${this.#world.self} is not host`);
    if (handler === undefined) return this.#fail(from, id, 'no-handler', `nobody handles '${spec.name}' there`);
    let serving = this.#serving.get(from);
    if (serving === undefined) this.#serving.set(from, (serving = { page: { count: 0 }, all: 0 }));
    const { page } = serving;
    if (page.count >= MAX_PENDING_CALLS || serving.all >= MAX_PAGES * MAX_PENDING_CALLS) return this.#world.drop('request-busy');
    page.count++;
    serving.all++;
    const done = (): void => {
      page.count--;
      serving.all--;
    };
    void (async () => handler(read.body, from))().then(
      (value) => {
        done();
        this.#reply(from, id, spec, value);
      },
      (error: unknown) => {
        done();
        if (error instanceof LanError) return this.#fail(from, id, error.code, error.message);
        this.#world.failed(`handle('${spec.name}')`, error);
        this.#fail(from, id, 'handler-failed', error instanceof Error ? error.message : String(error));
      },
    );
  }

  #reply(to: PeerId, id: number, spec: RequestSpec, value: unknown): void {
    const out = this.#out;
    out.reset();
    out.array(3);
    out.int(ANSWER);
    out.int(id);
    try {
      spec.output.write(out, value, `answer to ${spec.name}`);
    } catch (error) {
      this.#world.failed(`handle('${spec.name}')`, error);
      return this.#fail(to, id, 'handler-failed', error instanceof Error ? error.message : String(error));
    }
    if (out.offset > MAX_MESSAGE_BYTES) {
      const error = new LanError('too-large', `the answer to '${spec.name}' takes ${out.offset} bytes of ${MAX_MESSAGE_BYTES}.`);
      this.#world.failed(`handle('${spec.name}')`, error);
      return this.#fail(to, id, error.code, error.message);
    }
    this.#deliver(to, out.copy());
  }

  #fail(to: PeerId, id: number, code: LanErrorCode | typeof NOT_HOST, words: string): void {
    const out = this.#out;
    out.reset();
    out.array(4);
    out.int(FAILURE);
    out.int(id);
    out.text(code);
    out.text(words.slice(0, 200));
    this.#deliver(to, out.copy());
  }

  #deliver(to: PeerId, bytes: Uint8Array): void {
    if (to === this.#world.self) return this.#world.later(() => this.handle(to, bytes));
    this.bytesOut += bytes.length;
    this.#world.send(to, 'reliable', bytes);
  }

  #handleAnswer(from: PeerId, input: PackReader): void {
    const pending = this.#pending.get(input.count(0xffff_ffff));
    // An answer that comes after its time-out, or from whom nothing was asked, is nobody's.
    if (pending === undefined || pending.to !== from) return;
    const read = pending.spec.output.read(input);
    if (read === undefined) {
      this.#world.drop('message-invalid');
      return pending.settle(new LanError('bad-value', `the answer to '${pending.spec.name}' did not validate.`));
    }
    pending.settle(undefined, read.body);
  }

  #handleFailure(from: PeerId, input: PackReader): void {
    const pending = this.#pending.get(input.count(0xffff_ffff));
    const code = input.text(32);
    const words = input.text(1_024);
    if (!input.done) return this.#world.drop('message-malformed');
    if (pending === undefined || pending.to !== from) return;
    if (code === NOT_HOST && pending.follows) {
      pending.retryAt = this.#world.now() + HOST_RETRY_MS;
      return;
    }
    if (code === NOT_HOST) return pending.settle(new LanError('refused', `request '${pending.spec.name}' to ${from}: ${words}`));
    pending.settle(
      new LanError(CARRIED_CODES.includes(code) ? (code as LanErrorCode) : 'handler-failed', `request '${pending.spec.name}' to ${from}: ${words}`),
    );
  }

  /** Requests to `peer` cannot be answered any more. */
  peerGone(peer: PeerId, forGood: boolean): void {
    for (const pending of [...this.#pending.values()])
      if (pending.to === peer && pending.retryAt === Number.POSITIVE_INFINITY)
        pending.settle(new LanError('peer-gone', `request '${pending.spec.name}': ${peer} is gone.`));
    if (forGood) this.#serving.delete(peer);
  }

  /** `peer` started anew: its former self took with it what it was asked, and waits for no answer. */
  peerRestarted(peer: PeerId): void {
    this.peerGone(peer, false);
    const serving = this.#serving.get(peer);
    if (serving !== undefined) serving.page = { count: 0 };
  }

  close(): void {
    for (const pending of [...this.#pending.values()]) pending.settle(new LanError('closed', `request '${pending.spec.name}': the room was left.`));
  }

  deadline(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const pending of this.#pending.values()) earliest = Math.min(earliest, pending.deadline, pending.retryAt);
    return earliest;
  }

  handleTimeout(now: number): void {
    for (const pending of [...this.#pending.values()]) {
      if (pending.deadline <= now) pending.settle(new LanError('timeout', `request '${pending.spec.name}': no answer from ${pending.to} in time.`));
      else if (pending.retryAt <= now) {
        pending.retryAt = Number.POSITIVE_INFINITY;
        pending.to = this.#world.host();
        this.#ask(pending);
      }
    }
  }
}

/** Asks each of `peers`; resolves when all answered or failed, in their order. */
export async function askAll(
  peers: readonly PeerId[],
  ask: (to: PeerId) => Promise<never>,
): Promise<readonly { readonly from: PeerId; readonly value: never; readonly error: Error | undefined }[]> {
  return Promise.all(
    peers.map(async (from) => {
      try {
        return { from, value: await ask(from), error: undefined };
      } catch (error) {
        return { from, value: undefined as never, error: error as Error };
      }
    }),
  );
}
