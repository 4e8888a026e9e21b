/**
 * One member of a room for the labs about membership: a process that opens the LAN as a game does, and
 * then joins, marks and leaves as it is told, line by line, on its standard input. In a room it owns one
 * entity and counts it up ten times a second.
 *
 *     in   {"do":"join","name":"lab","at":0}   joinOrCreate at this moment (0 is now); leaves the last room first
 *          {"do":"mark","value":7}             assigns a field of its entity that nothing else changes
 *          {"do":"measure"}                    measures from now on how long any counter stands still
 *          {"do":"alter","value":0.3}          alters this share of what it carries for others
 *     out  {"at":"ready"}                      the LAN is open
 *          {"at":"joined", …}                  after each join
 *          {"at":"view", …}                    what it sees: at each change, and each half second
 *
 * `t` is on the machine's one clock, so lines of all peers compare.
 */
import { createInterface } from 'node:readline';
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { defineGame, entity, s } from 'lanista';
import type { Room } from 'lanista';
import { openNodeLanPort } from 'lanista/node';
import type { LanPort } from 'lanista/node';
import { Relay } from '../../sdk/mesh/relay.ts';
import type { OpenRequest } from '../../sdk/port/lan-port.ts';
import type { RoomPort } from '../../sdk/port/port.ts';
import { createLan } from '../../sdk/room/lan.ts';

interface Command {
  readonly do: string;
  readonly name?: string;
  readonly at?: number;
  readonly value?: number;
}

// A member that reads what it carries, and alters it: the relay of the product, with a hostile hand on it.
const carried = { parts: 0, read: 0, altered: 0 };
let alteredShare = 0;
const forward = Relay.prototype.forward;
Relay.prototype.forward = function (part) {
  const next = forward.call(this, part);
  if (next === undefined) return next;
  carried.parts += 1;
  if (/m\d+ tag/u.test(Buffer.from(next.bytes).toString('latin1'))) carried.read += 1;
  if (Math.random() >= alteredShare) return next;
  carried.altered += 1;
  const bytes = next.bytes.slice();
  const at = Math.floor(Math.random() * bytes.length);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(Math.random() * 8));
  return { ...next, bytes };
};

/** How often it looks at what no event tells (ms). */
const LOOK_MS = 20;
const REPEAT_MS = 500;

const { values } = parseArgs({ options: { name: { type: 'string', default: 'member' } } });

const game = defineGame({
  id: 'lab-member',
  version: 1,
  presence: { name: s.text(24) },
  entities: { probe: entity({ authority: 'spawner', onOwnerLeave: 'despawn', fields: { tag: s.text(24), n: s.u32(), mark: s.u32() } }) },
  messages: {},
  requests: {},
});

function clock(): number {
  return performance.timeOrigin + performance.now();
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify({ name: values.name, t: clock(), ...line })}\n`);
}

/** The seat under the room: only it tells terms and epochs. */
let seat: RoomPort | undefined;
let room: Room<typeof game> | undefined;
let mark = (_value: number): void => undefined;
/** Per tag: the counter last seen, when it changed, and the longest time it stood still. */
const steady = new Map<string, { n: number; at: number; longestMs: number }>();

const port = await openNodeLanPort({ id: game.id, version: game.version, schemaHash: game.schemaHash });
const tapped: LanPort = new Proxy(port, {
  get(target, key) {
    if (key === 'open') return async (request: OpenRequest, signal?: AbortSignal) => (seat = await target.open(request, signal));
    const value: unknown = Reflect.get(target, key, target);
    return typeof value === 'function' ? value.bind(target) : value;
  },
});
const lan = createLan(game, tapped, { presence: { name: values.name }, randomU32: () => randomInt(2 ** 32) });

async function join(name: string, at: number): Promise<void> {
  await room?.leave();
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, at - clock())));
  const asked = clock();
  const joined = await lan.joinOrCreate({ name, max: 16 });
  room = joined;
  say({ at: 'joined', called: name, room: joined.id, ms: clock() - asked });
  const probe = joined.entities.spawn('probe', { tag: `${values.name} tag`, n: 0, mark: 0 });
  mark = (value) => void (probe.mark = value);
  const counting = joined.clock.every(10, () => {
    probe.n += 1;
  });
  const look = watch(joined, name);
  joined.on('host', look);
  joined.on('away', look);
  joined.on('back', look);
  joined.on('leave', look);
  joined.on('join', look);
  joined.on('merge', look);
  const looking = setInterval(look, LOOK_MS);
  joined.signal.addEventListener('abort', () => {
    clearInterval(looking);
    counting[Symbol.dispose]();
  });
}

function watch(of: Room<typeof game>, called: string): () => void {
  let last = '';
  let saidAt = 0;
  return () => {
    if (of.signal.aborted || seat === undefined) return;
    const roster = seat.roster();
    const present = roster.peers.filter((peer) => peer.status === 'present');
    const probes = [...of.entities.all('probe')].toSorted((a, b) => (a.tag < b.tag ? -1 : 1));
    const now = clock();
    for (const { tag, n } of probes) noteCount(now, tag, n);
    const view = {
      at: 'view',
      called,
      room: of.id,
      self: of.self.id,
      slot: of.self.slot,
      host: of.host,
      term: roster.term,
      termHost: roster.host,
      epoch: roster.epoch,
      present: present.length,
      relayed: present.filter((peer) => peer.via !== undefined).length,
      state: probes.map((one) => `${nameOf(one.tag)}=${one.mark}`).join(' '),
    };
    const text = JSON.stringify(view);
    if (text === last && now - saidAt < REPEAT_MS) return;
    last = text;
    saidAt = now;
    const counts = Object.fromEntries(probes.map((one) => [nameOf(one.tag), one.n]));
    const gaps = Object.fromEntries([...steady].map(([tag, { at, longestMs }]) => [nameOf(tag), Math.round(Math.max(longestMs, now - at))]));
    say({ ...view, counts, gaps, drops: of.stats().drops, carried });
  };
}

const nameOf = (tag: string): string => tag.split(' ')[0] ?? '';

function noteCount(now: number, tag: string, n: number): void {
  const known = steady.get(tag);
  if (known === undefined) steady.set(tag, { n, at: now, longestMs: 0 });
  else if (known.n !== n) {
    known.longestMs = Math.max(known.longestMs, now - known.at);
    known.n = n;
    known.at = now;
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void lan.close().then(() => process.exit(0)));
createInterface({ input: process.stdin })
  .on('line', (line) => {
    const command = JSON.parse(line) as Command;
    if (command.do === 'mark') mark(command.value ?? 0);
    else if (command.do === 'measure') steady.clear();
    else if (command.do === 'alter') alteredShare = command.value ?? 0;
    else if (command.do === 'join')
      join(command.name ?? 'lab', command.at ?? 0).catch((error: unknown) =>
        say({ at: 'failed', why: error instanceof Error ? error.message : String(error) }),
      );
  })
  .on('close', () => process.exit(0));
say({ at: 'ready' });
