/** Phones that play along: what is asked of the SDK for them, and what the terminal says. */
import type { LanError, StartBridgeOptions } from 'lanista/node';
import type { Flags } from './flags.ts';

/** The phones' address has the same port as the page's, which is on another address. */
export function guestOptions(flags: Flags, port: number): Pick<StartBridgeOptions, 'guests'> {
  const [wanted] = flags.interfaces;
  return flags.phones ? { guests: { port, ...(wanted !== undefined && { interface: wanted }) } } : {};
}

/** The words of the SDK, with the flag of this game. */
export function severalNetworks(error: LanError): Error {
  const words = error.hint === undefined ? error.message : error.message.replace(error.hint, 'Say which of them phones can reach, with --interface.');
  return new Error(words, { cause: error });
}

/** The address, and on a screen a code to scan: black on white whatever the terminal's colours. */
export async function phoneLines(url: string, isScreen: boolean): Promise<string[]> {
  const lines = [`  Phones on this Wi-Fi play along at ${url}`, '  Anybody on this Wi-Fi can read what passes there: do not type secrets into it.'];
  if (!isScreen) return [...lines, ''];
  const { renderUnicodeCompact } = await import('uqr');
  const code = renderUnicodeCompact(url, { border: 2 }).split('\n');
  return [...lines, '', ...code.map((line) => `  \u001B[97;40m${line}\u001B[0m`), ''];
}
