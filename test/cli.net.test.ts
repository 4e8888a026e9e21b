/** `lanista` as somebody types it, on loopback. */
import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import type { PeerId } from '../sdk/base/brand.ts';
import { examine } from '../sdk/node/cli/doctor-probe.ts';
import { decodeWho, encodeHere, type HereFacts } from '../sdk/wire/datagram.ts';
import { builtFile } from './built.ts';
import { FACTS } from './here-facts.ts';

const main = builtFile('sdk/node/cli/main.ts');

function lanista(...words: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [main, ...words], { encoding: 'utf8', timeout: 15_000 });
}

test('[DI37] browse and doctor name an interface that does not exist, and end with 1', () => {
  for (const words of [
    ['browse', '--seconds', '1'],
    ['doctor', '--listen', '0.1'],
  ]) {
    const { status, stdout, stderr } = lanista(...words, '--interface', 'no-such-nic');
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toContain('This machine has no interface no-such-nic.');
  }
});

test('[DI23] the doctor asks no address that there is not, and says so at once', () => {
  const { status, stdout, stderr } = lanista('doctor', '--probe', '192.168.1.256', '--interface', '127.0.0.1');
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toContain('Expected an address like 192.168.1.5:29798.');
});

/** Whether this machine gives a process a network of its own. */
const maySplit = spawnSync('unshare', ['-n', 'sh', '-c', 'ip link set lo up']).status === 0;

test.runIf(maySplit)('[DI31] browse says why nobody is found while the list stays empty', () => {
  const holder = `require('dgram').createSocket('udp4').bind({ port: 5353, exclusive: true }); setTimeout(() => process.exit(), 60_000)`;
  const shell = 'ip link set lo up; "$1" -e "$2" & shift 2; sleep 0.5; "$@"; kill $!';
  const browse = [process.execPath, main, 'browse', '--interface', '127.0.0.1', '--seconds', '2'];
  const { stdout } = spawnSync('unshare', ['-n', 'sh', '-c', shell, 'sh', process.execPath, holder, ...browse], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  expect(stdout).toContain('! mDNS is off: another program holds UDP port 5353 for itself; the search goes on by broadcast.');
});

test('[DI37] browse ends by itself after the time it was given', () => {
  expect(lanista('browse', '--interface', '127.0.0.1', '--json', '--seconds', '0.2').status).toBe(0);
});

test('[DI37] the tool tells its version and its defaults', () => {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  expect(lanista('--version').stdout.trim()).toBe(version);
  const browse = lanista('browse', '--help').stdout;
  const doctor = lanista('doctor', '--help').stdout;
  expect(browse + doctor).not.toContain('[]');
  expect(browse).toMatch(/--seconds.*\(default: until Ctrl-C\)/);
  expect(doctor).toMatch(/--listen[^-]*\(default: 2\.5\)/);
});

const localDirectory = mkdtempSync(join(tmpdir(), 'lanista-test-'));

/** A member of one and the same room. */
async function member(peer: string, answerMs: number, members: HereFacts['members'] = []): Promise<{ port: number; close: () => void }> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const { port } = socket.address();
  let open = true;
  socket.on('message', (bytes, from) => {
    const who = decodeWho(bytes);
    if (who === undefined) return;
    const here = Uint8Array.from(encodeHere({ nonce: who.nonce, facts: { ...FACTS, peer: peer.repeat(16) as PeerId, joinPort: port, members } }));
    setTimeout(() => open && socket.send(here, from.port, from.address), answerMs);
  });
  const file = join(localDirectory, `${process.pid}-${port}.json`);
  writeFileSync(file, JSON.stringify({ pid: process.pid, host: '127.0.0.1', port }));
  return {
    port,
    close: () => {
      open = false;
      rmSync(file);
      socket.close();
    },
  };
}

test('[DI36] a machine that is asked for and answers is told to, whatever the list shows of its room', async () => {
  const quick = await member('a', 0);
  const slow = await member('b', 200);
  const { rooms, probe } = await examine({
    interfaces: ['127.0.0.1'],
    probe: { host: '127.0.0.1', port: slow.port },
    listenMs: 1_000,
    discovery: { mdns: false, beacon: false, localDirectory },
  });
  quick.close();
  slow.close();
  expect(rooms).toHaveLength(1);
  expect(probe).toMatchObject({ address: `127.0.0.1:${slow.port}`, answered: true });
});

test('[DI36] an address of a network that is not ours may be silent, and nobody is blamed for it', async () => {
  // The first address of a player whose machine has a virtual switch may be that of the switch.
  const one = await member('a', 0, [{ host: '192.0.2.7', port: 29_798 }]);
  const { rooms, silent } = await examine({ interfaces: ['127.0.0.1'], listenMs: 2_500, discovery: { mdns: false, beacon: false, localDirectory } });
  one.close();
  expect(rooms).toHaveLength(1);
  expect(silent).toEqual([]);
});
test('[DI23] the port of the broadcasts that is examined is the one that is used', async () => {
  const holder = createSocket('udp4');
  await new Promise<void>((resolve) => holder.bind({ port: 0, address: '0.0.0.0', exclusive: true }, resolve));
  const { port } = holder.address();
  const facts = await examine({ interfaces: ['127.0.0.1'], listenMs: 1, discovery: { mdns: false, beaconPort: port, local: false } });
  await new Promise<void>((resolve) => holder.close(resolve));
  expect(facts).toMatchObject({ beaconPort: port, beaconBindError: 'EADDRINUSE' });
});
