/**
 * Messages and requests one by one (`docs/spec.md`, Sync), as one peer reads them, whoever wrote them: copies, numbers, bounds and answers.
 */
import { describe, expect, it } from 'vitest';
import { defineGame, LanError, message, request, s } from 'lanista';
import type { PeerId } from 'lanista';
import type { MessageWorld } from '../sdk/sync/messages.ts';
import { Messages } from '../sdk/sync/messages.ts';
import { Requests } from '../sdk/sync/requests.ts';
import { ANSWER, CALL, FAILURE, MESSAGE } from '../sdk/sync/wire.ts';
import { MAX_DATAGRAM_MESSAGE_BYTES, MAX_MESSAGE_BYTES, MAX_PEERS, MAX_PENDING_CALLS } from '../sdk/wire/limits.ts';
import { PackReader, PackWriter } from '../sdk/wire/pack.ts';

const game = defineGame({
  id: 'words',
  version: 1,
  messages: {
    say: message({ n: s.u32() }),
    shot: message({ n: s.u32() }, { delivery: 'unreliable', redundancy: 3 }),
    aim: message({ n: s.u32() }, { delivery: 'sequenced' }),
    blip: message({ n: s.u32() }, { delivery: 'unreliable' }),
    small: message({ n: s.u8(), i: s.i8() }),
    given: message({ n: s.u8().default(3) }),
    wide: message({ texts: s.list(s.text(900), 2) }, { delivery: 'unreliable' }),
  },
  requests: {
    double: request({ n: s.u32() }, { n: s.u32() }),
    rule: request({ n: s.u32() }, { n: s.u32() }, { to: 'host' }),
    large: request({ texts: s.list(s.text(900), 256), more: s.list(s.text(900), 256) }, {}),
  },
});
const [ANN, BOB, CAT] = ['ann', 'bob', 'cat'] as PeerId[] as [PeerId, PeerId, PeerId];

class World implements MessageWorld {
  readonly self = BOB;
  readonly session = 0x5_1234;
  readonly sessions = new Map<PeerId, number>([
    [ANN, 0xa_0001],
    [CAT, 0xc_0001],
  ]);
  readonly said: { readonly to: PeerId; readonly channel: string; readonly bytes: Uint8Array }[] = [];
  readonly dropped: string[] = [];
  readonly next: (() => void)[] = [];
  full = new Set<PeerId>();
  gone = new Set<PeerId>();
  hostIs = ANN;
  time = 1_000;

  sessionOf(peer: PeerId): number | undefined {
    return this.sessions.get(peer);
  }
  now(): number {
    return this.time;
  }
  roomTime(): number {
    return this.time;
  }
  host(): PeerId {
    return this.hostIs;
  }
  present(): readonly PeerId[] {
    return [ANN, CAT];
  }
  send(to: PeerId, channel: string, bytes: Uint8Array): boolean {
    if (this.full.has(to) || this.gone.has(to)) return false;
    this.said.push({ to, channel, bytes });
    return true;
  }
  isFull(peer: PeerId): boolean {
    return this.full.has(peer);
  }
  later(fn: () => void): void {
    this.next.push(fn);
  }
  drop(reason: string): void {
    this.dropped.push(reason);
  }
  failed(): void {}
}

function packed(...values: readonly (number | string)[]): Uint8Array {
  const out = new PackWriter(64);
  out.array(values.length);
  for (const value of values)
    if (typeof value === 'string') out.text(value);
    else out.int(value);
  return out.copy();
}

/** What `from` of session `session` sends under a name's number, with the number `seq` of its own, at `time`. */
function sent(index: number, session: number, seq: number, n: number, time = 500): Uint8Array {
  const out = new PackWriter(64);
  out.array(5);
  for (const value of [MESSAGE, index, ((session << 16) | seq) >>> 0, time]) out.int(value);
  out.array(1);
  out.int(n);
  return out.copy();
}

/** A `small`, of whatever values. */
function small(...values: readonly number[]): Uint8Array {
  const out = new PackWriter(64);
  out.array(5);
  for (const value of [MESSAGE, 4, 0, 500]) out.int(value);
  out.array(values.length);
  for (const value of values) out.int(value);
  return out.copy();
}

function listening(): { readonly world: World; readonly messages: Messages; readonly got: number[] } {
  const world = new World();
  const messages = new Messages(game, world);
  const got: number[] = [];
  for (const name of ['say', 'shot', 'aim', 'blip', 'small']) messages.onMessage(name, (body) => got.push((body as { n: number }).n));
  return { world, messages, got };
}

describe('copies and numbers', () => {
  it('[SY12] each message counts once, however many others came between its copies, in whatever order', () => {
    for (let gap = 1; gap <= 40; gap++) {
      const { messages, got } = listening();
      for (const seq of [0xfff0, 0xfff0 + gap, 0xfff0, 0xfff0 + gap, 0xfff1]) messages.handle(ANN, sent(1, 0x0001, seq & 0xffff, seq));
      // The one after the first counts as well, when it is not that very one.
      expect(got, String(gap)).toEqual(gap === 1 ? [0xfff0, 0xfff1] : gap > 33 ? [0xfff0, 0xfff0 + gap] : [0xfff0, 0xfff0 + gap, 0xfff1]);
    }
    const { messages, got, world } = listening();
    const order = [5, 3, 9, 4, 3, 5, 8, 9, 8, 40, 9, 8, 39, 39, 7];
    for (const seq of order) messages.handle(ANN, sent(1, 0x0001, seq, seq));
    expect(got).toEqual([5, 3, 9, 4, 8, 40, 39]);
    const late = listening();
    for (const seq of [0, 1, 33, 32, 0, 1, 3]) late.messages.handle(ANN, sent(1, 0x0001, seq, seq));
    expect(late.got).toEqual([0, 1, 33, 32, 3]);
    // Copies of what is sent thrice are no refusal worth counting, of what is sent once they are.
    expect(world.dropped).toEqual([]);
    for (const seq of [5, 5]) messages.handle(ANN, sent(3, 0x0001, seq, seq));
    expect(world.dropped).toEqual(['message-old']);
  });

  it('[SY13] what is sequenced never follows a newer one, unless it was sent later, half round the circle', () => {
    const { messages, got } = listening();
    for (const [seq, time] of [
      [5, 100],
      [4, 99],
      [5, 100],
      [7, 120],
      [6, 110],
      [40_000, 9_000],
      [39_999, 8_990],
      [40_001, 9_010],
    ] as const)
      messages.handle(ANN, sent(2, 0x0001, seq, seq, time));
    expect(got).toEqual([5, 7, 40_000, 40_001]);
  });

  it('[SY61] of the page that speaks now count, of each sender by itself, and of no more senders than may be remembered', () => {
    const { messages, got, world } = listening();
    messages.handle(ANN, sent(1, 0x0001, 5, 1));
    messages.handle(CAT, sent(1, 0x0001, 5, 2));
    messages.handle(ANN, sent(1, 0x0002, 6, 3));
    world.sessions.set(ANN, 0xa_0002);
    messages.handle(ANN, sent(1, 0x0001, 7, 4));
    messages.handle(ANN, sent(1, 0x0002, 5, 5));
    messages.handle('dan' as PeerId, sent(1, 0x0002, 5, 6));
    expect(got).toEqual([1, 2, 3 + 2]);
    // One too many, and the oldest is forgotten.
    for (let i = 0; i < 4 * MAX_PEERS - 2; i++) {
      world.sessions.set(`p${i}` as PeerId, 1);
      messages.handle(`p${i}` as PeerId, sent(1, 1, 0, 0));
    }
    got.length = 0;
    messages.handle(CAT, sent(1, 0x0001, 5, 2));
    expect(got).toEqual([]);
    world.sessions.set('q' as PeerId, 1);
    messages.handle('q' as PeerId, sent(1, 1, 0, 7));
    messages.handle(CAT, sent(1, 0x0001, 5, 2));
    expect(got).toEqual([7, 2]);
  });

  it('[SY11] one that is malformed, of no name or no value is counted under its reason and given to nobody', () => {
    const { messages, got, world } = listening();
    for (const [bytes, reason] of [
      [packed(MESSAGE, 0, 0), 'message-malformed'],
      [packed(CALL, 0, 0, 0, 0), 'message-malformed'],
      [packed(MESSAGE, 0, 'x', 0, 0), 'message-malformed'],
      [packed(MESSAGE, 99, 0, 0, 0), 'message-unknown'],
      [packed(MESSAGE, 0, 0, 0, 0), 'message-invalid'],
      ...[[256, 0], [-1, 0], [0, 128], [0, -129], [0], [0, 0, 0]].map((body) => [small(...body), 'message-invalid'] as const),
    ] as const) {
      messages.handle(ANN, bytes);
      expect(world.dropped.splice(0)).toEqual([reason]);
    }
    expect(got).toEqual([]);
    for (const body of [
      [255, 127],
      [0, -128],
    ])
      messages.handle(ANN, small(...body));
    expect(got).toEqual([255, 0]);
  });
});

describe('sending', () => {
  it('[SY40] a default stands for what is left out, not for null', () => {
    const { world, messages } = listening();
    messages.send('given', {}, CAT);
    expect([...world.said[0]!.bytes].at(-1)).toBe(3);
    expect(() => messages.send('given', { n: null }, CAT)).toThrow(expect.objectContaining({ code: 'bad-value' }));
    expect(world.said).toHaveLength(1);
  });

  it('[SY12] repeats what is sent redundantly as often as is said, to the others alone, and bounds what it repeats', () => {
    const { world, messages, got } = listening();
    messages.send('shot', { n: 1 }, [ANN, BOB, ANN]);
    for (let i = 0; i < 5; i++) messages.repeat();
    for (const fn of world.next.splice(0)) fn();
    expect([world.said.map(({ to }) => to), got]).toEqual([[ANN, ANN, ANN], [1]]);
    expect(new Set(world.said.map(({ bytes }) => bytes.join())).size).toBe(1);
    for (let n = 0; n < 300; n++) messages.send('shot', { n }, ANN);
    world.said.length = 0;
    messages.repeat();
    expect(world.said).toHaveLength(256);
    // Its numbers go round, and carry its page.
    world.said.length = 0;
    for (let n = 0; n < 65_536; n++) messages.send('blip', { n: 0 }, CAT);
    messages.send('blip', { n: 0 }, CAT);
    const stamps = [world.said[0]!, world.said.at(-2)!, world.said.at(-1)!].map(({ bytes }) => {
      const input = new PackReader(bytes);
      input.array(5);
      return [input.int(), input.int(), input.int()][2]!;
    });
    expect(stamps.map((stamp) => stamp.toString(16))).toEqual(['12340000', '1234ffff', '12340000']);
  });

  it('[SY11] what one does not take for being full is told when the others have it; who is gone takes nothing, and that is no error', () => {
    const { world, messages } = listening();
    world.full.add(ANN);
    expect(() => messages.send('say', { n: 1 }, 'all')).toThrow(expect.objectContaining({ code: 'queue-full' }));
    expect(world.said.map(({ to, channel }) => [to, channel])).toEqual([[CAT, 'reliable']]);
    world.full.clear();
    world.gone.add(ANN);
    messages.send('say', { n: 1 }, 'all');
    messages.send('blip', { n: 1 }, ANN);
    // As large as a datagram takes, and one byte more.
    const text = (size: number): string => 'x'.repeat(size);
    const size = MAX_DATAGRAM_MESSAGE_BYTES - 900 - 3;
    const heads: number[] = [];
    for (let more = 150; more < size; more++) {
      try {
        messages.send('wide', { texts: [text(900), text(more)] }, CAT);
        heads.push(world.said.at(-1)!.bytes.length);
      } catch (error) {
        expect((error as LanError).code).toBe('too-large');
        break;
      }
    }
    expect(heads.at(-1)).toBe(MAX_DATAGRAM_MESSAGE_BYTES);
  });
});

function asking(): { readonly world: World; readonly requests: Requests; ids(): number[]; outcome(promise: Promise<unknown>): { is?: unknown } } {
  const world = new World();
  const requests = new Requests(game, world);
  return {
    world,
    requests,
    ids: () =>
      world.said.splice(0).map(({ bytes }) => {
        const input = new PackReader(bytes);
        input.array(9);
        input.int();
        return input.int();
      }),
    outcome: (promise) => {
      const seen: { is?: unknown } = {};
      promise.then(
        (value) => (seen.is = value),
        (error: LanError) => (seen.is = error.code),
      );
      return seen;
    },
  };
}
const turn = async (): Promise<void> => {
  for (let i = 0; i < 8; i++) await Promise.resolve();
};
/** An answer's body: one number. */
function answer(id: number, n: number, type = ANSWER): Uint8Array {
  const out = new PackWriter(64);
  out.array(3);
  out.int(type);
  out.int(id);
  out.array(1);
  out.int(n);
  return out.copy();
}

describe('a request', () => {
  it('[SY14] ends by the word of whom it was asked, once, and by no malformed one', async () => {
    const { world, requests, ids, outcome } = asking();
    const first = outcome(requests.call('double', { n: 1 }, { to: ANN }));
    const second = outcome(requests.call('double', { n: 1 }, { to: ANN }));
    const third = outcome(requests.call('double', { n: 1 }, { to: ANN }));
    const [a, b, c] = ids() as [number, number, number];
    expect(a).toBe(0x5_1234 + 1);
    requests.handle(CAT, answer(a, 5));
    requests.handle(CAT, packed(FAILURE, a, 'refused', 'no'));
    requests.handle(ANN, answer(a + 9, 5));
    for (const bytes of [
      packed(ANSWER, a),
      packed(ANSWER, a, 1, 2),
      packed(FAILURE, a, 'refused'),
      packed(FAILURE, a, 'refused', 'no', 1),
      packed(FAILURE, a, 1, 2),
      packed(CALL, 1),
    ])
      requests.handle(ANN, bytes);
    expect(world.dropped.splice(0)).toEqual(Array.from({ length: 6 }, () => 'message-malformed'));
    await turn();
    expect([first, second]).toEqual([{}, {}]);
    requests.handle(ANN, answer(a, 5));
    requests.handle(ANN, packed(FAILURE, b, 'refused', 'no'));
    // A code that nobody sends becomes one that may be.
    requests.handle(ANN, packed(FAILURE, c, 'peer-gone', 'no'));
    await turn();
    expect([first.is, second.is, third.is]).toEqual([{ n: 5 }, 'refused', 'handler-failed']);
    const bad = outcome(requests.call('double', { n: 1 }, { to: ANN }));
    requests.handle(ANN, packed(ANSWER, ids()[0]!, 'x'));
    await turn();
    expect([bad.is, world.dropped]).toEqual(['bad-value', ['message-invalid']]);
  });

  it('[SY14] is refused before it is sent where it is aborted, too large or one too many; what ends leaves no listener behind', async () => {
    const { world, requests, ids, outcome } = asking();
    const stop = new AbortController();
    const listeners = new Set<unknown>();
    stop.signal.addEventListener = ((_type: string, fn: unknown) => void listeners.add(fn)) as never;
    stop.signal.removeEventListener = ((_type: string, fn: unknown) => void listeners.delete(fn)) as never;
    const asked = outcome(requests.call('double', { n: 1 }, { to: ANN, signal: stop.signal }));
    expect(listeners.size).toBe(1);
    requests.handle(ANN, answer(ids()[0]!, 5));
    await turn();
    expect([asked.is, listeners.size]).toEqual([{ n: 5 }, 0]);
    const aborted = outcome(requests.call('double', { n: 1 }, { to: ANN, signal: AbortSignal.abort() }));
    const texts = Array.from({ length: 256 }, () => 'x'.repeat(900));
    const large = outcome(requests.call('large', { texts, more: texts }, { to: ANN }));
    await turn();
    expect([aborted.is, large.is, world.said]).toEqual(['aborted', 'too-large', []]);
    expect(2 * 256 * 900).toBeGreaterThan(MAX_MESSAGE_BYTES);
    const many = Array.from({ length: MAX_PENDING_CALLS }, () => outcome(requests.call('double', { n: 1 }, { to: ANN })));
    const more = outcome(requests.call('double', { n: 1 }, { to: ANN }));
    await turn();
    expect([more.is, many.filter(({ is }) => is !== undefined), world.said.length]).toEqual(['queue-full', [], MAX_PENDING_CALLS]);
    requests.close();
    await turn();
    expect(many.every(({ is }) => is === 'closed')).toBe(true);
    world.full.add(ANN);
    world.gone.add(CAT);
    const refused = [outcome(requests.call('double', { n: 1 }, { to: ANN })), outcome(requests.call('double', { n: 1 }, { to: CAT }))];
    await turn();
    expect(refused.map(({ is }) => is)).toEqual(['queue-full', 'peer-gone']);
  });

  it('[SY60] for the host follows the host, 50 ms after it was refused, and is not ended by who was host leaving meanwhile', async () => {
    const { world, requests, ids, outcome } = asking();
    const asked = outcome(requests.call('rule', { n: 1 }, { timeoutMs: 1_000 }));
    const direct = outcome(requests.call('rule', { n: 1 }, { to: ANN, timeoutMs: 1_000 }));
    const [a, b] = ids() as [number, number];
    for (const id of [a, b]) requests.handle(ANN, packed(FAILURE, id, 'not-host', ''));
    await turn();
    expect([asked.is, direct.is, requests.deadline()]).toEqual([undefined, 'refused', 1_050]);
    world.hostIs = CAT;
    requests.peerGone(ANN, true);
    world.time = 1_049;
    requests.handleTimeout(1_049);
    expect(world.said).toEqual([]);
    world.time = 1_050;
    requests.handleTimeout(1_050);
    requests.handleTimeout(1_051);
    expect(world.said.map(({ to }) => to)).toEqual([CAT]);
    expect([ids(), requests.deadline()]).toEqual([[a], 2_000]);
    requests.handle(ANN, answer(a, 4));
    requests.handle(CAT, answer(a, 5));
    await turn();
    expect(asked.is).toEqual({ n: 5 });
    const late = outcome(requests.call('rule', { n: 1 }, {}));
    requests.handleTimeout(world.time + 1_999);
    await turn();
    expect(late.is).toBeUndefined();
    requests.handleTimeout(world.time + 2_000);
    await turn();
    expect(late.is).toBe('timeout');
  });

  it('[SY14] is handled within bounds: 256 at once of one peer, whatever becomes of them, and by one handler', async () => {
    const { world, requests } = asking();
    const ends: ((n: number | Error) => void)[] = [];
    using handling = requests.answer(
      'double',
      () => new Promise((resolve, reject) => ends.push((n) => (typeof n === 'number' ? resolve({ n }) : reject(n)))),
    );
    expect(() => requests.answer('double', () => 1)).toThrow(expect.objectContaining({ code: 'bad-argument' }));
    const call = (n: number): void => requests.handle(ANN, Uint8Array.from([...packed(CALL, n, 0, 0, 0).slice(0, -1), 0x91, 1]));
    for (let n = 1; n <= MAX_PENDING_CALLS + 1; n++) call(n % 100);
    expect([ends.length, world.dropped.splice(0)]).toEqual([MAX_PENDING_CALLS, ['request-busy']]);
    ends[0]!(1);
    ends[1]!(new LanError('refused', 'no'));
    ends[2]!(new Error('x'.repeat(500)));
    await turn();
    const words = world.said.map(({ bytes }) => {
      const input = new PackReader(bytes);
      input.array(9);
      return [input.int(), input.int(), input.text(99)];
    });
    expect(words.map(([type, , code]) => (type === FAILURE ? code : type))).toEqual([ANSWER, 'refused', 'handler-failed']);
    expect(world.said[2]!.bytes.length).toBeLessThan(250);
    for (let n = 1; n <= 4; n++) call(n);
    expect([ends.length, world.dropped.splice(0)]).toEqual([MAX_PENDING_CALLS + 3, ['request-busy']]);
    handling[Symbol.dispose]();
    using again = requests.answer('double', () => ({ n: 1 }));
    handling[Symbol.dispose]();
    expect(() => requests.answer('double', () => 1)).toThrow();
    void again;
    for (const [bytes, reason] of [
      [packed(CALL, 1, 99, 0, 0), 'message-unknown'],
      [packed(CALL, 1, 0, 0, 0), 'message-invalid'],
      [packed(CALL, 'x', 0, 0, 0), 'message-malformed'],
    ] as const) {
      requests.handle(ANN, bytes);
      expect(world.dropped.splice(0)).toEqual([reason]);
    }
  });

  it('[SY14] of a page that is new has its own 256 places, but whoever is new all the time no more than four times as many', async () => {
    const { world, requests } = asking();
    const ends: (() => void)[] = [];
    requests.answer('double', () => new Promise((resolve) => ends.push(() => resolve({ n: 1 }))));
    const busy = (): number => {
      for (let n = 0; n < 300; n++) requests.handle(ANN, Uint8Array.from([...packed(CALL, n % 100, 0, 0, 0).slice(0, -1), 0x91, 1]));
      return world.dropped.splice(0).length;
    };
    const pages: number[] = [];
    for (let page = 0; page < 6; page++) {
      pages.push(busy());
      requests.peerRestarted(ANN);
    }
    expect([pages, ends.length]).toEqual([[44, 44, 44, 44, 300, 300], 4 * MAX_PENDING_CALLS]);
    for (const end of ends.splice(0, 300)) end();
    await turn();
    expect(busy()).toBe(44);
    requests.peerGone(ANN, true);
    expect([busy(), busy()]).toEqual([44, 300]);
  });
});
