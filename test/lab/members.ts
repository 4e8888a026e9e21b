/** A crowd of `member-peer` processes on the hosts of a lab, and their latest views. */
import type { Lab } from './netns.ts';
import { bundleScript, type Bundle } from './parts/bundle.ts';
import { LabProcess, ProcessGroup, until } from './process.ts';

/** What one member said last. `t` is ms on the machine's clock, when it saw that. */
export interface MemberView {
  readonly at: 'ready' | 'joined' | 'view' | 'failed';
  readonly t: number;
  /** Name of the room it asked for. */
  readonly called: string;
  readonly room: string;
  readonly self: string;
  readonly slot: number;
  readonly host: string;
  readonly term: number;
  /** Host of that term as the network half has it; `host` is what the game was told. */
  readonly termHost: string;
  readonly epoch: number;
  readonly present: number;
  readonly relayed: number;
  /** Tag and mark of every entity it sees. */
  readonly state: string;
  /** Counter of every entity it sees, by tag. */
  readonly counts: Readonly<Record<string, number>>;
  /** Longest time since `measure` that a counter stood still here (ms), by tag. */
  readonly gaps: Readonly<Record<string, number>>;
  /** Refused packets by reason. */
  readonly drops: Readonly<Record<string, number>>;
  /** Of a member that carries for others: parts carried, those in which it could read a tag, and those it altered. */
  readonly carried: { readonly parts: number; readonly read: number; readonly altered: number };
}

/** Members by host index. A member that was killed has no view until it is in a room again. */
export class Members implements AsyncDisposable {
  /** Terms in which two hosts were named; must stay empty. */
  readonly splitTerms: number[] = [];
  readonly #lab: Lab;
  readonly #bundle: Bundle;
  readonly #group = new ProcessGroup();
  readonly #processes = new Map<number, LabProcess>();
  readonly #views = new Map<number, MemberView>();
  /** When a member's view, and the host in it, last changed. */
  readonly #since = new Map<number, number>();
  readonly #hostSince = new Map<number, number>();
  readonly #listeners = new Set<(index: number, view: MemberView) => void>();
  readonly #hostOf = new Map<string, string>();

  private constructor(lab: Lab, bundle: Bundle) {
    this.#lab = lab;
    this.#bundle = bundle;
  }

  /** Starts a member on these hosts (all of them by default), a few at a time since each takes a moment of CPU, and waits until all have opened the LAN. */
  static async open(lab: Lab, indexes: readonly number[] = lab.hosts.map((host) => host.index)): Promise<Members> {
    const members = new Members(lab, await bundleScript('test/lab/member-peer.ts'));
    try {
      for (let at = 0; at < indexes.length; at += 4) await Promise.all(indexes.slice(at, at + 4).map((index) => members.start(index)));
      return members;
    } catch (error) {
      await members[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts the member of one host; `home` of its earlier life makes it the same peer again. Resolves when its LAN is open. */
  async start(index: number, home?: string): Promise<void> {
    const place = { lab: this.#lab, host: this.#lab.host(index) };
    const member = this.#group.use(new LabProcess([process.execPath, this.#bundle.path, '--name', `m${index}`], place, {}, home, 'pipe'));
    this.#processes.set(index, member);
    member.onLine((line) => {
      if (line.startsWith('{') && this.#processes.get(index) === member) this.#hear(index, JSON.parse(line) as MemberView);
    });
    await member.waitFor(/"ready"/u, 60_000);
  }

  #hear(index: number, view: MemberView): void {
    if (view.at === 'view') {
      const key = `${view.room} ${view.term}`;
      const host = this.#hostOf.get(key);
      if (host === undefined) this.#hostOf.set(key, view.termHost);
      else if (host !== view.termHost) this.splitTerms.push(view.term);
      const before = this.#views.get(index);
      if (before === undefined || before.host !== view.host || before.room !== view.room) this.#hostSince.set(index, view.t);
      if (before === undefined || shown(before) !== shown(view)) this.#since.set(index, view.t);
      this.#views.set(index, view);
    }
    for (const listener of this.#listeners) listener(index, view);
  }

  #say(index: number, line: object): void {
    this.#processes.get(index)?.say(JSON.stringify(line));
  }

  /** Has members ask for a room of this name at that moment of the machine's clock; 0 is now. */
  join(indexes: Iterable<number>, name = 'lab', at: (index: number) => number = () => 0): void {
    for (const index of indexes) this.#say(index, { do: 'join', name, at: at(index) });
  }

  /** Each of them assigns a value of its own to its entity. */
  mark(indexes: Iterable<number>, value: number): void {
    for (const index of indexes) this.#say(index, { do: 'mark', value: value + index });
  }

  /** Each of them measures the gaps of all counters from now on. */
  measure(indexes: Iterable<number>): void {
    for (const index of indexes) this.#say(index, { do: 'measure' });
  }

  /** This member alters so much of what it carries for others (0 to 1). */
  alter(index: number, share: number): void {
    this.#say(index, { do: 'alter', value: share });
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
    const first = views[0];
    if (first === undefined || views.some((view) => view?.host !== first.host || view.room !== first.room || view.term !== first.term))
      return undefined;
    for (const [index, view] of this.#views) if (view.self === first.host) return index;
    return undefined;
  }

  /** When the last of these began to see its host (ms on the machine's clock). */
  agreedAt(indexes: Iterable<number>): number {
    return latest(indexes, this.#hostSince);
  }

  /** When the view of the last of these last changed. */
  changedAt(indexes: Iterable<number>): number {
    return latest(indexes, this.#since);
  }

  /** True when these see each other, one list with one host, and equal entities. */
  isWhole(indexes: readonly number[], marks?: number): boolean {
    const views = indexes.map((index) => this.#views.get(index));
    const first = views[0];
    if (first === undefined || this.agreedHost(indexes) === undefined) return false;
    if (marks !== undefined && indexes.some((index) => !` ${first.state} `.includes(` m${index}=${marks + index} `))) return false;
    return views.every(
      (view) => view?.present === indexes.length && view.room === first.room && view.epoch === first.epoch && view.state === first.state,
    );
  }

  /** Waits until `isWhole`. Resolves with the moment the last of them saw so (ms on the machine's clock). */
  async whole(indexes: readonly number[], timeoutMs: number, marks?: number): Promise<number> {
    try {
      return await until('one whole room', timeoutMs, () => (this.isWhole(indexes, marks) ? this.changedAt(indexes) : undefined), 5);
    } catch (error) {
      const lines = indexes.map((index) => `${index}: ${JSON.stringify(this.#views.get(index)) ?? this.#processes.get(index)?.output.slice(-600)}`);
      throw new Error(`${(error as Error).message}\n${lines.join('\n')}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#group[Symbol.asyncDispose]();
    this.#bundle[Symbol.dispose]();
  }
}

function latest(indexes: Iterable<number>, since: ReadonlyMap<number, number>): number {
  return Math.max(...[...indexes].map((index) => since.get(index) ?? Number.POSITIVE_INFINITY));
}

/** What counts as a change of a view. */
function shown({ room, host, term, epoch, present, relayed, state }: MemberView): string {
  return [room, host, term, epoch, present, relayed, state].join(' ');
}

/** Milliseconds on the machine's one clock, as the members' `t`. */
export function clock(): number {
  return performance.timeOrigin + performance.now();
}

/** The value below which `share` (0 to 1) of the sorted values lie. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN);
}
