/**
 * One part of `npm test`: a command with a limit of time. A part that is still running at its limit is looked at,
 * so that it can be said which of its processes computed and which waited, and ended with all that it started.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { repositoryRoot } from './lab/process.ts';

/** How long processor time is counted for, in ms, and a tick of its count on Linux. */
const LOOK_MS = 1_000;
const TICK_MS = 10;

export interface StuckProcess {
  readonly command: string;
  /** Share of one processor that it used while it was looked at, 0 to 1 and more. */
  readonly busy: number;
  /** It used half a processor, or would have: it was ready to run whenever it was looked at, on a machine that had other work too. */
  readonly computed: boolean;
}

/** A process as the system tells of it. */
interface Seen {
  readonly pid: number;
  readonly command: string;
  readonly ticks: number;
  readonly isReady: boolean;
}

export interface PartResult {
  readonly code: number;
  /** The processes of the part at its limit, where it reached that. */
  readonly stuck: readonly StuckProcess[] | undefined;
}

const running = new Set<ChildProcess>();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // A part is a process group of its own: what interrupts this process is handed on by hand.
  process.once(signal, () => {
    for (const child of running) endGroup(child);
    process.exit(signal === 'SIGINT' ? 130 : 143);
  });
}

/** Runs `argv` in the project's folder, its output on this process's own, for `limitMs` at most. */
export async function runPart(argv: readonly string[], limitMs: number): Promise<PartResult> {
  const [file = '', ...args] = argv;
  const child = spawn(file, args, { cwd: repositoryRoot, stdio: 'inherit', detached: true });
  running.add(child);
  const ended = new Promise<number>((resolve) => {
    child.once('error', () => resolve(127));
    child.once('exit', (code) => resolve(code ?? 1));
  });
  const limit = new AbortController();
  const late = wait(limitMs, undefined, { signal: limit.signal }).catch(() => undefined);
  const code = await Promise.race([ended, late]);
  limit.abort();
  if (code !== undefined) {
    running.delete(child);
    return { code, stuck: undefined };
  }
  const stuck = await look(child);
  endGroup(child);
  await ended;
  running.delete(child);
  return { code: 1, stuck };
}

/** Whether all of them waited: then no test was computing, and one that waits ends by its own time-out. */
export function allWaited(stuck: readonly StuckProcess[]): boolean {
  return stuck.length > 0 && stuck.every(({ computed }) => !computed);
}

/** Linux only: elsewhere the processes of a group are not known. */
async function look(child: ChildProcess): Promise<readonly StuckProcess[]> {
  const before = new Map(processesOf(child).map((seen) => [seen.pid, seen]));
  await wait(LOOK_MS);
  return processesOf(child).map(({ pid, command, ticks, isReady }) => {
    const first = before.get(pid);
    const busy = ((ticks - (first?.ticks ?? ticks)) * TICK_MS) / LOOK_MS;
    return { command, busy, computed: busy >= 0.5 || (isReady && first?.isReady === true) };
  });
}

function processesOf(child: ChildProcess): readonly Seen[] {
  if (!existsSync('/proc/self/stat')) return [];
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      // After the command in brackets: state, parent, group; time in user and in system mode are the 12th and 13th.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (Number(fields[2]) !== child.pid) return [];
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      return [{ pid: Number(name), command, ticks: Number(fields[11]) + Number(fields[12]), isReady: fields[0] === 'R' }];
    } catch {
      return []; // Ended since it was listed.
    }
  });
}

function endGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Nobody is left in it.
  }
}
