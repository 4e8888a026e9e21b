/**
 * Lets processes of one machine stand for machines of their own: the one under attack on one core, attackers and
 * players on the other, all ahead of whatever else runs here. Without that a flood of 40,000 a second mostly measures how
 * three busy processes share two cores. Where the machine does not allow it, they share as they do.
 */
import { spawnSync } from 'node:child_process';

const NICE = { host: -20, player: -20, attacker: -10 } as const;

/** True when the process has been set apart. */
export function setApart(pid: number, what: keyof typeof NICE): boolean {
  if (process.platform !== 'linux') return false;
  const did = (...command: [string, ...string[]]): boolean => spawnSync(command[0], command.slice(1), { stdio: 'ignore' }).status === 0;
  return (
    did('taskset', '--all-tasks', '--cpu-list', '--pid', what === 'host' ? '0' : '1', String(pid)) &&
    did('renice', '-n', String(NICE[what]), '-p', String(pid))
  );
}
