/**
 * The shape of the project as a test: which layer may import which, how long a file may be, which
 * words are not used, what the bundles contain, and that README and rules tell the truth. Every
 * failure says what to do about it.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The layer table: folder of `sdk/` → folders it may import besides its own. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  base: [],
  wire: ['base'],
  secure: ['base', 'wire'],
  link: ['base', 'wire', 'secure'],
  port: ['base', 'wire'],
  mesh: ['base', 'wire', 'secure', 'link', 'port'],
  sync: ['base', 'wire', 'port'],
  room: ['base', 'wire', 'port', 'sync'],
  bridge: ['base', 'wire', 'port'],
  testing: ['base', 'wire', 'secure', 'link', 'mesh', 'port', 'sync', 'room', 'bridge'],
  node: ['base', 'wire', 'secure', 'link', 'mesh', 'port', 'sync', 'room', 'bridge', 'testing'],
  browser: ['base', 'wire', 'port', 'bridge', 'sync', 'room'],
  phaser: ['browser', 'room', 'base'],
  vite: ['node'],
};

/** Layers whose types, and only types, a layer may name besides. */
const mayName: Readonly<Record<string, readonly string[]>> = {
  link: ['port'],
  vite: ['port'],
};

/** The only packages each layer may import; layers that are not listed import none. */
const mayUse: Readonly<Record<string, readonly string[]>> = {
  wire: ['msgpackr', 'msgpackr/index-no-eval'],
  node: ['bonjour-service', 'multicast-dns', 'ws', 'commander', 'open', 'libsodium-wrappers', 'sodium-native'],
  phaser: ['phaser'],
  vite: ['vite'],
};
const platform = new Set(['node', 'vite']);

interface Source {
  readonly path: string;
  readonly text: string;
}

function tracked(...patterns: string[]): string[] {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '--', ...patterns], {
    cwd: root,
    encoding: 'utf8',
  });
  return [...new Set(listed.split('\0'))].filter((path) => path !== '' && existsSync(join(root, path)));
}

function sources(...patterns: string[]): Source[] {
  return tracked(...patterns).map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//gu, '').replace(/^\s*\/\/.*$/gmu, '');
}

function withoutTypeImports(text: string): string {
  return withoutComments(text).replace(/^(?:import|export) type\b[^;]*;$/gmu, '');
}

/** Module names a file imports or re-exports, without those only mentioned in comments. */
function importsOf(text: string): string[] {
  const code = withoutComments(text);
  const found = [
    ...code.matchAll(/(?:^|[;}\s])(?:import|export)\b[^'";`]*?from\s*['"]([^'"]+)['"]/gu),
    ...code.matchAll(/\bimport\s*\(?\s*['"]([^'"]+)['"]/gu),
  ];
  return found.map((match) => match[1] ?? '');
}

const sdk = sources('sdk/**/*.ts', 'sdk/*.ts');
const demo = sources('demo-game/**/*.ts');
const tests = sources('test/**/*.ts', 'test/*.ts');

describe('layers', () => {
  it('import only the layers below them', () => {
    const wrong: string[] = [];
    for (const { path, text } of sdk) {
      const layer = path.split('/')[1] ?? '';
      if (layer === 'index.ts') continue;
      const allowed = mayImport[layer];
      if (allowed === undefined) {
        wrong.push(`${path}: sdk/${layer} is no layer of the table; add it there with a reason`);
        continue;
      }
      const used = new Set(importsOf(withoutTypeImports(text)));
      for (const name of importsOf(text)) {
        if (name.startsWith('.')) {
          const target = relative(root, resolve(root, dirname(path), name)).split('/')[1] ?? '';
          const named = !used.has(name) && (mayName[layer] ?? []).includes(target);
          if (target !== layer && !named && !allowed.includes(target)) wrong.push(`${path}: ${layer} may not import ${target} (${name})`);
          if (!/\.(?:ts|json)$/u.test(name)) wrong.push(`${path}: write the import with its ending: ${name}.ts`);
        } else if (name.startsWith('node:')) {
          if (!platform.has(layer)) wrong.push(`${path}: ${name} is the platform's; only node and vite may use it`);
        } else if (!name.startsWith('lanista') && !(mayUse[layer] ?? []).includes(name)) {
          wrong.push(`${path}: ${layer} may not use the package ${name}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('demo uses the package by name, and its rules only `lanista`', () => {
    const wrong: string[] = [];
    for (const { path, text } of demo) {
      for (const name of importsOf(text)) {
        if (name.startsWith('.')) {
          const target = relative(root, resolve(root, dirname(path), name));
          if (!target.startsWith('demo-game/')) wrong.push(`${path}: import the SDK by name, not ${name}`);
          if (path.startsWith('demo-game/rules/') && !target.startsWith('demo-game/rules/'))
            wrong.push(`${path}: rules import only rules, not ${name}`);
        } else if (path.startsWith('demo-game/rules/') && name !== 'lanista') {
          wrong.push(`${path}: rules may import \`lanista\` only, not ${name}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('have no import cycle between files', () => {
    const graph = new Map(
      sdk.map(({ path, text }) => [
        path,
        importsOf(withoutTypeImports(text))
          .filter((name) => name.startsWith('.'))
          .map((name) => relative(root, resolve(root, dirname(path), name))),
      ]),
    );
    const state = new Map<string, 'open' | 'done'>();
    const cycles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (state.get(path) === 'done') return;
      if (state.get(path) === 'open') {
        cycles.push([...trail.slice(trail.indexOf(path)), path].join(' → '));
        return;
      }
      state.set(path, 'open');
      for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
      state.set(path, 'done');
    };
    for (const path of graph.keys()) visit(path, []);
    expect(cycles).toEqual([]);
  });
});

describe('bundles', () => {
  for (const [entry, file] of [
    ['lanista', 'sdk/index.ts'],
    ['lanista/browser', 'sdk/browser/index.ts'],
  ] as const) {
    it(`of ${entry} hold nothing of Node`, async () => {
      const output = await build({
        root,
        configFile: false,
        logLevel: 'silent',
        resolve: { conditions: ['@lanista/source', 'browser', 'import', 'module', 'default'] },
        build: {
          write: false,
          minify: false,
          lib: { entry: join(root, file), formats: ['es'], fileName: 'bundle' },
          rollupOptions: { external: /^node:/u },
        },
      });
      const parts = (Array.isArray(output) ? output : [output]).flatMap((one) => ('output' in one ? one.output : []));
      const code = parts.map((part) => ('code' in part ? part.code : '')).join('\n');
      expect(code.length).toBeGreaterThan(100);
      expect(code.match(/['"]node:[a-z/_]+['"]/gu) ?? [], 'a module of Node got into the page').toEqual([]);
      expect(code.match(/__vite-browser-external/gu) ?? [], 'a module of Node was replaced by an empty one').toEqual([]);
      expect(code.match(/\bnew Function\b|\beval\(/gu) ?? [], 'a page with a strict content policy cannot run this').toEqual([]);
    });
  }
});

describe('files', () => {
  const all = [...sdk, ...demo, ...tests];

  it('are at most 500 lines', () => {
    const long = all
      .filter(({ text }) => text.split('\n').length > 501)
      .map(({ path, text }) => `${path}: ${text.split('\n').length} lines; split it by what it holds`);
    expect(long).toEqual([]);
  });

  it('are named by the noun they hold', () => {
    const wrong = all
      .map(({ path }) => path)
      .filter((path) => /(?:^|[/-])(?:utils?|helpers?|common|managers?|services?|misc|stuff)(?:[-.]|$)/u.test(path.split('/').pop() ?? ''));
    const folders = all.map(({ path }) => path).filter((path) => /[A-Z_]/u.test(path));
    expect([...wrong, ...folders], 'kebab-case, and a noun that says what is inside').toEqual([]);
  });

  it('open by saying what they own', () => {
    const silent = sdk.filter(({ text }) => !/^(?:#![^\n]*\n|\/\/\/[^\n]*\n)*\/\*\*/u.test(text)).map(({ path }) => path);
    expect(silent, 'begin the file with a comment: what it owns, and why it exists').toEqual([]);
  });

  it('use the words of the project', () => {
    const banned: readonly (readonly [RegExp, string])[] = [
      [/\b(?:TODO|FIXME|XXX|HACK)\b(?!psk)/u, 'finish it, or write it down in an issue'],
      [/\b(?:function|const|get|readonly)\s+get[A-Z]\w*/u, 'no `get` prefix: name the thing itself'],
      [/^\s{2}(?:async\s+)?get[A-Z]\w*\(/mu, 'no `get` prefix: name the thing itself'],
      [/^\s*(?:export\s+)?(?:enum|namespace)\s/mu, 'not erasable: use a union or a module'],
    ];
    const wrong = [...sdk, ...demo].flatMap(({ path, text }) =>
      banned.filter(([word]) => word.test(text)).map(([word, advice]) => `${path}: ${word.exec(text)?.[0].trim()}: ${advice}`),
    );
    expect(wrong).toEqual([]);
  });

  it('keep the console out of the sans-IO layers, and clocks and chance with it', () => {
    const wrong: string[] = [];
    for (const { path, text } of sdk) {
      if (/^sdk\/(?:node|browser|phaser|vite)\//u.test(path)) continue;
      const code = text.replace(/\/\*[\s\S]*?\*\//gu, '').replace(/\/\/.*$/gmu, '');
      for (const match of code.matchAll(
        /\bconsole\.|\bMath\.random\b|\bDate\.now\b|\bnew Date\b|\bperformance\.now\b|\bset(?:Timeout|Interval)\(|\bBuffer\.|\bglobalThis\.crypto\b/gu,
      ))
        wrong.push(`${path}: ${match[0]}`);
    }
    expect(wrong, 'time is `now`, chance is Rng, crypto is the provider; all of them come in').toEqual([]);
  });

  it('hold no path of anybody’s machine and no address of a registry', () => {
    const pattern = new RegExp(['/(?:home|Users)/[a-z]', '/wor' + 'k/', '/ro' + 'ot/', 'regis' + 'try\\.npm', '_author' + 'ity='].join('|'), 'u');
    const text = sources('*.ts', '*.json', '*.md', '*.yml', '.ci/*', '.github/**', '.npmrc').filter(
      ({ path }) => path !== 'test/architecture.test.ts',
    );
    const wrong = text.flatMap(({ path, text: body }) => {
      const match = pattern.exec(body);
      return match === null ? [] : [`${path}: ${match[0]}`];
    });
    expect(wrong).toEqual([]);
  });
});

describe('package', () => {
  it('locks versions without the address of a registry', () => {
    const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
    expect(lock.match(/"resolved": "https?:/gu) ?? []).toEqual([]);
  });

  it('has an entry in `exports` for each of its sources', () => {
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: Record<string, string | Record<string, string>> };
    const missing = Object.values(manifest.exports)
      .flatMap((target) => (typeof target === 'string' ? [] : [target['@lanista/source'] ?? '']))
      .filter((path) => !existsSync(join(root, path)));
    expect(missing).toEqual([]);
  });
});

describe('documents', () => {
  it('README draws the tree as it is', () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8');
    const block = /```text tree\n([\s\S]*?)```/u.exec(readme)?.[1] ?? '';
    const drawn: string[] = [];
    const trail: string[] = [];
    for (const line of block.split('\n')) {
      const match = /^( *)([\w.-]+\/?)(?:\s|$)/u.exec(line);
      if (match === null) continue;
      const depth = (match[1] ?? '').length / 2;
      trail.length = depth;
      trail.push((match[2] ?? '').replace(/\/$/u, ''));
      drawn.push(trail.join('/'));
    }
    expect(drawn.length, 'README needs a block ```text tree').toBeGreaterThan(10);
    expect(
      drawn.filter((path) => !existsSync(join(root, path))),
      'drawn, but not there',
    ).toEqual([]);
    const folders = ['sdk', 'demo-game', 'test'].flatMap((top) =>
      readdirSync(join(root, top), { withFileTypes: true })
        .filter((item) => item.isDirectory() && !/^(?:dist.*|out)$/u.test(item.name) && tracked(`${top}/${item.name}/`).length > 0)
        .map((item) => `${top}/${item.name}`),
    );
    expect(
      folders.filter((path) => !drawn.includes(path)),
      'there, but not drawn',
    ).toEqual([]);
  });

  it('links inside the documents lead somewhere', () => {
    const wrong: string[] = [];
    for (const { path, text } of sources('*.md', 'docs/*.md')) {
      for (const [, target = ''] of text.matchAll(/\]\((?!https?:|#|mailto:)([^)\s#]+)[^)]*\)/gu)) {
        if (!existsSync(resolve(root, dirname(path), target))) wrong.push(`${path}: ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('every code that a LanError is said to carry is carried by one', () => {
    const errors = sdk.find(({ path }) => path === 'sdk/base/errors.ts')!.text;
    const codes = [...errors.matchAll(/^ {2}\| '([a-z-]+)'/gmu)].map((match) => match[1]!);
    expect(codes.length).toBeGreaterThan(15);
    const rest = sdk.filter(({ path }) => path !== 'sdk/base/errors.ts').map(({ text }) => withoutComments(text));
    expect(codes.filter((code) => !rest.some((text) => text.includes(`'${code}'`)))).toEqual([]);
  });

  it('every rule of spec.md is cited by a test, and every citation is a rule', () => {
    const spec = existsSync(join(root, 'docs/spec.md')) ? readFileSync(join(root, 'docs/spec.md'), 'utf8') : '';
    const ruled = [...spec.matchAll(/^- \*\*([A-Z]{2,3}\d+)\*\*/gmu)].map((match) => match[1] ?? '');
    const cited = new Set(
      tests
        .filter(({ path }) => path !== 'test/architecture.test.ts')
        .flatMap(({ text }) => [...text.matchAll(/\[([A-Z]{2,3}\d+)\]/gu)].map((match) => match[1] ?? '')),
    );
    expect(
      ruled.filter((id, at) => ruled.indexOf(id) !== at),
      'one id, one rule',
    ).toEqual([]);
    expect(
      ruled.filter((id) => !cited.has(id)),
      'rules without a test',
    ).toEqual([]);
    expect(
      [...cited].filter((id) => !ruled.includes(id)),
      'citations without a rule',
    ).toEqual([]);
  });
});
