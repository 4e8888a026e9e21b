/** What happens at the edges of a room's life (`docs/spec.md`, Room): opening, losing it, and what the network half brings in odd moments. */
import { describe, expect, it } from 'vitest';
import { pack } from 'msgpackr';
import type { LanError } from '../sdk/base/errors.ts';
import { budgetRule } from '../sdk/room/budget.ts';
import { only, pair } from './room-party.ts';
import { ANN, BOB, CAT, hello, open, opened, person } from './room-port-fake.ts';

describe('opening', () => {
  it('[SY52] waits three seconds for who says nothing, and warns of it where whoever awaited the room hears it', async () => {
    const { time, room } = open();
    const heard: string[] = [];
    void room.opened().then(() => {
      heard.push(`open ${time.now()}`);
      room.on('warn', ({ code }) => heard.push(code));
    });
    await time.pass(3_000);
    expect(heard).toEqual([]);
    await time.pass(100);
    expect(heard).toEqual([expect.stringMatching(/^open 30\d\d$/), 'stall']);
    await time.pass(1_000);
    expect(heard).toHaveLength(2);
  });

  it('[SY4] waits for the state of who has it, and not for who waits itself; until then nothing of its own is said', async () => {
    const { port, time, room } = open();
    let isOpen = false;
    void room.opened().then(() => (isOpen = true));
    room.entities.spawn('blob', { x: 1, state: 'alive' });
    await time.pass(50);
    port.hear(BOB, hello(5, true), 0);
    await time.pass(500);
    expect([isOpen, port.types(BOB).includes(3), port.types(BOB).includes(4)]).toEqual([false, false, false]);
    // Nobody is to wait for ours meanwhile.
    expect(port.sent.filter(({ words }) => words[0] === 1).map(({ words }) => words[3])).toEqual([false, false]);
    const waiting = open();
    let isEmpty = false;
    void waiting.room.opened().then(() => (isEmpty = true));
    waiting.port.hear(BOB, hello(5, false), 0);
    await waiting.time.pass(50);
    expect([isEmpty, waiting.room.peers.get(BOB)?.presence.name]).toEqual([true, 'Bob']);
  });

  it('[RO31] of a room that was lost meanwhile resolves with why, whenever it is asked', async () => {
    const { port, time, room } = open();
    const before = room.opened();
    port.say({ type: 'closed', reason: 'kicked' });
    await time.pass(2);
    expect([await before, await room.opened(), time.at]).toEqual(['kicked', 'kicked', Infinity]);
    // What the port still says wakes nobody.
    port.say({ type: 'merge', lost: false, joined: [] });
    expect([time.at, port.onWake]).toEqual([Infinity, undefined]);
  });
});

describe('between two ticks', () => {
  it('[RO39] what is said is flushed in a turn of its own, once however much it is, and what is said in a turn with that turn', async () => {
    const { port, time, room } = await opened();
    room.onMessage('chat', ({ text }) => {
      if (text === 'hi') room.send('chat', { text: 'hello' });
    });
    let { flushes } = port;
    for (let i = 0; i < 5; i++) room.send('chat', { text: 'x' });
    expect([port.flushes - flushes, time.at <= time.now()]).toEqual([0, true]);
    time.turn();
    expect(port.flushes - flushes).toBe(1);
    flushes = port.flushes;
    port.hear(BOB, [2, 0, 0, 1_000_000, ['hi']]);
    time.turn();
    expect([port.types(BOB).filter((type) => type === 2).length, port.flushes - flushes]).toEqual([6, 1]);
  });

  it('[RO39] what the port says while it is polled is taken in the same turn, and one that never ends lets others have theirs', async () => {
    const { port, time, room } = await opened();
    let merges = 0;
    room.on('merge', () => merges++);
    let more = 3;
    port.onDrained = () => {
      if (more-- > 0) port.say({ type: 'merge', lost: false, joined: [BOB] });
    };
    port.say({ type: 'merge', lost: false, joined: [] });
    time.turn();
    expect(merges).toBe(4);
    more = Infinity;
    port.say({ type: 'merge', lost: false, joined: [] });
    time.turn();
    expect(merges).toBeLessThan(30);
    // It goes on at once.
    expect(time.at).toBe(time.now());
    more = 0;
  });

  it('[RO39] what one says to oneself comes in the same turn, and not within the call', async () => {
    const { time, room } = await opened();
    const heard: string[] = [];
    room.onMessage('chat', ({ text }) => void heard.push(text));
    room.send('chat', { text: 'me' }, { to: ANN });
    expect(heard).toEqual([]);
    time.turn();
    expect(heard).toEqual(['me']);
  });
});

describe('a link made anew', () => {
  it('[RO20] is greeted again, is sent the whole state, and ends what was asked over the one before', async () => {
    for (const way of ['reset', 'back', 'merge'] as const) {
      const { port, time, room } = await opened();
      room.entities.spawn('blob', { x: 1, state: 'alive' });
      await time.pass(2_000);
      const asked = room.call('double', { n: 1 }, { to: BOB }).catch((error: { code: string }) => error.code);
      await time.pass(100);
      port.sent.length = 0;
      if (way === 'reset') port.say({ type: 'reset', peer: BOB });
      if (way === 'back') {
        port.seats([person(ANN, 0), person(BOB, 1, { status: 'away' })]);
        await time.pass(50);
        expect(port.sent).toEqual([]);
        expect(await asked).toBe('peer-gone');
        port.seats([person(ANN, 0), person(BOB, 1)]);
      }
      if (way === 'merge') port.say({ type: 'merge', lost: false, joined: [BOB] });
      await time.pass(50);
      const said = port.types(BOB);
      if (way === 'merge') {
        // Its links stand, and this side's word counts.
        expect([said.includes(1), said.includes(9)]).toEqual([false, false]);
        continue;
      }
      expect([said.slice(0, 2), said.includes(4)]).toEqual([[1, 1], true]);
      expect([way, await asked]).toEqual([way, 'peer-gone']);
    }
  });

  it('[RO20] after a merge that was lost the new host is asked for what it has, at once', async () => {
    const { port, time } = await opened();
    port.seats([person(ANN, 0), person(BOB, 1)], { host: BOB });
    await time.pass(50);
    port.sent.length = 0;
    port.say({ type: 'merge', lost: false, joined: [BOB] });
    await time.pass(2);
    expect(port.types(BOB)).not.toContain(9);
    for (const times of [1, 2]) {
      port.say({ type: 'merge', lost: true, joined: [BOB] });
      await time.pass(2);
      expect(port.types(BOB).filter((type) => type === 9)).toHaveLength(times);
    }
  });
});

describe('who is in the list', () => {
  it('[RO25] and never said a word comes and goes without one', async () => {
    const { port, time, room } = await opened();
    const heard: string[] = [];
    for (const name of ['join', 'away', 'back'] as const) room.on(name, ({ id }) => heard.push(`${name} ${id[0]}`));
    room.on('leave', ({ peer, reason }) => heard.push(`leave ${peer.id[0]} ${reason}`));
    room.on('host', ({ host, previous, isSelf }) => heard.push(`host ${host[0]} ${previous[0]} ${isSelf}`));
    const both = [person(ANN, 0), person(BOB, 1)];
    port.seats([...both, person(CAT, 2)]);
    port.seats([...both, person(CAT, 2, { status: 'away' })]);
    port.seats([...both, person(CAT, 2)]);
    port.seats(both);
    port.seats([person(ANN, 0), person(BOB, 1, { status: 'away' })], { host: BOB });
    port.seats(both, { host: ANN });
    await time.pass(5);
    const asked = room.call('double', { n: 1 }, { to: BOB, timeoutMs: 60_000 }).catch((error: { code: string }) => error.code);
    room.on('merge', ({ lost, joined }) => heard.push(`merge ${lost} ${joined.map((id) => id[0]).join()}`));
    port.say({ type: 'merge', lost: false, joined: [BOB, CAT] });
    await time.pass(5);
    expect(heard.pop()).toBe('merge false b,c');
    // Gone from the list, and nobody says why.
    port.seats([person(ANN, 0)]);
    await time.pass(5);
    expect(await asked).toBe('peer-gone');
    expect(heard).toEqual(['away b', 'host b a false', 'back b', 'host a b true', 'leave b timeout']);
  });

  it('[RO8] is shown as the list has it now: another slot, another way, another part; oneself is always there', async () => {
    const { port, time, room } = await opened();
    const bob = room.peers.get(BOB)!;
    const heard: string[] = [];
    for (const name of ['away', 'back'] as const) room.on(name, ({ id }) => heard.push(`${name} ${id[0]}`));
    room.on('leave', ({ peer }) => heard.push(`leave ${peer.id[0]}`));
    port.seats([person(BOB, 0, { spectator: true, via: CAT }), person(CAT, 1), person(ANN, 2, { status: 'away' })], { host: BOB });
    await time.pass(2);
    expect([[...room.peers.keys()], room.peers.get(BOB)]).toEqual([[BOB, CAT, ANN], bob]);
    expect([bob.slot, bob.spectator, bob.via, bob.isHost, room.self.slot, room.self.status, room.isHost]).toEqual([
      0,
      true,
      CAT,
      true,
      2,
      'away',
      false,
    ]);
    port.seats([person(BOB, 0)], { host: BOB });
    await time.pass(2);
    expect([room.self.id, room.peers.has(CAT), heard]).toEqual([ANN, false, []]);
  });

  it('[RO40] are the ones whose words count: of others, and of oneself, nothing does', async () => {
    const { port, time, room } = await opened();
    port.drops = { stranger: 2, replay: 3 };
    const chat = [2, 0, 0, 1_000_000, ['hi']];
    let heard = 0;
    room.onMessage('chat', () => heard++);
    port.hear(CAT, chat);
    port.hear(ANN, chat);
    port.hear(BOB, [99]);
    port.say({ type: 'message', from: BOB, channel: 'reliable', lane: 0, bytes: Uint8Array.of(0xc1) });
    port.hear(BOB, [8, ['Bob', 7]]);
    port.hear(BOB, [...hello(6, false), 1]);
    port.hear(BOB, chat);
    await time.pass(2);
    expect([heard, room.stats().drops]).toEqual([1, { stranger: 4, replay: 3, 'sync-malformed': 4 }]);
    expect(room.peers.get(BOB)!.presence).toEqual({ name: 'Bob', ready: false });
    // Nobody changes what it says of itself but it.
    for (const { presence } of room.peers.values()) expect(Object.isFrozen(presence)).toBe(true);
  });
});

it('[RO1] a presence that changes is told to everybody, oneself included; what was not taken is said with a greeting', async () => {
  const { port, time, room } = await opened();
  const heard: unknown[] = [];
  room.on('presence', ({ id, presence }) => heard.push([id[0], presence]));
  room.setPresence({ ready: true });
  expect(heard).toEqual([['a', { name: 'Ann', ready: true }]]);
  expect(port.sent.map(({ words }) => words)).toEqual([[8, ['Ann', 1]]]);
  port.takes = false;
  room.setPresence({ name: 'Anna' });
  await time.pass(100);
  port.sent.length = 0;
  port.takes = true;
  await time.pass(300);
  expect(port.sent.filter(({ words }) => words[0] === 1).map(({ words, lane }) => [lane, words[6]])).toEqual([
    [0, ['Anna', 1]],
    [1, ['Anna', 1]],
  ]);
  port.hear(BOB, [8, ['Bo', 1]]);
  await time.pass(2);
  expect(heard.at(-1)).toEqual(['b', { name: 'Bo', ready: true }]);
  expect(Object.isFrozen(room.peers.get(BOB)!.presence)).toBe(true);
});

it('[SY57] a budget holds until it is taken back, and what is drawn late for it is told in the statistics', async () => {
  const { party, ann, bob } = await pair();
  const blobs = Array.from({ length: 100 }, (_, i) => ann.entities.spawn('blob', { x: i, state: 'alive' }));
  await party.play(1_000);
  const bytesOf = async (): Promise<number> => {
    const before = ann.stats().stateBytesOut;
    for (let i = 0; i < 20; i++) {
      for (const blob of blobs) blob.x = (blob.x + 1) % 1_920;
      await party.play(50);
    }
    return ann.stats().stateBytesOut - before;
  };
  const free = await bytesOf();
  ann.setStateBudget({ bytesPerTick: 64 });
  const bound = await bytesOf();
  ann.setStateBudget(undefined);
  expect([bound < free / 3, (await bytesOf()) > bound * 3]).toEqual([true, true]);
  expect(bob.stats().peers.get(ann.self.id)!.interpolationDelayMs).toBeGreaterThan(0);
});

it('[SY54] a priority is moved within its bounds, whatever the game says', () => {
  const of = (value: number): number => {
    const rule = budgetRule({ bytesPerTick: 100, priority: () => value }, () => undefined);
    return rule.priority({ kind: { def: { priority: 5 } } } as never, BOB);
  };
  expect([1e9, Infinity, -1, 0, 7, Number.NaN].map(of)).toEqual([1_000, 1_000, 0.01, 0.01, 7, 5]);
});

it('[RO34] what is said reliably while the room opens is kept as it was, up to 256 KiB of each peer, and what may be lost is not kept', async () => {
  const { port, time, room } = open();
  const heard: string[] = [];
  room.onMessage('chat', ({ text }) => void heard.push(text));
  room.onMessage('shot', ({ n }) => void heard.push(`shot ${n}`));
  for (const lane of [0, 1]) port.hear(BOB, hello(5, false), lane);
  const words = new Uint8Array(pack([2, 0, 0, 1_000_000, ['first']]));
  port.say({ type: 'message', from: BOB, channel: 'reliable', lane: 0, bytes: words });
  port.hear(BOB, [2, 1, 5 << 16, 1_000_000, [7]], 0, 'unreliable');
  time.turn();
  // The bytes are the port's, which may use them for something else.
  words.fill(0);
  expect(heard).toEqual(['shot 7']);
  // No message of the game, but as long as one may be; the third takes what is left.
  const sizes = [100_000, 100_000, 256 * 1_024 - 200_000 - words.length];
  for (const size of sizes) {
    const filler = new Uint8Array(size);
    filler.set(pack([2, 0, 0, 1_000_000, ['']]));
    port.say({ type: 'message', from: BOB, channel: 'reliable', lane: 0, bytes: filler });
  }
  time.turn();
  expect(room.stats().drops).toEqual({});
  port.hear(BOB, [2, 0, 0, 1_000_000, ['one more']]);
  time.turn();
  expect(room.stats().drops).toEqual({ early: 1 });
  await time.pass(200);
  expect(heard.slice(0, 2)).toEqual(['shot 7', 'first']);
});

describe('a duty', () => {
  it('[RO4] begins when this peer has the room, and not before', async () => {
    const { port, time, room } = open();
    const begun: number[] = [];
    room.whileHost(() => void begun.push(time.now()));
    port.hear(BOB, hello(5, true), 0);
    await time.pass(1_000);
    expect([room.isHost, begun]).toEqual([true, []]);
    await time.pass(2_100);
    expect(begun).toHaveLength(1);
  });

  it('[RO6] that ends with an error because it was told to end has done nothing wrong', async () => {
    const { port, time, room } = await opened();
    const warned: string[] = [];
    room.on('warn', ({ detail }) => warned.push(detail.split('\n')[0]!));
    for (const isPatient of [true, false])
      room.whileHost(async ({ signal }) => {
        if (isPatient) await new Promise((resolve) => signal.addEventListener('abort', resolve));
        throw new Error(isPatient ? 'told to' : 'at once');
      });
    await time.pass(5);
    port.seats([person(ANN, 0), person(BOB, 1)], { host: BOB });
    await time.pass(5);
    expect(warned).toEqual(['whileHost: Error: at once']);
  });
});

describe('an entity', () => {
  it('[RO28] is found by its kind alone, despawned by who has it, and asked for while there is a room', async () => {
    const { party, ann, bob } = await pair();
    const blob = ann.entities.spawn('blob', { x: 1, state: 'alive' });
    const ball = ann.entities.spawn('ball', { x: 1 });
    await party.play(200);
    expect([bob.entities.get('ball', blob.id as never), bob.entities.get('blob', blob.id)?.x]).toEqual([undefined, 1]);
    const theirs = bob.entities.get('ball', ball.id)!;
    expect(() => (theirs as unknown as { despawn(): void }).despawn()).toThrow(expect.objectContaining({ code: 'not-owner' }));
    await party.play(100);
    expect([...ann.entities.all('ball')]).toHaveLength(1);
    await party.wait(bob.leave());
    expect(await party.wait(theirs.requestAuthority({ timeoutMs: 60_000 }))).toBeUndefined();
  });
});

describe('a page that was reloaded', () => {
  it('[RO40] is another one: what its former self says, or is meant for ours, does nothing', async () => {
    const { port, time, room } = await opened();
    room.entities.spawn('blob', { x: 1, state: 'alive' });
    await time.pass(1_000);
    const heard: unknown[] = [];
    room.on('join', ({ id }) => heard.push(`join ${id[0]}`));
    room.on('presence', ({ presence }) => heard.push(presence.name));
    for (const lane of [0, 1]) port.hear(BOB, hello(6, false, ['Bobby', 0]), lane);
    await time.pass(2_000);
    expect([heard, port.types(BOB).filter((type) => type === 1).length, port.types(BOB).includes(4)]).toEqual([['Bobby'], 2, true]);
    port.sent.length = 0;
    const before = room.stats().drops['state-session'] ?? 0;
    port.hear(BOB, [3, 5, 1, null, null], 0, 'unreliable');
    port.hear(BOB, [10, 5, 1, 77, 1], 1);
    port.hear(BOB, [9, 76], 1);
    await time.pass(1_000);
    expect([room.stats().drops['state-session'], port.types(BOB).includes(4), port.types(BOB).includes(12)]).toEqual([before + 2, false, false]);
    for (let i = 0; i < 10; i++) {
      port.hear(BOB, [9, 77], 1);
      await time.pass(20);
    }
    expect(port.types(BOB).filter((type) => type === 4).length).toBeLessThanOrEqual(2);
    port.hear(BOB, [3, 6, 1, null, [0]], 0, 'unreliable');
    port.hear(BOB, [3, 6, 1, null], 0, 'unreliable');
    port.hear(BOB, [10, 6], 1);
    await time.pass(1_000);
    expect(port.types(BOB)).toContain(4);
    const { 'sync-malformed': claims, 'state-malformed': frames } = room.stats().drops;
    expect([claims, frames]).toEqual([1, 2]);
  });

  it('[RO20] that forgot us says so by whom it greets: what was asked of it is over, and it is greeted again', async () => {
    const { port, time, room } = await opened();
    const asked = room.call('double', { n: 1 }, { to: BOB }).catch((error: { code: string }) => error.code);
    await time.pass(50);
    port.sent.length = 0;
    for (const lane of [0, 1]) port.hear(BOB, hello(5, true).with(5, null), lane);
    await time.pass(50);
    expect([await asked, port.types(BOB).filter((type) => type === 1)]).toEqual(['peer-gone', [1, 1]]);
  });

  it('[RO40] in another build is nobody to us, and a warning says so', async () => {
    const { port, time, room } = await opened();
    const heard: string[] = [];
    room.on('warn', ({ code, detail }) => heard.push(`${code} ${detail.split(' ')[0]}`));
    port.seats([person(ANN, 0), person(BOB, 1), person(CAT, 2)]);
    room.on('join', ({ id }) => heard.push(id));
    port.hear(CAT, hello(9, false).with(2, 7));
    await time.pass(50);
    expect([heard, room.stats().drops, room.peers.get(CAT)!.presence]).toEqual([[`schema ${CAT}`], { schema: 1 }, {}]);
  });

  it('[RO30] and speaks before its greeting is asked for it once a second, however much it says', async () => {
    const { port, time } = await opened();
    port.seats([person(ANN, 0), person(BOB, 1), person(CAT, 2)]);
    await time.pass(500);
    port.sent.length = 0;
    for (let i = 0; i < 45; i++) {
      port.hear(CAT, [2, 0, 0, 1_000_000, ['hi']]);
      await time.pass(100);
    }
    const greetings = port.sent.filter(({ to, words, lane }) => to === CAT && words[0] === 1 && lane === 0).length;
    expect([greetings >= 3, greetings <= 5]).toEqual([true, true]);
  });
});

it('[RO40] what a room counts is all that went through it', async () => {
  const { port, time, room } = await opened();
  const before = room.stats();
  room.send('chat', { text: 'x' });
  void room.call('double', { n: 1 }, { to: BOB }).catch(() => undefined);
  const chat = [2, 0, 0, 1_000_000, ['hi']];
  const ask = [5, 1, 0, 1_000_000, [3]];
  port.hear(BOB, chat);
  port.hear(BOB, ask);
  const state = [3, 5, 1, null, null];
  port.hear(BOB, state, 0, 'unreliable');
  await time.pass(100);
  room.entities.spawn('blob', { x: 1, state: 'alive' });
  const after = room.stats();
  const bytes = (type: number): number => port.sent.reduce((sum, { words }) => sum + (words[0] === type ? pack(words).length : 0), 0);
  expect(after.messageBytesIn - before.messageBytesIn).toBe(pack(chat).length + pack(ask).length);
  expect(after.messageBytesOut - before.messageBytesOut).toBe(bytes(2) + bytes(5) + bytes(7));
  expect([before.entities, after.entities, after.stateBytesIn - before.stateBytesIn]).toEqual([0, 1, pack(state).length]);
});

describe('the end', () => {
  it('[RO35] of a seat that is lost is no full queue for what the host says in its last moment', async () => {
    const { party, ann } = await pair();
    const heard: string[] = [];
    ann.whileHost(({ signal }) =>
      signal.addEventListener('abort', () => {
        ann.send('chat', { text: 'good luck' });
        heard.push('said');
      }),
    );
    ann.on('close', ({ reason }) => heard.push(reason));
    await party.play(50);
    only(party.hub.rooms.values()).seats.get(ann.self.id)!.port.push({ type: 'closed', reason: 'copied' });
    await party.play(50);
    expect(heard).toEqual(['said', 'copied']);
  });

  it('[RO35] that the room has not been told of yet is no full queue, nor is a peer that left or went away in this very turn', async () => {
    const { port, time, room } = await opened();
    const says = (): string => {
      try {
        room.send('chat', { text: 'hello' });
        return 'said';
      } catch (error) {
        return (error as LanError).code;
      }
    };
    port.takes = false;
    expect(says()).toBe('queue-full');
    port.seats([person(ANN, 0), person(BOB, 1, { status: 'away' })]);
    expect(says()).toBe('said');
    await expect(room.call('double', { n: 1 }, { to: BOB })).rejects.toMatchObject({ code: 'peer-gone' });
    port.seats([person(ANN, 0)]);
    expect(says()).toBe('said');
    port.seats([person(ANN, 0), person(BOB, 1)]);
    await time.pass(5);
    expect(says()).toBe('queue-full');
    port.say({ type: 'closed', reason: 'bridge' });
    expect(says()).toBe('said');
  });

  it('[RO35] comes when the port says so; until then what it does not take is no full queue, and after it nothing is sent or asked of it', async () => {
    const { port, time, room } = await opened();
    let answer = (_value: { n: number }): void => undefined;
    room.handle('double', () => new Promise((resolve) => (answer = resolve)));
    port.hear(BOB, [5, 1, 0, 1_000_000, [3]]);
    await time.pass(2);
    let left = 0;
    void room.leave().then(() => left++);
    port.takes = false;
    room.send('chat', { text: 'bye' });
    await time.pass(500);
    expect([left, port.leaves]).toEqual([0, 1]);
    port.takes = true;
    await time.pass(20);
    const { flushes } = port;
    time.clock += 100;
    port.say({ type: 'closed', reason: 'bye' });
    await time.pass(2);
    expect(port.flushes).toBe(flushes);
    const { length } = port.sent;
    answer({ n: 6 });
    room.setEligible(false);
    await time.pass(500);
    await room.leave();
    expect([left, port.sent.length, port.leaves, port.eligible, time.at]).toEqual([1, length, 1, [], Infinity]);
  });
});
