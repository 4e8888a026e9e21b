/**
 * Whole matches of the demo without a picture: several players over rooms in memory, on a network that
 * delays, reorders and loses. What every player must agree on: the floor, the round, who was hit.
 */
import { describe, expect, it } from 'vitest';
import { party, Table } from './demo-table.ts';

describe('a match', () => {
  it('ends with one floor for all, and the same round', async () => {
    const table = await party(3);
    for (let i = 0; i < 20; i++) {
      table.steer();
      await table.run(300);
    }
    table.rest();
    await table.run(3000);
    expect(table.hashes().size).toBe(1);
    expect(table.players[0]?.match.coverage()[1]).toBeGreaterThan(20);
    const rounds = table.players.map(({ match }) => match.round).map((round) => `${round?.phase} ${round?.endsAt} ${round?.number}`);
    expect(new Set(rounds).size).toBe(1);
    expect(rounds[0]).toMatch(/^match/u);
  });

  it('gives players of one wish paints of their own', async () => {
    const table = await party(4);
    expect(new Set(table.players.map(({ match }) => match.me.paint)).size).toBe(4);
  });

  it('shows a late joiner the floor that is there', async () => {
    const table = await party(2);
    for (let i = 0; i < 8; i++) {
      table.steer();
      await table.run(300);
    }
    table.rest();
    await table.join('Late');
    await table.run(3000);
    expect(table.hashes().size).toBe(1);
    expect(
      table.players[2]?.match
        .coverage()
        .slice(1)
        .reduce((sum, cells) => sum + cells, 0),
    ).toBeGreaterThan(20);
  });

  it('is the same floor in the end where pages take a second to answer', async () => {
    // Two pages that draw one frame a second, as on a machine without a graphics chip that is busy besides.
    const table = new Table(1_000);
    await table.join('Ann');
    await table.run(1_500);
    for (let i = 0; i < 10; i++) {
      table.steer();
      await table.run(300);
    }
    table.rest();
    await table.join('Late');
    await table.run(9_000);
    const [, ...painted] = table.players[0]!.match.coverage();
    expect(painted.reduce((sum, cells) => sum + cells, 0)).toBeGreaterThan(100);
    expect(table.hashes().size).toBe(1);
  });

  it('keeps its timer when the host leaves', async () => {
    const table = await party(3);
    const before = table.players[0]?.match.round;
    const endsAt = before?.endsAt;
    const host = table.players.findIndex(({ room }) => room.isHost);
    const [gone] = table.players.splice(host, 1);
    gone?.match[Symbol.dispose]();
    void gone?.room.leave();
    await table.run(2000);
    expect(table.players.filter(({ room }) => room.isHost)).toHaveLength(1);
    for (const { match } of table.players) expect(match.round?.endsAt).toBe(endsAt);
    await table.run(20_000);
    for (const { match } of table.players) expect(match.round?.phase).not.toBe('match');
  });

  it('lets a shot seen to touch count, and everybody hears of the splat', async () => {
    const table = await party(2);
    const [shooter, target] = table.players;
    if (shooter === undefined || target === undefined) throw new Error('two players');
    let splats = 0;
    for (let i = 0; i < 120 && splats === 0; i++) {
      const dx = target.match.me.body.x - shooter.match.me.body.x;
      const dy = target.match.me.body.y - shooter.match.me.body.y;
      const aim = Math.atan2(dy, dx);
      const near = Math.hypot(dx, dy) < 380;
      shooter.match.input = { moveX: near ? 0 : Math.cos(aim), moveY: near ? 0 : Math.sin(aim), aim, fire: near, dash: false };
      await table.run(100);
      splats = shooter.match.splats.get(shooter.match.me.who) ?? 0;
    }
    expect(splats).toBe(1);
    expect(target.match.splats.get(shooter.match.me.who)).toBe(1);
    expect(target.match.me.alive).toBe(false);
    await table.run(2000);
    expect(target.match.me.alive).toBe(true);
  });

  it('has bots for a lone player, and none for two', async () => {
    const table = new Table();
    const alone = await table.join('Solo', 4);
    await table.run(2500);
    expect([...alone.room.entities.all('bot')]).toHaveLength(3);
    await table.run(4000);
    expect(alone.match.coverage().filter((cells, paint) => paint > 0 && cells > 10).length).toBeGreaterThanOrEqual(3);
    await table.join('Guest', 4);
    await table.run(4000);
    expect([...alone.room.entities.all('bot')]).toHaveLength(0);
    expect(table.hashes().size).toBe(1);
  });
});
