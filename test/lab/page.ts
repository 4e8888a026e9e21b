/**
 * The game's page in a headless Chromium, on this machine or inside a host of the lab.
 *
 * Playwright talks to Chromium over inherited pipes, not over a port, so a two-line wrapper that
 * enters the namespace is all that is needed to put a browser on a lab host.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import type { Place } from './process.ts';

const candidates = [process.env['CHROMIUM'], '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Where Chromium is, or `undefined`. */
export function findChromium(): string | undefined {
  return candidates.find((path) => path !== undefined && path !== '' && existsSync(path));
}

/** A browser; disposing it ends Chromium and removes the wrapper. */
export class LabBrowser implements AsyncDisposable {
  readonly browser: Browser;
  readonly #folder: string;

  constructor(browser: Browser, folder: string) {
    this.browser = browser;
    this.#folder = folder;
  }

  /** Opens `url` in a context of its own (own sessionStorage, own cookies); `phone` for a screen that is touched. */
  async open(url: string, size = { width: 960, height: 540 }, phone = false): Promise<Page> {
    // Who asks for no effects gets none from the style sheet either.
    const reducedMotion = new URL(url).searchParams.get('fx') === '0' ? 'reduce' : 'no-preference';
    const context = await this.browser.newContext({ viewport: size, reducedMotion, hasTouch: phone, isMobile: phone });
    const page = await context.newPage();
    await page.goto(url, { waitUntil: 'domcontentloaded', timeout: 60_000 });
    return page;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser.close().catch(() => undefined);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Starts a headless Chromium at `place`. Rejects when there is none on this machine. */
export async function openBrowser(place: Place | undefined): Promise<LabBrowser> {
  const executable = findChromium();
  if (executable === undefined) throw new Error('no Chromium found; set CHROMIUM to its path');
  const folder = mkdtempSync(join(tmpdir(), 'lanista-page-'));
  const wrapper = join(folder, 'chromium');
  const enter = place === undefined ? '' : `ip netns exec ${place.host.namespace} `;
  writeFileSync(wrapper, `#!/bin/sh\nexec ${enter}${executable} "$@"\n`, { mode: 0o755 });
  const browser = await chromium.launch({
    executablePath: wrapper,
    headless: true,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--mute-audio', '--enable-unsafe-swiftshader', '--disable-background-networking'],
  });
  return new LabBrowser(browser, folder);
}
