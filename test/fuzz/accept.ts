/** Every decoder, behind its encryption too: a million mutated inputs, nothing found, and nearly every line reached. */
import type { AcceptOptions, AcceptOutcome } from '../accept/rows.ts';
import { fuzz } from './fuzz.ts';

export async function accept({ small, seed }: AcceptOptions): Promise<AcceptOutcome> {
  const wanted = small ? 100_000 : 1_000_000;
  const { targets, findings, execs, seconds, lineRatio, ...lines } = await fuzz({ seed, execs: wanted, seconds: small ? 20 : 90 });
  return {
    value: findings,
    unit: 'findings',
    target: '0 in 1,000,000 executions within 90 s; >= 95 % of the decoders’ lines',
    pass: findings === 0 && execs >= wanted && seconds <= 90 && lineRatio >= 0.95,
    details: { execs, seconds, lineRatio, ...lines, targets: targets.map(({ kept, ...one }) => ({ ...one, grown: kept.length })) },
  };
}
