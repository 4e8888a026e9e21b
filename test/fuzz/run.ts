/**
 * `npm run fuzz [-- --target name] [--seconds N] [--execs N] [--seed n] [--keep] [--json]`: coverage-guided
 * fuzzing of every decoder, without native code. By default a million executions over all targets, at most
 * 90 s. Findings are printed with their bytes, and the run ends with 1. `--keep` adds what reached new code
 * to `corpus/`.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.ts';

const MAX_KEPT = 120;

const { values } = parseArgs({
  options: {
    target: { type: 'string' },
    seconds: { type: 'string', default: '90' },
    execs: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    keep: { type: 'boolean' },
    json: { type: 'boolean' },
  },
});
const seed = Number(values.seed);
const report = await fuzz({ target: values.target, seed, seconds: Number(values.seconds), execs: Number(values.execs) });
if (values.keep === true) {
  for (const { target, kept } of report.targets) {
    const path = new URL(`./corpus/${target}.hex`, import.meta.url);
    const known = existsSync(path)
      ? readFileSync(path, 'utf8')
          .split('\n')
          .filter((line) => line !== '')
      : [];
    const lines = [...new Set([...known, ...kept.filter((line) => line !== '' && line.length <= 800)])].slice(0, MAX_KEPT);
    if (lines.length > 0) writeFileSync(path, `${lines.join('\n')}\n`);
  }
}
const targets = report.targets.map(({ kept, ...one }) => ({ ...one, grown: kept.length }));
process.stdout.write(
  values.json === true
    ? `${JSON.stringify({ fuzz: 'decoders', seed, ...report, targets })}\n`
    : `${targets.map((one) => JSON.stringify(one)).join('\n')}\n${report.execs} runs in ${report.seconds} s, ${report.findings} findings, ${report.linesCovered} of ${report.lines} lines\nnever ran: ${report.uncovered.join(' ')}\n`,
);
process.exit(report.findings > 0 ? 1 : 0);
