/** What the system tells about itself, for the doctor: MTU, routes, neighbours on the cable, versions. */
import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname } from 'node:path';

/** MTU of an interface, bytes; Linux only. */
export function readMtu(name: string): number | undefined {
  if (process.platform !== 'linux' || /[/.]/.test(name)) return undefined;
  try {
    const mtu = Number(readFileSync(`/sys/class/net/${name}/mtu`, 'latin1'));
    return Number.isInteger(mtu) ? mtu : undefined;
  } catch {
    return undefined;
  }
}

/** Interface of the default route; Linux only, where the kernel says it in a file. */
export function defaultRoute(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    let best: { name: string; metric: number } | undefined;
    for (const line of readFileSync('/proc/net/route', 'latin1').split('\n').slice(1)) {
      const [name, destination, , , , , metric, mask] = line.split('\t');
      if (name === undefined || destination !== '00000000') continue;
      // Two halves of everything, as VPN programs write it, count as well.
      if (mask !== '00000000' && mask !== '00000080') continue;
      if (best === undefined || Number(metric) < best.metric) best = { name, metric: Number(metric) };
    }
    return best?.name;
  } catch {
    return undefined;
  }
}

export function versions(): Record<string, string> {
  const out: Record<string, string> = { node: process.versions.node, system: `${process.platform} ${process.arch}` };
  const require = createRequire(import.meta.url);
  for (const [name, at] of [
    ['lanista', '../../../package.json'],
    ['bonjour-service', 'bonjour-service/package.json'],
  ] as const) {
    try {
      out[name] = String((require(at) as { version?: unknown }).version);
    } catch {
      // Hidden by its exports: not worth more.
    }
  }
  try {
    out['multicast-dns'] = String((createRequire(require.resolve('bonjour-service'))('multicast-dns/package.json') as { version?: unknown }).version);
  } catch {
    out['multicast-dns'] = 'unknown';
  }
  return out;
}

/** Programs named in one sentence. */
const MAX_HOLDERS = 4;

export type LinkLayer = 'answers' | 'silent' | undefined;

/**
 * Whether a machine of an own subnet answers below IP, after it was sent something: who does not is off, has
 * another address, or is kept apart by the Wi-Fi. Undefined where the system does not say (Linux does).
 */
export function linkLayer(host: string, table: string = readText('/proc/net/arp')): LinkLayer {
  const lines = table.split('\n');
  if (!lines[0]?.startsWith('IP address')) return undefined;
  for (const line of lines.slice(1)) {
    const [address, , flags, mac] = line.split(/\s+/u);
    if (address === host) return (Number(flags) & 2) !== 0 && mac !== '00:00:00:00:00:00' ? 'answers' : 'silent';
  }
  return 'silent';
}

/** Inodes of the UDP sockets bound to a port, out of `/proc/net/udp`. */
export function udpInodes(port: number, table: string): ReadonlySet<string> {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const inodes = new Set<string>();
  for (const line of table.split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/u);
    if (fields[1]?.endsWith(wanted) === true && fields[9] !== undefined) inodes.add(fields[9]);
  }
  return inodes;
}

/** Programs that hold a UDP port, by name and process id; those of other users only for root. Linux only. */
export function portHolders(port: number): readonly string[] {
  const inodes = udpInodes(port, readText('/proc/net/udp'));
  if (inodes.size === 0) return [];
  const holders: string[] = [];
  for (const pid of list('/proc').filter((name) => /^\d+$/u.test(name))) {
    if (Number(pid) === process.pid) continue;
    const holds = list(`/proc/${pid}/fd`).some((fd) => inodes.has(/^socket:\[(\d+)\]$/u.exec(link(`/proc/${pid}/fd/${fd}`))?.[1] ?? ''));
    if (holds) holders.push(`${readText(`/proc/${pid}/comm`).trim()} (process ${pid})`);
  }
  return holders.slice(0, MAX_HOLDERS);
}

function list(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

export function isWsl(): boolean {
  return process.platform === 'linux' && /microsoft/i.test(readText('/proc/version'));
}

export function isContainer(): boolean {
  return existsSync('/.dockerenv') || existsSync('/run/.containerenv');
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** A bug report is public, and a home folder has its owner's name. */
export function withoutHome(value: unknown, home: () => string = homedir): unknown {
  if (typeof value !== 'string') return value;
  try {
    const folder = home();
    // A user without a home, as containers have them, may be given the root.
    return folder === dirname(folder) ? value : value.replaceAll(folder, '~');
  } catch {
    return value;
  }
}
