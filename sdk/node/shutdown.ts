/**
 * Leaving gracefully when the process is told to end: the others learn it in one round trip instead of
 * by silence.
 */
import { disposable } from '../base/emitter.ts';
import { LanError } from '../base/errors.ts';

/** A farewell that takes longer than this is cut short, ms: whoever pressed Ctrl-C is waiting. */
export const FAREWELL_MAX_MS = 2_000;

/** What waits for a room or a peer ends with one of these when the lan is closed. */
const ENDINGS: ReadonlySet<string> = new Set(['closed', 'aborted', 'peer-gone']);

/**
 * On SIGINT, SIGTERM or SIGHUP: runs `close` once, then ends the process with 0. A second signal ends it
 * at once. What the game still waits for (a room that is being opened, an answer) rejects with `closed` then, and ends nothing before its time.
 * Dispose to take it back.
 */
export function closeOnSignal(close: () => Promise<void>): Disposable {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  let closing = false;
  const onUncaught = (error: unknown): void => {
    if (error instanceof LanError && ENDINGS.has(error.code)) return;
    console.error(error);
    process.exit(1);
  };
  const onSignal = (): void => {
    if (closing) process.exit(1);
    closing = true;
    process.on('uncaughtException', onUncaught);
    setTimeout(() => process.exit(0), FAREWELL_MAX_MS).unref();
    close().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  for (const signal of signals) process.on(signal, onSignal);
  return disposable(() => {
    for (const signal of signals) process.removeListener(signal, onSignal);
  });
}
