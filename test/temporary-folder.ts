/**
 * One temporary folder for all test files of a run, gone when the run is over: what tests leave behind in `os.tmpdir()` goes with it.
 * Open to every user, because one test starts the game as another.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What `os.tmpdir()` looks at, here and on Windows. */
const NAMES = ['TMPDIR', 'TMP', 'TEMP'] as const;

export default function setup(): () => void {
  const before = NAMES.map((name) => process.env[name]);
  const folder = mkdtempSync(join(tmpdir(), 'lanista-tests-'));
  chmodSync(folder, 0o1777);
  for (const name of NAMES) process.env[name] = folder;
  return () => {
    for (const [i, name] of NAMES.entries()) {
      if (before[i] === undefined) delete process.env[name];
      else process.env[name] = before[i];
    }
    rmSync(folder, { recursive: true, force: true });
  };
}
