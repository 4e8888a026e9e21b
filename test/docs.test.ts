/**
 * Every ```ts block of README and docs is a program that compiles under the project's own settings.
 * Blocks are written to `.cache/docs/`, one file each, and checked in one run of the compiler. A block
 * marked ```ts game.ts is that file of its document's project, and the others may import it; one marked
 * ```ts fragment (a line or two out of context) is left alone.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = join(root, '.cache/docs');

interface Block {
  readonly file: string;
  readonly source: string;
  readonly text: string;
}

function blocks(): Block[] {
  const documents = [
    'README.md',
    ...readdirSync(join(root, 'docs'))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
  ];
  return documents.flatMap((path) => {
    const text = readFileSync(join(root, path), 'utf8');
    const folder = path.replace(/[^a-z]/giu, '-').toLowerCase();
    return [...text.matchAll(/^```ts(?: (\S+\.ts))?\n([\s\S]*?)^```$/gmu)].map((match, at) => ({
      file: `${folder}/${match[1] ?? `block-${at}.ts`}`,
      source: `${path}:${text.slice(0, match.index).split('\n').length}`,
      text: match[2] ?? '',
    }));
  });
}

it('code in the documents compiles', () => {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const found = blocks();
  expect(new Set(found.map(({ file }) => file)).size).toBe(found.length);
  for (const block of found) {
    mkdirSync(dirname(join(out, block.file)), { recursive: true });
    writeFileSync(join(out, block.file), `${block.text}\nexport {};\n`);
  }
  writeFileSync(
    join(out, 'tsconfig.json'),
    JSON.stringify({
      extends: '../../test/tsconfig.json',
      include: ['**/*.ts'],
      references: [],
      compilerOptions: {
        composite: false,
        incremental: false,
        declaration: false,
        declarationMap: false,
        emitDeclarationOnly: false,
        noEmit: true,
        rootDir: '../..',
        noUnusedLocals: false,
      },
    }),
  );
  let errors = '';
  try {
    execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', out, '--pretty', 'false'], {
      cwd: root,
      encoding: 'utf8',
      stdio: 'pipe',
    });
  } catch (error) {
    // The sources have a check of their own, and know nothing of the game a block declares (`Register`), as built ones do.
    errors = String((error as { stdout?: string }).stdout ?? error).replaceAll(/^sdk\/.*\n(?:\s.*\n)*/gmu, '');
    for (const block of found) errors = errors.replaceAll(`.cache/docs/${block.file}`, block.source);
  }
  expect(found.length).toBeGreaterThan(0);
  expect(errors).toBe('');
}, 60_000);
