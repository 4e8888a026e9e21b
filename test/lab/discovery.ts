/**
 * Lab `discovery`: whether rooms are found, and leave the list, on the networks people really have.
 * `npm run lab -- discovery` runs every row; `npm run lab -- discovery T3 T7` only these.
 */
import { bundleScript } from './parts/bundle.ts';
import { findRows } from './parts/rows-find.ts';
import { hostileRows } from './parts/rows-hostile.ts';
import { leaveRows } from './parts/rows-leave.ts';
import { networkRows } from './parts/rows-network.ts';
import type { RowResult } from './parts/rows.ts';
import type { LabResult } from './run.ts';

const rows = [...findRows, ...networkRows, ...leaveRows, ...hostileRows];

export async function lab(args: readonly string[]): Promise<LabResult> {
  const unknown = args.filter((arg) => !rows.some((row) => row.name === arg));
  if (unknown.length > 0) throw new Error(`no row ${unknown.join(', ')}; there are ${rows.map((row) => row.name).join(', ')}`);
  using bundle = await bundleScript('test/lab/discovery-peer.ts');
  const results: Record<string, RowResult & { readonly target: string }> = {};
  for (const row of rows.filter(({ name }) => args.length === 0 || args.includes(name))) {
    let result: RowResult;
    try {
      result = await row.run(bundle);
    } catch (error) {
      process.stderr.write(`${row.name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      result = { pass: false, error: error instanceof Error ? error.message.split('\n')[0] : String(error) };
    }
    process.stderr.write(`${row.name} ${JSON.stringify(result)}\n`);
    results[row.name] = { target: row.target, ...result };
  }
  return { lab: 'discovery', rows: results, pass: Object.values(results).every((result) => result.pass) };
}
