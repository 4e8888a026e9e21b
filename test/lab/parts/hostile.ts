/** A host of the lab that plays the stranger, with more addresses than one. */
import type { Lab, LabHost } from '../netns.ts';
import { must } from '../netns.ts';
import { LabProcess, sourceFlags } from '../process.ts';
import { Peer } from './peers.ts';

/** Starts the stranger; dispose what it returns. */
export async function startStranger(lab: Lab, host: LabHost): Promise<Peer> {
  const argv = [process.execPath, ...sourceFlags, 'test/lab/discovery-hostile-peer.ts'];
  const peer = new Peer(new LabProcess(argv, { lab, host }, {}, undefined, 'pipe'));
  await peer.process.waitFor(/"ready"/u, 60_000);
  return peer;
}

/** Gives it `count` more addresses of the lab's subnet, from .100 on, with which it may speak and be spoken to. */
export function addAddresses(host: LabHost, count: number): void {
  const subnet = host.address.replace(/\d+$/u, '');
  const lines = Array.from({ length: count }, (_, index) => `addr add ${subnet}${100 + index}/24 dev eth0`);
  must('ip', ['-n', host.namespace, '-batch', '-'], `${lines.join('\n')}\n`);
}

/** Lets it send as the others: it has their addresses, but answers nobody who asks where they are. */
export function borrowAddresses(host: LabHost, others: readonly LabHost[]): void {
  must('ip', ['netns', 'exec', host.namespace, 'sysctl', '-qw', 'net.ipv4.conf.all.arp_ignore=1', 'net.ipv4.conf.all.arp_announce=2']);
  for (const other of others) must('ip', ['-n', host.namespace, 'addr', 'add', `${other.address}/32`, 'dev', 'lo']);
}
