/**
 * One member of a room for the labs about membership: a Node process that joins (again and again, if
 * asked), owns one entity, changes it ten times a second, and says what it sees.
 *
 * Prints `{"at":"joined",…}` after each join and `{"at":"view",…}` whenever its view changes and at
 * least each half second. `t` is on the machine's one clock, so lines of all peers compare.
 */
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import { defineGame, entity, s } from 'lanista';
import type { Room } from 'lanista';
import { openLan } from 'lanista/node';

const { values } = parseArgs({
  options: {
    name: { type: 'string', default: 'member' },
    /** Wall-clock ms of the first join; 0 is at once. */
    start: { type: 'string', default: '0' },
    rounds: { type: 'string', default: '1' },
    periodMs: { type: 'string', default: '0' },
    freeze: { type: 'string', default: '0' },
  },
});
const rounds = Number(values.rounds);
const periodMs = Number(values.periodMs);

const game = defineGame({
  id: 'lab-member',
  version: 1,
  presence: { name: s.text(24) },
  entities: { probe: entity({ authority: 'spawner', onOwnerLeave: 'despawn', fields: { tag: s.text(24), n: s.u32() } }) },
  messages: {},
  requests: {},
});

function clock(): number {
  return performance.timeOrigin + performance.now();
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify({ name: values.name, t: Math.round(clock()), ...line })}\n`);
}

await using lan = await openLan(game, { presence: { name: values.name } });
for (let round = 0; round < rounds; round += 1) {
  const at = Number(values.start) + round * periodMs;
  await pause(Math.max(0, at - clock()));
  const asked = clock();
  const room = await lan.joinOrCreate({ name: rounds > 1 ? `round ${round}` : 'lab', max: 16 });
  say({ at: 'joined', round, ms: Math.round(clock() - asked), slot: room.self.slot });
  await play(room, round, rounds > 1 ? at + periodMs * 0.75 : Number.POSITIVE_INFINITY);
  await room.leave();
}

async function play(room: Room<typeof game>, round: number, until: number): Promise<void> {
  const probe = room.entities.spawn('probe', { tag: values.name, n: 0 });
  using ticking = room.clock.every(10, () => {
    if (values.freeze === '0') probe.n += 1;
  });
  void ticking;
  let last = '';
  let saidAt = 0;
  while (clock() < until && !room.signal.aborted) {
    const present = [...room.peers.values()].filter((peer) => peer.status === 'present');
    const probes = [...room.entities.all('probe')]
      .map((one) => `${one.tag}|${values.freeze === '0' ? '' : one.n}`)
      .toSorted((a, b) => (a < b ? -1 : 1));
    const view = {
      at: 'view',
      round,
      self: room.self.id,
      slot: room.self.slot,
      room: room.id,
      host: room.host,
      present: present.length,
      slots: present.map((peer) => peer.slot).join(','),
      relayed: present.filter((peer) => peer.via !== undefined).length,
      fresh: [...room.entities.all('probe')].reduce((sum, one) => sum + one.n, 0),
      hash: createHash('sha256').update(probes.join('\n')).digest('hex').slice(0, 12),
    };
    const { fresh: _fresh, ...steady } = view;
    const text = JSON.stringify(steady);
    if (text !== last || clock() - saidAt >= 500) {
      last = text;
      saidAt = clock();
      say(view);
    }
    await pause(20);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
