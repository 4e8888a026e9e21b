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

/** The page's address with a short lobby, a long round, and nobody who paints by himself. */
export function testUrl(url: string): string {
  const parsed = new URL(url);
  for (const [key, value] of Object.entries({ bots: '0', lobby: '1', seconds: '300', sound: '0' })) parsed.searchParams.set(key, value);
  return parsed.href;
}

/** Waits until the page speaks with its process. */
export async function connected(page: Page, timeoutMs = 30_000): Promise<void> {
  await page.waitForFunction(() => (globalThis as unknown as { chroma?: Chroma }).chroma?.lan !== undefined, undefined, { timeout: timeoutMs, polling: 50 });
}

/** Presses Play on the home screen and waits until the page has a seat. */
export async function enterRoom(page: Page, timeoutMs = 30_000): Promise<void> {
  await page.click('#play', { timeout: timeoutMs });
  await page.waitForFunction(() => (globalThis as unknown as { chroma: Chroma }).chroma.room !== undefined, undefined, { timeout: timeoutMs, polling: 20 });
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
