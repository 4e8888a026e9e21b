/**
 * What all links of a process hold together, and who gives way when there is too little of it.
 *
 * A link has two accounts: what it keeps of the peer's reliable data, and what waits for the peer. Every
 * account has a share of `HELD_SHARE_BYTES` that nobody else can take. What goes beyond is drawn from one
 * pool; shares and pool together are `MAX_HELD_BYTES`.
 *
 *   claim --within the share, or the pool has room--> taken
 *         --pool empty, somebody's bytes lie there for HELD_STALE_MS--> that link ends, claim taken
 *         --pool empty, everybody's bytes move--> refused: it comes again, and is nobody's fault
 *
 * Whoever holds most for longest (bytes × ms) gives way. Honest bytes leave within a few round trips, so only
 * messages that are never finished, and peers that take nothing any more, grow old.
 */
import { HELD_SEARCH_MS, HELD_SHARE_BYTES, HELD_STALE_MS, MAX_HELD_BYTES, MAX_LINKS } from '../wire/limits.ts';

/** Accounts that have a share; any more (several rooms in one process) live on the pool. */
const MAX_SHARES = 2 * MAX_LINKS;

/** The link an account belongs to. */
export interface HeldOwner {
  /** Gives everything back: the link ends as `exhausted`. */
  evict(now: number): void;
}

export class HeldAccount {
  readonly owner: HeldOwner;
  readonly #budget: HeldBudget;
  /** Sum over what is held of its bytes times the time it has been held. */
  readonly byteMs: (now: number) => number;
  readonly shareBytes: number;
  usedBytes = 0;

  constructor(budget: HeldBudget, owner: HeldOwner, byteMs: (now: number) => number, shareBytes: number) {
    this.#budget = budget;
    this.owner = owner;
    this.byteMs = byteMs;
    this.shareBytes = shareBytes;
  }

  /** False when there is no room now. */
  take(now: number, bytes: number): boolean {
    const drawn = this.drawnBytes(bytes) - this.drawnBytes(0);
    if (drawn > 0 && !this.#budget.draw(now, drawn, this.owner)) return false;
    this.usedBytes += bytes;
    this.#budget.usedBytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#budget.putBack(this.drawnBytes(0) - this.drawnBytes(-bytes));
    this.usedBytes -= bytes;
    this.#budget.usedBytes -= bytes;
  }

  /** Bytes of the pool in use when `more` are added to what is held. */
  drawnBytes(more: number): number {
    return Math.max(0, this.usedBytes + more - this.shareBytes);
  }

  /** Gives everything back, and the share; the account is not used any more. */
  close(): void {
    if (this.usedBytes > 0) this.give(this.usedBytes);
    this.#budget.forget(this);
  }
}

export class HeldBudget {
  usedBytes = 0;
  #poolBytes = MAX_HELD_BYTES - MAX_SHARES * HELD_SHARE_BYTES;
  #shares = 0;
  #searchedAt = -Infinity;
  readonly #accounts = new Set<HeldAccount>();

  /** @param byteMs sum over what the account holds of its bytes times its age; asked only when the pool is empty. */
  open(owner: HeldOwner, byteMs: (now: number) => number): HeldAccount {
    const shareBytes = this.#shares < MAX_SHARES ? HELD_SHARE_BYTES : 0;
    if (shareBytes > 0) this.#shares++;
    const account = new HeldAccount(this, owner, byteMs, shareBytes);
    this.#accounts.add(account);
    return account;
  }

  // What accounts do here.

  draw(now: number, bytes: number, by: HeldOwner): boolean {
    while (bytes > this.#poolBytes) if (!this.#makeRoom(now, by)) return false;
    this.#poolBytes -= bytes;
    return true;
  }

  putBack(bytes: number): void {
    this.#poolBytes += bytes;
  }

  forget(account: HeldAccount): void {
    if (this.#accounts.delete(account) && account.shareBytes > 0) this.#shares--;
  }

  /** Ends the link that has held most for longest, if anything of the pool has grown stale. */
  #makeRoom(now: number, by: HeldOwner): boolean {
    // A search looks at everything that is held, so a flood of claims must not buy one each.
    if (now < this.#searchedAt + HELD_SEARCH_MS) return false;
    let worst: HeldAccount | undefined;
    let most = 0;
    for (const account of this.#accounts) {
      if (account.owner === by || account.drawnBytes(0) === 0) continue;
      const byteMs = account.byteMs(now);
      if (byteMs <= most || byteMs < account.usedBytes * HELD_STALE_MS) continue;
      worst = account;
      most = byteMs;
    }
    if (worst === undefined) {
      this.#searchedAt = now;
      return false;
    }
    const before = this.#poolBytes;
    worst.owner.evict(now);
    return this.#poolBytes > before;
  }
}
