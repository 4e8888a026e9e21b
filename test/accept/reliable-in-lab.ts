/** Reliable messages between two real hosts of the lab, a quarter of all frames lost: none lost, doubled, out of order. */
import { labUnavailable } from '../lab/netns.ts';
import { lab } from '../lab/reliable.ts';
import type { AcceptOptions, AcceptOutcome } from './rows.ts';

export async function accept({ small }: AcceptOptions): Promise<AcceptOutcome> {
  const reason = labUnavailable();
  if (reason !== undefined) return { notRun: `the lab ${reason}` };
  const { pass, ...details } = await lab([small ? '10000' : '100000']);
  const value = ['lost', 'doubled', 'misordered_or_changed', 'disconnects'].reduce((sum, name) => sum + Number(details[name]), 0);
  return {
    value,
    unit: 'messages lost, doubled, misordered or changed, plus disconnects',
    target: '0 of 100,000 at 25 % loss between network namespaces',
    pass: pass && value === 0,
    details,
  };
}
