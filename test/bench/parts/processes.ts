/** Child processes of a benchmark and what they say. */
import { execFileSync, fork, type ChildProcess } from 'node:child_process';
import { cpus } from 'node:os';

export const hasTaskset = ((): boolean => {
  try {
    execFileSync('taskset', ['-p', String(process.pid)], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

const STDIO = ['ignore', 'ignore', 'ignore', 'ipc'] as const;

/** @param core counted from the last one; pinned from the start, so that the threads of the run time are, too. */
export function child(path: string, args: readonly string[], core: number): ChildProcess {
  const cores = cpus().length;
  return hasTaskset
    ? fork(path, args, { execPath: 'taskset', execArgv: ['-c', String((2 * cores - 1 - core) % cores), process.execPath], stdio: [...STDIO] })
    : fork(path, args, { execArgv: [], stdio: [...STDIO] });
}

/** The next message with `key`. Rejects when the process says that it failed, ends, or is silent. */
export function told<T>(from: ChildProcess, key: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => end(() => reject(new Error('silent for 60 s'))), 60_000);
    const onMessage = (message: object): void => {
      if (key in message) end(() => resolve(message as T));
      else if ('failed' in message) end(() => reject(new Error(String(message.failed))));
    };
    const onExit = (code: number | null): void => end(() => reject(new Error(`ended with ${code}`)));
    const end = (then: () => void): void => {
      clearTimeout(timer);
      from.off('message', onMessage);
      from.off('exit', onExit);
      then();
    };
    from.on('message', onMessage);
    from.on('exit', onExit);
  });
}

export const round2 = (value: number): number => Math.round(value * 100) / 100;
export const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
/** First and third quartile. */
export function quartiles(values: readonly number[]): [number, number] {
  const sorted = values.toSorted((a, b) => a - b);
  return [round2(sorted[sorted.length >> 2]!), round2(sorted[(sorted.length * 3) >> 2]!)];
}
