/** More wires than one switch: second LANs, counters of frames, captures, rules inside a host. */
import type { Lab, LabHost } from '../netns.ts';
import { must, run } from '../netns.ts';

/** Another switch, with hosts of its own; goes with `dispose`. */
export class ExtraLan implements Disposable {
  readonly #switch: string;
  readonly #lab: Lab;
  readonly #namespaces: string[] = [];
  #ports = 0;

  constructor(lab: Lab, name: string) {
    this.#lab = lab;
    this.#switch = `${lab.prefix}-${name}`;
    must('ip', ['netns', 'add', this.#switch]);
    this.#namespaces.push(this.#switch);
    must('ip', ['-n', this.#switch, 'link', 'add', 'br0', 'type', 'bridge', 'mcast_snooping', '0', 'forward_delay', '0']);
    must('ip', ['-n', this.#switch, 'link', 'set', 'br0', 'up']);
  }

  /** A host that is on this LAN only. */
  addHost(nic: string, address: string, bits: number): LabHost {
    const namespace = `${this.#switch}-${this.#namespaces.length}`;
    must('ip', ['netns', 'add', namespace]);
    this.#namespaces.push(namespace);
    must('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
    const host = { index: 1_000 + this.#ports, namespace, address, switchPort: `x${this.#ports}` };
    this.plug(host, nic, address, bits);
    return host;
  }

  /** Gives `host` one more interface, on this LAN. */
  plug(host: Pick<LabHost, 'namespace'>, nic: string, address: string, bits: number): void {
    const port = `x${this.#ports++}`;
    must('ip', ['-n', this.#switch, 'link', 'add', port, 'type', 'veth', 'peer', 'name', nic, 'netns', host.namespace]);
    must('ip', ['-n', this.#switch, 'link', 'set', port, 'master', 'br0', 'up']);
    onHost(host, 'addr', 'add', `${address}/${bits}`, 'broadcast', '+', 'dev', nic);
    onHost(host, 'link', 'set', nic, 'up');
  }

  [Symbol.dispose](): void {
    for (const namespace of this.#namespaces.splice(0)) run('ip', ['netns', 'del', namespace]);
  }

  get lab(): Lab {
    return this.#lab;
  }
}

/** `ip …` inside a host. */
export function onHost(host: Pick<LabHost, 'namespace'>, ...args: readonly string[]): void {
  must('ip', ['-n', host.namespace, ...args]);
}

/** Firewall inside a host: replaces its rules. `chains` by hook, one nft statement each. */
export function firewall(host: Pick<LabHost, 'namespace'>, rules: { readonly input?: readonly string[]; readonly output?: readonly string[] }): void {
  const chain = (hook: 'input' | 'output'): string =>
    `chain ${hook} {\n type filter hook ${hook} priority 0; policy accept;\n${(rules[hook] ?? []).join('\n')}\n}`;
  must(
    'ip',
    ['netns', 'exec', host.namespace, 'nft', '-f', '-'],
    `add table ip lab\ndelete table ip lab\ntable ip lab {\n${chain('input')}\n${chain('output')}\n}\n`,
  );
}

export interface Count {
  readonly packets: number;
  readonly bytes: number;
}

/**
 * Counts frames that enter the switch, once each however many receive them, by nftables expressions.
 * Returns a reader of the counts since the start.
 */
export function countFrames<Name extends string>(lab: Lab, expressions: Readonly<Record<Name, string>>): () => Record<Name, Count> {
  const names = Object.keys(expressions) as Name[];
  const text = [
    'add table bridge labcount',
    'delete table bridge labcount',
    'table bridge labcount {',
    ...names.map((name) => `  counter ${name} { }`),
    '  chain enter {',
    '    type filter hook prerouting priority -300; policy accept;',
    ...names.map((name) => `    ${expressions[name]} counter name ${name}`),
    '  }',
    '}',
    '',
  ].join('\n');
  lab.onSwitch(['nft', '-f', '-'], text);
  return () => {
    const listed = JSON.parse(lab.onSwitch(['nft', '-j', 'list', 'counters', 'table', 'bridge', 'labcount'])) as {
      nftables: { counter?: { name: string; packets: number; bytes: number } }[];
    };
    const out = {} as Record<Name, Count>;
    for (const { counter } of listed.nftables) {
      if (counter !== undefined) out[counter.name as Name] = { packets: counter.packets, bytes: counter.bytes };
    }
    return out;
  };
}
