/** Starts `flood-child.ts` and waits for what it tells. */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export function start(...args: readonly (string | number)[]): ChildProcess {
  return fork(fileURLToPath(new URL('./flood-child.ts', import.meta.url)), args.map(String), {
    execArgv: ['--conditions=@lanista/source', '--import', 'tsx'],
  });
}

/** The child's next message; rejects when it ends or stays silent. */
export function told<T>(child: ChildProcess, ms = 90_000): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the child process stayed silent')), ms);
    child.once('message', (message) => {
      clearTimeout(timer);
      resolve(message as T);
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`the child process ended with ${code}`));
    });
  });
}

/** Ends a flood and says how fast it was. */
export async function stopFlood(child: ChildProcess): Promise<{ sent: number; perSecond: number }> {
  const answer = told<{ sent: number; perSecond: number }>(child);
  child.send('stop');
  return answer;
}

export const percentile = (sorted: readonly number[], ratio: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * ratio))] ?? NaN;
