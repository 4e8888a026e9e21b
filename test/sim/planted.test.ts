/**
 * Planted bugs must not rot: each still applies, touches the product alone, and says what it does. Whether
 * the simulator finds them takes minutes: `npm run sim -- --planted --json`.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { plantedFolder } from './plant.ts';

const patches = readdirSync(plantedFolder);

it('[ME31] there are at least twenty planted bugs', () => {
  expect(patches.filter((name) => name.endsWith('.patch')).length).toBeGreaterThanOrEqual(20);
});

it.each(patches)('[ME31] %s applies, changes one file of the SDK, and says what it does', (patch) => {
  const text = readFileSync(join(plantedFolder, patch), 'utf8');
  const [words = '', blank] = text.split('\n', 2);
  expect(words).toMatch(/^[A-Z].*\.$/u);
  expect(blank).toBe('');
  const files = [...text.matchAll(/^\+\+\+ b\/(.*)$/gmu)].map((found) => found[1] ?? '');
  expect(files).toEqual([expect.stringMatching(/^sdk\//u)]);
  const checked = spawnSync('git', ['apply', '--check', join(plantedFolder, patch)], { cwd: join(plantedFolder, '../../..'), encoding: 'utf8' });
  expect(checked.stderr).toBe('');
  expect(checked.status).toBe(0);
});
