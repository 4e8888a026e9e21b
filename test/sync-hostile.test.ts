/** What a member may not do to others' things by its words, made up as they may be (SY116). Eve says them, past her own room. */
import { describe, expect, it } from 'vitest';
import { coreOf } from '../sdk/sync/handle.ts';
import { encodeWhole, FRAME, FULL_FRAME } from '../sdk/sync/delta.ts';
import type { EntityCore } from '../sdk/sync/entity.ts';
import { ADOPT, BURIED, DENY } from '../sdk/sync/wire.ts';
import { PackWriter } from '../sdk/wire/pack.ts';
import type { SimKind, SimRoom } from './sim/game-rules.ts';
import { Den } from './sync-den.ts';

const MUCH = 1_000_000;

/** Ann is host, Bob and Eve play along; each has one of everything it may have. */
async function open(): Promise<{
  readonly den: Den;
  readonly ann: SimRoom;
  readonly bob: SimRoom;
  readonly eve: SimRoom;
  readonly core: (room: SimRoom, kind: SimKind) => EntityCore;
  readonly say: (to: SimRoom, write: (out: PackWriter, tag: number) => void) => Promise<void>;
}> {
  const den = new Den(5);
  const [ann, bob, eve] = (await den.open(3)) as [SimRoom, SimRoom, SimRoom];
  for (const kind of ['post', 'blob', 'rock'] as const) den.spawn(ann, kind, 1);
  den.spawn(bob, 'blob', 2);
  den.spawn(eve, 'cup', 3);
  await den.hub.play(500);
  const tag = coreOf([...eve.entities.mine('cup')][0]!)!.origin & 0xffff;
  return {
    den,
    ann,
    bob,
    eve,
    core: (room, kind) => coreOf([...room.entities.mine(kind)][0]!)!,
    say: async (to, write) => {
      const { port } = [...den.hub.rooms.values()][0]!.seats.get(to.self.id)!;
      const out = new PackWriter();
      write(out, tag);
      port.push({ type: 'message', from: eve.self.id, channel: 'reliable', lane: 1, bytes: out.copy() });
      await den.hub.play(20);
    },
  };
}

function buried({ origin, counter }: EntityCore, owner: string) {
  return (out: PackWriter, tag: number): void => {
    out.array(7);
    for (const value of [BURIED, tag, 0, origin, counter, MUCH]) out.int(value);
    out.text(owner);
  };
}

/** `core` as it would be with another value, in a later reign. */
function forged(out: PackWriter, core: EntityCore): number {
  const { epoch } = core;
  const value = core.ints[0]!;
  core.epoch = MUCH;
  core.ints[0] = 666;
  const count = encodeWhole(out, core);
  core.epoch = epoch;
  core.ints[0] = value;
  return count;
}

describe('the word of a member', () => {
  it('[SY116] ends nobody else’s things that can be nobody’s but his, nor what the host spawned itself', async () => {
    const { den, ann, bob, eve, core, say } = await open();
    const [post, hers, his] = [core(ann, 'post'), core(ann, 'blob'), core(bob, 'blob')];
    for (const owner of [eve.self.id, ann.self.id, bob.self.id]) {
      for (const one of [post, hers]) await say(ann, buried(one, owner));
      for (const to of [ann, bob]) await say(to, buried(his, owner));
    }
    // And by her own stream, as if it were hers.
    for (const to of [ann, bob])
      for (const one of [hers, his]) {
        await say(to, (out, tag) => {
          out.array(5);
          for (const value of [FULL_FRAME, tag, 40_000]) out.int(value);
          out.nil();
          out.array(6 + 3 + one.kind.count + 4);
          for (const value of [-1, 0, 1, 0, 1, 0, 0, one.origin, one.counter + 1]) out.int(value);
          forged(out, one);
        });
        await say(to, (out, tag) => {
          out.array(5);
          for (const value of [FRAME, tag, 40_001]) out.int(value);
          out.nil();
          out.array(6 + 2 + 3);
          for (const value of [1, 0, 1, 0, 1, 0, 0, one.origin, one.counter + 1, -1, MUCH]) out.int(value);
        });
      }
    for (const room of [ann, bob]) {
      expect([...room.entities.all('post')].map(({ a, owner }) => [a, owner])).toEqual([[1, ann.self.id]]);
      expect([...room.entities.all('blob')].map(({ a, owner }) => [a, owner]).sort()).toEqual([
        [1, ann.self.id],
        [2, bob.self.id],
      ]);
    }
    await den.hub.play(3_000);
    expect(den.count('blob')).toEqual([2, 2, 2]);
  });

  it('[SY116] tells the host nothing of what it had, where it never started anew, and nothing of what it spawned itself', async () => {
    const { den, ann, bob, core, say } = await open();
    const adopt =
      (one: EntityCore, counter = one.counter) =>
      (out: PackWriter, tag: number): void => {
        out.array(5 + one.kind.count + 4);
        for (const value of [ADOPT, tag, MUCH, one.origin, counter]) out.int(value);
        forged(out, one);
      };
    const all = (room: SimRoom): unknown => (['post', 'blob', 'rock'] as const).map((kind) => [...room.entities.all(kind)].map(({ a }) => a));
    for (const kind of ['post', 'blob', 'rock'] as const) for (const counter of [undefined, 77]) await say(ann, adopt(core(ann, kind), counter));
    expect(all(ann)).toEqual([[1], [1, 2], [1]]);
    const anew = await den.reload(ann);
    den.spawn(anew, 'blob', 4);
    den.spawn(anew, 'rock', 5);
    await den.hub.play(300);
    for (const kind of ['blob', 'rock'] as const) {
      const own = [...anew.entities.mine(kind)].find(({ a }) => a >= 4)!;
      for (const counter of [undefined, 77]) await say(anew, adopt(coreOf(own)!, counter));
    }
    await den.hub.play(500);
    for (const room of [anew, bob]) expect(all(room)).toEqual([[1], expect.arrayContaining([2, 4]), expect.arrayContaining([1, 5])]);
    expect([...bob.entities.all('blob')]).toHaveLength(2);
    expect([...bob.entities.all('rock')]).toHaveLength(2);
  });

  it('[SY116] refuses nothing that was asked of somebody else', async () => {
    const { den, ann, bob, say } = await open();
    den.spawn(ann, 'ball', 9);
    await den.hub.play(300);
    const ball = [...bob.entities.all('ball')][0]!;
    let got: unknown = 'waiting';
    void ball.requestAuthority().then((given) => (got = given));
    const { origin, counter } = coreOf(ball)!;
    await say(bob, (out, tag) => {
      out.array(5);
      for (const value of [DENY, tag, 1, origin, counter]) out.int(value);
    });
    expect(got === ball).toBe(true);
  });
});
