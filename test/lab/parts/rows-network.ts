/** Rows about networks as people have them: two LANs, a VPN, no route, no router, cables that come and go. */
import dnsPacket from 'dns-packet';
import { Lab } from '../netns.ts';
import { sleep } from '../process.ts';
import { Capture } from './capture.ts';
import { Peers, clock, type Peer, type SeenRoom } from './peers.ts';
import type { Row } from './rows.ts';
import { ExtraLan, onHost } from './wiring.ts';

const at = (host: string) => (rooms: readonly SeenRoom[]) => rooms.some((room) => room.address.startsWith(`${host}:`));

/** Both open a room and watch at one instant; ms until each sees the other, where it can be reached. */
async function meet(a: Peer, aHost: string, b: Peer, bHost: string, withinMs = 5_000): Promise<{ aSeesB: number; bSeesA: number }> {
  for (const [peer, name] of [
    [a, 'a'],
    [b, 'b'],
  ] as const) {
    await peer.call({ do: 'open' });
    await peer.call({ do: 'create', name });
  }
  const began = clock();
  await Promise.all([a, b].map((peer) => peer.call({ do: 'watch' })));
  const [aSeesB, bSeesA] = await Promise.all([a.seen(bHost, began, withinMs, at(bHost)), b.seen(aHost, began, withinMs, at(aHost))]);
  return { aSeesB: Math.round(aSeesB), bSeesA: Math.round(bSeesA) };
}

const twoLans: Row = {
  name: 'T4',
  target: 'a host on two LANs, with a container bridge: both LANs see it <= 1 s, each only its own address',
  async run(bundle) {
    using lab = new Lab(2);
    using second = new ExtraLan(lab, 'lan2');
    using containers = new ExtraLan(lab, 'dock');
    second.plug(lab.host(0), 'eth1', '10.92.1.10', 24);
    containers.plug(lab.host(0), 'docker0', '172.17.0.1', 16);
    const far = second.addHost('eth0', '10.92.1.20', 24);
    await using peers = new Peers(lab, bundle);
    const middle = await peers.start(lab.host(0));
    const near = await peers.start(lab.host(1));
    const other = await peers.start(far);
    using capture = new Capture(lab, lab.host(0).switchPort);
    await capture.ready();
    await middle.call({ do: 'open' });
    await middle.call({ do: 'create', name: 'middle' });
    const began = clock();
    await near.call({ do: 'open' });
    await near.call({ do: 'watch' });
    await other.call({ do: 'open' });
    await other.call({ do: 'watch' });
    const [nearMs, farMs] = await Promise.all([
      near.seen('the host on LAN 1', began, 5_000, at(lab.host(0).address)),
      other.seen('the host on LAN 2', began, 5_000, at('10.92.1.10')),
    ]);
    await sleep(3_000);
    const addresses = new Set<string>();
    for (const { payload } of (await capture.read()).filter((packet) => packet.toPort === 5_353 && packet.from === lab.host(0).address)) {
      const packet = dnsPacket.decode(payload) as unknown as { answers: DnsRecord[]; additionals: DnsRecord[] };
      for (const record of [...packet.answers, ...packet.additionals]) if (record.type === 'A') addresses.add(String(record.data));
    }
    const foreign = [...addresses].filter((address) => address !== lab.host(0).address);
    const pass = nearMs <= 1_000 && farMs <= 1_000 && foreign.length === 0 && addresses.size === 1;
    return {
      lan1_ms: Math.round(nearMs),
      lan2_ms: Math.round(farMs),
      addresses_advertised: addresses.size,
      foreign_addresses: foreign.length,
      pass,
    };
  },
};

interface DnsRecord {
  readonly type: string;
  readonly data: unknown;
}

const routes: Row = {
  name: 'T5',
  target: 'default route on a tunnel; no default route; only 169.254 addresses: found both ways <= 1 s, nothing uncaught',
  async run(bundle) {
    const figures: Record<string, number> = {};
    let uncaught = 0;
    const tries: Record<string, (lab: Lab, tunnel: ExtraLan) => readonly [string, string]> = {
      tunnel(lab, tunnel) {
        tunnel.plug(lab.host(0), 'wg0', '10.8.0.2', 24);
        onHost(lab.host(0), 'route', 'replace', 'default', 'dev', 'wg0');
        return [lab.host(0).address, lab.host(1).address];
      },
      no_route(lab) {
        for (const host of lab.hosts) onHost(host, 'route', 'del', 'default');
        return [lab.host(0).address, lab.host(1).address];
      },
      link_local(lab) {
        for (const host of lab.hosts) {
          onHost(host, 'addr', 'flush', 'dev', 'eth0');
          onHost(host, 'addr', 'add', `169.254.7.${10 + host.index}/16`, 'broadcast', '+', 'dev', 'eth0');
        }
        return ['169.254.7.10', '169.254.7.11'];
      },
    };
    for (const [name, change] of Object.entries(tries)) {
      using lab = new Lab(2);
      using tunnel = new ExtraLan(lab, 'tun');
      const [aHost, bHost] = change(lab, tunnel);
      await using peers = new Peers(lab, bundle);
      const [a, b] = (await peers.startAll()) as [Peer, Peer];
      const { aSeesB, bSeesA } = await meet(a, aHost, b, bHost);
      figures[`${name}_ms`] = Math.max(aSeesB, bSeesA);
      uncaught += a.uncaught.length + b.uncaught.length;
    }
    return { ...figures, uncaught, pass: Object.values(figures).every((ms) => ms <= 1_000) && uncaught === 0 };
  },
};

const cables: Row = {
  name: 'T6',
  target: 'interface up late, address changed, interface re-created: seen both ways <= 3 s after each',
  async run(bundle) {
    using lab = new Lab(2);
    const [moving, still] = [lab.host(0), lab.host(1)];
    lab.unplug(moving);
    await using peers = new Peers(lab, bundle);
    const [a, b] = (await peers.startAll()) as [Peer, Peer];
    for (const [peer, name] of [
      [a, 'moving'],
      [b, 'still'],
    ] as const) {
      await peer.call({ do: 'open' });
      await peer.call({ do: 'create', name });
      await peer.call({ do: 'watch' });
    }
    await sleep(4_000);
    const figures: Record<string, number> = {};
    const measure = async (name: string, address: string, change: () => void): Promise<void> => {
      const began = clock();
      change();
      const [others, own] = await Promise.all([
        b.seen(`${name}: the moving host`, began, 15_000, at(address)),
        a.seen(`${name}: the still host`, began, 15_000, at(still.address)),
      ]);
      figures[`${name}_seen_ms`] = Math.round(others);
      figures[`${name}_sees_ms`] = Math.round(own);
      await sleep(5_000);
    };
    await measure('late', moving.address, () => lab.replug(moving));
    const fresh = moving.address.replace(/\d+$/u, '99');
    await measure('readdressed', fresh, () => {
      onHost(moving, 'addr', 'flush', 'dev', 'eth0');
      onHost(moving, 'addr', 'add', `${fresh}/24`, 'broadcast', '+', 'dev', 'eth0');
      onHost(moving, 'route', 'replace', 'default', 'dev', 'eth0');
    });
    // Gone long enough that both have forgotten each other; then a new interface of the same name and address.
    lab.unplug(moving);
    await sleep(5_000);
    await measure('recreated', moving.address, () => lab.replug(moving));
    // Re-created between two looks: the address list never changed, but the group has to be joined again.
    await measure('replaced', moving.address, () => {
      lab.unplug(moving);
      lab.replug(moving);
    });
    const uncaught = a.uncaught.length + b.uncaught.length;
    return { ...figures, uncaught, pass: Object.values(figures).every((ms) => ms <= 3_000) && uncaught === 0 };
  },
};

export const networkRows: readonly Row[] = [twoLans, routes, cables];
