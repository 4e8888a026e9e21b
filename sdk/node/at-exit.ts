/**
 * What is to be done when the process ends, by one listener however many players it holds: of the eleventh
 * listener Node warns as of a leak.
 */
const calls = new Set<() => void>();

function onExit(): void {
  for (const call of [...calls]) call();
}

/** Calls `call` when the process ends, unless it is taken back before. It must not throw. */
export function atExit(call: () => void): void {
  if (calls.size === 0) process.on('exit', onExit);
  calls.add(call);
}

export function notAtExit(call: () => void): void {
  if (calls.delete(call) && calls.size === 0) process.removeListener('exit', onExit);
}
