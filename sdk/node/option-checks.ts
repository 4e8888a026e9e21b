/** What may not be asked of this machine, refused before a socket is opened: the system would wrap or ignore it. */
import { LanError } from '../base/errors.ts';
import type { GameFacts } from '../port/lan-port.ts';
import { checkCall, show } from '../sync/definition.ts';
import { interfacesNow, type InterfaceReader, type LanInterface } from './discovery/interfaces.ts';

/** Throws `bad-argument` unless `port` is missing or a port; 0 stands for any free one. */
export function checkPort(what: string, port: unknown): void {
  if (port === undefined || (Number.isInteger(port) && (port as number) >= 0 && (port as number) <= 65_535)) return;
  throw new LanError('bad-argument', `${what}: expected a port from 0 to 65535, got ${show(port)}.`, {
    hint: 'Leave `port` out, or use 0, for a free one.',
  });
}

/** Throws `bad-argument` unless `game` is what `defineGame` makes: options that came in its place would open every interface, for no game. */
export function checkGame(what: string, game: unknown): void {
  const { id, version, schemaHash } = (game ?? {}) as Partial<GameFacts>;
  if (typeof id === 'string' && typeof version === 'number' && typeof schemaHash === 'number') return;
  throw new LanError('bad-argument', `${what}: expected a game made by defineGame, got ${show(game)}.`, { hint: `Write ${what}(game, { … }).` });
}

const BRIDGE_OPTIONS = ['lan', 'game', 'token', 'keepMs', 'root', 'port', 'host', 'guests'];

/** Throws `bad-argument` unless there are no other options, and there is a lan. */
export function checkBridgeOptions(options: unknown): void {
  checkCall('startBridge', options, BRIDGE_OPTIONS);
  const { lan } = options as { readonly lan?: unknown };
  if (typeof lan === 'function' || (typeof lan === 'object' && lan !== null && 'watchRooms' in lan)) return;
  throw new LanError('bad-argument', `startBridge: expected lan as what openNodeLanPort gives, or a function that opens one, got ${show(lan)}.`, {
    hint: 'Write startBridge({ lan: () => openNodeLanPort(game), game, root }).',
  });
}

/** As `checkBridgeOptions`, of the plugin for Vite: the types of a configuration are checked by nobody. */
export function checkPluginOptions(options: unknown): void {
  const hint = 'Write lanista({ start: () => openNodeLanPort(game), game }).';
  const { start } = (options ?? {}) as { readonly start?: unknown };
  if (options !== undefined) checkCall('lanista', options, ['start', 'game', 'onUrl']);
  if (typeof start !== 'function')
    throw new LanError('bad-argument', `lanista: expected start as a function that opens the network, got ${show(start)}.`, { hint });
}

const LAN_OPTIONS = ['presence', 'interfaces', 'port', 'profile', 'discovery', 'graceMs', 'readInterfaces'];
const SWITCHES = ['mdns', 'beacon', 'local'];

/** As `NodeLanOptions`, of a caller who may have got it wrong. */
interface LanOptionsGiven {
  readonly port?: unknown;
  readonly interfaces?: unknown;
  readonly graceMs?: unknown;
  readonly profile?: unknown;
  readonly discovery?: unknown;
}

/** Throws `bad-argument` unless there are no other options, and each is what its type says. */
export function checkLanOptions(options: LanOptionsGiven): void {
  // A misspelt `interfaces` would open all of them.
  checkCall('openLan', options, LAN_OPTIONS);
  const { port, interfaces, graceMs, profile, discovery } = options;
  checkPort('openLan', port);
  if (interfaces !== undefined && !(Array.isArray(interfaces) && interfaces.every((one) => typeof one === 'string')))
    throw new LanError('bad-argument', `openLan: expected interfaces as an array of names or IPv4 addresses, got ${show(interfaces)}.`, {
      hint: "Like ['eth0'] or ['192.168.1.5'].",
    });
  if (graceMs !== undefined && !(typeof graceMs === 'number' && graceMs >= 0))
    throw new LanError('bad-argument', `openLan: expected graceMs of 0 or more, got ${show(graceMs)}.`, { hint: 'Leave it out for 20,000 ms.' });
  if (profile !== undefined && profile !== false && typeof profile !== 'string')
    throw new LanError('bad-argument', `openLan: expected the name of a profile, or false, got ${show(profile)}.`, {
      hint: 'Use something like "ann".',
    });
  if (discovery !== undefined) checkSwitches(discovery);
}

/** A misspelt switch leaves on what was to be off, and a broadcast port that is none wraps, or sends nothing. */
function checkSwitches(discovery: unknown): void {
  const what = 'openLan: discovery';
  checkCall(what, discovery, [...SWITCHES, 'beaconPort', 'localDirectory']);
  const given = discovery as Readonly<Record<string, unknown>>;
  for (const name of SWITCHES)
    if (given[name] !== undefined && typeof given[name] !== 'boolean')
      throw new LanError('bad-argument', `${what}.${name}: expected true or false, got ${show(given[name])}.`);
  const { beaconPort, localDirectory } = given;
  if (beaconPort !== undefined && !(Number.isInteger(beaconPort) && (beaconPort as number) >= 1 && (beaconPort as number) <= 65_535))
    throw new LanError('bad-argument', `${what}.beaconPort: expected a port from 1 to 65535, got ${show(beaconPort)}.`, {
      hint: 'Leave it out for the one that everybody uses.',
    });
  if (localDirectory !== undefined && (typeof localDirectory !== 'string' || localDirectory === ''))
    throw new LanError('bad-argument', `${what}.localDirectory: expected a folder, got ${show(localDirectory)}.`);
}

/** The interfaces that were asked for. Throws `no-network` when this machine has none of them. */
export function chosenInterfaces(read: InterfaceReader, wanted: readonly string[]): readonly LanInterface[] {
  const nics = interfacesNow(read, wanted);
  if (wanted.length > 0 && nics.length === 0) {
    throw new LanError('no-network', `This machine has no interface ${wanted.join(', ')}.`, { hint: 'Run "lanista doctor" to see its interfaces.' });
  }
  return nics;
}
