/** What the doctor measures, what a check is, and the words that several checks share. */
import type { LanInterface } from '../discovery/interfaces.ts';
import type { NetworkCheck } from '../../port/lan-port.ts';
import type { Neighbour } from './doctor-peer.ts';
import type { LinkLayer } from './doctor-system.ts';

/** As the page gets it over the bridge. */
export type Check = NetworkCheck;

/** One interface, measured. `undefined` codes mean that it worked. */
export interface InterfaceFacts {
  readonly nic: LanInterface;
  readonly mtu: number | undefined;
  readonly multicastError: string | undefined;
  readonly multicastEcho: boolean;
  readonly broadcastError: string | undefined;
  readonly broadcastEcho: boolean;
  readonly unicastError: string | undefined;
  readonly unicastEcho: boolean;
}

export interface DoctorFacts {
  readonly platform: NodeJS.Platform;
  readonly nodePath: string;
  readonly interfaces: readonly InterfaceFacts[];
  /** An interface has IPv6 addresses, and none has IPv4. */
  readonly onlyIpv6: boolean;
  readonly isWsl: boolean;
  readonly isContainer: boolean;
  /** Interface of the default route, where the system tells. */
  readonly defaultRoute: string | undefined;
  readonly defaultRouteIsVirtual: boolean;
  /** errno of binding 5353 shared. */
  readonly mdnsBindError: string | undefined;
  /** Programs that hold 5353 when it could not be bound; empty when the system does not say. */
  readonly mdnsHolders: readonly string[];
  readonly beaconPort: number;
  readonly beaconBindError: string | undefined;
  readonly dataPortsFree: number;
  readonly dataPortsTotal: number;
  /** Other machines heard by mDNS, and by any means, while listening. */
  readonly mdnsHosts: number;
  readonly rooms: readonly { readonly name: string; readonly address: string; readonly gameId: string; readonly pingMs: number | undefined }[];
  /** Wall clock less monotonic clock over the run, ms: a step or a sleep. */
  readonly clockJumpMs: number;
  /** How much later than asked a timer of 1 ms fired at most, ms. */
  readonly timerLateMs: number;
  /** Other machines that answered, measured. */
  readonly neighbours: readonly Neighbour[];
  /** `host:port` that others advertise and that never answered. */
  readonly silent: readonly string[];
  readonly probe:
    | {
        readonly address: string;
        readonly answered: boolean;
        readonly pingMs: number | undefined;
        /** The interface whose subnet holds it. */
        readonly subnet: string | undefined;
        /** Whether it answers below IP. */
        readonly linkLayer: LinkLayer;
      }
    | undefined;
  readonly versions: Readonly<Record<string, string>>;
  readonly socketHooked: boolean;
}

export const ok = (id: string, what: string): Check => ({ id, level: 'ok', what, fix: '' });
export const warn = (id: string, what: string, fix: string): Check => ({ id, level: 'warn', what, fix });
export const fail = (id: string, what: string, fix: string): Check => ({ id, level: 'fail', what, fix });

/** How to let UDP in, by operating system. */
export function firewallFix(platform: NodeJS.Platform, nodePath: string): string {
  switch (platform) {
    case 'win32':
      return `Set the network to "Private", and in an administrator's PowerShell: New-NetFirewallRule -DisplayName Lanista -Direction Inbound -Program "${nodePath}" -Protocol UDP -Action Allow -Profile Private`;
    case 'darwin':
      return 'System Settings > Network > Firewall: allow incoming connections for node; Privacy & Security > Local Network: allow your terminal.';
    default:
      return 'Allow UDP in: "sudo ufw allow 29797:29829/udp && sudo ufw allow 5353/udp", or "sudo firewall-cmd --add-service=mdns --add-port=29797-29829/udp".';
  }
}
