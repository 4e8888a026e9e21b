/**
 * Which network interfaces discovery uses, and in which order their addresses are offered.
 *
 * The kernel picks one interface for a multicast or broadcast packet (the default route's), which is the
 * wrong one on any machine with a VPN or a virtual switch. So everything here is per interface, and the
 * list is read again every second: adapters appear, vanish and change address while a game runs.
 */
import type { NetworkInterfaceInfo } from 'node:os';

import { INTERFACE_POLL_MS, MAX_INTERFACES, SLEEP_JUMP_MS } from './bounds.ts';

export type InterfaceKind = 'lan' | 'public' | 'link-local' | 'virtual' | 'loopback';

export interface LanInterface {
  readonly name: string;
  /** IPv4, dotted. */
  readonly address: string;
  readonly netmask: string;
  /** Directed broadcast address of the subnet. */
  readonly broadcast: string;
  readonly kind: InterfaceKind;
  /** Lower is offered first. */
  readonly rank: number;
}

export type InterfaceReader = () => NodeJS.Dict<NetworkInterfaceInfo[]>;

/** Adapters that carry no LAN by themselves: tunnels, containers, hypervisors. Ranked last, never excluded. */
const VIRTUAL_NAME =
  /^(docker|podman|cni|flannel|lxc|lxd|incus|br-|bridge\d|veth|virbr|vmnet|vmenet|vmware|vboxnet|virtualbox|vethernet|wsl|utun|tun|tap|openvpn|wg|wireguard|ppp|tailscale|zt|feth|zerotier|hamachi|radmin|ipsec|nordlynx|proton)/i;

const RANK: Record<InterfaceKind, number> = { lan: 0, public: 1, 'link-local': 2, virtual: 3, loopback: 4 };

/** Undefined unless `text` is a dotted IPv4 address. Read for each packet from the LAN, so it makes no strings. */
export function parseIpv4(text: string): number | undefined {
  let value = 0;
  let part = 0;
  let digits = 0;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit >= 0 && digit <= 9) {
      part = part * 10 + digit;
      if (++digits > 3 || part > 255) return undefined;
    } else if (text[i] === '.' && digits > 0 && ++dots <= 3) {
      value = value * 256 + part;
      part = digits = 0;
    } else return undefined;
  }
  return dots === 3 && digits > 0 ? value * 256 + part : undefined;
}

export function formatIpv4(value: number): string {
  return `${(value >>> 24) & 255}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

function kindOf(name: string, address: number, internal: boolean): InterfaceKind {
  if (internal || address >>> 24 === 127) return 'loopback';
  if (VIRTUAL_NAME.test(name)) return 'virtual';
  if (address >>> 16 === 0xa9fe) return 'link-local';
  const isPrivate = address >>> 24 === 10 || address >>> 20 === 0xac1 || address >>> 16 === 0xc0a8;
  return isPrivate ? 'lan' : 'public';
}

/** True when no router would carry a packet to that address out of a LAN; of what is no address false. */
export function isLocalOnly(host: string): boolean {
  const address = parseIpv4(host);
  return address !== undefined && kindOf('', address, false) !== 'public';
}

/**
 * Eligible IPv4 interfaces, best first, at most `MAX_INTERFACES`.
 * @param only names or addresses; empty means every one that is not loopback and not a /32 tunnel, or
 *   loopback when nothing else is up.
 */
export function scanInterfaces(read: InterfaceReader, only: readonly string[] = []): readonly LanInterface[] {
  const found: LanInterface[] = [];
  for (const [name, infos] of Object.entries(read())) {
    for (const info of infos ?? []) {
      // Node 18 reported the family as a number for a while.
      if (info.family !== 'IPv4' && (info.family as unknown) !== 4) continue;
      const address = parseIpv4(info.address);
      const mask = parseIpv4(info.netmask);
      if (address === undefined || mask === undefined) continue;
      const chosen = only.includes(name) || only.includes(info.address);
      if (only.length > 0 ? !chosen : mask === 0xffff_ffff) continue;
      const kind = kindOf(name, address, info.internal);
      const broadcast = formatIpv4((address | ~mask) >>> 0);
      found.push({ name, address: info.address, netmask: info.netmask, broadcast, kind, rank: RANK[kind] });
    }
  }
  const outside = found.filter((nic) => nic.kind !== 'loopback');
  const usable = only.length === 0 && outside.length > 0 ? outside : found;
  return usable.sort((a, b) => a.rank - b.rank).slice(0, MAX_INTERFACES);
}

/** As `scanInterfaces`, where the system may not tell: Android does not, and elsewhere it asks with a socket, of which a process may have none left. */
export function interfacesNow(read: InterfaceReader, only: readonly string[] = []): readonly LanInterface[] {
  try {
    return scanInterfaces(read, only);
  } catch {
    return [];
  }
}

/** True when `host` is in the subnet of `nic`. */
export function isOnLink(host: string, nic: LanInterface): boolean {
  const a = parseIpv4(host);
  const mask = parseIpv4(nic.netmask)!;
  return a !== undefined && (a & mask) >>> 0 === (parseIpv4(nic.address)! & mask) >>> 0;
}

export type InterfaceChange = 'changed' | 'woke';

/**
 * The current list, read again every `INTERFACE_POLL_MS`. Time comes from outside: `nextAt` says when
 * `poll` wants to run. Wall-clock time is read as well, because monotonic time stands still on a
 * sleeping laptop, and a jump of it is the only sign of a sleep.
 */
export class InterfaceWatch {
  readonly #read: InterfaceReader;
  readonly #only: readonly string[];
  #list: readonly LanInterface[];
  #key: string;
  #wallMs: number | undefined;
  nextAt = 0;

  constructor(read: InterfaceReader, only: readonly string[]) {
    this.#read = read;
    this.#only = only;
    this.#list = interfacesNow(read, only);
    this.#key = keyOf(this.#list);
  }

  get list(): readonly LanInterface[] {
    return this.#list;
  }

  /** Whether there is more than loopback, which is in the list when there is nothing else; whoever asked for loopback has what they want. */
  get hasNetwork(): boolean {
    return this.#list.some((nic) => nic.kind !== 'loopback' || this.#only.length > 0);
  }

  /** The interface whose subnet holds `host`. */
  onLink(host: string): LanInterface | undefined {
    return this.#list.find((nic) => isOnLink(host, nic));
  }

  /** True when `host` is the address of one machine: what goes to a broadcast or multicast address everybody answers. */
  isUnicast(host: string): boolean {
    const address = parseIpv4(host);
    if (address === undefined || address >>> 24 === 0 || address >>> 24 >= 224) return false;
    // A link of two machines has no broadcast (RFC 3021).
    return !this.#list.some((nic) => nic.broadcast === host && nic.address !== host && nic.netmask !== '255.255.255.254');
  }

  /** True when `host` is another machine of a subnet of ours. */
  isOther(host: string): boolean {
    return this.onLink(host) !== undefined && !this.#list.some((nic) => nic.address === host);
  }

  /** Reads the interfaces again; undefined when nothing changed and nobody slept. */
  poll(now: number, wallMs: number): InterfaceChange | undefined {
    this.nextAt = now + INTERFACE_POLL_MS;
    const slept = this.#wallMs !== undefined && wallMs - this.#wallMs > INTERFACE_POLL_MS + SLEEP_JUMP_MS;
    this.#wallMs = wallMs;
    try {
      this.#list = scanInterfaces(this.#read, this.#only);
    } catch {
      // Nothing is known to have changed.
    }
    const key = keyOf(this.#list);
    const changed = key !== this.#key;
    this.#key = key;
    return slept ? 'woke' : changed ? 'changed' : undefined;
  }
}

function keyOf(list: readonly LanInterface[]): string {
  return list.map((nic) => `${nic.name}/${nic.address}/${nic.netmask}`).join(' ');
}
