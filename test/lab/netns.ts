/**
 * A LAN made of Linux network namespaces: one switch, N hosts, nothing in the machine's own network.
 *
 * The switch is a bridge that lives in a namespace of its own, so every interface, address and
 * firewall rule of the lab vanishes when the namespaces are deleted, whatever state they are in:
 *
 *     ln-<run>-sw:  bridge br0 ── p0 ── p1 ── p2 …        nftables: table bridge lab
 *                                 │     │     │
 *     ln-<run>-<i>:             eth0  eth0  eth0           10.91.<run>.<10+i>/24, lo up
 *
 * Loss and blocks are nftables rules in the bridge family's forward hook, which runs once for every
 * receiver of a flooded frame, so multicast is lost per receiver as on a real network.
 */
import { spawnSync } from 'node:child_process';

const manyHosts = 16;

/** One host of the lab. */
export interface LabHost {
  readonly index: number;
  /** Name of its network namespace. */
  readonly namespace: string;
  /** IPv4 address on the lab's LAN. */
  readonly address: string;
  /** Name of its port on the switch. */
  readonly switchPort: string;
}

/** Result of a command that had to run in the lab. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Why the lab cannot run here, or `undefined` when it can. */
export function labUnavailable(): string | undefined {
  if (process.platform !== 'linux') return 'needs Linux';
  if (process.getuid?.() !== 0) return 'needs root';
  for (const tool of ['ip', 'nft']) {
    if (spawnSync(tool, ['-V'], { stdio: 'ignore' }).error !== undefined) return `needs the command ${tool}`;
  }
  const probe = `ln-probe-${process.pid}`;
  if (run('ip', ['netns', 'add', probe]).code !== 0) return 'network namespaces are not allowed here';
  run('ip', ['netns', 'del', probe]);
  return undefined;
}

/** The lab's network. Dispose it always; `createLab` also disposes it when the process ends. */
export class Lab implements Disposable {
  readonly hosts: readonly LabHost[];
  /** What the names of all its namespaces begin with. */
  readonly prefix: string;
  readonly #switch: string;
  readonly #onExit = (): void => this[Symbol.dispose]();
  #lossRatio = 0;
  readonly #blocks = new Set<string>();
  #disposed = false;

  constructor(hostCount: number) {
    this.prefix = `ln-${process.pid.toString(36)}`;
    this.#switch = `${this.prefix}-sw`;
    const subnet = process.pid % 250;
    this.hosts = Array.from({ length: hostCount }, (_, index) => ({
      index,
      namespace: `${this.prefix}-${index}`,
      address: `10.91.${subnet}.${10 + index}`,
      switchPort: `p${index}`,
    }));
    process.once('exit', this.#onExit);
    try {
      this.#build();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  #build(): void {
    must('ip', ['netns', 'add', this.#switch]);
    // A bridge hands frames to the IP firewall where that module is on; the lab's switch is plain.
    run('ip', ['netns', 'exec', this.#switch, 'sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=0']);
    must('ip', ['-n', this.#switch, 'link', 'add', 'br0', 'type', 'bridge', 'mcast_snooping', '0', 'forward_delay', '0']);
    must('ip', ['-n', this.#switch, 'link', 'set', 'br0', 'up']);
    for (const host of this.hosts) {
      must('ip', ['netns', 'add', host.namespace]);
      must('ip', ['-n', host.namespace, 'link', 'set', 'lo', 'up']);
      this.replug(host);
    }
    if (this.hosts.length > manyHosts) this.#introduceAll();
    this.#applyRules();
  }

  /**
   * Tells every host the link address of every other. The kernel bounds its table of neighbours for all
   * namespaces together (1,024 by default), so more than 30 hosts that ask each other overflow it, as no
   * machine of a real LAN would; entries set by hand do not count.
   */
  #introduceAll(): void {
    const linkOf = new Map(
      this.hosts.map((host) => [host.index, must('ip', ['netns', 'exec', host.namespace, 'cat', '/sys/class/net/eth0/address']).trim()]),
    );
    for (const host of this.hosts) {
      const others = this.hosts.filter((other) => other !== host);
      const lines = others.map((other) => `neigh replace ${other.address} lladdr ${linkOf.get(other.index)} nud permanent dev eth0`);
      must('ip', ['-n', host.namespace, '-batch', '-'], `${lines.join('\n')}\n`);
    }
  }

  /** The host with this index; asking for one that does not exist is a mistake of the lab's author. */
  host(index: number): LabHost {
    const host = this.hosts[index];
    if (host === undefined) throw new Error(`the lab has hosts 0 to ${this.hosts.length - 1}, asked for ${index}`);
    return host;
  }

  /** Loses this share (0 to 1) of all IPv4 frames, for each receiver on its own. */
  setLoss(lossRatio: number): void {
    this.#lossRatio = lossRatio;
    this.#applyRules();
  }

  /** Nothing passes from `a` to `b`; the other way stays open. */
  blockOneWay(a: number, b: number): void {
    this.blockEach([[a, b]]);
  }

  /** Blocks every one of these ways at the same moment. */
  blockEach(ways: readonly (readonly [from: number, to: number])[]): void {
    for (const [a, b] of ways) this.#blocks.add(`iifname "${this.host(a).switchPort}" oifname "${this.host(b).switchPort}" drop`);
    this.#applyRules();
  }

  /** Nothing passes between `a` and `b`. */
  blockPair(a: number, b: number): void {
    this.blockEach([
      [a, b],
      [b, a],
    ]);
  }

  /** Splits the LAN: frames pass only inside each of these groups. */
  partition(groups: readonly (readonly number[])[]): void {
    const groupOf = new Map(groups.flatMap((group, at) => group.map((index) => [index, at] as const)));
    const ways = this.hosts.flatMap((a) => this.hosts.map((b) => [a.index, b.index] as const));
    this.blockEach(ways.filter(([a, b]) => a !== b && groupOf.get(a) !== groupOf.get(b)));
  }

  /** Drops frames that match this nftables expression, e.g. `ip daddr 224.0.0.251`. */
  blockMatching(expression: string): void {
    this.#blocks.add(`${expression} drop`);
    this.#applyRules();
  }

  /** Removes every block; loss stays as it is. */
  heal(): void {
    this.#blocks.clear();
    this.#applyRules();
  }

  /**
   * Limits what each host sends, by a token bucket with a queue of 20 ms in front of its interface (Linux'
   * own tbf). The bucket also cuts what TCP hands over in pieces of up to 64 KiB into frames, as a network
   * card does, so that the switch loses frames and not pieces.
   */
  setRate(rate: string): void {
    for (const host of this.hosts) {
      const bucket = ['tbf', 'rate', rate, 'burst', '32kb', 'latency', '20ms'];
      must('ip', ['netns', 'exec', host.namespace, 'tc', 'qdisc', 'replace', 'dev', 'eth0', 'root', ...bucket]);
    }
  }

  /** Command line that runs `argv` on `host`. */
  on(host: LabHost, argv: readonly string[]): { file: string; args: string[] } {
    return { file: 'ip', args: ['netns', 'exec', host.namespace, ...argv] };
  }

  /** Takes the cable out of a host, and the interface with it. */
  unplug(host: LabHost): void {
    must('ip', ['-n', host.namespace, 'link', 'del', 'eth0']);
  }

  /** Gives a host that has none an interface, plugged into the switch. */
  replug(host: LabHost): void {
    must('ip', ['-n', this.#switch, 'link', 'add', host.switchPort, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host.namespace]);
    must('ip', ['-n', this.#switch, 'link', 'set', host.switchPort, 'master', 'br0', 'up']);
    must('ip', ['-n', host.namespace, 'addr', 'add', `${host.address}/24`, 'broadcast', '+', 'dev', 'eth0']);
    must('ip', ['-n', host.namespace, 'link', 'set', 'eth0', 'up']);
    must('ip', ['-n', host.namespace, 'route', 'add', 'default', 'dev', 'eth0']);
  }

  /** Runs a command inside the switch, where every frame of the LAN passes; throws when it fails. */
  onSwitch(argv: readonly string[], input?: string): string {
    return must('ip', ['netns', 'exec', this.#switch, ...argv], input);
  }

  /** Command line that runs `argv` inside the switch, for what goes on for a while. */
  switchCommand(argv: readonly string[]): readonly string[] {
    return ['ip', 'netns', 'exec', this.#switch, ...argv];
  }

  /** Replaces the whole table in one transaction, so that no frame sees half of the rules. */
  #applyRules(): void {
    const rules = [...this.#blocks];
    if (this.#lossRatio > 0) rules.push(`ether type ip numgen random mod 10000 < ${Math.round(this.#lossRatio * 10_000)} drop`);
    const text = [
      'add table bridge lab',
      'delete table bridge lab',
      'table bridge lab {',
      '  chain wire {',
      '    type filter hook forward priority 0; policy accept;',
      ...rules.map((rule) => `    ${rule}`),
      '  }',
      '}',
      '',
    ].join('\n');
    this.onSwitch(['nft', '-f', '-'], text);
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    process.off('exit', this.#onExit);
    for (const namespace of [...this.hosts.map((host) => host.namespace), this.#switch]) run('ip', ['netns', 'del', namespace]);
  }
}

/** Runs a command to its end; never throws. */
export function run(file: string, args: readonly string[], input?: string): CommandResult {
  const done = spawnSync(file, args, { encoding: 'utf8', ...(input === undefined ? {} : { input }) });
  return { code: done.status ?? 1, stdout: done.stdout ?? '', stderr: done.stderr ?? String(done.error ?? '') };
}

/** Runs a command to its end and gives what it printed; throws with its complaint when it fails. */
export function must(file: string, args: readonly string[], input?: string): string {
  const done = run(file, args, input);
  if (done.code !== 0) throw new Error(`${file} ${args.join(' ')} failed: ${done.stderr.trim()}${input === undefined ? '' : `\n${input}`}`);
  return done.stdout;
}
