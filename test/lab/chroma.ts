/**
 * What lab and browser tests do to the demo's page: enter the room, press the controls, read the
 * state. Everything goes through `window.chroma`, which the page shows to tests and to the curious.
 */
import type { Page } from 'playwright-core';

/** The part of `window.chroma` the tests rely on; the demo's own type has more. */
interface Chroma {
  readonly lan: unknown;
  readonly room: unknown;
  floorHash(): string;
  press(input: { readonly x: number; readonly y: number; readonly fire: boolean }): void;
  state(): ChromaState;
}

/** One page's view of the room. */
export interface ChromaState {
  /** `home` outside a room. */
  readonly phase: string;
  /** Room time (ms) at which the phase ends. */
  readonly endsAt: number;
  readonly slot: number;
  readonly host: boolean;
  readonly hostSlot: number;
  /** Seats that are present. */
  readonly players: number;
  readonly x: number;
  readonly y: number;
  readonly coverage: readonly number[];
}

/**
 * The page's address with a short lobby, a long round, and nobody who paints by himself. `plain` draws
 * without WebGL and effects, and 10 pictures a second: several pages share one machine without a graphics
 * chip here, where 60 of each would leave the network half no processor (one picture takes about 10 ms).
 */
export function testUrl(url: string, look: 'plain' | 'full'): string {
  const parsed = new URL(url);
  const plain = look === 'plain' ? { renderer: 'canvas', fx: '0', fps: '10' } : {};
  for (const [key, value] of Object.entries({ bots: '0', lobby: '1', seconds: '300', sound: '0', ...plain })) parsed.searchParams.set(key, value);
  return parsed.href;
}

/** Waits until the page speaks with its process; a failure says what the page shows instead. */
export async function connected(page: Page, timeoutMs = 30_000): Promise<void> {
  const speaks = page.waitForFunction(() => (globalThis as unknown as { chroma?: Chroma }).chroma?.lan !== undefined, undefined, {
    timeout: timeoutMs,
    polling: 50,
  });
  await speaks.catch(async (cause: unknown) => {
    const shown = await page.evaluate(() => document.body.innerText.slice(0, 500)).catch(String);
    throw new Error(`the page does not speak with its process after ${timeoutMs} ms; it shows: ${shown}`, { cause });
  });
}

/** When, on the machine's clock (ms), a page pressed Play, and when it first saw `players` seats. */
export interface Entry {
  readonly pressedAt: number;
  readonly togetherAt: number;
}

/**
 * Presses Play on the home screen and waits until the page has a seat and sees `players` of them. The
 * page takes both times itself, so a busy test runner does not count as a slow network.
 */
export async function enterRoom(page: Page, players: number, timeoutMs = 30_000): Promise<Entry> {
  const entry = page.evaluate(
    ({ wanted, patienceMs }) =>
      new Promise<Entry>((resolve, reject) => {
        const { chroma } = globalThis as unknown as { chroma: Chroma };
        const pressedAt = Date.now();
        document.querySelector<HTMLButtonElement>('#play')?.click();
        const looking = setInterval(() => {
          const seen = chroma.state().players;
          if (seen >= wanted) resolve({ pressedAt, togetherAt: Date.now() });
          else if (Date.now() - pressedAt > patienceMs)
            reject(
              new Error(`saw ${seen} of ${wanted} players after ${patienceMs} ms: ${document.querySelector('#ui')?.textContent?.slice(0, 300)}`),
            );
          else return;
          clearInterval(looking);
        }, 10);
      }),
    { wanted: players, patienceMs: timeoutMs },
  );
  return entry;
}

/** Resolves with the time (ms, the machine's clock) at which the page sees another host than `oldSlot`. */
export function nextHostAt(page: Page, oldSlot: number, timeoutMs = 20_000): Promise<{ readonly at: number; readonly slot: number }> {
  return page.evaluate(
    ({ old, patienceMs }) =>
      new Promise((resolve, reject) => {
        const { chroma } = globalThis as unknown as { chroma: Chroma };
        const startedAt = Date.now();
        const looking = setInterval(() => {
          const { hostSlot } = chroma.state();
          if (hostSlot >= 0 && hostSlot !== old) resolve({ at: Date.now(), slot: hostSlot });
          else if (Date.now() - startedAt > patienceMs) reject(new Error(`still host ${hostSlot} after ${patienceMs} ms`));
          else return;
          clearInterval(looking);
        }, 10);
      }),
    { old: oldSlot, patienceMs: timeoutMs },
  );
}

export function chromaState(page: Page): Promise<ChromaState> {
  return page.evaluate(() => {
    const { phase, endsAt, slot, host, hostSlot, players, x, y, coverage } = (globalThis as unknown as { chroma: Chroma }).chroma.state();
    return { phase, endsAt, slot, host, hostSlot, players, x, y, coverage: [...coverage] };
  });
}

export function press(page: Page, input: { readonly x: number; readonly y: number; readonly fire: boolean }): Promise<void> {
  return page.evaluate((held) => (globalThis as unknown as { chroma: Chroma }).chroma.press(held), input);
}

/** A hash of the whole painted floor; equal on two pages when the floors are. */
export function floorHash(page: Page): Promise<string> {
  return page.evaluate(() => String((globalThis as unknown as { chroma: Chroma }).chroma.floorHash()));
}
