/** What a player would call unfair. */
import { describe, expect, it } from 'vitest';
import { blobRadius, insideWall, mapOf } from '../demo-game/rules/arena.ts';
import { ballRadius } from '../demo-game/rules/ball.ts';
import { keepOutside } from '../demo-game/rules/movement.ts';
import { Table } from './demo-table.ts';

describe('the ball', () => {
  it('lies where a blob can reach it when the next map has a wall there', async () => {
    const table = new Table();
    const { room, match } = await table.join('Ann');
    await table.run(500);
    const [ball] = room.entities.mine('ball');
    if (ball === undefined) throw new Error('the host has the ball');
    Object.assign(ball, { x: 960, y: 545, vx: 0, vy: 0 });
    await table.run(200);
    expect(insideWall(match.map, ball.x, ball.y)).toBe(false);
    const blob = { x: ball.x, y: ball.y, vx: 0, vy: 0 };
    keepOutside(blob, blobRadius, match.map);
    expect(Math.hypot(blob.x - ball.x, blob.y - ball.y)).toBeLessThan(ballRadius + blobRadius);
    expect(mapOf(0)).toBe(match.map);
  });
});
