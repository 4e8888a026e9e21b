/**
 * What must never happen to a message or a request (SY11 to SY14):
 *
 *  - `reliable` arrives once and in order, and all of it while both sides stay (a reset, an absence or a new life of either side may
 *    leave one gap each, never a copy);
 *  - a message sent with redundancy arrives at most once; a sequenced one never after a newer one;
 *  - a request ends exactly once: in its answer, and then its handler ran exactly once, or in an error, and then it ran at most once;
 *  - what is for the host is handled by nobody but the host.
 */
import type { LanError, PeerId } from 'lanista';
import type { Ledger, Replica } from './game-ledger.ts';

interface Stream {
  readonly from: PeerId;
  readonly sent: number[];
  /** How many of `sent` came or can never come. */
  next: number;
  /** How many had been sent at each reset, absence or refusal: each explains one gap in what was sent before it. */
  readonly breaks: number[];
}

/** Takes a gap that ends at `at` from the breaks; false when none explains it. */
function explain(stream: Stream, at: number): boolean {
  const found = stream.breaks.findIndex((sent) => sent >= at);
  if (found >= 0) stream.breaks.splice(found, 1);
  return found >= 0;
}

function breakHere(stream: Stream): void {
  const sent = stream.sent.length;
  if (sent > stream.next && stream.breaks.at(-1) !== sent) stream.breaks.push(sent);
}

interface Call {
  readonly from: Replica;
  readonly what: string;
  ran: number;
  settled: number;
}

export class Talk {
  readonly #ledger: Ledger;
  readonly #streams = new Map<string, Stream>();
  readonly #shots = new Set<string>();
  readonly #aims = new Map<string, number>();
  readonly #calls = new Map<number, Call>();
  readonly #living = new Map<PeerId, Replica>();
  readonly #lives = new Map<number, PeerId>();
  /** By `sender's life receiver's id`: what was sent to a seat whose room is not open, or not any more. */
  readonly #waiting = new Map<string, Stream>();
  readonly outcomes: Record<string, number> = {};
  #number = 0;
  delivered = 0;
  sent = 0;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  watch(replica: Replica): void {
    const { room } = replica;
    this.#living.set(room.self.id, replica);
    this.#lives.set(replica.life, room.self.id);
    for (const [key, stream] of this.#waiting) {
      const [life, id] = key.split(' ');
      if (id !== room.self.id) continue;
      this.#waiting.delete(key);
      breakHere(stream);
      this.#streams.set(`${life} ${replica.life}`, stream);
    }
    room.onMessage('say', ({ n }, { from }) => this.#heard(replica, from, n));
    room.onMessage('shot', ({ n }) => {
      this.delivered++;
      const key = `${replica.life} ${n}`;
      if (this.#shots.has(key)) this.#ledger.violate('SY12', replica, `shot ${n} arrived twice`);
      this.#shots.add(key);
    });
    room.onMessage('aim', ({ n }, { from }) => {
      this.delivered++;
      const key = `${from} ${replica.life}`;
      // Numbers are of the whole run, so they also grow over lives of the sender.
      if (n <= (this.#aims.get(key) ?? -1)) this.#ledger.violate('SY13', replica, `aim ${n} came after ${this.#aims.get(key)}`);
      this.#aims.set(key, n);
    });
    const handle = ({ n }: { readonly n: number }): { readonly n: number } => {
      const call = this.#calls.get(n);
      if (call === undefined) this.#ledger.violate('SY14', replica, `request ${n} was never made`);
      else if (++call.ran > 1) this.#ledger.violate('SY14', replica, `request ${n} was handled ${call.ran} times`);
      return { n: (n * 2) >>> 0 };
    };
    room.handle('double', async (input) => handle(input));
    room.handle('rule', (input) => {
      if (!room.isHost) this.#ledger.violate('SY43', replica, `request ${input.n} for the host was handled here`);
      return handle(input);
    });
  }

  /** The process of this replica is gone. */
  ended(replica: Replica): void {
    const { id } = replica.room.self;
    if (this.#living.get(id) === replica) this.#living.delete(id);
  }

  /** Something happened to the way from `from` to `to` that may cost messages. Both ways. */
  allowGap(one: Replica, other: PeerId): void {
    const peer = this.#living.get(other);
    if (peer === undefined) {
      const stream = this.#waiting.get(`${one.life} ${other}`);
      return stream && breakHere(stream);
    }
    for (const stream of [this.#stream(one, peer), this.#stream(peer, one)]) breakHere(stream);
  }

  #stream(from: Replica, to: Replica): Stream {
    const key = `${from.life} ${to.life}`;
    let stream = this.#streams.get(key);
    if (stream === undefined) this.#streams.set(key, (stream = { from: from.room.self.id, sent: [], next: 0, breaks: [] }));
    return stream;
  }

  say(from: Replica, to: PeerId | 'host' | 'all' | readonly PeerId[]): void {
    const { room } = from;
    const n = ++this.#number;
    const names = to === 'all' ? [...room.peers.keys()] : to === 'host' ? [room.host] : typeof to === 'string' ? [to] : to;
    for (const id of names) {
      if (to === 'all' && id === room.self.id) continue;
      // Who is away is left out without a word, also where it is named.
      if (room.peers.get(id)?.status !== 'present') continue;
      this.#sentTo(from, id).push(n);
    }
    this.sent++;
    try {
      room.send('say', { n }, { to });
    } catch (error) {
      this.#count(`say ${(error as LanError).code}`);
      // It went to some and not to others, and the sender was told.
      for (const id of names) this.allowGap(from, id);
    }
  }

  #sentTo(from: Replica, id: PeerId): number[] {
    const peer = this.#living.get(id);
    if (peer !== undefined) return this.#stream(from, peer).sent;
    const key = `${from.life} ${id}`;
    let stream = this.#waiting.get(key);
    if (stream === undefined) this.#waiting.set(key, (stream = { from: this.#lives.get(from.life)!, sent: [], next: 0, breaks: [] }));
    return stream.sent;
  }

  shoot(from: Replica): void {
    this.sent++;
    from.room.send('shot', { n: ++this.#number });
    from.room.send('aim', { n: ++this.#number });
  }

  #heard(replica: Replica, from: PeerId, n: number): void {
    this.delivered++;
    this.#ledger.mix(replica.index, n);
    // The last words of an earlier life of the sender are in a stream of their own.
    for (const [key, stream] of this.#streams) {
      if (stream.from !== from || !key.endsWith(` ${replica.life}`)) continue;
      const at = stream.sent.indexOf(n, stream.next);
      if (at < 0) continue;
      if (at > stream.next && !explain(stream, at))
        this.#ledger.violate('SY11', replica, `say ${n} of ${from.slice(0, 4)} came where ${stream.sent[stream.next]} was due`);
      stream.next = at + 1;
      return;
    }
    this.#ledger.violate('SY11', replica, `say ${n} of ${from.slice(0, 4)} came twice, out of order or to the wrong peer`);
  }

  call(from: Replica, name: 'double' | 'rule', to: PeerId | undefined): void {
    const n = ++this.#number;
    const call: Call = { from, what: name, ran: 0, settled: 0 };
    this.#calls.set(n, call);
    const settle = (outcome: string): void => {
      call.settled++;
      this.#count(`${name} ${outcome}`);
      this.#ledger.mix(n, outcome.length);
      if (call.settled > 1) this.#ledger.violate('SY14', from, `request ${n} ended twice`);
    };
    from.room.call(name, { n }, { timeoutMs: 1_500, ...(to === undefined ? {} : { to }) }).then(
      (answer) => {
        settle('answered');
        if (answer.n !== (n * 2) >>> 0 || call.ran !== 1) this.#ledger.violate('SY14', from, `request ${n} gave ${answer.n} after ${call.ran} runs`);
      },
      (error: unknown) => settle((error as LanError).code ?? String(error)),
    );
  }

  #count(what: string): void {
    this.outcomes[what] = (this.outcomes[what] ?? 0) + 1;
  }

  /** At the end: what did not end, and what did not arrive between the living. */
  finish(living: readonly Replica[]): void {
    for (const [n, call] of this.#calls)
      if (call.settled !== 1 && living.includes(call.from))
        this.#ledger.violate('SY14', call.from, `request ${n} (${call.what}) ended ${call.settled} times`);
    for (const from of living)
      for (const to of living) {
        const stream = this.#streams.get(`${from.life} ${to.life}`);
        if (stream === undefined) continue;
        const due = stream.next;
        if (due < stream.sent.length && !explain(stream, stream.sent.length))
          this.#ledger.violate('SY11', to, `say ${stream.sent[due]} of member ${from.index} never came`);
      }
  }
}
