#!/usr/bin/env node
/**
 * `lanista browse` and `lanista doctor`: what the network looks like, without a game.
 */
import { networkInterfaces } from 'node:os';

import { Command, InvalidArgumentError } from 'commander';

import { LanError } from '../../base/errors.ts';
import type { RoomListing } from '../../port/lan-port.ts';
import { DATA_PORT_FIRST } from '../discovery/bounds.ts';
import { parseIpv4 } from '../discovery/interfaces.ts';
import { chosenInterfaces } from '../option-checks.ts';
import { openSearch } from '../search.ts';
import { diagnose, exitCode } from './doctor-checks.ts';
import type { Check } from './doctor-facts.ts';
import { examine, LISTEN_MS } from './doctor-probe.ts';
import { versions, withoutHome } from './doctor-system.ts';
import { chooseRooms, roomLine, type WantedGame } from './room-lines.ts';

/** Time between two looks at what keeps `browse` from finding anybody, ms. */
const TROUBLE_LOOK_MS = 500;

const collect = (value: string, list: readonly string[] = []): readonly string[] => [...list, value];

function parseAddress(text: string): { host: string; port: number } {
  const match = /^(\d{1,3}(?:\.\d{1,3}){3})(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[2] ?? DATA_PORT_FIRST);
  if (match?.[1] === undefined || parseIpv4(match[1]) === undefined || port < 1 || port > 65_535)
    throw new InvalidArgumentError('Expected an address like 192.168.1.5:29798.');
  return { host: match[1], port };
}

/** `id`, or `id@version`, or `id@version@hash` as the list prints it. */
function parseGame(text: string): WantedGame {
  const match = /^([^@\s]{1,32})(?:@(\d{1,5})(?:@([0-9a-f]{8}))?)?$/.exec(text);
  if (match?.[1] === undefined) throw new InvalidArgumentError('Expected a game like chroma-rush, or chroma-rush@2 for its version 2.');
  return {
    id: match[1],
    version: match[2] === undefined ? undefined : Number(match[2]),
    schemaHash: match[3] === undefined ? undefined : Number.parseInt(match[3], 16),
  };
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 86_400)) throw new InvalidArgumentError('Expected a number of seconds.');
  return seconds;
}

async function browse(options: { interface?: readonly string[]; json?: boolean; seconds?: number; game?: WantedGame }): Promise<void> {
  const interfaces = options.interface ?? [];
  chosenInterfaces(networkInterfaces, interfaces);
  const search = await openSearch({ interfaces });
  const ended = new AbortController();
  const stop = (): void => ended.abort();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  // Whoever reads has seen enough, as `head` does after its lines.
  process.stdout.on('error', stop);
  const live = process.stdout.isTTY && options.json !== true;
  let rooms: readonly RoomListing[] = [];
  let told = '';
  const tell = (): void => {
    const list = rooms.length === 0 ? 'No rooms yet; looking.' : rooms.map(roomLine).join('\n');
    const troubles = search.state().reasons.map((reason) => `! ${reason}\n`);
    const words = options.json === true ? `${JSON.stringify(rooms)}\n` : `${list}\n${live ? '' : '\n'}${troubles.join('')}`;
    if (words === told) return;
    told = words;
    process.stdout.write(live ? `\u001b[2J\u001b[H${words}` : words);
  };
  using watch = search.watch((all) => {
    rooms = chooseRooms(all, options.game);
    tell();
  });
  void watch;
  // Why nobody is found shows while nobody is.
  const look = setInterval(tell, TROUBLE_LOOK_MS);
  const timer = options.seconds === undefined ? undefined : setTimeout(stop, options.seconds * 1_000);
  await new Promise<void>((resolve) => ended.signal.addEventListener('abort', () => resolve(), { once: true }));
  clearTimeout(timer);
  clearInterval(look);
  await search.close();
}

function line(check: Check): string {
  const mark = { ok: 'OK  ', warn: 'WARN', fail: 'FAIL' }[check.level];
  return check.fix === '' ? `${mark}  ${check.what}` : `${mark}  ${check.what}\n      -> ${check.fix}`;
}

async function doctor(options: {
  interface?: readonly string[];
  json?: boolean;
  probe?: { host: string; port: number };
  listen: number;
}): Promise<void> {
  const interfaces = options.interface ?? [];
  chosenInterfaces(networkInterfaces, interfaces);
  const facts = await examine({ interfaces, probe: options.probe, listenMs: options.listen * 1_000 });
  const checks = diagnose(facts);
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify({ exitCode: exitCode(checks), checks, facts }, (_key, value) => withoutHome(value), 2)}\n`
      : `${checks.map(line).join('\n')}\n`,
  );
  process.exitCode = exitCode(checks);
}

const program = new Command('lanista')
  .description('LAN multiplayer without a server: tools')
  .version(versions()['lanista'] ?? 'unknown')
  .showHelpAfterError();

program
  .command('browse')
  .description('list the rooms on this network, live')
  .option('--interface <name or ip>', 'use only this interface (repeatable)', collect)
  .option('--game <id[@version]>', 'only rooms of this game; with a version, why others do not fit', parseGame)
  .option('--seconds <n>', 'stop after that long (default: until Ctrl-C)', parseSeconds)
  .option('--json', 'one JSON array per change')
  .action(browse);

program
  .command('doctor')
  .description('find out why nobody is found; exit code 0 well, 1 warnings, 2 failures')
  .option('--interface <name or ip>', 'use only this interface (repeatable)', collect)
  .option('--probe <host[:port]>', 'ask another machine that sits in a room or runs the doctor', parseAddress)
  .option('--listen <seconds>', 'how long to listen for others: run it on two machines at once', parseSeconds, LISTEN_MS / 1_000)
  .option('--json', 'everything measured, for a bug report')
  .action(doctor);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof LanError)) throw error;
  process.stderr.write(`${error.message}\n`);
  // A word that names nothing is a slip of whoever typed it, as an unknown option is; 2 is what the doctor says of the network.
  process.exitCode = error.code === 'no-network' ? 1 : 2;
}
