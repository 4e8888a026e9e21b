/**
 * A host in whose page nothing is played names a deputy for those who play: one of them, who says in its place what counts. It stays host of the room, so
 * no word of any member moves a host: the most that a liar can become is deputy, and then only until those who play are seen to stand still.
 */
import type { PeerId } from '../../base/brand.ts';

/** Who was not heard playing for so long does not, ms. */
const HEARD_MS = 1_000;
/** Others play for so long before they get a deputy: a page that was reloaded will mostly play by then, ms. */
const PLAYS_MS = 2_000;
/** Those who play are told this often who is deputy, ms. */
const SAY_MS = 1_000;
/** Nobody but the deputy has come further for so long: somebody else's turn, ms. */
const STUCK_MS = 3_000;

interface Claim {
  readonly game: number;
  readonly since: number;
  at: number;
  confirmed: number | undefined;
  /** What it said last of how far it has come, or how much of a state; and when that was another one last. */
  first: number | undefined;
  movedAt: number;
  told: PeerId | undefined;
  toldAt: number;
}

export class Deputies {
  /** What each peer was heard playing last. */
  readonly #claims = new Map<PeerId, Claim>();
  readonly #deputies = new Map<number, { readonly peer: PeerId; readonly since: number }>();
  /** How often somebody was deputy and nobody came further. */
  readonly #failures = new Map<PeerId, number>();
  #term = -1;

  /** `confirmed`: how far it says that it has come, where it does. `first`: the next tick, or while it has no state a number that grows with each piece of one. */
  heard(now: number, peer: PeerId, game: number, confirmed: number | undefined, first: number | undefined): void {
    const claim = this.#claims.get(peer);
    if (claim === undefined || claim.game !== game || now - claim.at >= HEARD_MS) {
      this.#claims.set(peer, { game, since: now, at: now, confirmed, first, movedAt: now, told: undefined, toldAt: Number.NEGATIVE_INFINITY });
      return;
    }
    claim.at = now;
    if (confirmed !== undefined) claim.confirmed = confirmed;
    if (first === undefined || first === claim.first) return;
    claim.first = first;
    claim.movedAt = now;
  }

  quit(peer: PeerId): void {
    this.#claims.delete(peer);
    for (const [game, deputy] of this.#deputies) if (deputy.peer === peer) this.#deputies.delete(game);
  }

  /** Who does the host's part of `game`. */
  of(game: number): PeerId | undefined {
    return this.#deputies.get(game)?.peer;
  }

  /** This peer plays from now on, or is no host. */
  clear(): void {
    this.#claims.clear();
    this.#deputies.clear();
  }

  /**
   * @param term of the list: a word counts only while it is the same.
   * @param say tells one of those who play who is deputy; false when it could not be told.
   */
  run(now: number, term: number, present: readonly PeerId[], say: (to: PeerId, game: number, deputy: PeerId) => boolean): void {
    if (this.#claims.size === 0 && this.#deputies.size === 0) return;
    for (const [peer, claim] of this.#claims) if (now - claim.at >= HEARD_MS || !present.includes(peer)) this.#claims.delete(peer);
    for (const peer of this.#failures.keys()) if (!present.includes(peer)) this.#failures.delete(peer);
    if (term !== this.#term) for (const claim of this.#claims.values()) claim.told = undefined;
    this.#term = term;
    const games = new Set([...this.#claims.values()].map(({ game }) => game));
    for (const game of this.#deputies.keys()) if (!games.has(game)) this.#deputies.delete(game);
    for (const game of games) {
      const deputy = this.#deputyOf(now, game, present);
      if (deputy === undefined) continue;
      for (const [to, claim] of this.#claims) {
        if (claim.game !== game || (claim.told === deputy && now - claim.toldAt < SAY_MS) || !say(to, game, deputy)) continue;
        claim.told = deputy;
        claim.toldAt = now;
      }
    }
  }

  #deputyOf(now: number, game: number, present: readonly PeerId[]): PeerId | undefined {
    const deputy = this.#deputies.get(game);
    const plays = (peer: PeerId): boolean => this.#claims.get(peer)?.game === game;
    if (deputy !== undefined && present.includes(deputy.peer)) {
      const others = [...this.#claims].filter(([peer, claim]) => peer !== deputy.peer && claim.game === game);
      const movedAt = Math.max(deputy.since, ...others.map(([, claim]) => claim.movedAt));
      const isStuck = others.length > 0 && now - movedAt >= STUCK_MS;
      if (!isStuck && (plays(deputy.peer) || now - deputy.since < STUCK_MS)) return deputy.peer;
      if (isStuck) this.#failures.set(deputy.peer, (this.#failures.get(deputy.peer) ?? 0) + 1);
    }
    const next = this.#choose(now, present.filter(plays));
    if (next === undefined) this.#deputies.delete(game);
    else this.#deputies.set(game, { peer: next, since: now });
    return next;
  }

  /** Who failed least; of those, who has a state before who has none; then by seat. */
  #choose(now: number, players: readonly PeerId[]): PeerId | undefined {
    const rank = (peer: PeerId): number => 2 * (this.#failures.get(peer) ?? 0) + Number(this.#claims.get(peer)!.confirmed === undefined);
    let found: PeerId | undefined;
    for (const peer of players)
      if (now - this.#claims.get(peer)!.since >= PLAYS_MS && (found === undefined || rank(peer) < rank(found))) found = peer;
    return found;
  }
}
