/**
 * Lab `doctor`: networks with one thing wrong each, and `lanista doctor --json` on a host of them. Passes when
 * it names the cause and a fix each time, and nothing on a network where all is well.
 */
import { Lab, type LabHost } from './netns.ts';
import { bundleScript, type Bundle } from './parts/bundle.ts';
import { Peers } from './parts/peers.ts';
import { ExtraLan, firewall, onHost } from './parts/wiring.ts';
import { LabProcess } from './process.ts';
import type { LabResult } from './run.ts';

interface Said {
  readonly exitCode: number;
  readonly checks: readonly { readonly id: string; readonly level: string; readonly what: string; readonly fix: string }[];
}

/** Two hosts of the lab that see only each other: the doctor's, and a player's. */
interface Pair {
  readonly lab: Lab;
  readonly tunnel: ExtraLan;
  readonly doctor: LabHost;
  readonly player: LabHost;
}

interface Case {
  readonly name: string;
  /** Id of the check that must have something to say; `undefined` when all is well. */
  readonly check: RegExp | undefined;
  readonly words: RegExp;
  readonly exitCode: number;
  /** Whom the doctor is told to ask. */
  readonly probes?: boolean;
  /** Whether the other runs a doctor too, instead of a game. */
  readonly twoDoctors?: boolean;
  /** What goes on beside, and when it does. */
  prepare(pair: Pair): { readonly held: AsyncDisposable; readonly ready: Promise<unknown> } | undefined | void;
}

const nothing = (): void => undefined;

const cases: readonly Case[] = [
  { name: 'all_well', check: undefined, words: /a game\) answers 20 of 20 questions by UDP/u, exitCode: 0, probes: true, prepare: nothing },
  {
    name: 'two_doctors',
    check: undefined,
    words: /another doctor\) answers 20 of 20.*Datagrams of 1452 bytes arrive.*clock of .* agrees/su,
    exitCode: 0,
    twoDoctors: true,
    prepare: nothing,
  },
  {
    name: 'multicast_blocked_in_switch',
    check: /^multicast-filtered$/u,
    words: /the network filters multicast/u,
    exitCode: 1,
    prepare: ({ lab, doctor, player }) => {
      for (const host of [doctor, player]) lab.blockMatching(`iifname "${host.switchPort}" ip daddr 224.0.0.0/4`);
    },
  },
  {
    name: 'multicast_blocked_here',
    check: /^multicast:eth0$/u,
    words: /Multicast cannot be sent.*local firewall/u,
    exitCode: 1,
    prepare: ({ doctor }) => firewall(doctor, { output: ['ip daddr 224.0.0.0/4 drop'] }),
  },
  {
    name: 'port_held',
    check: /^mdns-port$/u,
    words: /node \(process \d+\) holds UDP port 5353 for itself/u,
    exitCode: 2,
    prepare: ({ lab, doctor }) => {
      const holder = `require('dgram').createSocket('udp4').bind({port:5353,exclusive:true},()=>console.log('held'));process.stdin.on('close',()=>process.exit()).resume()`;
      const held = new LabProcess([process.execPath, '-e', holder], { lab, host: doctor }, {}, undefined, 'pipe');
      return { held, ready: held.waitFor(/held/u, 10_000) };
    },
  },
  {
    name: 'udp_blocked_out',
    check: /^udp:eth0$/u,
    words: /UDP is blocked on eth0.*local firewall/u,
    exitCode: 2,
    prepare: ({ doctor }) => firewall(doctor, { output: ['meta l4proto udp drop'] }),
  },
  {
    name: 'udp_blocked_in',
    check: /^udp:eth0$/u,
    words: /UDP sent on eth0 does not come back: UDP is blocked on this machine/u,
    exitCode: 2,
    prepare: ({ doctor }) => firewall(doctor, { input: ['meta l4proto udp drop'] }),
  },
  {
    name: 'usual_firewall_here',
    check: /^udp-in:eth0$/u,
    words: /Nothing that comes from the network by UDP is let in on eth0: a firewall on this machine.*ufw allow/u,
    exitCode: 2,
    prepare: ({ doctor }) => firewall(doctor, { input: ['iifname != "lo" meta l4proto udp drop'] }),
  },
  {
    name: 'udp_blocked_between',
    check: /^silent:/u,
    words: /is announced on this network but does not answer.*client isolation/u,
    exitCode: 2,
    prepare: ({ lab, doctor, player }) => {
      for (const host of [doctor, player]) lab.blockMatching(`iifname "${host.switchPort}" ip daddr != 224.0.0.251 meta l4proto udp`);
    },
  },
  {
    name: 'firewall_there',
    check: /^probe$/u,
    words: /The machine of .* is there, but nothing answers by UDP.*firewall blocks UDP/u,
    exitCode: 2,
    probes: true,
    prepare: ({ player }) => firewall(player, { input: ['meta l4proto udp drop'] }),
  },
  {
    name: 'client_isolation',
    check: /^probe$/u,
    words: /no machine with that address can be reached on eth0.*client isolation/u,
    exitCode: 2,
    probes: true,
    prepare: ({ lab, doctor, player }) => lab.blockPair(doctor.index, player.index),
  },
  {
    name: 'tunnel_owns_route',
    check: /^route$/u,
    words: /A tunnel or VPN \(wg0\) owns the default route; we still send on the LAN.*pause it/u,
    exitCode: 1,
    prepare: ({ doctor, tunnel }) => {
      tunnel.plug(doctor, 'wg0', '10.8.0.2', 24);
      onHost(doctor, 'route', 'replace', 'default', 'dev', 'wg0');
    },
  },
];

/** Cases measured at the same time: each is some Node processes, and an echo waits half a second. */
const atOnce = 2;

export async function lab(args: readonly string[]): Promise<LabResult> {
  const wanted = cases.filter(({ name }) => args.length === 0 || args.includes(name));
  using player = await bundleScript('test/lab/discovery-peer.ts');
  using doctor = await bundleScript('sdk/node/cli/main.ts');
  const results: Record<string, { readonly pass: boolean }> = {};
  for (let from = 0; from < wanted.length; from += atOnce) {
    using network = new Lab(2 * atOnce);
    using tunnel = new ExtraLan(network, 'tun');
    network.partition(Array.from({ length: atOnce }, (_, at) => [2 * at, 2 * at + 1]));
    await Promise.all(
      wanted.slice(from, from + atOnce).map(async (one, at) => {
        const pair = { lab: network, tunnel, doctor: network.host(2 * at), player: network.host(2 * at + 1) };
        const beside = one.prepare(pair);
        await beside?.ready;
        results[one.name] = await measure({ player, doctor }, one, pair);
        await beside?.held[Symbol.asyncDispose]();
      }),
    );
  }
  return { lab: 'doctor', ...results, pass: Object.values(results).every((result) => result.pass) };
}

interface Bundles {
  readonly player: Bundle;
  readonly doctor: Bundle;
}

async function measure(bundles: Bundles, one: Case, { lab, doctor, player }: Pair) {
  await using peers = new Peers(lab, bundles.player);
  const startDoctor = (host: LabHost, ...flags: readonly string[]): LabProcess =>
    new LabProcess([process.execPath, bundles.doctor.path, 'doctor', '--json', ...flags], { lab, host });
  await using other = one.twoDoctors === true ? startDoctor(player, '--listen', '8') : undefined;
  if (other === undefined) {
    const peer = await peers.start(player);
    await peer.call({ do: 'open' });
    await peer.call({ do: 'create', name: 'Friday' });
  }
  await using said = startDoctor(doctor, ...(one.probes === true ? ['--probe', player.address] : []));
  const exitCode = await said.ended;
  let report: Said;
  try {
    report = JSON.parse(said.output) as Said;
  } catch {
    throw new Error(`${one.name}: the doctor ended with ${exitCode}:\n${said.output.slice(-1_000)}`);
  }
  // How busy the machine is that runs this lab is not its subject.
  const named = report.checks.filter((check) => check.level !== 'ok' && check.id !== 'load');
  const wantedCode = Math.max(one.exitCode, report.checks.some((check) => check.id === 'load') ? 1 : 0);
  const cause = one.check === undefined ? undefined : named.find((check) => one.check?.test(check.id));
  const text = (cause === undefined ? report.checks : [cause]).map((check) => `${check.what} ${check.fix}`).join('\n');
  const isNamed = one.check === undefined ? named.length === 0 : cause !== undefined && cause.fix !== '';
  const pass = isNamed && one.words.test(text) && exitCode === wantedCode && report.exitCode === exitCode;
  return {
    exit_code: exitCode,
    says: one.check === undefined ? 'all is well' : (cause?.what ?? null),
    ...(pass ? {} : { all: named.map((check) => `${check.id}: ${check.what}`) }),
    pass,
  };
}
