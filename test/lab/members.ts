/** A crowd of `member-peer` processes on the hosts of a lab, and their latest views. */
import type { Lab } from './netns.ts';
import { ProcessGroup, startScript, until } from './process.ts';
import type { LabProcess } from './process.ts';

/** What one member said last. Times are ms on the machine's clock. */
export interface MemberView {
  readonly at: 'joined' | 'view';
  readonly t: number;
  readonly round: number;
  readonly self: string;
  readonly slot: number;
  readonly room: string;
  readonly host: string;
  readonly present: number;
  readonly slots: string;
  readonly relayed: number;
  readonly fresh: number;
  readonly hash: string;
}

/** Members by host index. A member that was killed has no view until it is started again. */
export class Members implements AsyncDisposable {
  readonly #lab: Lab;
  readonly #group = new ProcessGroup();
  readonly #processes = new Map<number, LabProcess>();
  readonly #views = new Map<number, MemberView>();
  readonly #listeners = new Set<(index: number, view: MemberView) => void>();
  readonly #args: readonly string[];

  constructor(lab: Lab, args: readonly string[] = []) {
    this.#lab = lab;
    this.#args = args;
  }

  /** Starts the member of one host; `home` of its earlier life makes it the same peer again. */
  start(index: number, home?: string): void {
    const place = { lab: this.#lab, host: this.#lab.host(index) };
    const member = this.#group.use(startScript('test/lab/member-peer.ts', ['--name', `m${index}`, ...this.#args], place, home));
    this.#processes.set(index, member);
    member.onLine((line) => {
      if (!line.startsWith('{') || this.#processes.get(index) !== member) return;
      const view = JSON.parse(line) as MemberView;
      if (view.at === 'view') this.#views.set(index, view);
      for (const listener of this.#listeners) listener(index, view);
    });
  }

  startAll(): void {
    for (const host of this.#lab.hosts) this.start(host.index);
  }

  onView(listener: (index: number, view: MemberView) => void): void {
    this.#listeners.add(listener);
  }

  /** kill -9. Returns its home folder, so that it can come back as the same peer. */
  kill(index: number): string {
    const member = this.#processes.get(index);
    this.#processes.delete(index);
    this.#views.delete(index);
    member?.kill();
    return member?.home ?? '';
  }

  views(): ReadonlyMap<number, MemberView> {
    return this.#views;
  }

  /** The member that is host in everybody's eyes, or `undefined` while they disagree. */
  agreedHost(indexes: Iterable<number> = this.#views.keys()): number | undefined {
    const views = [...indexes].map((index) => this.#views.get(index));
    const host = views[0]?.host;
    if (host === undefined || views.some((view) => view?.host !== host || view.room !== views[0]?.room)) return undefined;
    for (const [index, view] of this.#views) if (view.self === host) return index;
    return undefined;
  }

  /** Waits until these members see each other, one host, and the same entities. Resolves with ms. */
  async whole(indexes: readonly number[], timeoutMs: number): Promise<number> {
    const started = performance.now();
    try {
      return await until(
        'one whole room',
        timeoutMs,
        () => {
          const views = indexes.map((index) => this.#views.get(index));
          const first = views[0];
          const same =
            first !== undefined && views.every((view) => view?.present === indexes.length && view.hash === first.hash && view.room === first.room);
          return same && this.agreedHost(indexes) !== undefined ? performance.now() - started : undefined;
        },
        10,
      );
    } catch (error) {
      const lines = indexes.map((index) => `${index}: ${JSON.stringify(this.#views.get(index)) ?? this.#processes.get(index)?.output.slice(-600)}`);
      throw new Error(`${(error as Error).message}\n${lines.join('\n')}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#group[Symbol.asyncDispose]();
  }
}

/** The value below which `share` (0 to 1) of the sorted values lie. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN);
}
