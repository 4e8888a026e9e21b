/**
 * The types of a game definition: what must compile does, what must not is marked. The compiler is the judge
 * (`npm run check` includes this folder); running it only proves that the definition is accepted.
 */
import { describe, expect, it } from 'vitest';
import { defineGame, entity, message, request, s } from 'lanista';
import type { PeerId, Room, StandardSchemaV1 } from 'lanista';

declare const foreign: StandardSchemaV1<{ text: string }>;

const game = defineGame({
  id: 'chroma-rush',
  version: 1,
  presence: { name: s.text(24), hue: s.u8().default(0), ready: s.bool().default(false) },
  entities: {
    blob: entity({
      authority: 'spawner',
      onOwnerLeave: 'despawn',
      fields: {
        x: s.num({ min: 0, max: 1920, step: 1 / 16 }).lerp('hermite'),
        aim: s.angle(8),
        hp: s.u8().default(3),
        state: s.oneOf('alive', 'splat'),
        by: s.peer(),
        marks: s.flags('fast', 'wet'),
        trail: s.list(s.u16(), 8).default([]),
      },
    }),
    pickup: entity({ authority: 'host', rate: 5, fields: { what: s.oneOf('bomb', 'turbo') } }),
    ball: entity({ authority: 'distributed', transfer: 'request', onOwnerLeave: 'redistribute', fields: { x: s.f32(), y: s.f32() } }),
  },
  messages: { shot: message({ x: s.u16(), a: s.angle(8) }, { delivery: 'unreliable', redundancy: 2 }), chat: message({ text: s.text(200) }) },
  requests: { hit: request({ shot: s.u16(), at: s.u32() }, { ok: s.bool() }, { to: 'owner' }), start: request({}, { ok: s.bool() }, { to: 'host' }) },
});

export async function compiles(room: Room<typeof game>): Promise<void> {
  const me = room.entities.spawn('blob', { x: 40, aim: 0, state: 'alive' });
  me.x += 1;
  me.state = 'splat';
  me.marks = new Set(['wet']);
  // @ts-expect-error not one of the names
  me.state = 'flying';
  // @ts-expect-error there is no such field
  me.typo = 3;
  // @ts-expect-error a text is no number
  me.hp = '3';
  // @ts-expect-error every entity has an owner, and it is not assigned
  me.owner = 'somebody';
  // @ts-expect-error nothing but the declared fields
  room.entities.spawn('blob', { x: 1, aim: 0, state: 'alive', typo: 3 });
  // @ts-expect-error a required field is missing
  room.entities.spawn('blob', { x: 1 });
  // @ts-expect-error no such kind
  room.entities.spawn('blub', { x: 1 });
  for (const blob of room.entities.all('blob')) {
    const x: number = blob.view.x;
    void x;
    if (blob.mine) blob.hp -= 1;
    else {
      // @ts-expect-error remote entities are read-only
      blob.hp = 1;
    }
    // @ts-expect-error what is drawn is not for writing
    blob.view.x = 1;
    const answer = await room.call('hit', { shot: 1, at: 5 }, { to: blob.owner, timeoutMs: 300 });
    const ok: boolean = answer.ok;
    void ok;
  }
  room.send('chat', { text: 'gg' });
  room.send('chat', { text: 'gg' }, { to: 'host' });
  // @ts-expect-error wrong body
  room.send('chat', { txt: 'gg' });
  using off = room.onMessage('chat', (body, { from, time }) => {
    const text: string = body.text;
    const peer: PeerId = from;
    const at: number = time;
    void [text, peer, at];
  });
  void off;
  room.handle('hit', (hit, from) => ({ ok: hit.shot > 1 && from.length > 0 }));
  // @ts-expect-error an owner is named by the caller
  void room.call('hit', { shot: 1, at: 2 });
  // @ts-expect-error and not only in what else there is to say
  void room.call('hit', { shot: 1, at: 2 }, { timeoutMs: 500 });
  void room.call('start', {});
  void room.call('start', {}, { timeoutMs: 500 });
  // @ts-expect-error an answer has its shape too
  room.handle('hit', () => ({ fine: true }));
  room.whileHost(({ signal, first }) => {
    using ticks = room.clock.every(5, (tick, time) => {
      if (!signal.aborted && first && tick + time > 0) room.entities.spawn('pickup', { what: 'bomb' });
    });
    void ticks;
  });
  for (const ball of room.entities.all('ball')) {
    if (ball.mine) continue;
    const got = await ball.requestAuthority({ timeoutMs: 250 });
    if (got !== undefined) got.x = 5;
  }
  me.onChange('by', (value) => {
    const peer: PeerId | null = value;
    void peer;
  });
  room.setPresence({ ready: true });
  room.on('leave', ({ peer, reason }) => void [peer.presence.name, reason]);
}

export const withForeign = () => defineGame({ id: 'g', version: 1, messages: { chat: message(foreign) } });

describe('a definition', () => {
  it('[SY1] the example of the contract compiles and is accepted', () => {
    expect(game.schemaHash).toBeGreaterThan(0);
    expect(game.stateHz).toBe(30);
  });
});
