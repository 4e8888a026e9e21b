/**
 * Messages and requests between rooms, by their rules (`docs/spec.md`, Sync): over the in-memory port under a virtual clock.
 */
import { describe, expect, it } from 'vitest';
import { LanError } from 'lanista';
import { only, pair, Party } from './room-party.ts';

describe('messages', () => {
  it('[SY11] reach all, one, or the host, with sender and time', async () => {
    const { party, ann, bob } = await pair();
    const got: string[] = [];
    ann.onMessage('chat', (body, { from, time }) => got.push(`${body.text} ${from === bob.self.id} ${time > 0}`));
    bob.onMessage('chat', (body) => got.push(`bob ${body.text}`));
    bob.send('chat', { text: 'all' });
    bob.send('chat', { text: 'host' }, { to: 'host' });
    ann.send('chat', { text: 'self' }, { to: 'host' });
    await party.play(50);
    expect(got.sort()).toEqual(['all true true', 'host true true', 'self false true']);
    expect(() => bob.send('chat', { text: 5 } as never)).toThrow(/chat\.text/);
    expect(() => bob.send('nope' as never, {} as never)).toThrow(expect.objectContaining({ code: 'unknown-name' }));
  });

  it('[SY11] a peer whose queue is full keeps them from nobody else', async () => {
    const { party, ann, bob } = await pair();
    const eve = await party.add('Eve');
    await party.play(100);
    const got: string[] = [];
    for (const room of [bob, eve]) room.onMessage('chat', ({ text }) => got.push(`${room.self.presence.name} ${text}`));
    const { port } = only(party.hub.rooms.values()).seats.get(ann.self.id)!;
    const send = port.send.bind(port);
    port.send = (now, to, channel, bytes, lane) => !(to === bob.self.id && channel === 'reliable') && send(now, to, channel, bytes, lane);
    expect(() => ann.send('chat', { text: 'all' })).toThrow(expect.objectContaining({ code: 'queue-full' }));
    expect(() => ann.send('chat', { text: 'both' }, { to: [bob.self.id, eve.self.id] })).toThrow(expect.objectContaining({ code: 'queue-full' }));
    await party.play(100);
    expect(got).toEqual(['Eve all', 'Eve both']);
  });

  it('[SY12] redundancy survives loss, and no copy arrives twice', async () => {
    const { party, ann, bob } = await pair({ lossRatio: 0.3 });
    const got: number[] = [];
    ann.onMessage('shot', ({ n }) => got.push(n));
    for (let i = 0; i < 100; i++) {
      bob.send('shot', { n: i });
      await party.play(40);
    }
    await party.play(200);
    expect(new Set(got).size).toBe(got.length);
    expect(got.length).toBeGreaterThan(90);
  });

  it('[SY12] nor when its sender was left out of a list between two copies, and is the same process when it is back', async () => {
    const { party, ann, bob } = await pair();
    const den = only(party.hub.rooms.values());
    const { port } = den.seats.get(ann.self.id)!;
    const got: number[] = [];
    ann.onMessage('shot', ({ n }) => got.push(n));
    for (let i = 0; i < 20; i++) {
      bob.send('shot', { n: i });
      await party.play(5);
      port.push({ type: 'roster', roster: { ...den.roster, peers: den.roster.peers.filter(({ id }) => id !== bob.self.id) }, left: [] });
      await party.play(1);
      port.push({ type: 'roster', roster: den.roster, left: [] });
      await party.play(300);
    }
    expect(got).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  it('[SY13] sequenced never goes back', async () => {
    const { party, ann, bob } = await pair({ jitterMs: 60 });
    const got: number[] = [];
    ann.onMessage('aim', ({ n }) => got.push(n));
    for (let i = 0; i < 100; i++) {
      bob.send('aim', { n: i });
      await party.play(10);
    }
    await party.play(200);
    expect(got).toEqual([...got].sort((a, b) => a - b));
    expect(got.at(-1)).toBe(99);
    expect(got.length).toBeLessThan(100);
  });

  it('[SY13] who is named once in a while hears what is sent then, however many went to others meanwhile', async () => {
    const { party, ann, bob } = await pair();
    const eve = await party.add('Eve');
    await party.play(100);
    const aims: number[] = [];
    const shots: number[] = [];
    eve.onMessage('aim', ({ n }) => aims.push(n));
    eve.onMessage('shot', ({ n }) => shots.push(n));
    // As many as half the circle of numbers, more, and all of it to the number.
    let n = 0;
    for (const others of [0, 32_768, 40_000, 65_535]) {
      for (let i = 0; i < others; i++) {
        bob.send('aim', { n: 0 }, { to: ann.self.id });
        bob.send('shot', { n: 0 }, { to: ann.self.id });
        if (i % 5_000 === 0) await party.play(50);
      }
      n++;
      bob.send('aim', { n });
      bob.send('shot', { n });
      await party.play(200);
    }
    expect(aims).toEqual([1, 2, 3, 4]);
    // Its copies still count once.
    expect(shots).toEqual([1, 2, 3, 4]);
  });

  it('[SY14] requests are answered, refused, unhandled, timed out and aborted, each in its own words', async () => {
    const { party, ann, bob } = await pair();
    const code = (promise: Promise<unknown>): Promise<unknown> =>
      party.wait(
        promise.then(
          () => 'no error',
          (error: unknown) => (error as LanError).code,
        ),
      );
    // Somebody who listens: else what fails is written to the console.
    bob.on('warn', () => undefined);
    expect(await code(ann.call('double', { n: 4 }, { to: bob.self.id }))).toBe('no-handler');
    using handler = bob.handle('double', async ({ n }) => {
      if (n === 13) throw new LanError('refused', 'not thirteen');
      if (n === 14) throw new Error('broken');
      if (n === 15) return new Promise(() => undefined);
      return { n: n * 2 };
    });
    void handler;
    expect(await party.wait(ann.call('double', { n: 4 }, { to: bob.self.id }))).toEqual({ n: 8 });
    expect(await code(ann.call('double', { n: 13 }, { to: bob.self.id }))).toBe('refused');
    expect(await code(ann.call('double', { n: 14 }, { to: bob.self.id }))).toBe('handler-failed');
    expect(await code(ann.call('double', { n: 15 }, { to: bob.self.id, timeoutMs: 200 }))).toBe('timeout');
    const stop = new AbortController();
    const aborted = code(ann.call('double', { n: 15 }, { to: bob.self.id, signal: stop.signal }));
    stop.abort();
    expect(await aborted).toBe('aborted');
    expect(await code(ann.call('double', { n: 1 }))).toBe('bad-argument');
    expect(await code(ann.call('double', { n: -1 }, { to: bob.self.id }))).toBe('bad-value');
    const gone = code(ann.call('double', { n: 15 }, { to: bob.self.id }));
    await party.wait(bob.leave());
    expect(await gone).toBe('peer-gone');
    ann.handle('roll', () => ({ n: 6 }));
    expect(await party.wait(ann.call('roll', {}))).toEqual({ n: 6 });
  });

  it('[SY14] an answer to what a page asked before it was reloaded is not taken for an answer to the page that came after', async () => {
    const { party, ann, bob } = await pair({ latencyMs: 20 });
    const answers: (() => void)[] = [];
    bob.handle('double', async ({ n }) => {
      await new Promise<void>((resolve) => answers.push(resolve));
      return { n: n * 2 };
    });
    for (const n of [1, 2, 3]) void ann.call('double', { n }, { to: bob.self.id }).catch(() => undefined);
    await party.play(100);
    const again = await party.add('Ann', ann.self.id);
    await party.play(500);
    const asked = [10, 20, 30].map((n) => again.call('double', { n }, { to: bob.self.id }));
    await party.play(100);
    for (const answer of answers) answer();
    expect(await party.wait(Promise.all(asked))).toEqual([{ n: 20 }, { n: 40 }, { n: 60 }]);
  });

  it('[SY14] what was asked of a page that is reloaded ends at once, and what it asked itself keeps no place', async () => {
    const { party, ann, bob } = await pair({ latencyMs: 20 });
    // As over a bridge: the process and its links are the same ones, and nobody is told of a reset.
    const { port } = only(party.hub.rooms.values()).seats.get(ann.self.id)!;
    const push = port.push.bind(port);
    port.push = (event) => void (event.type === 'reset' || push(event));
    let waiting = 0;
    let answer = (): void => undefined;
    const answered = new Promise<void>((resolve) => (answer = resolve));
    ann.handle('double', async ({ n }) => {
      waiting++;
      await answered;
      return { n: n * 2 };
    });
    bob.handle('double', () => new Promise(() => undefined));
    const asked = ann.call('double', { n: 1 }, { to: bob.self.id, timeoutMs: Number.POSITIVE_INFINITY }).catch((error: LanError) => error.code);
    const busy = async (page: typeof bob): Promise<number> => {
      const before = ann.stats().drops['request-busy'] ?? 0;
      for (let n = 0; n < 260; n++) void page.call('double', { n }, { to: ann.self.id, timeoutMs: 300_000 }).catch(() => undefined);
      await party.play(200);
      return (ann.stats().drops['request-busy'] ?? 0) - before;
    };
    // A page has 256 calls at most under way.
    expect([await busy(bob), waiting]).toEqual([0, 256]);
    const again = await party.add('Bob', bob.self.id);
    await party.play(200);
    expect(await Promise.race([asked, party.play(50).then(() => 'nothing')])).toBe('peer-gone');
    expect([await busy(again), waiting]).toEqual([0, 512]);
    // The answers to the former page make no room for the next one's.
    const more = await party.add('Bob', bob.self.id);
    answer();
    await party.play(200);
    expect([await busy(more), waiting]).toEqual([0, 768]);
  });

  it('[SY60] what is asked of the host is handled by the host alone, also when it changes under way', async () => {
    const party = new Party({ latencyMs: 20 });
    const rooms = [await party.add('Ann'), await party.add('Bob'), await party.add('Eve')];
    await party.play(100);
    const log: string[] = [];
    for (const room of rooms)
      room.handle('roll', (_input, from) => {
        log.push(`${room.self.presence.name} ${room.isHost} ${rooms.findIndex((one) => one.self.id === from)}`);
        return { n: 6 };
      });
    // Under way to Ann when Bob becomes host.
    const answer = rooms[2]!.call('roll', {});
    const direct = rooms[2]!.call('roll', {}, { to: rooms[0]!.self.id });
    rooms[0]!.setEligible(false);
    expect(await party.wait(answer)).toEqual({ n: 6 });
    expect(log).toEqual(['Bob true 2']);
    // Asked of one peer by name, it does not wander.
    await expect(party.wait(direct)).rejects.toMatchObject({ code: 'refused' });
    // The former host asks itself first, and the answer is the new one's.
    rooms[1]!.setEligible(false);
    expect(await party.wait(rooms[1]!.call('roll', {}))).toEqual({ n: 6 });
    expect(log.slice(1)).toEqual([`Eve true 1`]);
  });

  it('[SY61] copies are recognised over an absence, and those of a former page are not taken for the next one', async () => {
    const { party, ann, bob } = await pair({ latencyMs: 20 });
    const got: number[] = [];
    const aims: number[] = [];
    ann.onMessage('shot', ({ n }) => got.push(n));
    ann.onMessage('aim', ({ n }) => aims.push(n));
    for (let n = 0; n < 40; n++) {
      bob.send('shot', { n });
      bob.send('aim', { n });
      await party.play(15);
      const den = only(party.hub.rooms.values());
      den.setAway(bob.self.id, true);
      den.setAway(bob.self.id, false);
    }
    await party.play(200);
    expect(new Set(got).size).toBe(got.length);
    expect(got.length).toBeGreaterThan(20);
    // The last words of the page before arrive after the hello of the next; had they set the count, nothing new would be new.
    const wire = { latencyMs: 2, jitterMs: 300 };
    Object.assign(party.hub, wire);
    for (let n = 100; n < 200; n++) bob.send('aim', { n });
    const again = await party.add('Bob', bob.self.id);
    aims.length = 0;
    for (let n = 1_000; n < 1_020; n++) {
      again.send('aim', { n });
      await party.play(50);
    }
    await party.play(500);
    expect(aims.at(-1)).toBe(1_019);
    expect(aims.every((n) => n >= 1_000)).toBe(true);
  });

  it('[SY15] callAll brings one answer per peer', async () => {
    const party = new Party();
    const rooms = [await party.add('Ann'), await party.add('Bob'), await party.add('Eve')];
    rooms[1]!.handle('double', ({ n }) => ({ n: n * 2 }));
    await party.play(50);
    const answers = await party.wait(rooms[0]!.callAll('double', { n: 2 }));
    expect(answers.map((answer) => [answer.from, answer.value, (answer.error as LanError | undefined)?.code])).toEqual([
      [rooms[1]!.self.id, { n: 4 }, undefined],
      [rooms[2]!.self.id, undefined, 'no-handler'],
    ]);
  });
});
