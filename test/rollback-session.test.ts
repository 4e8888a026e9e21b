/** Sessions of a simulation on a table: what is slow, late, from elsewhere, or from a member that means no good. */
import { simulation } from 'lanista';
import { describe, expect, it } from 'vitest';
import { InputCodec, Row } from '../sdk/sync/rollback/input.ts';
import { encodeState } from '../sdk/sync/rollback/state-codec.ts';
import { NEWEST, Words } from '../sdk/sync/rollback/words.ts';
import { HELD, INPUTS, STATE } from '../sdk/sync/wire.ts';
import type { Said } from './rollback-rig.ts';
import { IDS } from './rollback-rig.ts';
import type { Player } from './rollback-table.ts';
import { counting, input, Table } from './rollback-table.ts';

const [ANN, BOB, CID, DAN] = [0, 1, 2, 3] as const;

/** As `counting`, with a state of 400 kB. */
const large = simulation({ id: 'large', input, start: () => ({ ...counting.start(0), grid: new Float64Array(50_000) }), step: counting.step });

/** What any of them may say. */
const wordsOf = (seat: number): Words => new Words(new InputCodec(counting), 100 + seat, counting.hash);

/** States take as long as `kBps` lets them; the rest takes 5 ms. */
function slowly(table: Table, kBps: number): (said: Said) => number {
  let free = 0;
  return ({ type, bytes }) => {
    if (type !== STATE) return 5;
    free = Math.max(free, table.now) + bytes.length / kBps;
    return free - table.now;
  };
}

describe('a host whose page is reloaded', () => {
  for (const [name, of, slow] of [
    ['the answers take longer than it waits for them', counting, false],
    ['the state takes three seconds', large, true],
  ] as const)
    it(`[RB8] goes on with the game when ${name}`, () => {
      const table = new Table(3, {}, of);
      table.play(1_000);
      if (slow) table.delay = slowly(table, 140);
      else table.latencyMs = 300;
      const before = table.players[BOB]!.session.timeline.confirmed;
      const ann = table.open(ANN, of);
      table.play(8_000);
      expect((ann.events[0]!.value as { tick: number }).tick).toBeGreaterThanOrEqual(before);
      for (const peer of table.players) {
        expect(peer.session.timeline.confirmed).toBeGreaterThan(before + 120);
        expect(peer.told()).not.toContain('resync');
      }
    });

  it('[RB8] begins anew when nobody who says that it plays gives its state', () => {
    const table = new Table(2);
    table.play(1_000);
    table.takes = ({ type }) => type !== STATE;
    const ann = table.open(ANN);
    table.play(7_000);
    expect(ann.told()).toEqual(['start']);
  });
});

describe('a new host', () => {
  it('[RB7] that has slept for longer than rows are kept takes the state of who has come furthest', () => {
    const table = new Table(3);
    table.play(1_000);
    const [ann, bob, cid] = table.players as [Player, Player, Player];
    bob.seat.awake = false;
    table.takes = (word) => word.to !== BOB;
    table.play(19_000);
    table.takes = () => true;
    bob.seat.awake = true;
    ann.seat.awake = false;
    table.moveHost(BOB);
    const furthest = cid.session.timeline.confirmed;
    table.play(2_000);
    expect(bob.told()).toContain('resync');
    expect(cid.told()).not.toContain('resync');
    for (const peer of [bob, cid]) expect(peer.session.timeline.confirmed).toBeGreaterThan(furthest + 60);
  });

  it('[RB17] knows that somebody else has a seat since', () => {
    const table = new Table(3);
    table.play(1_000);
    for (const who of [ANN, CID]) table.players[who]!.seat.awake = false;
    const [, second, third] = table.list;
    table.list.splice(0, 3, second!, { ...third!, id: IDS[DAN]! });
    table.moveHost(BOB);
    const dan = table.open(DAN);
    const { timeline } = table.players[BOB]!.session;
    const rows: string[] = [];
    for (let tick = timeline.confirmed; rows.length < 60; table.play(1))
      while (tick < timeline.confirmed)
        rows.push(
          timeline
            .row(++tick)
            .entries.map(({ slot, away }) => (away ? `${slot} away` : `${slot}`))
            .join(),
        );
    expect(rows.filter((row, i) => row !== rows[i - 1])).toEqual(['1', '1,2']);
    expect(dan.session.status).toBe('playing');
  });

  it('[RB7] that was host before, and has not heard that another one was meanwhile, asks again', () => {
    const table = new Table(3);
    table.play(1_000);
    const [ann, bob, cid] = table.players as [Player, Player, Player];
    ann.seat.awake = false;
    table.moveHost(BOB);
    table.play(2_000);
    bob.seat.awake = false;
    table.moveHost(ANN);
    const furthest = cid.session.timeline.confirmed;
    expect(furthest).toBeGreaterThan(100);
    table.queue = table.queue.filter((word) => word.to !== ANN);
    ann.seat.awake = true;
    table.play(2_000);
    for (const peer of [ann, cid]) {
      expect(peer.told()).not.toContain('resync');
      expect(peer.session.timeline.confirmed).toBeGreaterThan(furthest + 60);
    }
  });
});

describe('a host that stood still', () => {
  it('[RB6] does not take the others for away, whose words wait to be read', () => {
    const table = new Table(3);
    table.play(1_000);
    const ann = table.players[ANN]!;
    for (let i = 0; i < 3; i++) {
      ann.seat.awake = false;
      table.play(2_000);
      // Its timer has the first turn, and what came has the next one.
      ann.seat.desk.run(table.now);
      ann.seat.awake = true;
      table.play(500);
    }
    for (const peer of table.players) expect(peer.state).toMatchObject({ players: 3, away: 0 });
    // Who is silent from then on is away after a second, as ever.
    table.players[CID]!.seat.awake = false;
    table.play(1_500);
    expect(ann.state.away).toBeGreaterThan(10);
  });

  it('[RB7] as the new one still reads the answers of the others', () => {
    const table = new Table(3);
    table.play(1_000);
    const [ann, bob, cid] = table.players as [Player, Player, Player];
    // Cid hears more of the old host than bob does.
    table.takes = (word) => word.to !== BOB;
    ann.run.setInput({ by: 7 });
    table.play(100);
    table.takes = () => true;
    ann.seat.awake = false;
    table.moveHost(BOB);
    const furthest = cid.session.timeline.confirmed;
    bob.seat.desk.run(++table.now);
    bob.seat.awake = false;
    table.play(1_000);
    bob.seat.desk.run(table.now);
    bob.seat.awake = true;
    table.play(1_000);
    expect(bob.session.timeline.confirmed).toBeGreaterThan(furthest);
    expect(cid.told()).not.toContain('resync');
  });
});

describe('who hears nothing', () => {
  it('[RB21] is told of the stall, and of its end, once each, also when it goes on with another state', () => {
    const table = new Table(2);
    table.play(1_000);
    const bob = table.players[BOB]!;
    table.takes = (word) => word.to !== BOB;
    table.play(19_000);
    expect(bob.told()).toEqual(['start', 'stall']);
    expect(bob.session.status).toBe('stalled');
    table.takes = () => true;
    table.play(1_000);
    expect(bob.told()).toEqual(['start', 'stall', 'resync', 'resume']);
    expect(bob.session.status).toBe('playing');
  });
});

describe('inputs', () => {
  it('[RB25] go to the host at each tick, to the others when they change, which is guessed right all the same', () => {
    const table = new Table(3);
    table.play(1_000);
    const count: Record<number, number> = {};
    table.takes = ({ type, from, to }) => {
      if (type === INPUTS && from === BOB) count[to] = (count[to] ?? 0) + 1;
      return true;
    };
    table.play(3_000);
    expect(count[ANN]).toBe(180);
    expect(count[CID]).toBeLessThanOrEqual(34);
    expect(count[CID]).toBeGreaterThanOrEqual(30);
    const cid = table.players[CID]!;
    const { rollbacks } = cid.session.timeline.stats;
    for (let i = 0; i < 20; i++) {
      table.players[BOB]!.run.setInput({ by: i });
      table.play(100);
    }
    expect(cid.session.timeline.stats.rollbacks).toBe(rollbacks);
    expect(count[CID]).toBeGreaterThan(50);
    expect(count[CID]).toBeLessThan(130);
  });
});

describe('states on their way', () => {
  /** First pieces, by receiver. */
  const begun = (table: Table): number[] => {
    const all: number[] = [];
    table.takes = ({ type, to, bytes }) => {
      // Its index is the item before the bytes: 0 stands before the head of a bin.
      if (type === STATE && (bytes.length < 200 || bytes[bytes.length - 32_768 - 4] === 0)) all.push(to);
      return true;
    };
    return all;
  };

  it('[RB8] a large one over a slow line is sent once, to a page that was just reloaded, too', () => {
    const table = new Table(3, {}, large);
    table.play(500);
    table.delay = slowly(table, 40);
    const states = begun(table);
    const cid = table.open(CID, large);
    table.play(13_000);
    expect(states).toEqual([CID]);
    expect(cid.told()).toEqual(['start']);
    expect(cid.session.timeline.next).toBeGreaterThan(600);
  });

  it('[RB8] who is too far behind is sent one when it is heard again, and no more', () => {
    const table = new Table(3, {}, large);
    table.play(500);
    const cid = table.players[CID]!;
    cid.seat.awake = false;
    table.onSend = ({ how, to }) => how === 'reliable' || to !== CID;
    const states = begun(table);
    table.play(25_000);
    expect(states).toEqual([]);
    cid.seat.awake = true;
    table.onSend = undefined;
    table.delay = slowly(table, 140);
    table.play(8_000);
    expect(states).toEqual([CID]);
    expect(cid.told().filter((event) => event === 'resync')).toHaveLength(1);
  });

  it('[RB22] who asks without end is given one of each kind in a while', () => {
    const table = new Table(2);
    table.play(2_000);
    const ann = table.players[ANN]!;
    const states = begun(table);
    for (let i = 0; i < 1_000; i++) {
      table.forge(BOB, ann, wordsOf(BOB).stateAsk(i % 2 === 0 ? undefined : 90));
      if (i % 2 === 0) table.play(1);
    }
    expect(states.length).toBeLessThanOrEqual(2 * 3);
    expect(ann.told().filter((event) => event === 'desync').length).toBeLessThanOrEqual(3);
  });
});

describe('a member that means no good', () => {
  it('[RB7] and was host, with ticks that come in a year, leaves a game that goes on', () => {
    const table = new Table(3);
    table.play(1_000);
    const [ann, bob, cid] = table.players as [Player, Player, Player];
    ann.seat.awake = false;
    for (const peer of [bob, cid]) {
      const { timeline } = peer.session;
      const { confirmed } = timeline;
      const [far] = wordsOf(ANN).confirms(
        0xf000_0000,
        { tick: 0, sum: 0 },
        confirmed + 1,
        confirmed + 1,
        () => timeline.row(confirmed),
        () => timeline.chain(confirmed),
      );
      table.forge(ANN, peer, far!);
    }
    table.play(1_000);
    expect(bob.session.timeline.next).toBeLessThan(70);
    table.moveHost(BOB);
    table.play(3_000);
    for (const peer of [bob, cid]) expect(peer.session.timeline.next).toBeGreaterThan(200);
  });

  it('[RB7] makes up nothing that is to be pressed in the next seconds, though a new host asks what it knows', () => {
    const table = new Table(3);
    table.play(1_000);
    const [ann, bob, cid] = table.players as [Player, Player, Player];
    ann.seat.awake = false;
    cid.seat.awake = false;
    table.moveHost(BOB);
    table.play(1);
    const { timeline } = bob.session;
    const { confirmed } = timeline;
    const made = new Row([1, 2].map((slot) => ({ slot, away: false, input: new InputCodec(counting).encode({ by: 9 }, undefined) })));
    const row = (tick: number): Row => (tick <= confirmed ? timeline.row(tick) : made);
    table.forge(CID, bob, wordsOf(CID).held(2, confirmed + 900, 1_000_000, confirmed + 1, timeline.chain(confirmed), confirmed + 900, row));
    table.play(1_000);
    expect(timeline.confirmed).toBeLessThan(confirmed + 110);
    expect(timeline.next).toBeGreaterThan(confirmed + 20);
  });

  it('[RB22] and says at a takeover that it is further puts no state of its own in the place of everybody’s', () => {
    for (const shown of ['nothing', 'elsewhere'] as const) {
      const table = new Table(4);
      table.play(1_000);
      const [ann, bob, cid, dan] = table.players as [Player, Player, Player, Player];
      for (const gone of [ann, cid]) gone.seat.awake = false;
      table.moveHost(BOB);
      table.play(1);
      const { timeline } = bob.session;
      const { confirmed } = timeline;
      const row = (): Row => timeline.row(confirmed);
      const from = shown === 'nothing' ? confirmed + 1 : confirmed + 4;
      table.forge(CID, bob, wordsOf(CID).held(2, confirmed + 5, 1_000_000, from, timeline.chain(confirmed), from - 1, row));
      for (let i = 0; i < 1_000; i++) {
        const bytes = encodeState({ tick: confirmed + 5, sum: 666_666, players: 3, away: 0 });
        const state = { kind: NEWEST, base: 1_000_000, tick: confirmed + 5, chain: 1, row: row(), pieces: 1, index: 0, bytes };
        table.forge(CID, bob, wordsOf(CID).state(state));
        table.play(1);
      }
      for (const peer of [bob, dan]) {
        expect(peer.state.sum, shown).toBeLessThan(1_000);
        expect(peer.told(), shown).not.toContain('resync');
        expect(peer.session.timeline.next, shown).toBeGreaterThan(confirmed + 20);
      }
    }
  });

  it('[RB22] and says without end that it is host stops nobody for longer than two seconds, and gets few answers', () => {
    const table = new Table(3);
    table.play(1_000);
    const ann = table.players[ANN]!;
    let answers = 0;
    table.takes = ({ type, to }) => {
      if (type === HELD && to === CID) answers++;
      return true;
    };
    for (let i = 0; i < 6_000; i++) {
      table.forge(CID, ann, wordsOf(CID).takeover(1_000 + i, 0));
      table.play(1);
    }
    // Of 360 ticks the first 120.
    expect(ann.session.timeline.confirmed).toBeGreaterThan(60 + 200);
    expect(table.players[BOB]!.session.status).toBe('playing');
    expect(answers).toBeLessThanOrEqual(7 * 8);
  });
});

describe('a machine whose step takes longer than a tick', () => {
  /** The session of `who` needs 40 ms for each step once a second has passed. */
  const slowed = (who: number): Table => {
    const table = new Table(3);
    const slow = table.open(
      who,
      simulation({
        ...{ id: counting.id, input, start: counting.start },
        step(state, players, tick) {
          if (table.now > 2_000) slow.seat.busyMs += 40;
          return counting.step(state, players, tick);
        },
      }),
    );
    table.play(1_000);
    return table;
  };

  for (const who of [ANN, BOB])
    it(`[RB23] still draws, and ${who === ANN ? 'as host slows all' : 'slows nobody'}`, () => {
      const table = slowed(who);
      const before = table.players.map((peer) => peer.session.timeline.next);
      let longest = 0;
      for (let i = 0; i < 10_000; i++) {
        table.play(1);
        longest = Math.max(longest, table.players[who]!.seat.busyMs);
      }
      expect(longest).toBeLessThanOrEqual(120);
      const ticks = table.players.map((peer, i) => peer.session.timeline.next - before[i]!);
      for (const i of table.players.keys())
        if (who === ANN || i === who) expect(ticks[i]).toBeGreaterThan(200);
        else expect(ticks[i]).toBe(600);
      expect(Math.max(...ticks) - Math.min(...ticks)).toBeLessThan(who === ANN ? 30 : 400);
      for (const peer of table.players) expect(peer.told()).toEqual(['start']);
    });

  it('[RB23] takes the host’s state when it is too far behind, and never plays from rows that are gone', () => {
    const table = slowed(BOB);
    const bob = table.players[BOB]!;
    for (let i = 0; i < 20; i++) {
      table.players[ANN]!.run.setInput({ by: i });
      table.play(2_000);
    }
    expect(bob.told()).toEqual(['start', 'resync']);
    expect(bob.seat.failures).toEqual([]);
  });
});
