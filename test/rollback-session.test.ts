/** Sessions of a simulation on a table: what is slow, late, from elsewhere, or from a member that means no good. */
import { simulation } from 'lanista';
import { describe, expect, it } from 'vitest';
import { STATE } from '../sdk/sync/wire.ts';
import type { Word } from './rollback-table.ts';
import { counting, input, Table } from './rollback-table.ts';

/** As `counting`, with a state of 400 kB. */
const large = simulation({ id: 'large', input, start: () => ({ ...counting.start(0), grid: new Float64Array(50_000) }), step: counting.step });

/** States take as long as `kBps` lets them; the rest takes 5 ms. */
function slowly(table: Table, kBps: number): (word: Word) => number {
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
      const table = new Table(['ann', 'bob', 'cid'], {}, of);
      table.play(1_000);
      if (slow) table.delay = slowly(table, 140);
      else table.latencyMs = 300;
      const before = table.get('bob').session.timeline.confirmed;
      const ann = table.sit('ann', {}, of);
      table.play(8_000);
      expect((ann.events[0]!.value as { tick: number }).tick).toBeGreaterThanOrEqual(before);
      for (const peer of table.peers) {
        expect(peer.session.timeline.confirmed).toBeGreaterThan(before + 120);
        expect(peer.told()).not.toContain('resync');
      }
    });

  it('[RB8] begins anew when nobody who says that it plays gives its state', () => {
    const table = new Table(['ann', 'bob']);
    table.play(1_000);
    table.takes = ({ type }) => type !== STATE;
    const ann = table.sit('ann');
    table.play(7_000);
    expect(ann.told()).toEqual(['start']);
  });
});
