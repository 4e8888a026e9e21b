/**
 * Addresses of former games, kept on disk next to the profile, asked once at the start: they find a
 * friend on networks that pass unicast only.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Address } from '../../link/endpoint-types.ts';
import { MAX_KNOWN_PEERS } from './bounds.ts';
import { addressKey } from './candidates.ts';
import { parseIpv4 } from './interfaces.ts';

/** What of the file's text is an address; whatever else stands there is passed over. */
export function parseKnownPeers(text: string): Address[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return [];
  }
  if (!Array.isArray(value)) return [];
  const list: Address[] = [];
  for (const item of value.slice(0, MAX_KNOWN_PEERS) as unknown[]) {
    if (typeof item !== 'string') continue;
    const [host, portText] = item.split(':');
    const port = Number(portText);
    if (host !== undefined && parseIpv4(host) !== undefined && Number.isInteger(port) && port > 0 && port <= 65_535) list.push({ host, port });
  }
  return list;
}

export class KnownPeers {
  readonly #path: string | undefined;
  #list: Address[] = [];

  /** @param directory undefined keeps nothing. */
  constructor(directory: string | undefined, profile: string) {
    this.#path = directory === undefined ? undefined : join(directory, `${profile}.peers.json`);
    if (this.#path === undefined) return;
    try {
      this.#list = parseKnownPeers(readFileSync(this.#path, 'utf8'));
    } catch {
      // None yet, or unreadable: the other sources do without.
    }
  }

  get addresses(): readonly Address[] {
    return this.#list;
  }

  /** Puts `address` first and writes the list; a disk that refuses costs only the memory of it. */
  add(address: Address): void {
    if (this.#path === undefined || address.host.startsWith('127.') || parseIpv4(address.host) === undefined) return;
    const key = addressKey(address);
    if (this.#list[0] !== undefined && addressKey(this.#list[0]) === key) return;
    this.#list = [address, ...this.#list.filter((known) => addressKey(known) !== key)].slice(0, MAX_KNOWN_PEERS);
    try {
      writeFileSync(`${this.#path}.new`, JSON.stringify(this.#list.map(addressKey)), { mode: 0o600 });
      renameSync(`${this.#path}.new`, this.#path);
    } catch {
      // Kept in memory only.
    }
  }
}
