/**
 * `npm run fuzz [-- --seconds N] [--target name] [--seed n] [--json]`: coverage-guided, without native
 * code. Inputs that reach a range of code nobody reached before (V8's precise coverage) are kept and
 * mutated further. A finding is an exception, or an input that takes over 50 ms three times in a row; it
 * is printed with its bytes, and the run ends with 1.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { Session as Inspector, type Profiler } from 'node:inspector';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { createRng, type Rng } from '../../sdk/base/rng.ts';
import { TARGETS } from './targets.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '30' },
    target: { type: 'string' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean' },
  },
});
const names = Object.keys(TARGETS).filter((name) => values.target === undefined || name === values.target);
const seed = Number(values.seed);
const budgetMs = (Number(values.seconds) * 1_000) / Math.max(1, names.length);
const MAX_INPUT_BYTES = 1_400;
const SLOW_MS = 50;
/** Reading the coverage costs about a millisecond, so it is read once per batch. */
const BATCH = 25;

const inspector = new Inspector();
inspector.connect();
const post = (method: string, params?: object): unknown => {
  let answer: unknown;
  inspector.post(method, params, (error, result) => {
    if (error !== null) throw error;
    answer = result;
  });
  return answer;
};
post('Profiler.enable');
post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });

/**
 * Which bytes of each function's source have run. V8 nests ranges, and a block that runs at last loses its
 * range instead of getting one, so ranges are painted onto the source and the paint is compared.
 */
const painted = new Map<string, Uint8Array>();
let seenBytes = 0;
function newCode(): number {
  const { result } = post('Profiler.takePreciseCoverage') as Profiler.TakePreciseCoverageReturnType;
  const before = seenBytes;
  for (const script of result) {
    if (!script.url.includes('/sdk/') && !script.url.includes('msgpackr')) continue;
    for (const fn of script.functions) {
      const [whole] = fn.ranges;
      if (whole === undefined || whole.count === 0 || whole.startOffset === 0) continue;
      paint(`${script.scriptId}:${whole.startOffset}`, whole.startOffset, fn.ranges);
    }
  }
  return seenBytes - before;
}

function paint(key: string, from: number, ranges: readonly Profiler.CoverageRange[]): void {
  const size = ranges[0]!.endOffset - from;
  const now = new Uint8Array(size);
  for (const range of ranges) now.fill(range.count > 0 ? 1 : 0, range.startOffset - from, range.endOffset - from);
  let ever = painted.get(key);
  if (ever === undefined) painted.set(key, (ever = new Uint8Array(size)));
  for (let i = 0; i < size; i++) {
    if (now[i] === 0 || ever[i] === 1) continue;
    ever[i] = 1;
    seenBytes++;
  }
}

/** Share of the source of every function that was entered at all which has run. */
function coveredRatio(): number {
  let all = 0;
  for (const ever of painted.values()) all += ever.length;
  return Math.round((seenBytes / Math.max(1, all)) * 1_000) / 1_000;
}

const INTERESTING = [0, 1, 0x7f, 0x80, 0xff, 0xc1, 0xc4, 0xd9, 0xdc, 0xde, 0x90, 0x81, 0x40, 0x48, 0x50, 0x58];

function mutate(rng: Rng, corpus: readonly Uint8Array[]): Uint8Array {
  let bytes: Uint8Array = corpus[rng.int(corpus.length)]!.slice();
  for (let edits = 1 + rng.int(5); edits > 0; edits--) {
    const at = rng.int(bytes.length + 1);
    switch (rng.int(7)) {
      case 0:
        if (at < bytes.length) bytes[at] = rng.int(256);
        break;
      case 1:
        if (at < bytes.length) bytes[at] = INTERESTING[rng.int(INTERESTING.length)]!;
        break;
      case 2:
        if (at < bytes.length) bytes[at]! ^= 1 << rng.int(8);
        break;
      case 3:
        bytes = join(
          bytes.subarray(0, at),
          new Uint8Array(1 + rng.int(4)).map(() => rng.int(256)),
          bytes.subarray(at),
        );
        break;
      case 4:
        bytes = join(bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + rng.int(8))));
        break;
      case 5: {
        const other = corpus[rng.int(corpus.length)]!;
        bytes = join(bytes.subarray(0, at), other.subarray(rng.int(other.length + 1)));
        break;
      }
      default:
        bytes = join(bytes, bytes.subarray(at));
    }
  }
  return bytes.length > MAX_INPUT_BYTES ? bytes.slice(0, MAX_INPUT_BYTES) : bytes;
}

function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts));
}

/** Kept inputs: one file per target, one hexadecimal input per line. */
function kept(name: string): Uint8Array[] {
  const folder = new URL('./corpus/', import.meta.url);
  if (!readdirSync(folder).includes(`${name}.hex`)) return [];
  return readFileSync(new URL(`${name}.hex`, folder), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => new Uint8Array(Buffer.from(line, 'hex')));
}

const reports: object[] = [];
let findings = 0;
for (const name of names) {
  const target = TARGETS[name]!();
  const rng = createRng(seed);
  const corpus = [new Uint8Array(0), ...target.seeds, ...kept(name)];
  const known = corpus.length;
  const found: { input: string; problem: string }[] = [];
  const run = (bytes: Uint8Array): void => {
    try {
      let slow = 0;
      for (; slow < 3; slow++) {
        const t = performance.now();
        target.run(bytes);
        if (performance.now() - t < SLOW_MS) break;
      }
      if (slow === 3) found.push({ input: Buffer.from(bytes).toString('hex'), problem: `over ${SLOW_MS} ms` });
    } catch (error) {
      found.push({
        input: Buffer.from(bytes).toString('hex'),
        problem: error instanceof Error ? (error.stack ?? error.message).split('\n').slice(0, 3).join(' ') : String(error),
      });
    }
  };
  for (const bytes of corpus) run(bytes);
  newCode();
  const before = seenBytes;
  const started = performance.now();
  let execs = corpus.length;
  while (performance.now() - started < budgetMs && found.length < 5) {
    const batch = Array.from({ length: BATCH }, () => mutate(rng, corpus));
    for (const bytes of batch) run(bytes);
    execs += BATCH;
    if (newCode() === 0) continue;
    // Which one it was is not told; the batch is small, and useless ones cost little.
    if (corpus.length < 2_000) corpus.push(...batch);
  }
  findings += found.length;
  reports.push({
    target: name,
    execs,
    perSecond: Math.round((execs * 1_000) / (performance.now() - started)),
    corpus: known,
    grown: corpus.length - known,
    newCodeBytes: seenBytes - before,
    findings: found,
  });
}
process.stdout.write(
  values.json === true
    ? `${JSON.stringify({ fuzz: 'decoders', seed, seconds: Number(values.seconds), execs: reports.reduce((sum, r) => sum + (r as { execs: number }).execs, 0), findings, coveredRatioOfEnteredFunctions: coveredRatio(), targets: reports })}\n`
    : `${reports.map((r) => JSON.stringify(r)).join('\n')}\n${findings} findings\n`,
);
process.exit(names.length === 0 || findings > 0 ? 1 : 0);
