/**
 * The demo's local process from the outside: its flags, its sentences, its exit codes. On loopback only.
 */
import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process';
import type * as fs from 'node:fs';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { watchNetwork } from '../demo-game/process/network-lines.ts';
import { phoneLines, severalNetworks } from '../demo-game/process/phones.ts';
import { LanError } from '../sdk/base/errors.ts';
import { putInPlace } from '../demo-game/process/page-files.ts';
import { builtFile, builtModule, scriptFlags } from './built.ts';

/** What the next moves of a folder are refused with. */
const held = vi.hoisted((): string[] => []);
vi.mock('node:fs', async (original) => {
  const real = await original<typeof fs>();
  const renameSync: typeof real.renameSync = (from, to) => {
    const code = held.shift();
    if (code !== undefined) throw Object.assign(new Error(code), { code });
    real.renameSync(from, to);
  };
  return { ...real, renameSync };
});

const root = fileURLToPath(new URL('..', import.meta.url));
const home = mkdtempSync(join(tmpdir(), 'chroma-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

const game = (flags: readonly string[]): string[] => [builtFile('demo-game/process/main.ts'), ...flags];

/** Runs the game; once `until` has been printed it gets Ctrl-C. */
function run(argv: readonly string[], until?: RegExp): Promise<Ended> {
  return end(spawn(process.execPath, argv, { cwd: root, env: { ...process.env, LANISTA_HOME: home } }), until);
}

function end(child: ChildProcessWithoutNullStreams, until?: RegExp): Promise<Ended> {
  return new Promise((resolve) => {
    let output = '';
    let asked = false;
    const read = (text: Buffer): void => {
      output += text.toString();
      if (until === undefined || asked || !until.test(output)) return;
      asked = true;
      child.kill('SIGINT');
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('close', (code) => resolve({ code, output }));
  });
}

const courtyard = join(root, 'demo-game/maps/courtyard.json');
const loopback = ['--no-open', '--interface', '127.0.0.1'];

/** Whether this machine gives a process a network of its own, with rules of its own, and lets it be somebody else there. */
const maySplit =
  spawnSync('unshare', ['-n', 'sh', '-c', 'echo 6000 >/proc/sys/net/ipv4/ip_unprivileged_port_start && setpriv --reuid 65534 --clear-groups true'])
    .status === 0;

describe('npm start', () => {
  it('explains its flags', async () => {
    const { code, output } = await run(game(['--help']));
    expect(code).toBe(0);
    for (const flag of ['--name', '--port', '--interface', '--phones', '--map', '--no-open', '--help']) expect(output).toContain(flag);
  });

  it('[BR34] says in words which phones it cannot serve', async () => {
    for (const [flags, words] of [
      [['--phones', '--dev'], /not with --dev/u],
      [['--phones', '--interface', '127.0.0.1', '--interface', '127.0.0.2'], /give --interface once/u],
    ] as const) {
      const { code, output } = await run(game(flags));
      expect([code, output]).toEqual([1, expect.stringMatching(words)]);
    }
    const several = severalNetworks(
      new LanError('bad-argument', 'This machine has several addresses: 10.0.0.2, 10.1.0.2.', { hint: 'With `interface`.' }),
    );
    expect(several.message).toBe('This machine has several addresses: 10.0.0.2, 10.1.0.2. Say which of them phones can reach, with --interface.');
  });

  it('[BR34] prints the link for phones only with --phones, after its own', async () => {
    const link = /play along at (http:\/\/127\.0\.0\.1:\d+\/#[\w-]{22})\n/u;
    const [phones, without] = await Promise.all([
      run(game([...loopback, '--port', '0', '--phones']), /Ctrl-C leaves/u),
      run(game([...loopback, '--port', '0']), /Ctrl-C leaves/u),
    ]);
    expect([phones.code, without.code, link.test(without.output)]).toEqual([0, 0, false]);
    expect(phones.output.indexOf('Chroma Rush is at')).toBeLessThan(phones.output.search(link));
  });

  it('[BR34] shows phones a code to scan, in black on white, where somebody can see it', async () => {
    const url = 'http://192.168.100.200:5297/#AAAAAAAAAAAAAAAAAAAAAA';
    const [first, warning, ...code] = await phoneLines(url, true);
    expect([first, warning]).toEqual([expect.stringContaining(url), expect.stringContaining('can read')]);
    expect(code.length).toBeLessThan(22);
    // A corner of the code: the frame of light, then a dark line around a light one.
    expect(code[2]).toContain('\u001B[97;40m██ ▄▄▄▄▄ █');
    expect((await phoneLines(url, false)).join('')).not.toContain('█');
  });

  it('refuses flags it does not know, in words', async () => {
    const { code, output } = await run(game(['--colour', 'red']));
    expect(code).toBe(1);
    expect(output).toMatch(/--colour[\s\S]*--help/u);
    expect(output).not.toContain('    at ');
  });

  it('refuses a map that nobody could play on, in words, before anything else', async () => {
    const file = (name: string, text: string): string => {
      writeFileSync(join(home, name), text);
      return join(home, name);
    };
    const slit = file('slit.json', '{ "name": "Slit", "walls": [[40, 20, 4, 4], [46, 20, 4, 4]] }');
    for (const [maps, words] of [
      [[join(home, 'none.json')], /--map .*none\.json: There is no such file\./u],
      [[home], /--map .*: It is a folder\./u],
      [[courtyard, slit], /The map .*slit\.json has a gap too narrow for a blob at cell 44, 20/u],
      [[file('long.json', ' '.repeat(20_000))], /The map .*long\.json is larger than 16 KiB\./u],
      [Array<string>(9).fill(courtyard), /--map may be given 8 times, and was 9 times\./u],
    ] as const) {
      const { code, output } = await run(game([...loopback, ...maps.flatMap((path) => ['--map', path])]));
      expect([code, output]).toEqual([1, expect.stringMatching(words)]);
      expect(output).not.toContain('    at ');
      expect(output).not.toContain('Building');
    }
  }, 60_000);

  it.each([['built'], ['--dev']])(
    'serves the maps that were brought to the page (%s)',
    async (how) => {
      const flags = [...loopback, '--port', '0', '--map', courtyard, ...(how === '--dev' ? ['--dev'] : [])];
      const child = spawn(process.execPath, game(flags), {
        cwd: root,
        env: { ...process.env, LANISTA_HOME: home, TMPDIR: mkdtempSync(join(home, 'tmp-')) },
      });
      const ended = end(child);
      const url = await new Promise<string>((resolve) => {
        let output = '';
        child.stdout.on('data', (text: Buffer) => {
          output += text.toString();
          const [found] = /http:\/\/127\.0\.0\.1:\d+\/\S*#\S+/u.exec(output) ?? [];
          if (found !== undefined) resolve(found);
        });
      });
      const answers = await Promise.all(['maps.json', ''].map((path) => fetch(new URL(`/${path}`, url))));
      const [served, page] = await Promise.all(answers.map((answer) => answer.text()));
      child.kill('SIGINT');
      const { code } = await ended;
      expect(new URL(url).searchParams.get('maps')).toBe('1');
      expect(JSON.parse(served!)).toEqual([{ name: 'Courtyard', walls: expect.arrayContaining([[44, 25, 8, 4]]) }]);
      expect(page).toContain('<title>Chroma Rush</title>');
      expect(code).toBe(0);
      const left = readdirSync(home)
        .filter((name) => name.startsWith('tmp-'))
        .flatMap((name) => readdirSync(join(home, name)));
      expect(
        left.filter((name) => name.startsWith('chroma-maps-')),
        'left behind',
      ).toEqual([]);
    },
    60_000,
  );

  it('says what to do when the port is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const { code, output } = await run(game([...loopback, '--port', String(port)]));
    server.close();
    expect(code).toBe(1);
    expect(output).toContain(`Port ${port} is taken: start with another one (--port ${port + 1})`);
    expect(output).not.toContain('    at ');
  }, 60_000);

  it.runIf(maySplit)(
    'starts where the system keeps the usual ports for itself',
    async () => {
      // What Windows does for Hyper-V; in a network of its own, as a user who may not bind there. All of it becomes one process, the game.
      const rules = 'echo 6000 >/proc/sys/net/ipv4/ip_unprivileged_port_start && ip link set lo up && exec "$@"';
      const user = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', process.execPath];
      const child = spawn('unshare', ['-n', 'sh', '-c', rules, 'sh', ...user, ...game(loopback)], { cwd: root });
      const { code, output } = await end(child, /Chroma Rush is at .*\n/u);
      expect(output).toMatch(/^ *Chroma Rush is at http:\/\/127\.0\.0\.1:\d+/mu);
      expect(output).not.toContain('    at ');
      expect(code).toBe(0);
    },
    60_000,
  );

  it('ends when the dev server gets no port', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const { code, output } = await run(game([...loopback, '--dev', '--port', String(port)]));
    server.close();
    expect(code).toBe(1);
    expect(output).toContain(`Port ${port} is already in use`);
  }, 60_000);

  it('says so when there is no such network', async () => {
    const { code, output } = await run(game(['--no-open', '--port', '0', '--interface', '192.0.2.77']));
    expect(code).toBe(1);
    expect(output).toContain('192.0.2.77');
    expect(output).not.toContain('    at ');
  }, 60_000);

  it('prints its address with the name, and leaves with 0 at Ctrl-C, two at a time on one machine', async () => {
    // From its sources, with the very words of `npm start`.
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: { start: string } };
    const [node, ...start] = scripts.start.split(' ');
    expect(node).toBe('node');
    const ready = /http:\/\/127\.0\.0\.1:\d+\/\?name=\w+#\S+/u;
    const both = await Promise.all(['Ann', 'Bo'].map((name) => run([...start, ...loopback, '--port', '0', '--name', name], ready)));
    for (const { code, output } of both) {
      expect(output).toMatch(ready);
      expect(code).toBe(0);
    }
  }, 90_000);
});

it('the terminal is told of rooms, and not by them what to do', async () => {
  const printed: string[] = [];
  const listed = { id: 'a', name: 'Ann\u001b[2J', players: 1, max: 8, locked: false, gameId: 'chroma-rush', reason: undefined };
  const fake = {
    watchRooms(onChange: (rooms: readonly object[]) => void) {
      onChange([listed]);
      return { [Symbol.dispose]: () => undefined };
    },
    open: () => Promise.resolve({ roster: () => ({ name: listed.name, peers: [] }), poll: () => undefined }),
  };
  using lan = watchNetwork(fake as never, 'chroma-rush', (line) => printed.push(line));
  await lan.open({} as never);
  expect(printed).toEqual(['Room “Ann[2J”: 1 of 8 players', 'You are in “Ann[2J”.']);
});

it('the terminal is told of a room that is gone by its whole name', () => {
  const printed: string[] = [];
  let tell: (rooms: readonly object[]) => void = () => undefined;
  const fake = {
    watchRooms(onChange: typeof tell) {
      tell = onChange;
      return { [Symbol.dispose]: () => undefined };
    },
  };
  using lan = watchNetwork(fake as never, 'chroma-rush', (line) => printed.push(line));
  void lan;
  tell([{ id: 'a', name: 'Ann: red', players: 1, max: 8, locked: false, gameId: 'chroma-rush', reason: undefined }]);
  tell([]);
  expect(printed).toEqual(['Room “Ann: red”: 1 of 8 players', 'Room “Ann: red” is gone.']);
});

it('the terminal calls no room gone in which one still plays', async () => {
  const printed: string[] = [];
  const events: object[] = [];
  let tell: (rooms: readonly object[]) => void = () => undefined;
  const fake = {
    watchRooms(onChange: typeof tell) {
      tell = onChange;
      return { [Symbol.dispose]: () => undefined };
    },
    open: () => Promise.resolve({ roster: () => ({ roomId: 'a', name: 'Ann', peers: [] }), poll: () => events.shift() }),
  };
  const listed = { id: 'a', name: 'Ann', players: 1, max: 8, locked: false, gameId: 'chroma-rush', reason: undefined };
  using lan = watchNetwork(fake as never, 'chroma-rush', (line) => printed.push(line));
  tell([listed]);
  const port = await lan.open({} as never);
  tell([]);
  expect(printed, 'all others left').toEqual(['Room “Ann”: 1 of 8 players', 'You are in “Ann”.']);
  events.push({ type: 'closed', reason: 'bye' });
  port.poll();
  tell([listed]);
  tell([]);
  expect(printed.slice(2), 'left, and then the others, too').toEqual(['Room “Ann”: 1 of 8 players', 'Room “Ann” is gone.']);
});

describe('a page that was built', () => {
  const place = join(home, 'page');
  const build = (name: string): string => {
    const folder = join(home, name);
    mkdirSync(folder);
    writeFileSync(join(folder, 'index.html'), name);
    return folder;
  };

  it('takes the place of the one before, whole', () => {
    putInPlace(build('first'), place);
    writeFileSync(join(place, 'left-over.js'), '');
    putInPlace(build('second'), place);
    expect(readFileSync(join(place, 'index.html'), 'utf8')).toBe('second');
    expect(readdirSync(home).filter((name) => name.startsWith('first') || name.startsWith('second'))).toEqual([]);
    expect(existsSync(join(place, 'left-over.js'))).toBe(false);
  });

  it.each(['EPERM', 'EACCES', 'EBUSY'])('gets into place although a virus scanner holds it for a moment (%s)', (code) => {
    const fresh = build(`scanned-${code}`);
    held.push(code, code, code);
    putInPlace(fresh, place);
    expect(held).toEqual([]);
    expect(readFileSync(join(place, 'index.html'), 'utf8')).toBe(`scanned-${code}`);
  });

  it('is one of two when two games build at once, and neither fails', async () => {
    const script = `
      import { mkdirSync, writeFileSync } from 'node:fs';
      import { putInPlace } from ${builtModule('demo-game/process/page-files.ts')};
      for (let i = 0; i < 300; i++) {
        const fresh = process.argv[1] + '-' + process.pid + '-' + i;
        mkdirSync(fresh);
        for (const name of ['index.html', 'a.js', 'b.js', 'c.js']) writeFileSync(fresh + '/' + name, 'x');
        putInPlace(fresh, process.argv[1]);
      }`;
    const race = join(home, 'race');
    const runs = [0, 1].map(
      () =>
        new Promise<Ended>((resolve) => {
          const child = spawn(process.execPath, [...scriptFlags(script), race], { cwd: root });
          let output = '';
          child.stderr.on('data', (text: Buffer) => (output += text.toString()));
          child.on('close', (code) => resolve({ code, output }));
        }),
    );
    for (const { code, output } of await Promise.all(runs)) expect({ code, output }).toEqual({ code: 0, output: '' });
    expect(readdirSync(race)).toHaveLength(4);
  });
});
