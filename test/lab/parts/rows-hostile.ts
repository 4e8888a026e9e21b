/** Rows about strangers on the network: floods of broken packets, amplification, and what a listener learns. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import dnsPacket from 'dns-packet';
import { Lab } from '../netns.ts';
import { sleep } from '../process.ts';
import { Capture, type CapturedPacket } from './capture.ts';
import { addAddresses, startStranger } from './hostile.ts';
import { Peers, clock, type Peer } from './peers.ts';
import type { Row } from './rows.ts';
import { ExtraLan } from './wiring.ts';

interface Load {
  readonly cpuMs: number;
  readonly rssBytes: number;
  readonly longestMs: number;
  readonly tickRatio: number;
}

interface Roster {
  readonly members: readonly { readonly id: string; readonly status: string }[];
}

const presentIn = (roster: Roster): number => roster.members.filter((member) => member.status === 'present').length;

const flood: Row = {
  name: 'T9',
  target: '100,000 mutated packets and question bombs on a process that plays: nothing uncaught, no block of 50 ms, < 20 MB, ticks kept, still found',
  async run(bundle) {
    const count = 100_000;
    using lab = new Lab(4);
    await using peers = new Peers(lab, bundle);
    const [victim, friend, newcomer] = (await peers.startAll(lab.hosts.slice(0, 3))) as [Peer, Peer, Peer];
    const { joinPort } = await victim.call<{ joinPort: number }>({ do: 'open' });
    await victim.call({ do: 'create', name: 'battered' });
    await victim.call({ do: 'watch' });
    await friend.call({ do: 'open' });
    await friend.call({ do: 'join', target: `${lab.host(0).address}:${joinPort}` });
    addAddresses(lab.host(3), 100);
    await using stranger = await startStranger(lab, lab.host(3));
    const victims = [{ host: lab.host(0).address, port: joinPort }];
    // The first packets of every kind cost their translation; a process that has run for a minute has paid it.
    await stranger.call({ do: 'mutate', count: 2_000, perSecond: 1_000, victims });
    await victim.call({ do: 'measure' });
    const before = await victim.call<Load>({ do: 'load' });
    await victim.call({ do: 'measure' });
    const sent = await stranger.call<{ sent: number; bytes: number; addresses: number }>({ do: 'mutate', count, perSecond: 4_000, victims });
    await stranger.call({ do: 'bombs', count: 20, perSecond: 10, victims });
    const after = await victim.call<Load>({ do: 'load' });
    const members = presentIn(await victim.call<Roster>({ do: 'roster' }));
    const found = await newcomer.call<{ firstMs: number | null }>({ do: 'find' });
    const grownMb = Math.round((after.rssBytes - before.rssBytes) / 1e5) / 10;
    return {
      packets: sent.sent,
      from_addresses: sent.addresses,
      uncaught: victim.uncaught.length + friend.uncaught.length,
      longest_block_ms: Math.round(after.longestMs),
      rss_grown_mb: grownMb,
      tick_ratio: Math.round(after.tickRatio * 1_000) / 1_000,
      cpu_us_per_packet: Math.round(((after.cpuMs - before.cpuMs) * 1_000) / count),
      members_present: members,
      found_after_ms: found.firstMs === null ? null : Math.round(found.firstMs),
      pass:
        victim.uncaught.length + friend.uncaught.length === 0 &&
        after.longestMs < 50 &&
        grownMb < 20 &&
        after.tickRatio > 0.95 &&
        members === 2 &&
        (found.firstMs ?? 9e9) <= 1_000,
    };
  },
};

/** The most that left within one second, and all bytes of it. */
function answers(packets: readonly CapturedPacket[], from: number, to: number): { readonly perSecond: number; readonly bytes: number } {
  const inside = packets.filter((packet) => packet.at >= from && packet.at < to);
  let perSecond = 0;
  for (const [index, packet] of inside.entries()) {
    let last = index;
    while (last + 1 < inside.length && inside[last + 1]!.at < packet.at + 1_000) last++;
    perSecond = Math.max(perSecond, last - index + 1);
  }
  return { perSecond, bytes: inside.reduce((sum, packet) => sum + packet.payload.length, 0) };
}

const amplifier: Row = {
  name: 'T10',
  target: 'packets of 1,500 questions, and 32 questions at one instant: <= 2 answers per second, bytes out <= 3 x bytes in',
  async run(bundle) {
    using lab = new Lab(2);
    await using peers = new Peers(lab, bundle);
    const victim = await peers.start(lab.host(0));
    addAddresses(lab.host(1), 31);
    await using stranger = await startStranger(lab, lab.host(1));
    const { joinPort } = await victim.call<{ joinPort: number }>({ do: 'open' });
    await victim.call({ do: 'create', name: 'quiet' });
    // Past its own announcements, which nobody asked for.
    await sleep(4_000);
    using capture = new Capture(lab, lab.host(0).switchPort);
    await capture.ready();
    const victims = [{ host: lab.host(0).address, port: joinPort }];
    const bombFrom = clock();
    const bombs = await stranger.call<{ bytes: number }>({ do: 'bombs', count: 20, perSecond: 10, victims });
    await sleep(1_500);
    const askFrom = clock();
    const once = await stranger.call<{ bytes: number; asked: number }>({ do: 'questions', count: 32 });
    await sleep(2_500);
    const stormFrom = clock();
    let stormBytes = 0;
    for (let i = 0; i < 30; i++) {
      stormBytes += (await stranger.call<{ bytes: number }>({ do: 'questions', count: 32 })).bytes;
      await sleep(100);
    }
    await sleep(1_500);
    const packets = (await capture.read()).filter(
      ({ from, fromPort, payload }) => from === lab.host(0).address && fromPort === 5_353 && (payload[2]! & 0x80) !== 0,
    );
    const bombed = answers(packets, bombFrom, askFrom);
    const asked = answers(packets, askFrom, stormFrom);
    const stormed = answers(packets, stormFrom, Number.POSITIVE_INFINITY);
    const figures = {
      bomb_answers_per_s: bombed.perSecond,
      bomb_bytes_ratio: ratio(bombed.bytes, bombs.bytes),
      questions: once.asked,
      answers_per_s: asked.perSecond,
      bytes_ratio: ratio(asked.bytes, once.bytes),
      storm_answers_per_s: stormed.perSecond,
      storm_bytes_ratio: ratio(stormed.bytes, stormBytes),
    };
    const slow = Math.max(bombed.perSecond, asked.perSecond, stormed.perSecond) <= 2;
    const small = Math.max(figures.bomb_bytes_ratio, figures.bytes_ratio, figures.storm_bytes_ratio) <= 3;
    return { ...figures, uncaught: victim.uncaught.length, pass: slow && small && asked.perSecond >= 1 && victim.uncaught.length === 0 };
  },
};

function ratio(out: number, into: number): number {
  return Math.round((out / into) * 100) / 100;
}

const machine = 'SECRET-PC';
const user = 'bobmcsecret';

interface DnsRecord {
  readonly type: string;
  readonly name: string;
  readonly data: unknown;
}

const privacy: Row = {
  name: 'T12',
  target:
    '60 s of capture: neither the machine’s name, nor the user’s, nor the address of a container bridge; another instance name at each start; TXT <= 200 B',
  async run(bundle) {
    using lab = new Lab(3);
    using containers = new ExtraLan(lab, 'dock');
    containers.plug(lab.host(0), 'docker0', '172.17.0.1', 16);
    await using peers = new Peers(lab, bundle);
    const folder = mkdtempSync(join(tmpdir(), 'lanista-private-'));
    try {
      writeFileSync(join(folder, 'passwd'), `${user}:x:0:0:Bob:/home/${user}:/bin/sh\n`);
      const inside = `hostname ${machine} && mount --bind ${folder}/passwd /etc/passwd && exec "$@"`;
      const secret = await peers.start(lab.host(0), { USER: user, LOGNAME: user, HOSTNAME: machine }, [
        'unshare',
        '--mount',
        '--uts',
        'sh',
        '-c',
        inside,
        'sh',
      ]);
      const [member, watcher] = (await peers.startAll(lab.hosts.slice(1))) as [Peer, Peer];
      using capture = new Capture(lab, lab.host(0).switchPort);
      using others = new Capture(lab, lab.host(1).switchPort);
      await Promise.all([capture.ready(), others.ready()]);
      const startedAt = clock();
      const opened = await secret.call<{ joinPort: number; hostname: string; user: string }>({ do: 'open' });
      await secret.call({ do: 'create', name: 'private' });
      await secret.call({ do: 'watch' });
      await member.call({ do: 'open' });
      await member.call({ do: 'join', target: `${lab.host(0).address}:${opened.joinPort}` });
      await watcher.call({ do: 'open' });
      await watcher.call({ do: 'watch' });
      await sleep(30_000);
      await secret.call({ do: 'close' });
      await secret.call({ do: 'open' });
      await secret.call({ do: 'create', name: 'private again' });
      await secret.call({ do: 'watch' });
      await sleep(Math.max(0, startedAt + 60_000 - clock()));
      const all = Buffer.concat([await capture.bytes(), await others.bytes()]);
      const text = all.toString('latin1').toLowerCase();
      const bridge = Buffer.from([172, 17, 0, 1]);
      const names = new Set<string>();
      let txtBytes = 0;
      for (const packet of await capture.read()) {
        if (packet.fromPort !== 5_353 || packet.from !== lab.host(0).address) continue;
        const decoded = dnsPacket.decode(packet.payload) as unknown as { type: string; answers: DnsRecord[]; additionals: DnsRecord[] };
        if (decoded.type !== 'response') continue;
        for (const record of [...decoded.answers, ...decoded.additionals]) {
          if (record.type === 'PTR' && record.name === '_lanista._udp.local') names.add(String(record.data));
          if (record.type === 'TXT')
            txtBytes = Math.max(
              txtBytes,
              [record.data as Buffer[]].flat().reduce((sum, line) => sum + line.length + 1, 0),
            );
        }
      }
      const hidden = opened.hostname === machine && opened.user === user;
      const figures = {
        captured_bytes: all.length,
        machine_name_seen: text.includes(machine.toLowerCase()),
        user_name_seen: text.includes(user),
        bridge_address_seen: text.includes('172.17.') || all.includes(bridge),
        instance_names: names.size,
        txt_bytes: txtBytes,
      };
      const silent = !figures.machine_name_seen && !figures.user_name_seen && !figures.bridge_address_seen;
      return { ...figures, pass: hidden && silent && names.size === 2 && txtBytes > 0 && txtBytes <= 200 };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

export const hostileRows: readonly Row[] = [flood, amplifier, privacy];
