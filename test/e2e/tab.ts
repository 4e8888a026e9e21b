/**
 * A page that can really be hidden.
 *
 * Playwright keeps every page of its own awake: it switches Chromium's throttling of background pages off and has each page pretend
 * to be focused, so that `document.hidden` never becomes true. Here Chromium runs as a player runs it, spoken to over the pipes of
 * its debugging protocol (one JSON text per message, ended by a zero byte), and a page is hidden by a second tab before it.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { findChromium } from '../lab/page.ts';
import { sleep, until } from '../lab/process.ts';

interface Answer {
  readonly id?: number;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

interface Waiting {
  readonly resolve: (result: Record<string, unknown>) => void;
  readonly reject: (error: Error) => void;
}

/** One Chromium with one tab of interest. */
export class Tab implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #in: Writable;
  readonly #ended: Promise<void>;
  readonly #waiting = new Map<number, Waiting>();
  #id = 0;
  #rest = '';
  #target = '';
  #session = '';

  private constructor(executable: string, size: { readonly width: number; readonly height: number }) {
    this.#folder = mkdtempSync(join(tmpdir(), 'lanista-tab-'));
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--mute-audio', '--no-first-run'];
    const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-extensions'];
    const where = ['--remote-debugging-pipe', `--user-data-dir=${this.#folder}`, `--window-size=${size.width},${size.height}`, 'about:blank'];
    this.#child = spawn(executable, [...flags, ...quiet, ...where], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
    this.#in = this.#child.stdio[3] as Writable;
    this.#in.on('error', () => undefined);
    (this.#child.stdio[4] as Readable).setEncoding('utf8').on('data', (text: string) => this.#take(text));
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', () => resolve());
      this.#child.once('exit', () => resolve());
    });
    void this.#ended.then(() => this.#fail());
  }

  /** Starts a Chromium that shows `url`. Rejects when there is none on this machine. */
  static async open(url: string, size = { width: 640, height: 360 }): Promise<Tab> {
    const executable = findChromium();
    if (executable === undefined) throw new Error('no Chromium found; set CHROMIUM to its path');
    const tab = new Tab(executable, size);
    try {
      ({ targetId: tab.#target } = (await tab.#send('Target.createTarget', { url: 'about:blank' })) as { targetId: string });
      const { sessionId } = await tab.#send('Target.attachToTarget', { targetId: tab.#target, flatten: true });
      tab.#session = sessionId as string;
      // The page's policy forbids workers of foreign source; a test may bring one along.
      await tab.#send('Page.setBypassCSP', { enabled: true }, tab.#session);
      await tab.#send('Page.navigate', { url }, tab.#session);
    } catch (error) {
      await tab[Symbol.asyncDispose]();
      throw error;
    }
    return tab;
  }

  /** The value of an expression in the page; what it promises is awaited. */
  async evaluate<T>(expression: string): Promise<T> {
    const answer = await this.#send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true }, this.#session);
    const { result, exceptionDetails } = answer as { result: { value: T }; exceptionDetails?: { exception?: { description?: string } } };
    if (exceptionDetails !== undefined) throw new Error(`in the page: ${exceptionDetails.exception?.description ?? 'an exception'}`);
    return result.value;
  }

  /** Puts another tab before the page. Resolves when the page knows that it is hidden. */
  async hide(): Promise<void> {
    const { targetId } = await this.#send('Target.createTarget', { url: 'about:blank', newWindow: false });
    await this.#send('Target.activateTarget', { targetId });
    await until('the page to be hidden', 10_000, async () => ((await this.evaluate<boolean>('document.hidden')) ? true : undefined));
  }

  /** Brings the page back to the front. */
  async show(): Promise<void> {
    await this.#send('Target.activateTarget', { targetId: this.#target });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.race([this.#send('Browser.close').catch(() => undefined), sleep(2_000)]);
    await Promise.race([this.#ended, sleep(2_000)]);
    this.#child.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #send(method: string, params: Readonly<Record<string, unknown>> = {}, sessionId?: string): Promise<Record<string, unknown>> {
    if (this.#child.exitCode !== null) return Promise.reject(new Error(`${method}: Chromium has ended`));
    const id = ++this.#id;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#in.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  #take(text: string): void {
    const messages = (this.#rest + text).split('\0');
    this.#rest = messages.pop() ?? '';
    for (const message of messages) {
      const { id, result, error } = JSON.parse(message) as Answer;
      const waiting = id === undefined ? undefined : this.#waiting.get(id);
      if (id === undefined || waiting === undefined) continue;
      this.#waiting.delete(id);
      if (error === undefined) waiting.resolve(result ?? {});
      else waiting.reject(new Error(error.message));
    }
  }

  #fail(): void {
    for (const waiting of this.#waiting.values()) waiting.reject(new Error('Chromium has ended'));
    this.#waiting.clear();
  }
}
