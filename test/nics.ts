/** Addresses of interfaces as the system lists them, for tests that say what there is. */
import type { NetworkInterfaceInfo } from 'node:os';

export const nic = (address: string, netmask = '255.255.255.0', internal = false): NetworkInterfaceInfo => ({
  address,
  netmask,
  family: 'IPv4',
  mac: '02:00:00:00:00:01',
  internal,
  cidr: null,
});
export const lo = { lo: [nic('127.0.0.1', '255.0.0.0', true)] };
