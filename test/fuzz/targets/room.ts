/**
 * The game half: a room between an honest peer and a liar. Everything that a member may say to another
 * arrives here: hello, presence, state, messages, requests, authority. The liar's bytes change nothing
 * of what the honest one owns, put no value outside its bounds, and throw nothing.
 */
import { defineGame, entity, message, request, s } from 'lanista';
import type { PeerId, RoomId, Slot } from '../../../sdk/base/brand.ts';
import type { LocalTime } from '../../../sdk/port/lan-port.ts';
import { memoryDigest } from '../../../sdk/port/memory-digest.ts';
import type { Channel, PortEvent, PortRoster, RoomPort } from '../../../sdk/port/port.ts';
import { GameRoom } from '../../../sdk/room/room.ts';
import { bodyCodec } from '../../../sdk/sync/body.ts';
import { PackReader, PackWriter } from '../../../sdk/wire/pack.ts';
import { broken, expectSame, sameBytes, type Target, type TargetFile } from '../target.ts';

const everything = {
  x: s.num({ min: -100, max: 100, step: 1 / 64 }).default(0),
  speed: s.num({ min: 0, max: 10, step: 0.5 }).default(0),
  aim: s.angle(10).default(0),
  n: s.u32().default(0),
  small: s.u8().default(0),
  i: s.i16().default(0),
  f: s.f32().default(0),
  on: s.bool().default(false),
  state: s.oneOf('a', 'b', 'c').default('a'),
  marks: s.flags('p', 'q', 'r'),
  name: s.text(20).default(''),
  raw: s.bytes(8).default(new Uint8Array(0)),
  list: s.list(s.i8(), 5).default([]),
};

const game = defineGame({
  id: 'fuzz',
  version: 1,
  presence: { name: s.text(24).default('x'), hue: s.u8().default(0) },
  entities: {
    thing: entity({ authority: 'spawner', onOwnerLeave: 'despawn', fields: { ...everything, friend: s.ref('thing') } }),
    ball: entity({
      authority: 'distributed',
      transfer: 'request',
      onOwnerLeave: 'redistribute',
      rate: 10,
      fields: { x: s.num({ min: 0, max: 10, step: 1 }).default(0) },
    }),
    pickup: entity({ authority: 'host', fields: { n: s.u16().default(0) } }),
  },
  messages: {
    shot: message({ at: s.u32(), where: s.num({ min: 0, max: 1, step: 1 / 256 }) }, { delivery: 'unreliable' }),
    chat: message({ text: s.text(200) }),
    newest: message({ list: s.list(s.text(5), 4) }, { delivery: 'sequenced' }),
  },
  requests: { hit: request({ shot: s.u16() }, { ok: s.bool() }, { to: 'owner' }) },
});
type G = typeof game;

const IDS = ['aaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbb', 'cccccccccccccccc'] as unknown as readonly [PeerId, PeerId, PeerId];
const ROSTER: PortRoster = {
  roomId: '00112233445566778899aabbccddeeff' as RoomId,
  name: 'r',
  max: 4,
  locked: false,
  epoch: 1,
  term: 1,
  host: IDS[0],
  peers: IDS.map((id, slot) => ({ id, slot: slot as Slot, status: 'present' as const, spectator: false, eligible: true, via: undefined })),
};

/** Three rooms joined by queues, under a clock that is moved by hand. */
class Table {
  now = 1_000;
  readonly ports: Port[] = [];
  readonly #timers: { at: number; run: (() => void) | undefined }[] = [];

  clock(): LocalTime {
    const timer: { at: number; run: (() => void) | undefined } = { at: Infinity, run: undefined };
    this.#timers.push(timer);
    return {
      now: () => this.now,
      schedule: (at, run) => {
        timer.at = at;
        timer.run = run;
      },
      cancel: () => void (timer.at = Infinity),
    };
  }

  /** Runs what is due at this instant until nothing is, then moves on. */
  step(ms: number): void {
    for (let spins = 0; ; spins++) {
      if (spins > 200) broken('a room that never rests');
      let ran = false;
      for (const timer of this.#timers) {
        if (timer.at > this.now) continue;
        timer.at = Infinity;
        timer.run?.();
        ran = true;
      }
      if (!ran) break;
    }
    this.now += ms;
  }
}

class Port implements RoomPort {
  readonly self: PeerId;
  onWake: (() => void) | undefined;
  readonly over = false;
  /** Sees what is sent to others. */
  onSend: ((to: PeerId, channel: Channel, lane: number, bytes: Uint8Array) => void) | undefined;
  readonly #table: Table;
  readonly #events: PortEvent[] = [];

  constructor(table: Table, self: PeerId) {
    this.#table = table;
    this.self = self;
    table.ports.push(this);
  }

  receive(from: PeerId, channel: Channel, lane: number, bytes: Uint8Array): void {
    this.#events.push({ type: 'message', from, channel, lane, bytes });
    this.onWake?.();
  }

  send(_now: number, to: PeerId, channel: Channel, bytes: Uint8Array, lane = 0): boolean {
    const copy = bytes.slice();
    this.onSend?.(to, channel, lane, copy);
    this.#table.ports.find((port) => port.self === to)?.receive(this.self, channel, lane, copy);
    return true;
  }

  roster = (): PortRoster => ROSTER;
  poll = (): PortEvent | undefined => this.#events.shift();
  time = (now: number): number => now;
  timeErrorMs = (): number => 1;
  queued = (): number => 0;
  flush(): void {}
  setEligible(): void {}
  kick = (): boolean => false;
  leave(): void {}
  stats = () => ({ peers: new Map(), drops: {} });
}

function seat(table: Table, index: 0 | 1 | 2): { readonly port: Port; readonly room: GameRoom<G> } {
  const port = new Port(table, IDS[index]);
  const room = new GameRoom<G>(game, port, {
    time: table.clock(),
    session: 100 + index,
    presence: { name: 'p' },
    digest: async (bytes) => memoryDigest(bytes),
  });
  room.handle('hit', (() => ({ ok: true })) as never);
  return { port, room };
}

const CHANNELS: readonly Channel[] = ['reliable', 'sequenced', 'unreliable'];

function room(): Target {
  const seeds: Uint8Array[] = [];
  // A real third peer plays for a second; what it says to the victim is where the liar begins.
  const said: Uint8Array[] = [];
  {
    const table = new Table();
    const [a, , c] = [seat(table, 0), seat(table, 1), seat(table, 2)];
    c.port.onSend = (to, channel, lane, bytes) => {
      if (to === IDS[1]) said.push(wrap(CHANNELS.indexOf(channel), lane, bytes));
    };
    const play = (n: number): void => {
      for (let i = 0; i < n; i++) table.step(10);
    };
    play(330);
    const thing = c.room.entities.spawn('thing', { x: 1 } as never) as unknown as Record<string, unknown>;
    const ball = c.room.entities.spawn('ball', { x: 1 } as never) as unknown as { x: number };
    const theirs = a.room.entities.spawn('ball', { x: 2 } as never);
    play(20);
    for (let i = 0; i < 20; i++) {
      thing['x'] = i;
      ball.x = i % 7;
      thing['aim'] = i / 10;
      thing['name'] = `n${i}`;
      thing['list'] = [i, -i];
      thing['raw'] = Uint8Array.of(i);
      thing['on'] = i % 2 === 0;
      thing['n'] = i * 1_000;
      c.room.send('shot', { at: i, where: 0.5 });
      c.room.send('chat', { text: 'hello' });
      c.room.send('newest', { list: ['a', 'b'] });
      if (i === 5) c.room.setPresence({ hue: 5 });
      if (i === 6) void c.room.call('hit', { shot: 3 }, { to: IDS[1], timeoutMs: 300 } as never).then(undefined, () => {});
      if (i === 8) void (theirs as unknown as { request?: () => unknown }).request?.();
      play(4);
    }
    (thing as unknown as { despawn?: () => void }).despawn?.();
    play(60);
  }
  seeds.push(...said.filter((_, i) => i < 12 || i % 9 === 0).map((one) => one));
  seeds.push(Uint8Array.from(said.slice(0, 6).flatMap((one) => [...one])));
  seeds.push(Uint8Array.from(said.slice(6, 14).flatMap((one) => [...one])).slice(0, 1_400));

  let table = new Table();
  let a = seat(table, 0);
  let b = seat(table, 1);
  let mine = a.room.entities.spawn('thing', { x: 5 } as never) as unknown as Record<string, unknown>;
  let runs = 0;
  const fresh = (): void => {
    table = new Table();
    a = seat(table, 0);
    b = seat(table, 1);
    for (let i = 0; i < 330; i++) table.step(10);
    mine = a.room.entities.spawn('thing', { x: 5, name: 'mine' } as never) as unknown as Record<string, unknown>;
    for (let i = 0; i < 30; i++) table.step(10);
    // The liar's own greeting, so that it is listened to.
    for (const one of said.slice(0, 2)) hand(b.port, one);
    table.step(10);
  };
  fresh();
  return {
    seeds,
    run: (bytes) => {
      if (++runs % 2_000 === 0) fresh();
      hand(b.port, bytes);
      table.step(1);
      if (runs % 16 !== 0) return;
      mine['x'] = (runs >> 4) % 90;
      for (let i = 0; i < 8; i++) table.step(10);
      const seen = [...b.room.entities.all('thing')].filter((thing) => thing.owner === IDS[0]) as unknown as Record<string, unknown>[];
      if (seen.length !== 1) broken(`${seen.length} of the honest peer's things are left`);
      if (seen[0]!['x'] !== mine['x'] || seen[0]!['name'] !== 'mine') broken('the honest state did not arrive');
      for (const thing of b.room.entities.all('thing') as unknown as Iterable<Record<string, unknown>>) inBounds(thing);
    },
  };
}

function inBounds(thing: Record<string, unknown>): void {
  const { x, speed, small, i, state, name, raw, list } = thing as {
    x: number;
    speed: number;
    small: number;
    i: number;
    state: string;
    name: string;
    raw: Uint8Array;
    list: number[];
  };
  const right =
    x >= -100 && x <= 100 && speed >= 0 && speed <= 10 && small >= 0 && small <= 255 && Math.abs(i) <= 32_768 && ['a', 'b', 'c'].includes(state);
  if (!right || Buffer.byteLength(name) > 80 || raw.length > 8 || list.length > 5) broken('a value outside its bounds');
}

function wrap(channel: number, lane: number, bytes: Uint8Array): Uint8Array {
  return Uint8Array.from([channel | (lane << 4), bytes.length >>> 8, bytes.length, ...bytes]);
}

/** Gives the victim each message of the input as the liar's. */
function hand(port: Port, bytes: Uint8Array): void {
  for (let at = 0, n = 0; at + 3 <= bytes.length && n < 40; n++) {
    const size = (bytes[at + 1]! << 8) | bytes[at + 2]!;
    port.receive(IDS[2], CHANNELS[bytes[at]! & 3] ?? 'reliable', (bytes[at]! >>> 4) & 7, bytes.slice(at + 3, at + 3 + size));
    at += 3 + size;
  }
}

/** Bodies by their schema: what is accepted is inside every bound, and said again it is the same bytes or the same value. */
function body(): Target {
  const codec = bodyCodec(everything as never);
  const small = bodyCodec({ a: s.bool(), b: s.oneOf('x', 'y'), c: s.list(s.u8(), 3) } as never);
  const write = (of: typeof codec, value: object): Uint8Array => {
    const out = new PackWriter(512);
    of.write(out, value, 'seed');
    return out.view().slice();
  };
  const honest = {
    x: 1.5,
    speed: 2,
    aim: 1,
    n: 70_000,
    small: 3,
    i: -300,
    f: 1.25,
    on: true,
    state: 'b',
    marks: new Set(['p', 'r']),
    name: 'hällo',
    raw: Uint8Array.of(1, 2),
    list: [1, -2],
  };
  return {
    seeds: [
      write(codec, honest),
      write(codec, { ...honest, x: -100, name: '', list: [], marks: new Set() }),
      write(small, { a: true, b: 'y', c: [1, 2, 3] }),
    ],
    run: (bytes) => {
      for (const of of [codec, small]) {
        const input = new PackReader(bytes);
        const read = of.read(input);
        if (read === undefined || !input.done) continue;
        if (of === codec) inBounds(read.body as Record<string, unknown>);
        const written = write(of, read.body as object);
        if (sameBytes(written, bytes)) continue;
        expectSame('a body said again', of.read(new PackReader(written))?.body, read.body);
      }
    },
  };
}

export const rooms: TargetFile = {
  targets: { room, body },
  decoders: {
    'sdk/sync/inbound.ts': ['handleBody(', '#handleFull(', '#entries(', '#whole(', '#gone(', '#changed('],
    'sdk/sync/delta.ts': ['function decodeWhole', 'function decodeChanged', 'function bitCount'],
    'sdk/room/reception.ts': ['receive(', '#handleHello(', '#handleFrame('],
    'sdk/sync/messages.ts': ['handle('],
    'sdk/sync/requests.ts': ['handle('],
    'sdk/sync/authority.ts': ['handle('],
  },
};
