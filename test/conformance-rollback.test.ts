/** `docs/protocol.md` against the code: words of a simulation, what they come to, and its states. */
import { det, s, simulation } from 'lanista';
import type { Rollback } from 'lanista';
import { describe, expect, it } from 'vitest';
import { fromHex } from '../sdk/base/bytes.ts';
import { createRng } from '../sdk/base/rng.ts';
import { encodeState } from '../sdk/sync/rollback/state-codec.ts';
import { Malformed, hex } from './protocol/reader.ts';
import type { PageRow, RowWord, Word } from './protocol/simulation.ts';
import { chainAfter, checksum, decodeStateBytes, decodeWord, pack } from './protocol/simulation.ts';
import { Rig } from './rollback-rig.ts';
import { expectSame } from './same.ts';

const HZ = 50;
const input = { by: s.i8().default(0), fire: s.bool().default(false) };
const isInput = ([by, fire, ...more]: readonly unknown[]): boolean =>
  Number.isInteger(by) && (by as number) >= -128 && (by as number) <= 127 && (fire === 0 || fire === 1) && more.length === 0;

const game = (isSpoilt: () => boolean) =>
  simulation({
    id: 'page',
    hz: HZ,
    input,
    start: (seed) => ({ tick: 0, seed, sums: new Map<number, number>(), grid: new Int16Array(8), note: undefined as string | undefined }),
    step(state, players, tick) {
      state.tick = tick;
      for (const { slot, input: held } of players) {
        state.sums.set(slot, (state.sums.get(slot) ?? 0) + held.by / 3 + (isSpoilt() ? 1 : 0));
        if (held.fire) state.grid[tick % 8]!++;
        if (held.by > 100) state.note = `${slot} \ud83c`;
      }
    },
  });

/** The head of the array, kind, tag and game. */
const HEAD_BYTES = 10;

type Run = Rollback<typeof input, object>;

interface Heard {
  readonly from: number;
  readonly to: number;
  readonly word: Word;
}

/** Three who play on a bad network: one is spoilt for a moment, one opens anew, the host goes. Everything they say, read with the page alone. */
function capture(): {
  readonly rig: Rig;
  readonly said: readonly Uint8Array[];
  readonly heard: readonly Heard[];
  readonly players: readonly [number, Run['players']];
} {
  const rig = new Rig(4, 3);
  const rng = createRng(5);
  const said: Uint8Array[] = [];
  const heard: Heard[] = [];
  let spoilt = -1;
  rig.onSend = ({ from, to, how, bytes }) => {
    said.push(bytes);
    heard.push({ from, to, word: decodeWord(bytes, isInput) });
    return how === 'reliable' || !rng.chance(0.1);
  };
  const runs: Run[] = rig.seats.map((seat, i) => seat.open(game(() => spoilt === i)));
  const play = (ms: number): void => {
    for (let at = 0; at < ms; at += 20) {
      for (const run of runs) if (run.status !== 'closed' && rng.chance(0.2)) run.setInput({ by: rng.int(256) - 128, fire: rng.chance(0.5) });
      rig.play(20);
    }
  };
  play(2_000);
  spoilt = 2;
  play(100);
  spoilt = -1;
  play(2_000);
  for (const seed of [undefined, 0xffff_ffff]) {
    runs[0]!.restart(seed);
    play(200);
  }
  runs[1]![Symbol.dispose]();
  play(300);
  runs[1] = rig.seats[1]!.open(game(() => spoilt === 1));
  play(1_000);
  // The host does not play for a while, and stays host.
  runs[0]![Symbol.dispose]();
  play(4_000);
  expect(runs.filter((run) => run.isHost)).toHaveLength(1);
  runs[0] = rig.seats[0]!.open(game(() => spoilt === 0));
  play(2_000);
  // Nobody hears the last of it any more: the next one asks.
  rig.list[0]!.status = 'away';
  rig.moveHost(1);
  play(2_000);
  expect(runs.map((run) => run.status)).toEqual(['stalled', 'playing', 'playing']);
  expect(rig.seats.flatMap((seat) => seat.drops.filter((reason) => reason === 'rollback-malformed'))).toEqual([]);
  return { rig, said, heard, players: [runs[2]!.confirmedTick, runs[2]!.players] };
}

const { rig, said, heard, players } = capture();

describe('the page and a simulation', () => {
  it('[PR11] every word is read with the page alone, and the chain of the rows comes out as it is said', () => {
    expect(new Set(heard.map(({ word }) => word.type))).toEqual(
      new Set(['inputs', 'confirms', 'state-ask', 'state', 'takeover', 'held', 'quit', 'deputy']),
    );
    const [{ word: any }] = heard as [Heard];
    for (const { from, word } of heard) expectSame([word.tag, word.game], [100 + from, any.game]);
    const rows = new Map<number, PageRow>([[0, { seed: null, who: [] }]]);
    const chains = new Map<number, number>([[0, 0]]);
    let checked = 0;
    const follow = (first: number, chain: number, words: readonly RowWord[]): void => {
      expectSame(chains.get(first - 1), chain);
      words.forEach((word, i) => {
        const tick = first + i;
        const row = word === 'same' ? rows.get(tick - 1)! : word;
        expectSame(rows.get(tick) ?? row, row);
        rows.set(tick, row);
        chains.set(tick, chainAfter(chains.get(tick - 1)!, row, pack));
        checked++;
      });
    };
    for (const { word } of heard) {
      if (word.type === 'confirms' || (word.type === 'held' && word.confirmed !== null)) follow(word.first, word.chain, word.rows);
      if (word.type !== 'state' || word.kind !== 0) continue;
      expect(chains.get(word.tick)).toBe(word.chain);
      expect(rows.get(word.tick)).toEqual(word.row);
      checked++;
    }
    expect(checked).toBeGreaterThan(1_000);
    const [tick, seen] = players;
    expect([...rows.values()].filter(({ seed }) => seed !== null).map(({ seed }) => seed)).toContain(0xffff_ffff);
    expect(rows.get(tick)!.who).toEqual(seen.map(({ slot, away, input: held }) => ({ slot, away, input: [held.by, Number(held.fire)] })));
  });

  it('[PR11] inputs are those that count, where they come in time', () => {
    const rows = new Map<number, PageRow>();
    let before: PageRow = { seed: null, who: [] };
    for (const { word } of heard)
      if (word.type === 'confirms')
        word.rows.forEach((row, i) => {
          before = row === 'same' ? (rows.get(word.first + i - 1) ?? before) : row;
          rows.set(word.first + i, before);
        });
    const same: boolean[] = [];
    for (const { from, word } of heard)
      if (word.type === 'inputs')
        word.inputs.forEach((held, i) => {
          const entry = rows.get(word.first + i)?.who.find(({ slot }) => slot === from);
          if (entry !== undefined) same.push(JSON.stringify(entry.input) === JSON.stringify(held));
        });
    expect(same.length).toBeGreaterThan(1_000);
    expect(same.filter(Boolean).length).toBeGreaterThan(0.95 * same.length);
  });

  it('[PR11] a state is read with the page alone, and its checksum is the one that the host says', () => {
    const sums = new Map(heard.flatMap(({ word }) => (word.type === 'confirms' ? [[word.checked, word.checksum] as const] : [])));
    const evidence = heard.flatMap(({ word }) => (word.type === 'state' && word.kind === 1 && word.pieces === 1 ? [word] : []));
    expect(evidence.length).toBeGreaterThan(0);
    for (const { tick, bytes } of evidence) expect(checksum(decodeStateBytes(fromHex(bytes)!))).toBe(sums.get(tick));
    for (const state of [
      { b: [1, -1.5, Number.NaN, -0], a: null, hällo: 'wörld', none: undefined, yes: true, no: false, cut: '\udfae' },
      new Map<unknown, unknown>([
        ['b', new Set([2, 'a', undefined])],
        [1, { x: {} }],
      ]),
      [new Uint8Array([1, 2]), new Float32Array([0.1, Number.NaN]), new Float64Array(5_000).fill(1 / 3), new Uint32Array([4_000_000_000])],
    ])
      expect(checksum(decodeStateBytes(encodeState(state)))).toBe(det.hashState(state));
  });

  it('[PR10] damaged words are refused by the page exactly where the project refuses them', () => {
    const rng = createRng(3);
    const [seat] = rig.seats.slice(2);
    const verdicts = { taken: 0, refused: 0 };
    const kinds = Array.from({ length: 8 }, (_, i) => said.filter((bytes) => bytes[3] === 15 + i));
    for (let i = 0; i < 8_000; i++) {
      const all = kinds[i % 8]!;
      const one = all[rng.int(all.length)]!;
      const cut = one.subarray(0, rng.chance(0.1) ? HEAD_BYTES + rng.int(one.length - HEAD_BYTES + 1) : one.length);
      const copy = Uint8Array.from(rng.chance(0.1) ? [...cut, rng.int(256)] : cut);
      // Of another kind, session or game it is looked at no further.
      for (let n = rng.int(3); n > 0; n--) {
        const at = rng.chance(0.1) ? 2 : HEAD_BYTES + rng.int(rng.chance(0.5) ? 16 : one.length);
        if (at < copy.length) copy[at] = rng.chance(0.5) ? rng.int(256) : copy[at]! + 1;
      }
      seat!.drops.length = 0;
      seat!.hear(one[4]! - 100, copy);
      const [drop] = seat!.drops;
      // Of another past, of which the rows are not looked at, or not for this peer.
      if (drop === 'rollback-stale' || (drop === undefined && one[3] === 20)) continue;
      const refusal = refused(() => decodeWord(copy, isInput));
      // The page's reader cannot tell 1 from 1.0.
      if (drop !== undefined && (copy.includes(0xca) || copy.includes(0xcb))) continue;
      if ((refusal !== undefined) !== (drop !== undefined))
        throw new Error(`${hex(copy)}: the page ${refusal ?? 'takes it'}, the project ${drop ?? 'takes it'}`);
      verdicts[drop === undefined ? 'taken' : 'refused']++;
    }
    expect(verdicts.taken).toBeGreaterThan(500);
    expect(verdicts.refused).toBeGreaterThan(500);
  });
});

/** Why the page refuses what is read; undefined when it does not. */
function refused(read: () => unknown): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    if (error instanceof Malformed) return error.message;
    throw error;
  }
}
