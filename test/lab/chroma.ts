/**
 * What lab and browser tests do to the demo's page: enter the room, press the controls, read the
 * state. Everything goes through `window.chroma`, which the page shows to tests and to the curious.
 */
import type { Page } from 'playwright-core';

/** The part of `window.chroma` the tests rely on. */
interface Chroma {
  readonly room: ChromaRoom | undefined;
  floorHash(): string | number;
  press(input: { readonly x: number; readonly y: number; readonly fire: boolean }): void;
  state(): { readonly phase?: string; readonly endsAt?: number; readonly x?: number; readonly y?: number };
}

interface ChromaRoom {
  readonly self: { readonly slot: number };
  readonly peers: ReadonlyMap<string, { readonly slot: number; readonly status: string; readonly isHost: boolean }>;
  readonly isHost: boolean;
}

/** One page's view of the room. */
export interface ChromaState {
  readonly inRoom: boolean;
  readonly slot: number;
  readonly host: boolean;
  readonly hostSlot: number;
  /** Seats that are present. */
  readonly players: number;
  readonly phase: string;
  /** Room time (ms) at which the round ends. */
  readonly endsAt: number;
  readonly x: number;
  readonly y: number;
}

/** Presses Play on the home screen and waits until the page has a seat. */
export async function enterRoom(page: Page, timeoutMs = 30_000): Promise<void> {
  await page.waitForFunction(() => 'chroma' in globalThis, undefined, { timeout: timeoutMs });
  const play = page.locator('[data-action="play"]');
  await play.click({ timeout: timeoutMs });
  await page.waitForFunction(() => (globalThis as unknown as { chroma: Chroma }).chroma.room !== undefined, undefined, { timeout: timeoutMs, polling: 20 });
}

export function chromaState(page: Page): Promise<ChromaState> {
  return page.evaluate(() => {
    const { chroma } = globalThis as unknown as { chroma: Chroma };
    const room = chroma.room;
    const state = chroma.state();
    const peers = room === undefined ? [] : [...room.peers.values()];
    return {
      inRoom: room !== undefined,
      slot: room?.self.slot ?? -1,
      host: room?.isHost ?? false,
      hostSlot: peers.find((peer) => peer.isHost)?.slot ?? -1,
      players: peers.filter((peer) => peer.status === 'present').length,
      phase: state.phase ?? '',
      endsAt: state.endsAt ?? Number.NaN,
      x: state.x ?? Number.NaN,
      y: state.y ?? Number.NaN,
    };
  });
}

export function press(page: Page, input: { readonly x: number; readonly y: number; readonly fire: boolean }): Promise<void> {
  return page.evaluate((held) => (globalThis as unknown as { chroma: Chroma }).chroma.press(held), input);
}

/** A hash of the whole painted floor; equal on two pages when the floors are. */
export function floorHash(page: Page): Promise<string> {
  return page.evaluate(() => String((globalThis as unknown as { chroma: Chroma }).chroma.floorHash()));
}
