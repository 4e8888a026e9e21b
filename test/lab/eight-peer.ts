/**
 * One of the eight peers of the lab `eight`: a Node process that owns four entities, changes each of
 * them 30 times a second, then stops and reports what it holds of everybody's.
 *
 * Prints one JSON line per moment: `{"at":"joined"}`, `{"at":"full","ms":…}`, and, each half second
 * once it is quiet, `{"at":"quiet","entities":…,"hash":…}` until it is told to end.
 */
import { createHash } from 'node:crypto';
import { defineGame, entity, s } from 'lanista';
import { openLan } from 'lanista/node';

const [name = 'peer', peersText = '8', secondsText = '20', address = ''] = process.argv.slice(2);
const peers = Number(peersText);
const seconds = Number(secondsText);
const entitiesEach = 4;

const game = defineGame({
  id: 'lab-eight',
  version: 1,
  presence: { name: s.text(24) },
  entities: {
    probe: entity({
      authority: 'spawner',
      onOwnerLeave: 'despawn',
      fields: {
        tag: s.text(24),
        x: s.num({ min: -1000, max: 1000, step: 1 / 16 }),
        y: s.num({ min: -1000, max: 1000, step: 1 / 16 }),
        n: s.u16(),
        on: s.bool(),
      },
    }),
  },
  messages: {},
  requests: {},
});

function say(line: object): void {
  process.stdout.write(`${JSON.stringify({ name, ...line })}\n`);
}

const started = performance.now();
await using lan = await openLan(game, { presence: { name }, ...(address === '' ? {} : { interfaces: [address] }) });
await using room = await lan.joinOrCreate({ name: 'eight', max: 16 });
say({ at: 'joined', ms: Math.round(performance.now() - started), slot: room.self.slot });

const own = Array.from({ length: entitiesEach }, (_, index) =>
  room.entities.spawn('probe', { tag: `${name}-${index}`, x: 0, y: 0, n: 0, on: false }),
);

while (room.peers.size < peers || [...room.entities.all('probe')].length < peers * entitiesEach) await pause(20);
say({ at: 'full', ms: Math.round(performance.now() - started) });

let left = seconds * 30;
await new Promise<void>((resolve) => {
  const ticking = room.clock.every(30, (tick) => {
    for (const [index, probe] of own.entries()) {
      const angle = (tick + index * 40) / 25;
      probe.x = Math.cos(angle) * 900;
      probe.y = Math.sin(angle * 1.3) * 900;
      probe.n = (probe.n + 1) % 65_536;
      probe.on = tick % 7 < 3;
    }
    left -= 1;
    if (left > 0) return;
    ticking[Symbol.dispose]();
    resolve();
  });
});

for (let round = 0; round < 60; round += 1) {
  await pause(500);
  const { count, hash, lines } = digest();
  say({ at: 'quiet', entities: count, hash, peers: room.peers.size, ...(process.env['LAB_LINES'] === undefined ? {} : { lines }) });
}

/**
 * Order and local ids differ between replicas, so lines are sorted by the tag each owner gave. An owner
 * keeps what it assigned in full precision; on the network a value is a multiple of its step.
 */
function digest(): { count: number; hash: string; lines: readonly string[] } {
  const lines = [...room.entities.all('probe')]
    .map((probe) => [probe.tag, probe.owner, steps(probe.x), steps(probe.y), probe.n, probe.on].join('|'))
    .toSorted();
  return { count: lines.length, lines, hash: createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 16) };
}

function steps(value: number): number {
  return Math.round((value + 1000) * 16);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
