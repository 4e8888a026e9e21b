/**
 * Who hears whom. Every member floods, a few times a second, which slots it hears directly; from that
 * everybody computes the same connected component, and the next hop to a member it cannot reach itself.
 *
 * An edge needs both ends: a one-way link carries nothing that must be answered.
 */
import { MAX_PEERS } from '../../wire/limits.ts';

export interface LinkStateEntry {
  readonly slot: number;
  /** Grows with every report of this member, also over restarts. */
  readonly seq: number;
  /** Bit per slot heard directly. */
  readonly mask: number;
  readonly eligible: boolean;
}

/** A report older than this says nothing any more (ms): ten heartbeats. */
const REPORT_LIFE_MS = 1_500;
/** Reports are passed on only while fresh, or dead members would echo round for ever (ms). */
const FORWARD_MS = 700;

interface Report extends LinkStateEntry {
  readonly at: number;
}

export class LinkState {
  readonly #reports = new Map<number, Report>();

  /** Forgets everything: slots mean somebody else now. */
  clear(): void {
    this.#reports.clear();
  }

  forget(slot: number): void {
    this.#reports.delete(slot);
  }

  /** True when the report says something new (worth passing on at once). */
  learn(now: number, entry: LinkStateEntry): boolean {
    const known = this.#reports.get(entry.slot);
    const isAlive = known !== undefined && now - known.at < REPORT_LIFE_MS;
    if (isAlive && entry.seq <= known.seq) return false;
    this.#reports.set(entry.slot, { ...entry, at: now });
    return !isAlive || known.mask !== entry.mask || known.eligible !== entry.eligible;
  }

  report(now: number, slot: number): LinkStateEntry | undefined {
    const report = this.#reports.get(slot);
    return report !== undefined && now - report.at < REPORT_LIFE_MS ? report : undefined;
  }

  /** What to pass on beside our own report. */
  fresh(now: number, except: number): LinkStateEntry[] {
    const out: LinkStateEntry[] = [];
    for (const report of this.#reports.values()) if (report.slot !== except && now - report.at < FORWARD_MS) out.push(report);
    return out;
  }

  /**
   * First hop from `self` to every reachable slot (`self` itself included, as its own hop).
   * `heard` is what we hear directly; a neighbour that says it does not hear us is no neighbour.
   */
  routes(now: number, self: number, heard: number): ReadonlyMap<number, number> {
    const hops = new Map<number, number>([[self, self]]);
    const queue: number[] = [];
    for (let slot = 0; slot < MAX_PEERS; slot++) {
      if (slot === self || ((heard >>> slot) & 1) === 0) continue;
      const report = this.report(now, slot);
      if (report !== undefined && ((report.mask >>> self) & 1) === 0) continue;
      hops.set(slot, slot);
      queue.push(slot);
    }
    for (let i = 0; i < queue.length; i++) {
      const at = queue[i]!;
      const report = this.report(now, at);
      if (report === undefined) continue;
      for (let slot = 0; slot < MAX_PEERS; slot++) {
        if (hops.has(slot) || ((report.mask >>> slot) & 1) === 0) continue;
        const back = this.report(now, slot);
        if (back === undefined || ((back.mask >>> at) & 1) === 0) continue;
        hops.set(slot, hops.get(at)!);
        queue.push(slot);
      }
    }
    return hops;
  }
}
