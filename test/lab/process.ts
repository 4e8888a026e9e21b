/**
 * The processes of a lab or browser test: the game's own process as `npm start` runs it, and any
 * other Node script. Each gets a home folder of its own, so no two share an identity key, and is
 * ended by its process id, never by name.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Lab, LabHost } from './netns.ts';

export const repositoryRoot = fileURLToPath(new URL('../..', import.meta.url));

/** Arguments that make Node run the project's TypeScript sources. */
export const sourceFlags = ['--conditions=@lanista/source', '--import', 'tsx'] as const;

/** Where a process runs: on a host of the lab, or on this machine's own loopback. */
export interface Place {
  readonly lab: Lab;
  readonly host: LabHost;
}

/** A started process, its output so far, and its end. */
export class LabProcess implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly home: string;
  #output = '';
  readonly #lines = new Set<(line: string) => void>();
  #rest = '';
  readonly ended: Promise<number>;

  constructor(
    argv: readonly string[],
    place: Place | undefined,
    environment: Readonly<Record<string, string>> = {},
    home?: string,
    stdin: 'ignore' | 'pipe' = 'ignore',
  ) {
    this.home = home ?? mkdtempSync(join(tmpdir(), 'lanista-lab-'));
    const [file, ...args] = argv;
    if (file === undefined) throw new Error('a process needs a command');
    const command = place === undefined ? { file, args } : place.lab.on(place.host, argv);
    this.child = spawn(command.file, command.args, {
      cwd: repositoryRoot,
      // On a host of the lab the registry of "the same machine" must not be shared with the other hosts.
      env: {
        ...process.env,
        ...(place === undefined ? {} : { TMPDIR: this.home }),
        HOME: this.home,
        LANISTA_HOME: this.home,
        XDG_CONFIG_HOME: this.home,
        XDG_DATA_HOME: this.home,
        ...environment,
      },
      stdio: [stdin, 'pipe', 'pipe'],
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#take(text));
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#take(text));
    this.child.stdin?.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      this.child.once('error', () => resolve(127));
      this.child.once('exit', (code, signal) => resolve(code ?? (signal === null ? 1 : 128)));
    });
  }

  /** Writes one line to its input; a process that has ended does not hear it. */
  say(line: string): void {
    if (this.child.exitCode === null) this.child.stdin?.write(`${line}\n`);
  }

  /** Everything it has printed, for the words of a failure. */
  get output(): string {
    return this.#output;
  }

  #take(text: string): void {
    this.#output += text;
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) for (const listener of this.#lines) listener(line);
  }

  /** Calls `listener` with each whole line it prints from now on. */
  onLine(listener: (line: string) => void): Disposable {
    this.#lines.add(listener);
    return { [Symbol.dispose]: () => void this.#lines.delete(listener) };
  }

  /** Resolves with the first match in its output, or rejects with that output after `timeoutMs`. */
  async waitFor(pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const match = pattern.exec(this.#output);
      if (match !== null) return match;
      if (this.child.exitCode !== null) throw new Error(`the process ended with ${this.child.exitCode} before ${pattern}:\n${this.#output}`);
      if (performance.now() > deadline) throw new Error(`no ${pattern} within ${timeoutMs} ms:\n${this.#output}`);
      await sleep(20);
    }
  }

  /** kill -9: the process gets no chance to say goodbye. */
  kill(): void {
    this.child.kill('SIGKILL');
  }

  /** Ctrl-C, then kill -9 when it has not ended after `graceMs`. Resolves with the exit code. */
  async stop(graceMs = 3000): Promise<number> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode ?? 128;
    this.child.kill('SIGINT');
    const late = setTimeout(() => this.kill(), graceMs);
    const code = await this.ended;
    clearTimeout(late);
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop(2500);
    rmSync(this.home, { recursive: true, force: true });
  }
}

/** Starts the game's process as `npm start` does. */
export function startGame(name: string, place: Place | undefined, flags: readonly string[] = [], home?: string): LabProcess {
  const argv = [process.execPath, ...sourceFlags, 'demo-game/process/main.ts', '--no-open', '--port', '0', '--name', name, ...flags];
  return new LabProcess(argv, place, {}, home);
}

/** The URL (with the launch token in its fragment) that a game process prints. */
export async function gameUrl(game: LabProcess, timeoutMs = 60_000): Promise<string> {
  const [url] = await game.waitFor(/http:\/\/(?:127\.0\.0\.1|localhost):\d+\/\S*#\S+/u, timeoutMs);
  return url;
}

/** Starts another script of the tests from its TypeScript source. */
export function startScript(script: string, args: readonly string[], place: Place | undefined, home?: string): LabProcess {
  return new LabProcess([process.execPath, ...sourceFlags, script, ...args], place, {}, home);
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Asks `probe` every `everyMs` until it gives something other than `undefined`. */
export async function until<T>(what: string, timeoutMs: number, probe: () => Promise<T | undefined> | T | undefined, everyMs = 50): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (performance.now() > deadline) throw new Error(`gave up after ${timeoutMs} ms waiting for ${what}`);
    await sleep(everyMs);
  }
}

/** Ends every process it was given, at once; Node 20 has no `AsyncDisposableStack` yet. */
export class ProcessGroup implements AsyncDisposable {
  readonly #held: AsyncDisposable[] = [];

  use<T extends AsyncDisposable>(held: T): T {
    this.#held.push(held);
    return held;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#held.map((held) => held[Symbol.asyncDispose]()));
  }
}
