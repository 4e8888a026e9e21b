/** What a player would call unfair: paint taken away by a newcomer, blobs that nobody steers, a toy out of reach, tables that differ. */
import { describe, expect, it } from 'vitest';
import { LanError } from 'lanista';
import { blobRadius, insideWall, maps } from '../demo-game/rules/arena.ts';
import { ballRadius } from '../demo-game/rules/ball.ts';
import { keepOutside } from '../demo-game/rules/movement.ts';
import { countingMs } from '../demo-game/rules/scoring.ts';
import { party, Table } from './demo-table.ts';

describe('a newcomer', () => {
  it('takes no paint from who plays with it, whatever seat it gets', async () => {
    const table = new Table();
    const first = await table.join('Ann', 0, 0);
    const second = await table.join('Bo', 0, 3);
    await table.run(3000);
    expect(second.match.me.paint).toBe(4);
    table.players.shift();
    first.match[Symbol.dispose]();
    void first.room.leave();
    await table.run(1000);
    const late = await table.join('Cy', 0, 3);
    await table.run(3000);
    expect(late.room.self.slot, 'the seat below').toBeLessThan(second.room.self.slot);
    expect(second.match.me.paint, 'whose paint it was').toBe(4);
    expect(late.match.me.paint).not.toBe(4);
    for (const { match } of table.players) expect(new Set(match.blobs().map((blob) => blob.paint)).size, 'everybody sees two paints').toBe(2);
  });

  it('gets no floor that a bot has painted', async () => {
    const table = new Table();
    const { room, match } = await table.join('Ann', 4, 0);
    await table.run(13_000);
    expect(match.round?.phase).toBe('match');
    const [bot] = room.entities.all('bot');
    if (bot === undefined) throw new Error('bots keep a lone player company');
    expect(match.coverage()[bot.hue + 1]).toBeGreaterThan(300);
    const late = await table.join('Bo', 4, bot.hue);
    await table.run(1000);
    for (const shown of [match, late.match]) expect(shown.coverage()[late.match.me.paint], 'its own few cells').toBeLessThan(50);
  });

  it('gets no floor of a player who left, but gets its own back when it is that player', async () => {
    const table = await party(2);
    const [ann, bo] = table.players;
    if (ann === undefined || bo === undefined) throw new Error('two players');
    const { paint } = bo.match.me;
    for (let i = 0; i < 30; i++) {
      table.steer(false);
      await table.run(150);
    }
    const floor = ann.match.coverage()[paint] ?? 0;
    expect(floor).toBeGreaterThan(300);
    table.players.pop();
    bo.match[Symbol.dispose]();
    void bo.room.leave();
    await table.run(500);
    const cy = await table.join('Cy', 0, paint - 1);
    await table.run(1000);
    expect(cy.match.me.paint).not.toBe(paint);
    expect(cy.match.coverage()[cy.match.me.paint]).toBeLessThan(50);
    const again = await table.join('Bo', 0, 6, bo.room.self.id);
    await table.run(1000);
    expect(again.match.me.paint, 'whatever the page asks for').toBe(paint);
    for (const { match } of table.players) expect(match.coverage()[paint]).toBeGreaterThan(floor * 0.8);
  });
});

describe('a blob whose player is away', () => {
  it('is shown as such, and stops no shots', async () => {
    const table = await party(2);
    const [shooter, target] = table.players;
    if (shooter === undefined || target === undefined) throw new Error('two players');
    expect(shooter.match.blobs().map((blob) => blob.away)).toEqual([false, false]);
    [...table.hub.rooms.values()][0]?.setAway(target.room.self.id, true);
    await table.run(200);
    expect(shooter.match.blobs().find((blob) => blob.who === target.room.self.slot)?.away).toBe(true);
    const { x, y } = target.match.me.body;
    const shot = {
      id: 900,
      who: shooter.match.me.who,
      paint: shooter.match.me.paint,
      x: x - 200,
      y,
      angle: 0,
      at: shooter.room.clock.now(),
      range: 400,
    };
    shooter.match.shots.push(shot);
    await table.run(300);
    expect(shooter.match.shots, 'flies on').toContain(shot);
    await table.run(300);
    expect(shooter.match.shots).not.toContain(shot);
  });
});

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
    expect(match.map.name).toBe(maps[0]!.name);
  });

  it('held in a corner is heard as a few kicks', async () => {
    const table = new Table();
    const { room, match } = await table.join('Ann');
    await table.run(500);
    const [ball] = room.entities.mine('ball');
    if (ball === undefined) throw new Error('the host has the ball');
    Object.assign(ball, { x: ballRadius, y: ballRadius, vx: 0, vy: 0 });
    match.me.goTo({ x: 200, y: 200 });
    match.input = { moveX: -1, moveY: -1, aim: 0, fire: false, dash: false };
    let kicks = 0;
    for (let i = 0; i < 100; i++) {
      await table.run(20);
      for (let effect = match.effects.poll(); effect !== undefined; effect = match.effects.poll()) if (effect.type === 'kick') kicks++;
    }
    expect(kicks).toBeGreaterThan(0);
    expect(kicks).toBeLessThan(6);
  });
});

describe('the table of a round', () => {
  it('says the same on every screen', async () => {
    // A Wi-Fi on a bad day, which is when people look twice.
    const table = new Table(80);
    for (const name of ['Ann', 'Bo', 'Cy', 'Di']) await table.join(name);
    const seen = new Map<number, { at: number; early: string; late: string }>();
    for (let i = 0; seen.size < 4 || [...seen.values()].some(({ late }) => late === ''); i++) {
      if (i % 10 === 0) table.steer();
      await table.run(20);
      table.players.forEach(({ match, room }, index) => {
        const now = room.clock.now();
        const line = seen.get(index);
        if (match.round?.phase === 'scores' && line === undefined) seen.set(index, { at: now, early: match.coverage().join(), late: '' });
        else if (line !== undefined && line.late === '' && now - line.at >= countingMs) line.late = match.coverage().join();
      });
      if (i > 2000) throw new Error('the round does not end');
    }
    const all = [...seen.values()];
    expect(new Set(all.map(({ early }) => early)).size, 'counted at once').toBeGreaterThan(1);
    expect(new Set(all.map(({ late }) => late)).size, 'counted when it is shown').toBe(1);
  });
});

describe('bots', () => {
  it('leave the paint of a player who is away alone', async () => {
    const table = new Table();
    const { match, room } = await table.join('Ann', 6, 0);
    const guest = await table.join('Bo', 6, 1);
    await table.run(1500);
    expect(guest.match.me.paint).toBe(2);
    [...table.hub.rooms.values()][0]?.setAway(guest.room.self.id, true);
    await table.run(4000);
    const bots = [...room.entities.all('bot')];
    expect(bots).toHaveLength(5);
    expect(match.blobs().filter(({ paint }) => paint === 2)).toHaveLength(1);
  });

  it('take over no floor of the player whose place they take', async () => {
    const table = new Table();
    const ann = await table.join('Ann', 4, 0);
    const bo = await table.join('Bo', 4, 1);
    await table.run(2000);
    for (let i = 0; i < 30; i++) {
      table.steer(false);
      await table.run(150);
    }
    expect(ann.match.coverage()[2]).toBeGreaterThan(300);
    table.players.pop();
    bo.match[Symbol.dispose]();
    void bo.room.leave();
    await table.run(1500);
    const hues = [...ann.room.entities.all('bot')].map(({ hue }) => hue);
    expect(hues).toHaveLength(3);
    expect(hues).not.toContain(1);
  });

  it('are named in the news after they made way for a player', async () => {
    const table = new Table();
    const { match, room } = await table.join('Ann', 2);
    await table.run(2500);
    const [bot] = match.blobs().filter((blob) => blob.bot);
    if (bot === undefined) throw new Error('a lone player has a bot');
    await table.join('Bo', 2);
    table.players[1]?.room.send('splat', { who: match.me.who, by: bot.who, paint: bot.paint, x: 0, y: 0 });
    await table.run(200);
    const told = match.news.at(-1);
    for (let i = 0; i < 100 && [...room.entities.all('bot')].length > 0; i++) await table.run(20);
    expect([...room.entities.all('bot')]).toEqual([]);
    expect([told?.by, told?.who]).toEqual([bot.name, 'Ann']);
  });
});

describe('splats', () => {
  it('so far are the same for who came late', async () => {
    const table = await party(2);
    const [host, other] = table.players;
    if (host === undefined || other === undefined) throw new Error('two players');
    expect(host.match.round?.phase).toBe('match');
    for (let i = 0; i < 3; i++) other.room.send('splat', { who: 1, by: 0, paint: 1, x: 0, y: 0 }, { to: [host.room.self.id, other.room.self.id] });
    host.room.send('splat', { who: 0, by: 1, paint: 2, x: 0, y: 0 }, { to: [host.room.self.id, other.room.self.id] });
    await table.run(200);
    expect([...host.match.splats].sort()).toEqual([
      [0, 3],
      [1, 1],
    ]);
    const late = await table.join('Late');
    await table.run(1000);
    expect([...late.match.splats].sort()).toEqual([...host.match.splats].sort());
    await table.run(25_000);
    expect(late.match.round?.number, 'the next round').toBe(2);
    expect([...late.match.splats]).toEqual([]);
  });
});

describe('a player whose seat is another one after a merge', () => {
  it('is hit and shoots under its new number, and stands where it has room', async () => {
    const table = await party(2);
    const [shooter, target] = table.players;
    if (shooter === undefined || target === undefined) throw new Error('two players');
    // Two who press Play at once: each founds a room, sits in its first seat, and starts at the same place.
    Object.assign(target.match.me.body, shooter.match.me.body);
    await table.run(100);
    const room = [...table.hub.rooms.values()][0];
    Object.assign(room?.seats.get(target.room.self.id) ?? {}, { slot: 5 });
    room?.changed([]);
    await table.run(300);
    expect([target.room.self.slot, target.match.me.who]).toEqual([5, 5]);
    const { body } = target.match.me;
    expect(Math.hypot(body.x - shooter.match.me.body.x, body.y - shooter.match.me.body.y)).toBeGreaterThan(2 * blobRadius);
    for (let i = 0; i < 150 && !target.match.splats.has(0); i++) {
      const dx = body.x - shooter.match.me.body.x;
      const dy = body.y - shooter.match.me.body.y;
      const aim = Math.atan2(dy, dx);
      const near = Math.hypot(dx, dy) < 380;
      shooter.match.input = { moveX: near ? 0 : Math.cos(aim), moveY: near ? 0 : Math.sin(aim), aim, fire: near, dash: false };
      await table.run(100);
    }
    expect([...target.match.splats]).toEqual([[0, 1]]);
  });
});

describe('one who takes nothing more', () => {
  it('keeps nobody from hearing of each stroke once', async () => {
    const table = await party(3);
    const [ann] = table.players;
    if (ann === undefined) throw new Error('three players');
    const { room } = ann;
    const send = room.send.bind(room);
    const told: string[] = [];
    room.send = (name, body, options) => {
      send(name, body, options);
      if (name !== 'strokes') return;
      told.push(JSON.stringify(body));
      throw new LanError('queue-full', 'one of them was not sent it');
    };
    for (let i = 0; i < 10; i++) {
      table.steer();
      await table.run(200);
    }
    expect(told.length).toBeGreaterThan(10);
    expect(new Set(told).size).toBe(told.length);
    room.send = send;
    table.rest();
    await table.run(3000);
    expect(table.hashes().size).toBe(1);
  });
});
