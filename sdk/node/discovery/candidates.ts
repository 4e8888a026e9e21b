/**
 * Addresses where a member of some room may answer, from every source, asked with back-off. Pure.
 *
 * Nothing a candidate says about itself is believed: it becomes a room in the list by answering WHO, and
 * a peer by proving its key. Bounded; the one longest unheard of gives way, named-by-hand ones last.
 */
import type { Address } from '../../link/endpoint-types.ts';
import type { DiscoverySource } from '../../port/lan-port.ts';
import { CANDIDATE_BACKOFF_MAX_MS, CANDIDATE_BACKOFF_MS, CANDIDATE_TTL_MS, MAX_CANDIDATES, WHO_WAIT_MS } from './bounds.ts';

interface Candidate {
  readonly address: Address;
  readonly source: DiscoverySource;
  /** When a source last named it. */
  heardAt: number;
  /** When it was asked last, and when to ask it next. */
  askedAt: number;
  tryAt: number;
  backoffMs: number;
  /** Questions without an answer, since the last one. */
  misses: number;
}

export function addressKey(address: Address): string {
  return `${address.host}:${address.port}`;
}

const always = (): boolean => true;

export class CandidateTable {
  readonly #table = new Map<string, Candidate>();

  get size(): number {
    return this.#table.size;
  }

  /** Some source names `address`. Cheap to repeat: a known one is only refreshed. */
  add(now: number, address: Address, source: DiscoverySource, waitMs = 0): void {
    const key = addressKey(address);
    const known = this.#table.get(key);
    if (known !== undefined) {
      known.heardAt = now;
      return;
    }
    if (this.#table.size >= MAX_CANDIDATES) this.#evict();
    this.#table.set(key, {
      address,
      source,
      heardAt: now,
      askedAt: Number.NEGATIVE_INFINITY,
      tryAt: now + waitMs,
      backoffMs: CANDIDATE_BACKOFF_MS,
      misses: 0,
    });
  }

  /** It shows that it lives: it is asked in `waitMs`, whatever its back-off says, but no sooner than `gapMs` after the last time. */
  hurry(now: number, address: Address, source: DiscoverySource, waitMs: number, gapMs: number): void {
    this.add(now, address, source, waitMs);
    const candidate = this.#table.get(addressKey(address))!;
    if (now - candidate.askedAt < gapMs) return;
    candidate.tryAt = Math.min(candidate.tryAt, now + waitMs);
    candidate.backoffMs = CANDIDATE_BACKOFF_MS;
  }

  /**
   * It answered. When the room list watches it from here (`isListed`), it stays at the slowest pace; when it is a
   * second address of a listed member it is asked by its back-off, since it may soon be the only one. It is never
   * removed: named again, it would be asked anew without end.
   */
  answered(now: number, address: Address, isListed = true): void {
    const candidate = this.#table.get(addressKey(address));
    if (candidate === undefined) return;
    candidate.misses = 0;
    if (!isListed) return;
    candidate.backoffMs = CANDIDATE_BACKOFF_MAX_MS;
    candidate.tryAt = now + CANDIDATE_BACKOFF_MAX_MS;
  }

  /** Addresses that others name, as an advert or a member does, and that have left `misses` questions or more unanswered. */
  silent(misses: number): readonly Address[] {
    return [...this.#table.values()]
      .filter((candidate) => (candidate.source === 'mdns' || candidate.source === 'gossip') && candidate.misses >= misses)
      .map((candidate) => candidate.address);
  }

  /** It stopped answering: whoever is named there next is somebody new. */
  forget(address: Address): void {
    this.#table.delete(addressKey(address));
  }

  /** Everyone is asked at once again: the network changed, or the user pressed refresh. */
  restart(now: number): void {
    for (const candidate of this.#table.values()) {
      candidate.tryAt = now;
      candidate.backoffMs = CANDIDATE_BACKOFF_MS;
    }
  }

  /** Candidates to ask now, as far as `mayAsk` lets them; each is put off by its doubled back-off. Forgets those nobody names any more. */
  due(now: number, mayAsk: () => boolean = always): readonly Address[] {
    const out: Address[] = [];
    for (const [key, candidate] of this.#table) {
      if (now - candidate.heardAt > CANDIDATE_TTL_MS) {
        this.#table.delete(key);
      } else if (candidate.tryAt <= now) {
        if (!mayAsk()) {
          candidate.tryAt = now + WHO_WAIT_MS;
          continue;
        }
        out.push(candidate.address);
        candidate.misses++;
        candidate.askedAt = now;
        candidate.tryAt = now + candidate.backoffMs;
        candidate.backoffMs = Math.min(candidate.backoffMs * 2, CANDIDATE_BACKOFF_MAX_MS);
      }
    }
    return out;
  }

  /** When `due` has something next. */
  nextAt(): number {
    let at = Number.POSITIVE_INFINITY;
    for (const candidate of this.#table.values()) at = Math.min(at, candidate.tryAt);
    return at;
  }

  #evict(): void {
    let oldest: string | undefined;
    let oldestAt = Number.POSITIVE_INFINITY;
    for (const [key, candidate] of this.#table) {
      const at = candidate.heardAt + (candidate.source === 'direct' ? CANDIDATE_TTL_MS : 0);
      if (at < oldestAt) {
        oldestAt = at;
        oldest = key;
      }
    }
    if (oldest !== undefined) this.#table.delete(oldest);
  }
}
