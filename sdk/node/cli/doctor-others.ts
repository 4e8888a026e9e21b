/** What the doctor says about other machines: who answers, how well, and why somebody does not. Pure. */
import { MTU_FLOOR_BYTES } from '../../wire/limits.ts';
import { fail, firewallFix, ok, warn, type Check, type DoctorFacts } from './doctor-facts.ts';
import type { Neighbour } from './doctor-peer.ts';
import { plain } from './room-lines.ts';

/** Share of lost questions above which play is hurt: one of the doctor's twenty is chance. */
const LOSS_WORTH_TELLING = 0.05;
/** Clocks further apart than this, ms, are told; nothing depends on them. */
const CLOCK_WORTH_TELLING_MS = 2_000;

const ISOLATION =
  'a Wi-Fi that keeps its clients apart ("client isolation", "AP isolation", a guest network): turn that off in the router, use another network, or a cable';

export function checkOthers(facts: DoctorFacts): Check[] {
  const { rooms, neighbours } = facts;
  const checks: Check[] = [...checkProbe(facts), ...neighbours.flatMap(checkNeighbour), ...checkSilent(facts)];
  if (rooms.length > 0)
    checks.push(ok('rooms', `Rooms found: ${rooms.map((room) => `${plain(room.name)} (${plain(room.gameId)}) at ${room.address}`).join(', ')}.`));
  if (facts.interfaces.every((one) => one.nic.kind === 'loopback')) return checks;
  if (facts.mdnsHosts > 0)
    checks.push(ok('neighbours', `${facts.mdnsHosts} other ${facts.mdnsHosts === 1 ? 'machine was' : 'machines were'} heard by mDNS.`));
  else if (neighbours.length > 0)
    checks.push(
      warn(
        'multicast-filtered',
        'Other machines answer, but their announcements do not come through: the network filters multicast.',
        'Nothing to do: rooms are found by broadcast instead. A router setting called "IGMP snooping" or "multicast to unicast" may be the cause.',
      ),
    );
  else
    checks.push(
      warn(
        'alone',
        'No other machine was heard.',
        `Let somebody else run the game or "lanista doctor" now. If they do: the network may filter multicast and broadcast, or it is ${ISOLATION}. Compare addresses, and try to join by address.`,
      ),
    );
  return checks;
}

function checkNeighbour(one: Neighbour): Check[] {
  const who = `${one.address} (${one.kind === 'doctor' ? 'another doctor' : 'a game'})`;
  const lost = one.asked - one.answered;
  const checks: Check[] = [];
  if (one.answered === 0)
    checks.push(
      fail(
        `reach:${one.address}`,
        `${who} was heard, but answers no question any more.`,
        'Run the doctor again; if it stays so, a firewall or the network cuts UDP off.',
      ),
    );
  else if (lost > LOSS_WORTH_TELLING * one.asked)
    checks.push(
      warn(
        `reach:${one.address}`,
        `${who} answers ${one.answered} of ${one.asked} questions: the network loses data.`,
        'Go nearer to the router, use its 5 GHz network, or a cable.',
      ),
    );
  else
    checks.push(
      ok(
        `reach:${one.address}`,
        `${who} answers ${one.answered} of ${one.asked} questions by UDP${one.pingMs === undefined ? '' : `, in ${one.pingMs} ms`}.`,
      ),
    );
  if (one.largestBytes !== undefined)
    checks.push(
      one.largestBytes >= MTU_FLOOR_BYTES
        ? ok(`path-mtu:${one.address}`, `Datagrams of ${one.largestBytes} bytes arrive at ${one.address}.`)
        : warn(
            `path-mtu:${one.address}`,
            `Only datagrams of up to ${one.largestBytes} bytes arrive at ${one.address}; games send up to ${MTU_FLOOR_BYTES}.`,
            'Raise the MTU of the interface or tunnel between the two to 1,280 or more.',
          ),
    );
  if (one.clockAheadMs !== undefined) {
    const seconds = Math.round(Math.abs(one.clockAheadMs) / 100) / 10;
    const words =
      Math.abs(one.clockAheadMs) < CLOCK_WORTH_TELLING_MS ? 'agrees with ours' : `is ${seconds} s ${one.clockAheadMs > 0 ? 'ahead' : 'behind'}`;
    checks.push(ok(`clock:${one.address}`, `The clock of ${one.address} ${words}; games keep a time of their own.`));
  }
  return checks;
}

function checkSilent(facts: DoctorFacts): Check[] {
  return facts.silent.map((address) =>
    fail(
      `silent:${address}`,
      `${address} is announced on this network but does not answer: UDP between the two machines is blocked.`,
      `The cause is a firewall on that machine (there: ${firewallFix(facts.platform, 'the path of node')}), or ${ISOLATION}.`,
    ),
  );
}

function checkProbe(facts: DoctorFacts): Check[] {
  const { probe } = facts;
  if (probe === undefined) return [];
  if (probe.answered) return [ok('probe', `${probe.address} answers${probe.pingMs === undefined ? '' : ` in ${probe.pingMs} ms`}.`)];
  if (probe.subnet === undefined) {
    const own = facts.interfaces.map((one) => `${one.nic.address} (mask ${one.nic.netmask})`).join(', ');
    return [
      fail(
        'probe',
        `${probe.address} does not answer, and it is in another network than this machine: ${own || 'none'}.`,
        'Connect both machines to the same network: the same Wi-Fi name, or the same router.',
      ),
    ];
  }
  if (probe.linkLayer === 'silent')
    return [
      fail(
        'probe',
        `${probe.address} does not answer, and no machine with that address can be reached on ${probe.subnet} at all.`,
        `Check the address. If it is right, the machine is off, or the cause is ${ISOLATION}.`,
      ),
    ];
  if (probe.linkLayer === 'answers')
    return [
      fail(
        'probe',
        `The machine of ${probe.address} is there, but nothing answers by UDP.`,
        `Is it in a room, or does it run "lanista doctor"? Then its firewall blocks UDP. There: ${firewallFix(facts.platform, 'the path of node')}`,
      ),
    ];
  return [
    fail('probe', `${probe.address} does not answer.`, `Is the other player in a room? If so, the cause is a firewall there, or ${ISOLATION}.`),
  ];
}
