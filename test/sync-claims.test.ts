/**
 * The rules of authority one by one (`docs/spec.md`, Sync): claims, grants, inheritance and merges as one peer decides them, whatever others say.
 */
import { describe, expect, it } from 'vitest';
import type { PeerId } from 'lanista';
import { UNBORN } from '../sdk/sync/entity.ts';
import type { Grave } from '../sdk/sync/store.ts';
import { ADOPT, ASK, BURIED, DENY, GRANT } from '../sdk/sync/wire.ts';
import { ANN, BOB, Bob, CAT, DAN, type Kind } from './sync-bob.ts';

describe('a claim', () => {
  it('[SY81] [SY93] to what is gone counts when it is better than the one that ended it, or the one that was lost', () => {
    const bob = new Bob();
    const ball = bob.store.kind('ball');
    const of = (epoch: number, owner: PeerId, lost?: true): Grave => ({ epoch, owner, ...(lost === undefined ? {} : { lost }) });
    const judge = (grave: Grave, from: PeerId, epoch: number): string => bob.rules.judge(from, ball, undefined, grave, epoch, 1);
    expect([
      judge(of(4, BOB), BOB, 4),
      judge(of(4, BOB), CAT, 4),
      judge(of(4, BOB), ANN, 4),
      judge(of(4, BOB), CAT, 5),
      judge(of(4, BOB), ANN, 3),
    ]).toEqual(['buried', 'buried', 'accept', 'accept', 'buried']);
    expect([
      judge(of(4, BOB, true), BOB, 4),
      judge(of(4, BOB, true), CAT, 4),
      judge(of(4, BOB, true), ANN, 4),
      judge(of(4, BOB, true), BOB, 3),
    ]).toEqual(['accept', 'outbid', 'accept', 'outbid']);
  });

  it('[SY81] [SY87] that has ended ends the reign it made, and every worse one, but none that came after it', () => {
    const bob = new Bob();
    const ball = bob.know('ball', CAT, 4);
    expect([3, 4, 5].map((epoch) => bob.rules.judgeEnd(CAT, ball, epoch))).toEqual(['refuse', 'accept', 'accept']);
    expect([3, 4, 5].map((epoch) => bob.rules.judgeEnd(ANN, ball, epoch))).toEqual(['refuse', 'accept', 'accept']);
    expect([3, 4, 5].map((epoch) => bob.rules.judgeEnd(DAN, ball, epoch))).toEqual(['refuse', 'refuse', 'accept']);
    // Of the host's things the host decides; who may be host soon is waited for.
    const post = bob.know('post', CAT, 4);
    expect([3, 4, 5].map((epoch) => bob.rules.judgeEnd(ANN, post, epoch))).toEqual(['accept', 'accept', 'accept']);
    expect([3, 4, 5].map((epoch) => bob.rules.judgeEnd(DAN, post, epoch))).toEqual(['refuse', 'refuse', 'later']);
    expect([bob.rules.judge(DAN, post.kind, post, undefined, 9, 1), bob.rules.judge(ANN, post.kind, post, undefined, 0, 1)]).toEqual([
      'later',
      'accept',
    ]);
  });
});

describe('who is gone', () => {
  it('[SY5] [SY9] loses what is distributed when it is away, and what it spawned when its seat is gone; nobody loses what is his own', () => {
    const bob = new Bob();
    const [blob, cup, mine] = [bob.know('blob', CAT), bob.know('cup', CAT), bob.know('cup', BOB)];
    bob.roster(ANN, [ANN, 'present'], [BOB, 'away'], [CAT, 'away']);
    expect([blob.alive, cup.alive, mine.alive, mine.mine]).toEqual([true, false, true, true]);
    bob.roster(ANN, [ANN, 'present'], [BOB, 'present']);
    expect([blob.alive, mine.alive]).toEqual([false, true]);
  });

  it('[SY9] is inherited from by those who can, each time anew: what the heirs leave falls to second ones after a second, and is gone after four', () => {
    const bob = new Bob();
    for (const round of [0, 1]) {
      const started = (bob.now = 10_000 * (round + 1));
      bob.peers = [ANN, BOB, CAT, DAN].map((id) => [id, 'present', id === DAN]);
      bob.rules.applyRoster();
      const balls = Array.from({ length: 8 }, () => bob.know('ball', CAT));
      bob.roster(ANN, [ANN, 'present'], [BOB, 'present'], [DAN, 'present', true]);
      const inherited = balls.filter(({ mine }) => mine);
      expect(inherited).toHaveLength(4);
      const claimed = balls.filter(({ counter, mine }) => !mine && counter % 2 === 1);
      bob.rules.handleTimeout(started + 999);
      expect(balls.filter(({ mine }) => mine)).toEqual(inherited);
      expect(bob.rules.deadline()).toBe(started + 1_000);
      bob.rules.handleTimeout(started + 1_000);
      expect(balls.filter(({ mine }) => mine)).toHaveLength(4 + claimed.length);
      expect(bob.rules.deadline()).toBe(started + 4_000);
      bob.rules.handleTimeout(started + 3_999);
      expect(balls.every(({ alive }) => alive)).toBe(true);
      bob.rules.handleTimeout(started + 4_000);
      expect(balls.every(({ alive, mine }) => alive === mine)).toBe(true);
      expect(bob.rules.deadline()).toBe(Number.POSITIVE_INFINITY);
    }
  });

  it('[SY9] [SY88] and started anew inherits nothing of itself, and is told what it has as host, until when that was heard, and that this was all', () => {
    const bob = new Bob();
    const weeds = Array.from({ length: 6 }, () => bob.know('weed', CAT));
    bob.rules.handleRestart(CAT, 70);
    expect(weeds.filter(({ mine }) => mine)).toHaveLength(3);
    expect(bob.said.splice(0)).toEqual([`${CAT} ${ADOPT} 71 0 0`]);
    bob.know('post', ANN);
    bob.rules.handleRestart(ANN, 80);
    expect(bob.said.splice(0)).toEqual([`${ANN} ${ADOPT} 81 9 7`, `${ANN} ${ADOPT} 81 0 0`]);
    bob.rules.handleRestart(ANN, -1);
    expect(bob.said).toEqual([`${ANN} ${ADOPT} 0 9 7`, `${ANN} ${ADOPT} 0 0 0`]);
  });

  it('[RO5] and started anew as host is told what found no room at once as soon as there is, of what is still its own, and that this was all after that', () => {
    const bob = new Bob();
    const [first, taken, gone, last] = [bob.know('post', ANN), bob.know('egg', ANN), bob.know('egg', ANN), bob.know('sign', ANN)];
    bob.isHeard = false;
    bob.rules.handleRestart(ANN, 80);
    expect(bob.said).toEqual([]);
    bob.rules.handleTimeout(10);
    void bob.ask(taken);
    bob.store.remove(gone, undefined);
    bob.isHeard = true;
    bob.rules.handleTimeout(20);
    expect(bob.said.splice(0)).toEqual(
      [first.counter, last.counter].map((counter) => `${ANN} ${ADOPT} 81 9 ${counter}`).concat(`${ANN} ${ADOPT} 81 0 0`),
    );
    bob.rules.handleTimeout(30);
    expect(bob.said).toEqual([]);
    // Who has left is told nothing when it comes again.
    bob.isHeard = false;
    bob.rules.handleRestart(ANN, 80);
    bob.roster(BOB, [BOB, 'present'], [CAT, 'present']);
    bob.rules.handleTimeout(40);
    bob.isHeard = true;
    bob.roster(BOB, [ANN, 'present'], [BOB, 'present'], [CAT, 'present']);
    bob.rules.handleTimeout(50);
    expect(bob.said).toEqual([]);
  });
});

describe('a made-up word', () => {
  it('[SY116] claims or ends nothing that is nobody’s but who spawned it, nor what is not its hearer’s to hear of', () => {
    const bob = new Bob();
    const [theirs, mine, ball] = [bob.know('blob', ANN), bob.know('blob', BOB), bob.know('ball', ANN)];
    for (const blob of [theirs, mine])
      expect([bob.rules.judge(CAT, blob.kind, blob, undefined, 99, 1), bob.rules.judgeEnd(CAT, blob, 99)]).toEqual(['refuse', 'refuse']);
    expect([bob.rules.judgeEnd(ANN, theirs, 1), bob.rules.judgeEnd(ANN, theirs, 0)]).toEqual(['accept', 'refuse']);
    for (const core of [theirs, mine, ball])
      bob.hear(CAT, BURIED, 0, core, (out) => {
        out.int(99);
        out.text(CAT);
      });
    expect([theirs.alive, mine.alive, ball.alive]).toEqual([true, true, true]);
    // Lost with who had it, who may come back with it.
    bob.roster(ANN, [ANN, 'present'], [BOB, 'present']);
    const gone = bob.know('blob', DAN);
    bob.rules.applyRoster();
    expect(gone.alive).toBe(false);
    for (const owner of [CAT, DAN])
      bob.hear(CAT, BURIED, 0, gone, (out) => {
        out.int(99);
        out.text(owner);
      });
    bob.store.deepen(9, gone.counter, { epoch: 99, owner: CAT, session: 1, tick: 5 });
    expect(bob.rules.judge(DAN, gone.kind, undefined, bob.store.grave(9, gone.counter), 1, 9)).toBe('accept');
    bob.store.deepen(9, gone.counter, { epoch: 1, owner: DAN, session: 9, tick: 5 });
    expect(bob.rules.judge(DAN, gone.kind, undefined, bob.store.grave(9, gone.counter), 1, 9)).toBe('buried');
    // Of what somebody says is his own he may say that it is gone.
    bob.hear(ANN, BURIED, 0, ball, (out) => {
      out.int(99);
      out.text(CAT);
    });
    expect(ball.alive).toBe(false);
  });

  it('[SY116] about what one had as host before counts only where one may have been that', () => {
    const bob = new Bob();
    const tells = (kind: Kind, counter: number): unknown => {
      const told = bob.tells(kind, counter, 4);
      bob.hear(CAT, ADOPT, 0, told, told.whole);
      return bob.store.find(9, counter);
    };
    // It became host later.
    bob.rules.opened();
    bob.roster(BOB);
    expect([tells('post', 1), tells('egg', 2)]).toEqual([undefined, undefined]);
    // It was nobody's before.
    const alone = new Bob();
    alone.roster(BOB, [BOB, 'present']);
    alone.rules.opened();
    alone.roster(BOB, [BOB, 'present'], [CAT, 'present']);
    const post = alone.tells('post', 1, 4);
    alone.hear(CAT, ADOPT, 0, post, post.whole);
    expect(alone.store.size).toBe(0);
    // It has been here, and the things would have fallen to the host.
    bob.rules.opened();
    expect([tells('blob', 3), tells('ball', 4), tells('weed', 5)]).toEqual([undefined, undefined, undefined]);
    expect([tells('post', 6), tells('egg', 7)]).toEqual([expect.anything(), expect.anything()]);
  });
});

describe('what gave way in a merge', () => {
  it('[SY85] waits for the host’s whole state, which nobody else’s settles, and for nothing where one is host oneself', () => {
    const bob = new Bob();
    const posts = [bob.know('post', CAT), bob.know('post', CAT)];
    bob.rules.mergeLost();
    expect(bob.rules.awaitsHost).toBe(true);
    bob.rules.mergeSettled(CAT);
    expect([bob.rules.awaitsHost, posts.map(({ alive }) => alive)]).toEqual([true, [true, true]]);
    posts[0]!.yielded = false;
    bob.rules.mergeSettled(ANN);
    expect([bob.rules.awaitsHost, posts.map(({ alive }) => alive)]).toEqual([false, [true, false]]);
    bob.rules.mergeLost();
    bob.host = BOB;
    expect(bob.rules.awaitsHost).toBe(false);
    bob.rules.applyRoster();
    expect(posts[0]!.mine).toBe(true);
    // Host in between: there is nothing to wait for any more, and what one took up has not given way.
    bob.roster(ANN);
    expect([bob.rules.awaitsHost, posts[0]!.owner, posts[0]!.yielded]).toEqual([false, ANN, false]);
    bob.rules.mergeSettled(ANN);
    expect(posts[0]!.alive).toBe(true);
  });
});

describe('asking', () => {
  it('[SY47] gives what may be asked for, and nothing else', () => {
    const bob = new Bob();
    const [egg, sign, ball, theirs] = [bob.know('egg', BOB), bob.know('sign', BOB), bob.know('ball', BOB), bob.know('ball', CAT)];
    for (const core of [egg, sign, theirs]) bob.hear(CAT, ASK, 5, core);
    bob.hear(CAT, ASK, 6, { origin: 9, counter: 99 });
    expect(bob.said.splice(0)).toEqual([`${CAT} ${DENY} 5 9 1`, `${CAT} ${DENY} 5 9 2`, `${CAT} ${DENY} 5 9 4`, `${CAT} ${DENY} 6 9 99`]);
    bob.hear(CAT, ASK, 7, ball);
    expect(bob.said.splice(0)).toEqual([`${CAT} ${GRANT} 7 9 3`]);
    expect([ball.mine, ball.owner, ball.epoch, ball.given, ball.lastChange, egg.mine, sign.mine]).toEqual([false, CAT, 2, true, -1, true, true]);
    // It never took it: by inheritance it is not given any more.
    bob.roster(ANN, [ANN, 'present'], [BOB, 'present']);
    expect([ball.mine, ball.given]).toEqual([true, false]);
  });

  it('[SY37] is answered with what is known to have rested until then', () => {
    const bob = new Bob();
    const [still, moved] = [bob.know('ball', BOB), bob.know('ball', BOB)];
    bob.replication.collect(10, 0);
    bob.replication.collect(39, 0);
    moved.assign(0, 5);
    bob.replication.collect(40, 0);
    for (const core of [still, moved]) bob.hear(CAT, ASK, 7, core);
    expect([still.track.tick(0), still.track.size, moved.track.tick(0), moved.track.value(1, 0)]).toEqual([40, 2, 40, 0]);
  });

  it('[SY47] leaves no listener behind', async () => {
    const bob = new Bob();
    const ball = bob.know('ball', CAT);
    const listeners = new Set<unknown>();
    const signal = {
      aborted: false,
      addEventListener: (_type: string, fn: unknown) => void listeners.add(fn),
      removeEventListener: (_type: string, fn: unknown) => void listeners.delete(fn),
    } as unknown as AbortSignal;
    const asked = bob.rules.request(ball, { signal });
    expect(listeners.size).toBe(1);
    bob.hear(CAT, DENY, 1, ball);
    expect([await asked, listeners.size]).toEqual([undefined, 0]);
  });

  it('[SY17] [SY7] nothing is taken up in a room that holds as many as it can', () => {
    const bob = new Bob();
    bob.roster(BOB);
    bob.rules.opened();
    Object.defineProperty(bob.store, 'full', { value: true });
    for (const [type, counter] of [
      [GRANT, 71],
      [ADOPT, 72],
    ] as const) {
      const told = bob.tells('ball', counter, 4);
      expect([bob.hear(CAT, type, 0, told, told.whole), bob.store.size]).toEqual([true, 0]);
    }
  });

  it('[SY47] ends where the thing is gone', async () => {
    const bob = new Bob();
    const cup = bob.know('cup', CAT);
    const asked = bob.ask(cup);
    bob.rules.handleTimeout(5);
    bob.store.remove(cup, undefined);
    for (let i = 0; i < 5; i++) await Promise.resolve();
    expect(asked.ended).toBeUndefined();
    bob.rules.handleTimeout(6);
    for (let i = 0; i < 5; i++) await Promise.resolve();
    expect(asked).toEqual({ value: undefined, ended: true });
  });

  it('[SY7] what could not be given is kept, and told anew with what was taken over for it', () => {
    const bob = new Bob();
    const ball = bob.know('ball', BOB);
    bob.replication.collect(10, 0);
    ball.live[0] = 5;
    bob.isHeard = false;
    bob.hear(CAT, ASK, 7, ball);
    expect([ball.mine, ball.bornTick, ball.ints[0], ball.epoch]).toEqual([true, UNBORN, 5, 2]);
  });

  it('[SY47] ends in an answer that is one: of that entity, to that question', async () => {
    const bob = new Bob();
    const [one, two] = [bob.know('ball', CAT), bob.know('ball', CAT)];
    const [first, second] = [bob.ask(one), bob.ask(two)];
    const ended = async (): Promise<(boolean | undefined)[]> => {
      for (let i = 0; i < 5; i++) await Promise.resolve();
      return [first.ended, second.ended];
    };
    expect(bob.said.splice(0)).toEqual([`${CAT} ${ASK} 1 9 1`, `${CAT} ${ASK} 2 9 2`]);
    bob.hear(CAT, DENY, 1, two);
    bob.hear(CAT, DENY, 3, one);
    // Another one than was asked for: it is here, and what was asked for is not.
    const third = bob.know('ball', CAT);
    bob.hear(CAT, GRANT, 1, third, bob.tells('ball', third.counter, 5).whole);
    expect([await ended(), third.mine]).toEqual([[undefined, undefined], true]);
    bob.hear(CAT, DENY, 2, two);
    expect(await ended()).toEqual([undefined, true]);
    bob.hear(CAT, GRANT, 1, one, bob.tells('ball', one.counter, 5).whole);
    expect([await ended(), first.value, second.value, one.epoch, one.live[0]]).toEqual([[true, true], one.handle, undefined, 5, 7]);
    bob.isHeard = false;
    const unheard = bob.ask(bob.know('cup', CAT));
    for (let i = 0; i < 5; i++) await Promise.resolve();
    expect(unheard).toEqual({ value: undefined, ended: true });
  });
});

describe('a grant', () => {
  it('[SY7] [SY21] counts for what may be given, by a claim that counts, and is malformed without its mark', () => {
    const bob = new Bob();
    const [egg, post, ball] = [bob.know('egg', CAT), bob.know('post', CAT), bob.know('ball', CAT, 5)];
    for (const [core, kind] of [
      [egg, 'egg'],
      [post, 'post'],
      [ball, 'cup'],
    ] as const)
      expect([bob.hear(CAT, GRANT, 1, core, bob.tells(kind, core.counter, 9).whole), core.mine], kind).toEqual([true, false]);
    expect([bob.hear(CAT, GRANT, 1, ball, bob.tells('ball', ball.counter, 4).whole), ball.mine]).toEqual([true, false]);
    expect(bob.hear(CAT, GRANT, 1, ball, (out) => out.int(1))).toBe(false);
    const { whole } = bob.tells('ball', ball.counter, 9);
    expect(
      bob.hear(CAT, GRANT, 1, ball, (out) => {
        whole(out);
        out.bytes[3] = 1;
      }),
    ).toBe(false);
    expect([bob.hear(CAT, GRANT, 1, ball, whole), ball.mine, ball.epoch]).toEqual([true, true, 9]);
  });

  it('[SY81] [SY93] of what is despawned is answered so, and of what was lost goes above the claim that was', () => {
    const bob = new Bob();
    const [dead, lost] = [bob.know('ball', CAT, 5), bob.know('ball', CAT, 5)];
    bob.store.remove(dead, { epoch: 5, owner: CAT });
    bob.store.remove(lost, { epoch: 5, owner: ANN, lost: true });
    bob.hear(CAT, GRANT, 1, dead, bob.tells('ball', dead.counter, 4).whole);
    expect([bob.said.splice(0), bob.store.find(9, dead.counter)]).toEqual([[`${CAT} ${BURIED} 0 9 1`], undefined]);
    bob.hear(CAT, GRANT, 1, lost, bob.tells('ball', lost.counter, 4).whole);
    expect([bob.said.splice(0), bob.store.find(9, lost.counter)?.epoch, bob.store.find(9, lost.counter)?.mine]).toEqual([[], 6, true]);
  });
});

describe('a host that is told of its entities', () => {
  it('[SY88] takes them up when its room opens, each as who followed it longest tells it, in a reign after all that are told of', () => {
    const bob = new Bob();
    bob.roster(BOB);
    bob.isReady = false;
    const tells = (from: PeerId, knew: number, counter: number, epoch: number, n: number): void => {
      const told = bob.tells('post', counter, epoch, n);
      bob.hear(from, ADOPT, knew + 1, told, told.whole);
    };
    // Who was away tells first, of the first as it was and of one that is gone.
    tells(CAT, 10, 1, 3, 1);
    tells(CAT, 10, 2, 3, 2);
    // Of two who were there all along a budget kept from each what the other one was told.
    tells(ANN, 100, 1, 1, 11);
    tells(ANN, 100, 3, 2, 13);
    tells(DAN, 98, 1, 1, 10);
    tells(DAN, 98, 3, 1, 23);
    tells(DAN, 98, 4, 0, 14);
    for (const from of [CAT, ANN, DAN]) expect(bob.hear(from, ADOPT, from === CAT ? 11 : 99, { origin: 0, counter: 0 })).toBe(true);
    expect(bob.store.size).toBe(0);
    bob.isReady = true;
    bob.rules.opened();
    const all = (): unknown[] => [...bob.store.all()].map((core) => [core.counter, core.epoch, core.live[0], core.mine]);
    expect(all()).toEqual([
      [1, 4, 11, true],
      [3, 3, 13, true],
      [4, 1, 14, true],
    ]);
    // Who comes later counts where nobody had followed longer.
    tells(CAT, 10, 5, 3, 15);
    tells(DAN, 99, 6, 0, 16);
    expect(all().slice(3)).toEqual([[6, 1, 16, true]]);
    // Nobody had anything of it: what there is is told by who there is.
    const cat = new Bob();
    cat.roster(BOB);
    cat.isReady = false;
    const told = cat.tells('post', 1, 0, 1);
    cat.hear(CAT, ADOPT, 0, told, told.whole);
    cat.rules.opened();
    expect(cat.store.find(9, 1)?.mine).toBe(true);
  });

  it('[RO5] [SY88] takes up what it had, above what anybody knows, and only while it is host', () => {
    const bob = new Bob();
    const tells = (kind: Kind, counter: number, epoch: number): boolean => {
      const told = bob.tells(kind, counter, epoch);
      return bob.hear(CAT, ADOPT, 0, told, told.whole);
    };
    expect([tells('post', 101, 4), bob.store.size]).toEqual([true, 0]);
    bob.roster(BOB);
    bob.rules.opened();
    tells('post', 101, 4);
    expect([bob.store.find(9, 101)?.mine, bob.store.find(9, 101)?.epoch, bob.store.find(9, 101)?.live[0]]).toEqual([true, 5, 7]);
    // Of another kind than it has: that is somebody's mistake.
    tells('egg', 101, 9);
    expect([bob.store.find(9, 101)?.kind.name, bob.store.find(9, 101)?.epoch]).toEqual(['post', 5]);
    tells('egg', 102, 4);
    tells('egg', 102, 3);
    expect(bob.store.find(9, 102)?.epoch).toBe(5);
    tells('egg', 102, 8);
    expect([bob.store.find(9, 102)?.epoch, bob.store.find(9, 102)?.mine]).toEqual([9, true]);
    tells('sign', 102, 12);
    expect([bob.store.find(9, 102)?.epoch, bob.store.find(9, 102)?.kind.name]).toEqual([9, 'egg']);
    // Lost with somebody, not despawned.
    const lost = bob.know('egg', CAT, 6);
    bob.store.remove(lost, { epoch: 6, owner: CAT, lost: true });
    tells('egg', lost.counter, 4);
    expect([bob.store.find(9, lost.counter)?.epoch, bob.said]).toEqual([7, []]);
    const dead = bob.know('egg', CAT, 6);
    bob.store.remove(dead, { epoch: 6, owner: CAT });
    tells('egg', dead.counter, 5);
    expect([bob.store.find(9, dead.counter), bob.said]).toEqual([undefined, [`${CAT} ${BURIED} 0 9 ${dead.counter}`]]);
  });

  it('[SY81] is told of what it had despawned, and nobody else takes that word for its own', () => {
    const bob = new Bob();
    const post = bob.know('post', ANN, 4);
    const buried = (counter: number, epoch: number, owner: PeerId, id = 0): boolean =>
      bob.hear(CAT, BURIED, id, { origin: 9, counter }, (out) => {
        out.int(epoch);
        out.text(owner);
      });
    expect([buried(1, 4, ANN), post.alive]).toEqual([true, true]);
    bob.roster(BOB);
    expect([post.mine, post.epoch]).toEqual([true, 5]);
    expect([buried(1, 3, BOB), post.alive, buried(1, 4, ANN), post.alive]).toEqual([true, true, true, true]);
    expect([buried(1, 4, BOB), post.alive]).toEqual([true, false]);
    // Somebody had it by a better claim: ours goes above.
    const ball = bob.know('ball', BOB, 4);
    for (const epoch of [3, 2]) buried(2, epoch, CAT, 1);
    expect(ball.epoch).toBe(4);
    buried(2, 6, CAT, 1);
    expect([ball.epoch, ball.mine, ball.bornTick]).toEqual([7, true, UNBORN]);
    expect([buried(2, 6, CAT), ball.alive, buried(2, 7, CAT), ball.alive, buried(2, 7, ANN), ball.alive]).toEqual([
      true,
      true,
      true,
      true,
      true,
      false,
    ]);
    // What was lost here with its owner, and is despawned by the word of another.
    const lost = bob.know('ball', CAT, 4);
    bob.store.remove(lost, { epoch: 4, owner: CAT, lost: true });
    buried(3, 4, CAT);
    expect(bob.store.grave(9, 3)).toEqual({ epoch: 4, owner: CAT });
    expect([buried(2, 7, ANN, 2), bob.hear(CAT, BURIED, 0, ball)]).toEqual([false, false]);
  });
});
