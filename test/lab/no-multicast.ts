/**
 * Lab `no-multicast`: multicast blocked in the switch, UDP port 5353 held by another program, sending to
 * it, or to all ports of discovery, refused by the system (EPERM). Passes when each is named as a degraded state within 2 s, a
 * peer is still found within 2 s where broadcast works, and joining by address works everywhere.
 */
import { bundleScript, type Bundle } from './parts/bundle.ts';
import { Peers, clock, type Peer } from './parts/peers.ts';
import { firewall } from './parts/wiring.ts';
import { Lab } from './netns.ts';
import { LabProcess, until } from './process.ts';
import type { LabResult } from './run.ts';

interface State {
  readonly level: string;
  readonly reasons: readonly string[];
}

interface Case {
  readonly name: string;
  /** What the reason has to say. */
  readonly words: RegExp;
  readonly found: boolean;
  prepare(lab: Lab): AsyncDisposable | undefined;
}

const holder = `const s=require('dgram').createSocket('udp4');s.bind({port:5353,exclusive:true},()=>console.log('held'));process.stdin.on('close',()=>process.exit()).resume()`;

const cases: readonly Case[] = [
  {
    name: 'switch_blocks',
    words: /^Multicast does not pass/u,
    found: true,
    prepare(lab) {
      lab.blockMatching('ip daddr 224.0.0.0/4');
      return undefined;
    },
  },
  {
    name: 'port_held',
    words: /another program holds UDP port 5353/u,
    found: true,
    prepare: (lab) => new LabProcess([process.execPath, '-e', holder], { lab, host: lab.host(1) }, {}, undefined, 'pipe'),
  },
  {
    name: 'output_refused',
    words: /firewall or a VPN kill switch/u,
    found: true,
    prepare(lab) {
      firewall(lab.host(1), { output: ['udp dport 5353 drop'] });
      return undefined;
    },
  },
  {
    // Broadcast too: nothing but an address is left.
    name: 'all_output_refused',
    words: /firewall or a VPN kill switch/u,
    found: false,
    prepare(lab) {
      firewall(lab.host(1), { output: ['udp dport { 5353, 29797 } drop'] });
      return undefined;
    },
  },
];

export async function lab(): Promise<LabResult> {
  using bundle = await bundleScript('test/lab/discovery-peer.ts');
  const results: Record<string, { readonly pass: boolean }> = {};
  for (const one of cases) results[one.name] = await measure(bundle, one);
  return { lab: 'no-multicast', ...results, pass: Object.values(results).every((result) => result.pass) };
}

async function measure(bundle: Bundle, one: Case) {
  using network = new Lab(2);
  const held = one.prepare(network);
  if (held instanceof LabProcess) await held.waitFor(/held/u, 10_000);
  try {
    await using peers = new Peers(network, bundle);
    const [quiet, subject] = (await peers.startAll()) as [Peer, Peer];
    const { joinPort } = await quiet.call<{ joinPort: number }>({ do: 'open' });
    await quiet.call({ do: 'create', name: 'quiet' });
    const began = clock();
    await subject.call({ do: 'open' });
    await subject.call({ do: 'watch' });
    const degraded = until('a degraded state', 8_000, async () => {
      const state = await subject.call<State>({ do: 'state' });
      const reason = state.reasons.find((words) => one.words.test(words));
      return state.level === 'degraded' && reason !== undefined ? { ms: Math.round(clock() - began), reason } : undefined;
    }).catch(() => undefined);
    const found = one.found ? await subject.seen('the quiet room', began, 8_000, (rooms) => rooms.length > 0).catch(() => null) : undefined;
    const state = await degraded;
    const joined = await subject.call<{ ms: number }>({ do: 'join', target: `${network.host(0).address}:${joinPort}` }).catch(() => undefined);
    const foundInTime = found === undefined || (found !== null && found <= 2_000);
    return {
      degraded_ms: state?.ms ?? null,
      reason: state?.reason ?? null,
      ...(found === undefined ? {} : { found_ms: found === null ? null : Math.round(found) }),
      join_by_address_ms: joined === undefined ? null : Math.round(joined.ms),
      uncaught: subject.uncaught.length,
      pass: state !== undefined && state.ms <= 2_000 && foundInTime && joined !== undefined && subject.uncaught.length === 0,
    };
  } finally {
    await held?.[Symbol.asyncDispose]();
  }
}
