/**
 * `npm run bench -- link [--rounds N] [--count N]`: closed-loop round trip of 64 bytes between two
 * processes pinned to one core, over loopback. Contenders take turns within every round, so that a busy
 * machine is busy for all of them; ratios are taken within a round, then their median.
 */
import { fork, execFileSync, type ChildProcess } from 'node:child_process';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const CONTENDERS = ['dgram', 'link-none', 'link-native', 'link-wasm', 'link-node', 'ws'] as const;
const NOT_RUN = ['socket.io', 'Colyseus', 'node-datachannel', '@hyperswarm/secret-stream'];
const TARGETS: Readonly<Record<string, number>> = { 'link-none': 1.25, 'link-native': 1.6, 'link-node': 2.3 };

interface Sample {
  readonly p50: number;
  readonly p99: number;
  readonly cpuUs: number;
}

export async function bench(args: readonly string[]): Promise<object> {
  const { values } = parseArgs({
    args: [...args],
    options: { json: { type: 'boolean' }, rounds: { type: 'string', default: '7' }, count: { type: 'string', default: '3000' } },
  });
  const rounds = Math.min(50, Number(values.rounds));
  const count = Math.min(50_000, Number(values.count));
  const samples = new Map<string, Sample[]>(CONTENDERS.map((name) => [name, []]));
  const failed: string[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const name of CONTENDERS) {
      if (failed.includes(name)) continue;
      try {
        samples.get(name)!.push(await once(name, count));
      } catch {
        failed.push(name);
      }
    }
  }
  const base = samples.get('dgram')!;
  const results = CONTENDERS.filter((name) => !failed.includes(name)).map((name) => {
    const own = samples.get(name)!;
    const ratios = own.map((sample, i) => sample.p50 / base[i]!.p50).toSorted((a, b) => a - b);
    const ratio = round2(median(ratios));
    const target = TARGETS[name];
    return {
      name,
      p50Us: round2(median(own.map((s) => s.p50))),
      p99Us: round2(median(own.map((s) => s.p99))),
      callerCpuUs: round2(median(own.map((s) => s.cpuUs))),
      p50Ratio: ratio,
      ratioSpread: [round2(ratios[0]!), round2(ratios.at(-1)!)],
      ...(target === undefined ? {} : { target, pass: ratio <= target }),
    };
  });
  return {
    rounds,
    count,
    bytes: 64,
    pinned: hasTaskset,
    cores: cpus().length,
    load: loadavg()[0],
    results,
    failed,
    notRun: NOT_RUN,
    pass: failed.length === 0 && results.every((r) => !('pass' in r) || r.pass),
  };
}

const hasTaskset = ((): boolean => {
  try {
    execFileSync('taskset', ['-p', String(process.pid)], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

async function once(name: string, count: number): Promise<Sample> {
  const echo = child('echo', name);
  let caller: ChildProcess | undefined;
  try {
    const { port } = await told<{ port: number }>(echo);
    caller = child('call', name, String(port));
    await told(caller);
    const answer = told<Sample>(caller);
    caller.send({ count });
    return await answer;
  } finally {
    echo.kill();
    caller?.kill();
  }
}

function child(...args: readonly string[]): ChildProcess {
  const made = fork(fileURLToPath(new URL('./link-echo.ts', import.meta.url)), args, {
    execArgv: ['--conditions=@lanista/source', '--import', 'tsx'],
  });
  if (hasTaskset) execFileSync('taskset', ['-acp', String(cpus().length - 1), String(made.pid)], { stdio: 'ignore' });
  return made;
}

function told<T>(from: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('silent')), 20_000);
    from.once('message', (message) => {
      clearTimeout(timer);
      resolve(message as T);
    });
    from.once('exit', () => {
      clearTimeout(timer);
      reject(new Error('ended'));
    });
  });
}

const round2 = (value: number): number => Math.round(value * 100) / 100;
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
