/** `lanista` as somebody types it, on loopback. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const main = fileURLToPath(new URL('../sdk/node/cli/main.ts', import.meta.url));

function lanista(...words: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['--conditions=@lanista/source', '--import', 'tsx', main, ...words], { encoding: 'utf8', timeout: 15_000 });
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
