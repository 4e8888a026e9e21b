/**
 * A simulation that is played by a host and a follower, and words of it that anybody may have made: as the host's, as the follower's, as those of a third
 * member who only lies; while they play, while a new host asks how far everybody has come, and while one of them has no state yet. Nothing throws, the next
 * honest words are understood, and soon both play the same again.
 */
import { det, s, simulation } from 'lanista';
import type { Rollback } from 'lanista';
import { hashState } from '../../../sdk/sync/hash.ts';
import { assertData, diffData } from '../../../sdk/sync/rollback/data.ts';
import { decodeState, encodeState } from '../../../sdk/sync/rollback/state-codec.ts';
import { InputCodec, Row } from '../../../sdk/sync/rollback/input.ts';
import type { Simulation } from '../../../sdk/sync/rollback/simulation.ts';
import { deputy, MAX_TICK, NEWEST, Words } from '../../../sdk/sync/rollback/words.ts';
import type { RigSeat } from '../../rollback-rig.ts';
import { IDS, Rig } from '../../rollback-rig.ts';
import { broken, expectSame, type Target, type TargetFile } from '../target.ts';

const HZ = 20;
const TICK_MS = 1_000 / HZ;
/** A liar may have itself taken for a new host for two seconds, and a state that was spoilt is found after half of one and asked for at most every two. */
const RECOVERY_TICKS = 8 * HZ;

const input = {
  by: s.i8().default(0),
  fire: s.bool().default(false),
  word: s.text(6).default(''),
  aim: s.num({ min: 0, max: 8, step: 0.5 }).default(0),
};

interface Game {
  tick: number;
  dice: readonly [number, number, number, number];
  sums: Map<number, number>;
  words: Set<string>;
  grid: Uint8Array;
  last: { word?: string | undefined; isIt: boolean | null };
}

const game = (isSpoilt: () => boolean) =>
  simulation({
    id: 'fuzz',
    hz: HZ,
    input,
    start: (seed): Game => ({
      tick: 0,
      dice: det.rng(seed).save(),
      sums: new Map(),
      words: new Set(),
      grid: new Uint8Array(8),
      last: { word: undefined, isIt: null },
    }),
    step(state, players, tick) {
      // A state of somebody else's making.
      if (!(state?.sums instanceof Map) || !(state.words instanceof Set) || !(state.grid instanceof Uint8Array)) return;
      state.tick = tick + (isSpoilt() ? 0.5 : 0);
      for (const { slot, away, input: held } of players) {
        if (typeof held.by !== 'number' || held.aim < 0 || held.aim > 8 || held.word.length > 6) broken('an input outside its bounds');
        state.sums.set(slot, held.by + (away ? 0.25 : held.aim));
        if (held.word !== '') state.words.add(held.word);
        if (held.fire) state.grid[tick % 8]!++;
      }
      if (state.words.size > 4) state.words.clear();
    },
  });

/** Two who play and one who only lies. */
class Table extends Rig {
  readonly players = this.seats.map((seat) => new Player(seat));

  constructor() {
    super(3, 2);
  }

  /** Honest words arrive, and have to be understood. */
  override deliver(): void {
    let spins = 0;
    for (let said = this.next(); said !== undefined; said = this.next()) {
      if (++spins > 2_000) broken('words without an end');
      const { to, from, bytes } = said;
      const seat = this.seats[to]!;
      seat.drops.length = 0;
      seat.hear(from, bytes);
      if (seat.drops.includes('rollback-malformed')) broken(`honest words of kind ${bytes[3]} were not understood`);
    }
  }

  tick(): void {
    this.play(TICK_MS, TICK_MS);
    for (const { failures } of this.seats) if (failures.length > 0) broken(failures[0]!);
  }

  /** Both play, and what both have settled last is the same. */
  agrees(): boolean {
    const [a, b] = this.players as [Player, Player];
    if (a.run.status !== 'playing' || b.run.status !== 'playing') return false;
    const tick = Math.min(a.newest, b.newest);
    return tick > 0 && a.settled.has(tick) && a.settled.get(tick) === b.settled.get(tick);
  }
}

class Player {
  readonly #seat: RigSeat;
  readonly settled = new Map<number, number>();
  run!: Rollback<typeof input, Game>;
  newest = 0;
  isSpoilt = false;

  constructor(seat: RigSeat) {
    this.#seat = seat;
    this.open();
  }

  open(): void {
    this.run?.[Symbol.dispose]();
    this.run = this.#seat.open(game(() => this.isSpoilt));
    const anew = (): void => {
      this.settled.clear();
      this.newest = 0;
    };
    anew();
    this.run.on('start', anew);
    this.run.on('resync', anew);
    this.run.on('confirm', ({ tick, state }) => {
      this.newest = tick;
      this.settled.set(tick, hashState(state));
      this.settled.delete(tick - 64);
    });
  }
}

/** What is done before some words are heard. */
const FROM_THIRD = 2;
const HOST_MOVES = 4;
const OPENS_ANEW = 8;

/** One piece of an input: to whom, from whom and when, and what is said. */
function wrap(how: number, bytes: Uint8Array): Uint8Array {
  return Uint8Array.from([how, bytes.length >>> 8, bytes.length, ...bytes]);
}

function hand(table: Table, bytes: Uint8Array): void {
  for (let at = 0, n = 0; at + 3 <= bytes.length && n < 24; n++) {
    const how = bytes[at]!;
    const size = (bytes[at + 1]! << 8) | bytes[at + 2]!;
    const to = how & 1;
    const seat = table.seats[to]!;
    // Seldom in mutated bytes, too: after each of these it takes a while until all play again.
    if ((how & 0xf0) === 0 && (how & OPENS_ANEW) !== 0) {
      table.players[to]!.open();
      seat.desk.run(table.now);
    }
    if ((how & 0xf0) === 0 && (how & HOST_MOVES) !== 0) {
      table.moveHost(to);
      seat.desk.run(table.now);
    }
    seat.hear((how & FROM_THIRD) === 0 ? 1 - to : 2, bytes.slice(at + 3, at + 3 + size));
    at += 3 + size;
  }
}

function words(): Target {
  const press = (run: Player['run'], rng: ReturnType<typeof det.rng>): void =>
    run.setInput({ by: rng.int(200) - 100, fire: rng.float() < 0.5, word: ['', 'a', 'hällo'][rng.int(3)]!, aim: rng.int(16) / 2 });

  /** All kinds of words, as two honest peers say them: playing, after a desync, with one who comes late, when the host moves. */
  const said: { readonly to: number; readonly bytes: Uint8Array }[] = [];
  const seeds: Uint8Array[] = [];
  {
    const table = new Table();
    const rng = det.rng(1);
    table.onSend = ({ to, bytes }) => void (to < 2 && said.push({ to, bytes }));
    const play = (ticks: number): void => {
      for (let i = 0; i < ticks; i++) {
        for (const { run } of table.players) if (run.status !== 'closed' && rng.float() < 0.3) press(run, rng);
        table.tick();
      }
    };
    play(30);
    table.players[0]!.run.restart(0xffff_ffff);
    play(4);
    table.players[1]!.isSpoilt = true;
    play(3);
    table.players[1]!.isSpoilt = false;
    play(40);
    table.players[1]!.open();
    play(10);
    table.moveHost(1);
    play(30);
    // The host does not play for a while.
    table.players[1]!.run[Symbol.dispose]();
    play(60);
    table.players[1]!.open();
    play(60);
    if (!table.agrees()) broken('the honest ones do not play');
  }
  const kinds = new Map<number, number>();
  for (const { to, bytes } of said) {
    const kind = bytes[3]!;
    const seen = kinds.get(kind) ?? 0;
    kinds.set(kind, seen + 1);
    if (seen > 6 && seen % 40 !== 0) continue;
    seeds.push(wrap(to, bytes), wrap(to | FROM_THIRD, bytes));
    // An answer counts only while it is waited for.
    if (kind === 20) seeds.push(wrap(to | HOST_MOVES, bytes));
    if (kind === 18) seeds.push(wrap(to | OPENS_ANEW, bytes), wrap(to | HOST_MOVES | OPENS_ANEW, bytes));
  }
  for (let kind = 15; kind <= 22; kind++) if (!kinds.has(kind)) broken(`nobody said words of kind ${kind}`);

  // A host of the first, the second and a later term that names each, and nobody.
  for (const term of [1, 2, 9]) for (const peer of [...IDS, 'nobody']) seeds.push(wrap(1, deputy(100, game(() => false).hash, term, peer as never)));

  // A past and a future that nobody here has come to: of a page that played for an hour, or of one that began a moment ago.
  const codec = new InputCodec(game(() => false) as Simulation);
  const made = new Words(codec, 100, game(() => false).hash);
  for (const tick of [1, 5_000, 0x3fff_ffff, MAX_TICK]) {
    const row = new Row([{ slot: 0, away: false, input: codec.neutral }]);
    const head = { base: 900, tick, chain: tick, row };
    seeds.push(wrap(1, made.state({ ...head, kind: NEWEST, pieces: 1, index: 0, bytes: encodeState({ tick }) })));
    seeds.push(
      wrap(
        1 | HOST_MOVES,
        made.held(2, tick, 900, tick, tick, tick, () => row),
      ),
    );
    seeds.push(
      wrap(
        1,
        made.confirms(
          900,
          { tick, sum: 1 },
          tick,
          tick,
          () => row,
          () => tick,
        )[0]!,
      ),
    );
    seeds.push(
      wrap(
        0,
        made.inputs(tick, tick, Math.min(tick + 70, MAX_TICK), () => codec.neutral),
      ),
    );
  }

  let table = new Table();
  const rng = det.rng(2);
  let runs = 0;
  const fresh = (): void => {
    table = new Table();
    for (let i = 0; i < 40; i++) table.tick();
    if (!table.agrees()) broken('the honest ones do not play');
  };
  fresh();
  return {
    seeds,
    run: (bytes) => {
      if (++runs % 2_000 === 0) fresh();
      hand(table, bytes);
      if (runs % 4 === 0) for (const { run } of table.players) press(run, rng);
      table.tick();
      if (runs % 16 !== 0) return;
      let left = RECOVERY_TICKS;
      // Something both have settled since, so that what was agreed before the lies does not count.
      for (const { settled } of table.players) settled.clear();
      for (; left > 0 && !table.agrees(); left--) table.tick();
      // A host that has no state yet takes that of whom it asked: with a tick to which no time has come, that is the end of this game.
      if (table.players[table.host]!.run.tick * TICK_MS > table.now) return fresh();
      if (left === 0) {
        const how = table.players
          .map(({ run, newest }) => `${run.status} at ${run.tick}, confirmed ${run.confirmedTick}, settled ${newest}`)
          .join('; ');
        fresh();
        broken(`they do not play the same any more: ${how}`);
      }
    },
  };
}

/** States: what decodes is data, and says the same when it is said again. */
function states(): Target {
  const seeds = [
    { tick: 5, dice: [1, 2, 3, 4_000_000_000], name: 'hällo', on: true, off: false, none: null, nothing: undefined },
    [1.5, -0, Number.NaN, Number.POSITIVE_INFINITY, -300, 70_000, 'x'.repeat(40)],
    new Map<unknown, unknown>([
      [1, { x: 1 }],
      ['a', [new Set([1, 'b', null, undefined, true])]],
    ]),
    [
      new Int8Array(3),
      new Uint8Array([1, 2]),
      new Uint8ClampedArray(1),
      new Int16Array(2),
      new Uint16Array(2),
      new Int32Array(1),
      new Uint32Array(1),
    ],
    { f: new Float32Array([1.5, Number.NaN]), d: new Float64Array([-0, 1 / 3]), constructor: 1, b: 1, 7: 2, 'a b': {} },
    Array.from({ length: 20 }, (_, i) => [[[{ i }]]]),
    'text',
    undefined,
  ].map((state) => encodeState(state));
  // Keys twice, the prototype, an odd count, a half number, parts missing, nested beyond all bounds.
  seeds.push(
    Uint8Array.from([0x93, 1, 0xa9, 0x5f, 0x5f, 0x70, 0x72, 0x6f, 0x74, 0x6f, 0x5f, 0x5f, 1]),
    Uint8Array.from([0x95, 1, 0xa1, 0x61, 1, 0xa1, 0x61, 2]),
    Uint8Array.from([0x95, 2, 1, 1, 1, 2]),
    Uint8Array.from([0x93, 4, 5, 0xc4, 1, 0]),
    Uint8Array.from([0x94, 3, 1, 1]),
    Uint8Array.from([0xdc, 0xff, 0xff, 0]),
    new Uint8Array(300).map((_, i) => (i % 2 === 0 ? 0x92 : 0)),
  );
  return {
    seeds,
    run: (bytes) => {
      const decoded = decodeState(bytes);
      if (decoded === undefined) return;
      const { state } = decoded;
      assertData(state);
      const written = encodeState(state);
      const again = decodeState(written);
      if (again === undefined) return broken('what was read cannot be read again');
      expectSame('places in which a state said again differs', diffData(state, again.state), []);
      if (hashState(state) !== hashState(again.state)) broken('a state said again has another hash');
      if (Buffer.compare(encodeState(again.state), written) !== 0) broken('a state said twice again is said otherwise');
    },
  };
}

export const rollbacks: TargetFile = {
  targets: { simulation: words, states },
  decoders: {
    'sdk/room/rollback.ts': ['receive(', '#handleDeputy('],
    'sdk/sync/rollback/deputy.ts': ['heard(', 'quit('],
    'sdk/sync/rollback/words.ts': [
      'readInputs(',
      'readConfirms(',
      'readHeld(',
      '#readRows(',
      '#readRow(',
      'readState(',
      'function readOptional',
      'function readTerm',
      'function readDeputy',
      'function readCheck',
    ],
    'sdk/sync/rollback/input.ts': ['read('],
    'sdk/sync/rollback/session.ts': [
      '#handle(',
      '#handleInputs(',
      '#handleConfirms(',
      '#rowBefore(',
      '#follow(',
      '#handleTakeover(',
      '#handleState(',
      '#handleEvidence(',
      '#handleTooLarge(',
    ],
    'sdk/sync/rollback/conductor.ts': ['heard(', 'quit('],
    'sdk/sync/rollback/comparison.ts': ['compare(', 'judge(', 'accuse('],
    'sdk/sync/rollback/exchange.ts': ['take(', 'handleAsk('],
    'sdk/sync/rollback/lateness.ts': ['heard('],
    'sdk/sync/rollback/takeover.ts': ['handle('],
    'sdk/sync/rollback/transfer.ts': ['take('],
    'sdk/sync/rollback/state-codec.ts': ['function decodeState', 'function read', 'function readParts', 'function readNumbers'],
  },
};
