/** What the doctor finds where all is well: one interface, and one other machine that answers. */
import type { DoctorFacts, InterfaceFacts } from '../sdk/node/cli/doctor-facts.ts';
import type { Neighbour } from '../sdk/node/cli/doctor-peer.ts';

export const NIC: InterfaceFacts = {
  nic: { name: 'eth0', address: '192.168.1.5', netmask: '255.255.255.0', broadcast: '192.168.1.255', kind: 'lan', rank: 0 },
  mtu: 1_500,
  multicastError: undefined,
  multicastEcho: true,
  broadcastError: undefined,
  broadcastEcho: true,
  unicastError: undefined,
  unicastEcho: true,
};
export const WELL: DoctorFacts = {
  platform: 'linux',
  nodePath: 'node',
  interfaces: [NIC],
  onlyIpv6: false,
  isWsl: false,
  isContainer: false,
  defaultRoute: 'eth0',
  defaultRouteIsVirtual: false,
  mdnsBindError: undefined,
  mdnsHolders: [],
  beaconPort: 29_797,
  beaconBindError: undefined,
  dataPortsFree: 32,
  dataPortsTotal: 32,
  mdnsHosts: 2,
  rooms: [],
  neighbours: [],
  silent: [],
  clockJumpMs: 0,
  timerLateMs: 3,
  probe: undefined,
  versions: { node: '20' },
  socketHooked: true,
};
export const OTHER: Neighbour = {
  address: '192.168.1.9:29798',
  kind: 'doctor',
  asked: 20,
  answered: 20,
  pingMs: 0.4,
  largestBytes: 1_452,
  clockAheadMs: 3,
  heardByMdns: true,
};
