#!/usr/bin/env node
/**
 * `lanista browse` and `lanista doctor`: what the network looks like, without a game.
 */
import { Command, InvalidArgumentError } from 'commander';

import { LanError } from '../../base/errors.ts';
import type { RoomListing } from '../../port/lan-port.ts';
import { openSearch } from '../search.ts';
import { diagnose, exitCode, type Check } from './doctor-checks.ts';
import { examine } from './doctor-probe.ts';

const collect = (value: string, list: readonly string[]): readonly string[] => [...list, value];

function parseAddress(text: string): { host: string; port: number } {
  const match = /^(\d{1,3}(?:\.\d{1,3}){3}):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match?.[1] === undefined || port < 1 || port > 65_535) throw new InvalidArgumentError('Expected an address like 192.168.1.5:29798.');
  return { host: match[1], port };
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 86_400)) throw new InvalidArgumentError('Expected a number of seconds.');
  return seconds;
}

/** Room names come from the network: nothing in them may steer a terminal. */
function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');
}

function row(room: RoomListing): string {
  const seats = `${room.players}/${room.max}`;
  const ping = room.pingMs === undefined ? '-' : `${room.pingMs} ms`;
  return `${plain(room.name).padEnd(24)} ${seats.padStart(6)} ${ping.padStart(9)} ${room.locked ? 'locked' : 'open  '} ${plain(room.gameId)} v${room.version} ${room.address}`;
}

async function browse(options: { interface: readonly string[]; json?: boolean; seconds?: number }): Promise<void> {
  const search = await openSearch({ interfaces: options.interface });
  const ended = new AbortController();
  const stop = (): void => ended.abort();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const live = process.stdout.isTTY && options.json !== true;
  using watch = search.watch((rooms) => {
    if (options.json === true) process.stdout.write(`${JSON.stringify(rooms)}\n`);
    else {
      if (live) process.stdout.write('\u001b[2J\u001b[H');
      process.stdout.write(rooms.length === 0 ? 'No rooms yet; looking.\n' : `${rooms.map(row).join('\n')}\n`);
      if (!live) process.stdout.write('\n');
      for (const reason of search.state().reasons) process.stdout.write(`! ${reason}\n`);
    }
  });
  void watch;
  if (options.seconds !== undefined) setTimeout(stop, options.seconds * 1_000);
  await new Promise<void>((resolve) => ended.signal.addEventListener('abort', () => resolve(), { once: true }));
  await search.close();
}

function line(check: Check): string {
  const mark = { ok: 'OK  ', warn: 'WARN', fail: 'FAIL' }[check.level];
  return check.fix === '' ? `${mark}  ${check.what}` : `${mark}  ${check.what}\n      -> ${check.fix}`;
}

async function doctor(options: {
  interface: readonly string[];
  json?: boolean;
  probe?: { host: string; port: number };
  listen?: number;
}): Promise<void> {
  const facts = await examine({
    interfaces: options.interface,
    probe: options.probe,
    ...(options.listen === undefined ? {} : { listenMs: options.listen * 1_000 }),
  });
  const checks = diagnose(facts);
  process.stdout.write(
    options.json === true ? `${JSON.stringify({ exitCode: exitCode(checks), checks, facts }, undefined, 2)}\n` : `${checks.map(line).join('\n')}\n`,
  );
  process.exitCode = exitCode(checks);
}

const program = new Command('lanista').description('LAN multiplayer without a server: tools').showHelpAfterError();

program
  .command('browse')
  .description('list the rooms on this network, live')
  .option('--interface <name or ip>', 'use only this interface (repeatable)', collect, [])
  .option('--seconds <n>', 'stop after that long', parseSeconds)
  .option('--json', 'one JSON array per change')
  .action(browse);

program
  .command('doctor')
  .description('find out why nobody is found; exit code 0 well, 1 warnings, 2 failures')
  .option('--interface <name or ip>', 'use only this interface (repeatable)', collect, [])
  .option('--probe <host:port>', 'ask another machine that sits in a room', parseAddress)
  .option('--listen <seconds>', 'how long to listen for others', parseSeconds)
  .option('--json', 'everything measured, for a bug report')
  .action(doctor);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof LanError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
