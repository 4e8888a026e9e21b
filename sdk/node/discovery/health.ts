/**
 * How discovery is doing, in words. Pure; time comes in.
 *
 * That multicast is blocked in a switch cannot be felt on our own machine: what we send still loops
 * back to us. The sign is somebody else's silence: a player answers by broadcast, and after a second and
 * two questions nothing of it was heard by mDNS.
 */
import type { DiscoveryState } from '../../port/lan-port.ts';
import { HEALTH_ERROR_MS, HEALTH_MAX_HOSTS, HEALTH_SILENCE_MS } from './bounds.ts';

export class Health {
  /** Machines that answered a question of ours, and since when. */
  readonly #answered = new Map<string, number>();
  /** Machines heard by mDNS. */
  readonly #heard = new Set<string>();
  #refused = Number.NEGATIVE_INFINITY;

  /** A search begins, on a network that may be another one. */
  restart(): void {
    this.#answered.clear();
  }

  /** A player on another machine of a subnet of ours answered. */
  answered(now: number, host: string): void {
    if (!this.#answered.has(host) && this.#answered.size < HEALTH_MAX_HOSTS) this.#answered.set(host, now);
  }

  /** Another machine spoke of our service by mDNS. */
  heardMdns(host: string): void {
    this.#heard.delete(host);
    this.#heard.add(host);
    if (this.#heard.size > HEALTH_MAX_HOSTS) this.#heard.delete(this.#heard.values().next().value!);
  }

  /** The system refused to send one of our datagrams. */
  sendFailed(now: number, code: string): void {
    if (code === 'EPERM' || code === 'EACCES') this.#refused = now;
  }

  /** Sentences about what was noticed here; `mdnsWorks` is false when mDNS is off or has said why it fails. */
  reasons(now: number, mdnsWorks: boolean): readonly string[] {
    const out: string[] = [];
    if (now - this.#refused < HEALTH_ERROR_MS) out.push('Sending by UDP is refused: a local firewall or a VPN kill switch blocks it.');
    const silent = [...this.#answered].filter(([host, since]) => now - since >= HEALTH_SILENCE_MS && !this.#heard.has(host));
    const anyHeard = [...this.#answered.keys()].some((host) => this.#heard.has(host));
    if (mdnsWorks && silent.length > 0 && !anyHeard)
      out.push(
        'Multicast does not pass: players answer by broadcast that are not heard by mDNS. This network filters it; the search goes on by broadcast.',
      );
    return out;
  }
}

/** The state of all parts together. */
export function stateOf(hasInterface: boolean, reasons: readonly string[]): DiscoveryState {
  if (!hasInterface) return { level: 'unavailable', reasons: ['No network interface is up: only players on this machine are found.'] };
  return { level: reasons.length === 0 ? 'ok' : 'degraded', reasons: [...new Set(reasons)] };
}
