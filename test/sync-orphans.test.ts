/** What somebody had who started anew, by the rules of authority one by one: until an heir has spoken it is nobody's, and is there (SY114). */
import { describe, expect, it } from 'vitest';
import type { PeerId } from 'lanista';
import type { EntityCore } from '../sdk/sync/entity.ts';
import type { Inbound } from '../sdk/sync/inbound.ts';
import { ADOPT } from '../sdk/sync/wire.ts';
import { ANN, BOB, Bob, CAT, DAN, type Kind } from './sync-bob.ts';

describe('who started anew', () => {
  it('[SY114] leaves what it had to its heir for everybody, though its first whole state is without it before that one speaks', () => {
    const bob = new Bob();
    const stream = (session: number): Inbound => ({ session, soundTick: 9 }) as Inbound;
    const former = stream(1);
    bob.replication.inbound.set(CAT, stream(2));
    const know = (kind: Kind): EntityCore => Object.assign(bob.know(kind, CAT), { source: former });
    const weeds = Array.from({ length: 6 }, () => know('weed'));
    const [egg, blob] = [know('egg'), know('blob')];
    bob.rules.handleRestart(CAT, 70);
    bob.said.length = 0;
    const awaited = [...weeds.filter(({ mine }) => !mine), egg];
    expect([awaited.length, blob.alive]).toEqual([4, false]);
    expect([awaited.map((core) => bob.rules.abandoned(core)), awaited.every(({ alive }) => alive)]).toEqual([[true, true, true, true], true]);
    expect(bob.replication.hash(CAT)).toBe(1);
    // A host that starts anew before it has claimed what fell to it is told of that, too.
    bob.replication.inbound.set(ANN, stream(3));
    bob.rules.handleRestart(ANN, 80);
    expect(bob.said).toEqual([`${ANN} ${ADOPT} 81 9 ${egg.counter}`, `${ANN} ${ADOPT} 81 0 0`]);
    // The host takes it after a second; what nobody claims is gone after four.
    bob.roster(ANN);
    bob.rules.handleTimeout(1_000);
    expect([weeds.filter(({ mine }) => mine).length, egg.alive, egg.mine]).toEqual([3, true, false]);
    bob.roster(BOB);
    bob.rules.handleTimeout(1_000);
    expect([weeds.every(({ mine }) => mine), egg.mine]).toEqual([true, true]);
  });

  it('[SY114] leaves its heirs their time, whoever else did before, and as host later nothing that it does not say it has', () => {
    const bob = new Bob();
    const stream = (session: number, synced = true): Inbound => ({ session, soundTick: 9, synced }) as Inbound;
    const know = (kind: Kind, owner: PeerId): EntityCore => Object.assign(bob.know(kind, owner), { source: bob.replication.inbound.get(owner) });
    const restart = (peer: PeerId, synced?: boolean): void => {
      bob.replication.inbound.set(peer, stream(2, synced));
      bob.rules.handleRestart(peer, 70);
    };
    bob.roster(ANN, [ANN, 'present'], [BOB, 'present'], [CAT, 'present'], [DAN, 'present']);
    for (const peer of [CAT, DAN]) bob.replication.inbound.set(peer, stream(1));
    const first = know('egg', CAT);
    restart(CAT);
    bob.rules.handleTimeout(1_000);
    const second = know('egg', DAN);
    bob.now = 3_900;
    restart(DAN);
    bob.rules.handleTimeout(4_000);
    expect([first.alive, second.alive, bob.rules.deadline()]).toEqual([true, true, 4_900]);
    bob.rules.handleTimeout(4_900);
    bob.rules.handleTimeout(7_900);
    expect([first.alive, second.alive, bob.rules.deadline()]).toEqual([false, false, Number.POSITIVE_INFINITY]);
    // Who had left, and is here again, may be found to be without it first.
    const third = know('egg', DAN);
    bob.replication.inbound.set(DAN, stream(3));
    expect([bob.rules.abandoned(third), third.alive, bob.rules.deadline()]).toEqual([true, true, 4_900]);
    bob.rules.handleTimeout(4_900);
    bob.rules.handleTimeout(7_900);
    expect([third.alive, bob.rules.deadline()]).toEqual([false, Number.POSITIVE_INFINITY]);
    // What the next host ended before this peer heard of it; the former host is host again, and has told all it has.
    bob.replication.inbound.set(CAT, stream(1));
    const [post, sign] = [know('post', CAT), know('sign', CAT)];
    restart(CAT, false);
    expect([bob.rules.abandoned(post), bob.rules.abandoned(sign), post.alive, sign.alive]).toEqual([true, true, true, true]);
    Object.assign(bob.replication.inbound.get(CAT)!, { synced: true });
    bob.now = 10_000;
    bob.roster(CAT);
    bob.rules.handleTimeout(11_000);
    expect([post.alive, sign.alive, bob.rules.deadline()]).toEqual([true, true, 14_000]);
    bob.rules.handleTimeout(14_000);
    expect([post.alive, sign.alive]).toEqual([false, false]);
    // One that has not opened is told of it, and takes all the time that takes.
    bob.replication.inbound.set(CAT, stream(1));
    const told = [know('post', CAT), know('sign', CAT)];
    restart(CAT, false);
    bob.roster(CAT);
    expect([told.every(({ alive }) => alive), bob.rules.deadline()]).toEqual([true, Number.POSITIVE_INFINITY]);
  });

  it('[SY88] takes up as host what the others know, where who knew most left before it had told all of it, and not while that one still tells', () => {
    for (const isGone of [true, false]) {
      const bob = new Bob();
      const tell = (from: PeerId, knew: number, counter: number): void => {
        const told = bob.tells('post', counter, 1);
        bob.hear(from, ADOPT, knew + 1, told, told.whole);
      };
      bob.roster(BOB);
      bob.isReady = false;
      tell(ANN, 100, 1);
      for (const counter of [1, 2]) tell(CAT, 10, counter);
      bob.hear(CAT, ADOPT, 11, { origin: 0, counter: 0 });
      if (isGone) bob.roster(BOB, [BOB, 'present'], [CAT, 'present']);
      bob.rules.opened();
      expect([1, 2].map((counter) => bob.store.find(9, counter)?.mine)).toEqual([true, isGone ? true : undefined]);
    }
  });
});
