/**
 * Leaving gracefully when the process is told to end: the others learn it in one round trip instead of
 * by silence.
 */
import { disposable } from '../base/emitter.ts';
import { LanError } from '../base/errors.ts';

/** A farewell that takes longer than this is cut short, ms: whoever pressed Ctrl-C is waiting. */
export const FAREWELL_MAX_MS = 2_000;

/**
 * One Ctrl-C may come twice: the terminal tells all its programs, and npm passes it on to the one it runs. What comes so soon after the
 * first, ms, is no second one.
 */
const SAME_SIGNAL_MS = 500;

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What waits for a room or a peer ends with one of these when the lan is closed. */
const ENDINGS: ReadonlySet<string> = new Set(['closed', 'aborted', 'peer-gone']);

/** What is to be closed: all of it together, since the process ends when it is. */
const closes = new Set<{ readonly close: () => Promise<void> }>();

/** When the process was told to end, monotonic ms. */
let toldAt: number | undefined;

function onUncaught(error: unknown): void {
  if (error instanceof LanError && ENDINGS.has(error.code)) return;
  console.error(error);
  process.exit(1);
}

function onSignal(): void {
  const now = performance.now();
  if (toldAt !== undefined) {
    if (now - toldAt > SAME_SIGNAL_MS) process.exit(1);
    return;
  }
  toldAt = now;
  process.on('uncaughtException', onUncaught);
  // A terminal that was closed takes no more words, and whoever says some would end here, before the goodbye.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  setTimeout(() => process.exit(0), FAREWELL_MAX_MS).unref();
  void Promise.allSettled([...closes].map(async ({ close }) => close())).then((ends) =>
    process.exit(ends.some(({ status }) => status === 'rejected') ? 1 : 0),
  );
}

/**
 * On SIGINT, SIGTERM or SIGHUP: runs `close` once, then ends the process with 0; with several of them when each is done. A second signal, half a
 * second later or more, ends it at once. What the game still waits for (a room that is being opened, an answer) rejects with `closed` then, and
 * ends nothing before its time. Dispose to take it back.
 */
export function closeOnSignal(close: () => Promise<void>): Disposable {
  const entry = { close };
  if (closes.size === 0) for (const signal of SIGNALS) process.on(signal, onSignal);
  closes.add(entry);
  return disposable(() => {
    // Taken back while it closes, as by a game that ends all it holds: without a listener a signal that comes twice would end the process before its goodbye.
    if (closes.delete(entry) && closes.size === 0 && toldAt === undefined) for (const signal of SIGNALS) process.removeListener(signal, onSignal);
  });
}
