/**
 * Lab `avahi`: an independent implementation of mDNS on the other host, with a message bus of its own. Passes
 * when avahi-browse resolves our advert to our address, with all its TXT keys and without this machine's name,
 * and drops it when the room closes; and when a room that only avahi-publish advertises is in our list.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lab } from './netns.ts';
import { bundleScript } from './parts/bundle.ts';
import { Peers, clock } from './parts/peers.ts';
import { LabProcess, ProcessGroup, sleep, until } from './process.ts';
import type { LabResult } from './run.ts';

const serviceType = '_lanista._udp';
const txtKeys = ['txtvers', 'v', 'id', 'g', 's'];
const gameId = 'lab-discovery';

/** Why this lab cannot run here, beyond what every lab needs. */
export function avahiUnavailable(): string | undefined {
  const missing = ['avahi-daemon', 'avahi-browse', 'avahi-publish', 'dbus-daemon'].filter(
    (tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).error !== undefined,
  );
  return missing.length === 0 ? undefined : `no ${missing.join(', ')} on this machine`;
}

export async function lab(): Promise<LabResult> {
  const reason = avahiUnavailable();
  if (reason !== undefined) throw new Error(reason);
  using bundle = await bundleScript('test/lab/discovery-peer.ts');
  using network = new Lab(2);
  await using held = new ProcessGroup();
  await using peers = new Peers(network, bundle);
  const folder = mkdtempSync(join(tmpdir(), 'lanista-avahi-'));
  try {
    const bus = `unix:path=${folder}/bus`;
    writeFileSync(join(folder, 'bus.conf'), busConfig(bus));
    writeFileSync(join(folder, 'avahi.conf'), avahiConfig);
    const place = { lab: network, host: network.host(1) };
    const run = (...argv: readonly string[]): LabProcess => held.use(new LabProcess(argv, place, { DBUS_SYSTEM_BUS_ADDRESS: bus }));
    const busDaemon = run('dbus-daemon', '--nofork', '--print-address', `--config-file=${folder}/bus.conf`);
    await busDaemon.waitFor(/unix:path/u, 10_000);
    const daemon = run('avahi-daemon', '--no-drop-root', '--no-chroot', '--no-rlimits', '-f', join(folder, 'avahi.conf'));
    await daemon.waitFor(/startup complete/u, 10_000);
    const browse = run('avahi-browse', '--resolve', '--parsable', serviceType);
    const ours = await peers.start(network.host(0));
    const published = await peers.start(network.host(1));
    await sleep(500);

    // avahi sees us.
    await ours.call({ do: 'open', lan: { discovery: { beacon: false, local: false } } });
    const created = await ours.call({ do: 'create', name: 'ours' });
    const lineOf = (mark: string): string | undefined =>
      browse.output.split('\n').find((one) => one.startsWith(mark) && one.includes(serviceType) && !one.includes('foreign'));
    const line = await until('our advert in avahi-browse', 15_000, () => lineOf('='), 5);
    const seenMs = Math.round(clock() - created.t);

    // We see what avahi says: this room has no discovery of its own, and we no beacon.
    const { joinPort } = await published.call<{ joinPort: number }>({ do: 'open', lan: { discovery: { mdns: false, beacon: false, local: false } } });
    await published.call({ do: 'create', name: 'published by avahi' });
    await ours.call({ do: 'watch' });
    const publish = run(
      'avahi-publish',
      '--service',
      'foreign',
      serviceType,
      String(joinPort),
      'txtvers=1',
      'v=1',
      'id=aaaabbbbccccdddd',
      `g=${gameId}`,
      's=00000000',
    );
    await publish.waitFor(/Established/u, 10_000);
    const established = clock();
    const foundMs = await ours.seen('the room of avahi-publish', established, 10_000, (rooms) =>
      rooms.some((room) => room.name === 'published by avahi'),
    );

    const left = await ours.call({ do: 'close' });
    await until('our advert to be gone from avahi-browse', 10_000, () => lineOf('-'), 5);
    const goneMs = Math.max(0, Math.round(clock() - left.t));

    const missing = txtKeys.filter((key) => !line.includes(`"${key}=`));
    const named = line.toLowerCase().includes(hostname().toLowerCase());
    const resolved = line.includes(network.host(0).address);
    return {
      lab: 'avahi',
      seen_ms: seenMs,
      missing_txt_keys: missing,
      host_name_on_air: named,
      resolved,
      found_from_avahi_publish_ms: Math.round(foundMs),
      gone_ms: goneMs,
      uncaught: ours.uncaught.length,
      pass: missing.length === 0 && !named && resolved && ours.uncaught.length === 0,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const avahiConfig = `[server]
host-name=stranger
use-ipv4=yes
use-ipv6=no
allow-interfaces=eth0
enable-dbus=yes
disallow-other-stacks=no
[publish]
publish-workstation=no
`;

/** A bus of its own, open to everybody in the lab: the machine's bus is not touched. */
function busConfig(address: string): string {
  return `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>${address}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/><allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/><allow receive_type="method_call"/><allow receive_type="signal"/><allow receive_type="method_return"/><allow receive_type="error"/><allow send_destination="*" eavesdrop="true"/></policy></busconfig>
`;
}
