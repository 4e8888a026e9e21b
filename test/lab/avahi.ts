/**
 * Lab `avahi`: an independent implementation of mDNS on the other host. Passes when avahi-browse
 * resolves our advert to our address, with all its TXT keys and without this machine's name.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Members } from './members.ts';
import { Lab } from './netns.ts';
import { LabProcess, ProcessGroup, sleep, until } from './process.ts';
import type { LabResult } from './run.ts';

const serviceType = '_lanista._udp';
const txtKeys = ['txtvers', 'v', 'id', 'g', 's'];

export async function lab(): Promise<LabResult> {
  for (const tool of ['avahi-daemon', 'avahi-browse', 'dbus-daemon']) {
    if (spawnSync(tool, ['--version'], { stdio: 'ignore' }).error !== undefined) throw new Error(`this lab needs the command ${tool}`);
  }
  using network = new Lab(2);
  await using held = new ProcessGroup();
  const folder = mkdtempSync(join(tmpdir(), 'lanista-avahi-'));
  try {
    const bus = `unix:path=${folder}/bus`;
    writeFileSync(join(folder, 'bus.conf'), busConfig(bus));
    writeFileSync(join(folder, 'avahi.conf'), avahiConfig);
    const place = { lab: network, host: network.host(1) };
    const environment = { DBUS_SYSTEM_BUS_ADDRESS: bus };
    held.use(new LabProcess(['dbus-daemon', '--nofork', `--config-file=${folder}/bus.conf`], place));
    await sleep(500);
    const daemon = held.use(
      new LabProcess(['avahi-daemon', '--no-drop-root', '--no-chroot', '--no-rlimits', '-f', join(folder, 'avahi.conf')], place, environment),
    );
    await daemon.waitFor(/startup complete/u, 10_000);

    await using members = new Members(network);
    const startedAt = performance.now();
    members.start(0);
    const browse = held.use(new LabProcess(['avahi-browse', '--resolve', '--parsable', serviceType], place, environment));
    const line = await until('our advert in avahi-browse', 15_000, () =>
      browse.output.split('\n').find((one) => one.startsWith('=') && one.includes(serviceType)),
    );
    const seenMs = Math.round(performance.now() - startedAt);
    const missing = txtKeys.filter((key) => !line.includes(`"${key}=`));
    const named = line.toLowerCase().includes(hostname().toLowerCase());
    return {
      lab: 'avahi',
      seen_ms: seenMs,
      missing_txt_keys: missing,
      host_name_on_air: named,
      resolved: line.includes(network.host(0).address),
      pass: missing.length === 0 && !named && line.includes(network.host(0).address),
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
