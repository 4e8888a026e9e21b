/**
 * Leaving gracefully when the process is told to end: the others learn it in one round trip instead of
 * by silence.
 */
import { disposable } from '../base/emitter.ts';

/** A farewell that takes longer than this is cut short, ms: whoever pressed Ctrl-C is waiting. */
export const FAREWELL_MAX_MS = 2_000;

/**
 * On SIGINT, SIGTERM or SIGHUP: runs `close` once, then ends the process with 0. A second signal ends it
 * at once. Dispose to take it back.
 */
export function closeOnSignal(close: () => Promise<void>): Disposable {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  let closing = false;
  const onSignal = (): void => {
    if (closing) process.exit(1);
    closing = true;
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
