/** The `discovery-peer` processes of a lab, each on its host, asked by calls and heard by events. */
import type { NodeLanOptions } from '../../../sdk/node/lan-port.ts';
import type { Lab, LabHost } from '../netns.ts';
import { LabProcess, ProcessGroup, until } from '../process.ts';
import type { Bundle } from './bundle.ts';

export interface SeenRoom {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly players: number;
  readonly max: number;
  readonly locked: boolean;
  readonly pingMs: number | undefined;
  readonly compatible: boolean;
  readonly reason: string | undefined;
}

export interface Call {
  readonly do: string;
  readonly lan?: NodeLanOptions;
  readonly name?: string;
  readonly target?: string;
  readonly count?: number;
  readonly withinMs?: number;
  readonly at?: number;
  readonly perSecond?: number;
  readonly victims?: readonly { readonly host: string; readonly port: number }[];
}

/** Milliseconds on the machine's one clock, as the peers' `t`. */
export function clock(): number {
  return performance.timeOrigin + performance.now();
}

/** One host. `rooms` is its list as last told; times of changes are its own. */
export class Peer implements AsyncDisposable {
  readonly process: LabProcess;
  rooms: readonly SeenRoom[] = [];
  uncaught: string[] = [];
  /** Every list it told, with its time. */
  readonly history: { readonly t: number; readonly rooms: readonly SeenRoom[] }[] = [];
  #calls = 0;
  readonly #open = new Map<number, { resolve: (value: Record<string, unknown>) => void; reject: (error: Error) => void }>();

  constructor(process: LabProcess) {
    this.process = process;
    process.onLine((line) => this.#hear(line));
    void process.ended.then((code) => {
      for (const call of this.#open.values()) call.reject(new Error(`the peer ended with ${code}:\n${process.output.slice(-800)}`));
    });
  }

  #hear(line: string): void {
    if (!line.startsWith('{')) return;
    const said = JSON.parse(line) as { id?: number; ok?: Record<string, unknown>; error?: string; event?: string; t: number; what?: string } & {
      rooms?: SeenRoom[];
    };
    if (said.event === 'rooms') {
      this.rooms = said.rooms ?? [];
      this.history.push({ t: said.t, rooms: this.rooms });
    } else if (said.event === 'uncaught') this.uncaught.push(said.what ?? '');
    const call = said.id === undefined ? undefined : this.#open.get(said.id);
    if (call === undefined || said.id === undefined) return;
    this.#open.delete(said.id);
    if (said.ok === undefined) call.reject(new Error(said.error));
    else call.resolve({ ...said.ok, t: said.t });
  }

  /** Has it do something; rejects with its words when that fails. */
  call<T = Record<string, unknown>>(call: Call): Promise<T & { readonly t: number }> {
    const id = ++this.#calls;
    return new Promise((resolve, reject) => {
      this.#open.set(id, { resolve: resolve as never, reject });
      this.process.say(JSON.stringify({ id, ...call }));
    });
  }

  /** ms from `since` (its clock) to the first list from then on that fits. Rejects after `withinMs`. */
  seen(what: string, since: number, withinMs: number, fits: (rooms: readonly SeenRoom[]) => boolean): Promise<number> {
    return until(
      what,
      withinMs,
      () => {
        const entry = this.history.find((one, at) => (one.t >= since || at === this.history.length - 1) && fits(one.rooms));
        return entry === undefined ? undefined : Math.max(0, entry.t - since);
      },
      5,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
  }
}

/** Starts peers and ends them all. */
export class Peers implements AsyncDisposable {
  readonly #lab: Lab;
  readonly #bundle: Bundle;
  readonly #group = new ProcessGroup();

  constructor(lab: Lab, bundle: Bundle) {
    this.#lab = lab;
    this.#bundle = bundle;
  }

  /** @param prefix a command that runs the peer, for one that changes more than its network. */
  async start(host: LabHost, environment: Readonly<Record<string, string>> = {}, prefix: readonly string[] = []): Promise<Peer> {
    const place = { lab: this.#lab, host };
    const run = this.#group.use(new LabProcess([...prefix, process.execPath, this.#bundle.path], place, environment, undefined, 'pipe'));
    const peer = new Peer(run);
    await run.waitFor(/"ready"/u, 60_000);
    return peer;
  }

  /** One per host, a few at a time, since each takes a moment of CPU. */
  async startAll(hosts: readonly LabHost[] = this.#lab.hosts): Promise<readonly Peer[]> {
    const peers: Peer[] = [];
    for (let at = 0; at < hosts.length; at += 4) peers.push(...(await Promise.all(hosts.slice(at, at + 4).map((host) => this.start(host)))));
    return peers;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#group[Symbol.asyncDispose]();
  }
}

/** The value below which `share` (0 to 1) of the values lie, rounded; a missing one counts as endless. */
export function share(values: readonly (number | null)[], of: number): number {
  const sorted = values.map((value) => value ?? Number.POSITIVE_INFINITY).toSorted((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * of) - 1)] ?? Number.NaN);
}
