/**
 * What the doctor says about what was measured. Pure: facts in, checks out, so every sentence is tested.
 */
import { describeSendError } from '../discovery/words.ts';
import { fail, firewallFix, ok, warn, type Check, type DoctorFacts, type InterfaceFacts } from './doctor-facts.ts';
import { checkOthers } from './doctor-others.ts';

function checkInterfaces(facts: DoctorFacts): Check[] {
  const nics = facts.interfaces.map((one) => one.nic);
  const list = nics.map((nic) => `${nic.name} ${nic.address} (${nic.kind})`).join(', ');
  if (nics.length === 0) {
    return facts.onlyIpv6
      ? [fail('interfaces', 'Only IPv6 addresses are up; rooms are found over IPv4.', 'Turn IPv4 on, or let the router give out IPv4 addresses.')]
      : [fail('interfaces', 'No network interface is up.', 'Connect to a network; players on this machine still find each other.')];
  }
  if (facts.isWsl)
    return [warn('interfaces', `This is WSL: LAN packets do not reach it (${list}).`, 'Run the game on Windows itself, or join by address.')];
  if (nics.every((nic) => nic.kind === 'loopback'))
    return [warn('interfaces', `Only loopback is in use (${list}).`, 'Connect to a network to play with other machines.')];
  if (nics.every((nic) => nic.kind === 'virtual' || nic.kind === 'loopback'))
    return [warn('interfaces', `Only tunnels or virtual adapters are up (${list}).`, 'Connect to Wi-Fi or a cable.')];
  if (nics.every((nic) => nic.kind !== 'lan' && nic.kind !== 'public'))
    return [warn('interfaces', `No address from a router (${list}).`, 'It works among machines on one switch; otherwise check the router.')];
  if (facts.isContainer && nics.every((nic) => /^172\.(1[6-9]|2\d|3[01])\./.test(nic.address)))
    return [warn('interfaces', `This looks like a container (${list}).`, 'Run it with host networking, or join by address.')];
  return [ok('interfaces', `In this order: ${list}.`)];
}

function checkRoute(facts: DoctorFacts): Check[] {
  const { defaultRoute } = facts;
  if (defaultRoute === undefined) return [ok('route', 'No default route; none is needed on a LAN.')];
  if (!facts.defaultRouteIsVirtual) return [ok('route', `The default route is on ${defaultRoute}.`)];
  return [
    warn(
      'route',
      `A tunnel or VPN (${defaultRoute}) owns the default route; we still send on the LAN.`,
      'If nobody is found, allow "local network access" in the VPN, or pause it.',
    ),
  ];
}

function checkInterface(facts: DoctorFacts, one: InterfaceFacts): Check[] {
  const { name } = one.nic;
  const firewall = firewallFix(facts.platform, facts.nodePath);
  const checks: Check[] = [];
  const blocked = !one.multicastEcho && !one.broadcastEcho && !one.unicastEcho;
  if (blocked) {
    const code = one.unicastError ?? one.broadcastError ?? one.multicastError;
    const why =
      code === undefined
        ? `UDP sent on ${name} does not come back: UDP is blocked on this machine.`
        : `UDP is blocked on ${name}. ${describeSendError(code, name, facts.platform)}`;
    return [fail(`udp:${name}`, why, firewall)];
  }
  const wasSent = one.multicastError === undefined && one.broadcastError === undefined && facts.mdnsBindError === undefined;
  // What goes to our own address takes the way through loopback, which firewalls leave open.
  if (one.unicastEcho && !one.multicastEcho && !one.broadcastEcho && wasSent)
    return [
      fail(`udp-in:${name}`, `Nothing that comes from the network by UDP is let in on ${name}: a firewall on this machine blocks it.`, firewall),
    ];
  if (!one.unicastEcho) checks.push(fail(`unicast:${name}`, `Unicast UDP to ${one.nic.address} does not arrive.`, firewall));
  else checks.push(ok(`unicast:${name}`, `Unicast UDP works on ${name}.`));
  if (one.multicastError !== undefined)
    checks.push(
      warn(
        `multicast:${name}`,
        `Multicast cannot be sent. ${describeSendError(one.multicastError, name, facts.platform)}`,
        'Allow UDP to 224.0.0.251 port 5353; rooms are still found by broadcast and by address.',
      ),
    );
  else if (facts.mdnsBindError === undefined && !one.multicastEcho)
    checks.push(warn(`multicast:${name}`, `Multicast sent on ${name} is not heard: incoming mDNS is blocked on this machine.`, firewall));
  else if (one.multicastEcho) checks.push(ok(`multicast:${name}`, `Multicast leaves and comes in on ${name}.`));
  if (one.broadcastError !== undefined)
    checks.push(
      warn(
        `broadcast:${name}`,
        `Broadcast cannot be sent. ${describeSendError(one.broadcastError, name, facts.platform)}`,
        'Allow UDP to port 29797; rooms are still found by mDNS and by address.',
      ),
    );
  else if (!one.broadcastEcho) checks.push(warn(`broadcast:${name}`, `Broadcast sent on ${name} is not heard.`, firewall));
  else checks.push(ok(`broadcast:${name}`, `Broadcast leaves and comes in on ${name}.`));
  if (one.mtu !== undefined)
    checks.push(
      one.mtu >= 1_280
        ? ok(`mtu:${name}`, `${name} carries packets of ${one.mtu} bytes.`)
        : warn(`mtu:${name}`, `${name} carries packets of ${one.mtu} bytes only.`, 'Raise its MTU to 1,280 or more, or use another interface.'),
    );
  return checks;
}

function checkPorts(facts: DoctorFacts): Check[] {
  const checks: Check[] = [];
  if (facts.mdnsBindError === undefined) checks.push(ok('mdns-port', 'UDP port 5353 is shared.'));
  else if (facts.mdnsBindError === 'EADDRINUSE')
    checks.push(
      fail(
        'mdns-port',
        `${facts.mdnsHolders.join(', ') || 'Another program'} holds UDP port 5353 for itself, so mDNS is off.`,
        `${facts.mdnsHolders.length > 0 ? 'End it' : 'Find it with "ss -ulnp sport = :5353" (or lsof, netstat -ano) and end it'}; rooms are still found by broadcast.`,
      ),
    );
  else
    checks.push(
      fail('mdns-port', `UDP port 5353 cannot be opened (${facts.mdnsBindError}).`, 'Check security software; rooms are still found by broadcast.'),
    );
  if (facts.beaconBindError !== undefined)
    checks.push(
      warn(
        'beacon-port',
        `UDP port ${facts.beaconPort} cannot be opened (${facts.beaconBindError}).`,
        'End the program that holds it, or others will not find this machine by broadcast.',
      ),
    );
  else checks.push(ok('beacon-port', `UDP port ${facts.beaconPort} is shared.`));
  if (facts.dataPortsFree < 2)
    checks.push(
      warn(
        'data-ports',
        `Of UDP ports 29798 to 29829 ${facts.dataPortsFree} are free; random ones are used, which a firewall rule may not cover.`,
        'Close other games on this machine.',
      ),
    );
  else checks.push(ok('data-ports', `${facts.dataPortsFree} of ${facts.dataPortsTotal} data ports are free.`));
  return checks;
}

function checkSystem(facts: DoctorFacts): Check[] {
  const checks: Check[] = [];
  if (Math.abs(facts.clockJumpMs) > 1_000)
    checks.push(
      warn(
        'clock',
        `The clock jumped by ${Math.round(facts.clockJumpMs)} ms while looking: it was set, or the machine slept.`,
        'Games go on by themselves; if it happens often, check time synchronisation.',
      ),
    );
  else checks.push(ok('clock', 'The clock is steady.'));
  if (facts.timerLateMs > 100)
    checks.push(warn('load', `Timers fire up to ${Math.round(facts.timerLateMs)} ms late: the machine is busy.`, 'Close other programs.'));
  if (!facts.socketHooked)
    checks.push(
      fail(
        'mdns-library',
        'This version of multicast-dns does not take our socket, so mDNS is off.',
        'Install the versions in the lock file (npm ci).',
      ),
    );
  checks.push(
    ok(
      'versions',
      Object.entries(facts.versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', '),
    ),
  );
  return checks;
}

/** Everything worth saying, in reading order. */
export function diagnose(facts: DoctorFacts): readonly Check[] {
  const own = [...checkInterfaces(facts), ...checkRoute(facts), ...facts.interfaces.flatMap((one) => checkInterface(facts, one))];
  const others = checkOthers(facts);
  return [
    ...own,
    ...checkPorts(facts),
    // Whoever is deaf hears nobody: that is no news.
    ...(own.some((check) => check.level === 'fail') ? others.filter((check) => check.id !== 'alone') : others),
    ...checkSystem(facts),
  ];
}

/** 0 when all is well, 1 with warnings, 2 with failures. */
export function exitCode(checks: readonly Check[]): 0 | 1 | 2 {
  if (checks.some((check) => check.level === 'fail')) return 2;
  return checks.some((check) => check.level === 'warn') ? 1 : 0;
}
