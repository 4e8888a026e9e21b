/**
 * The growth curve: 2 to 32 peers of 8 moving entities each at 30 Hz, whole rooms over the in-memory port. Bytes are what the rooms hand to their
 * ports and exact (everything is seeded); they must equal `peers.golden.json` (`--write` renews it). CPU is of all rooms together, port and
 * virtual clock included, divided by the peers; of one run, so its ratios count and not its values.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { defineGame, entity, s } from 'lanista';
import type { Room } from 'lanista';
import { createMemoryLan } from '../../sdk/port/memory-lan.ts';
import { MemoryHub } from '../../sdk/port/memory.ts';
import { createLan } from '../../sdk/room/lan.ts';

const COUNTS = [2, 4, 8, 16, 32] as const;
const ENTITIES = 8;
const HZ = 30;
const SECONDS = 4;
const GOLDEN = new URL('peers.golden.json', import.meta.url);

const game = defineGame({
  id: 'peers',
  version: 1,
  entities: {
    ship: entity({
      authority: 'spawner',
      rate: HZ,
      fields: {
        x: s.num({ min: 0, max: 1920, step: 1 / 16 }).lerp('hermite'),
        y: s.num({ min: 0, max: 1080, step: 1 / 16 }).lerp('hermite'),
        aim: s.angle(8),
        hp: s.u8(),
      },
    }),
  },
});

interface Row {
  readonly peers: number;
  /** Payload bytes that one peer hands to its port in a second, to all others together. */
  readonly bytesOutPerPeerPerSecond: number;
  readonly bytesPerLinkPerSecond: number;
}

/** What the table said when it was written last; `bench -- peers` compares all of it, `test/sync-golden.test.ts` the small rooms. */
export const goldenRows = (): readonly Row[] => JSON.parse(readFileSync(GOLDEN, 'utf8')) as Row[];

export async function measurePeers(peers: number): Promise<Row & { readonly cpuMsPerPeerPerSecond: number }> {
  const hub = new MemoryHub({ seed: 5, latencyMs: 2 });
  const rooms: Room<typeof game>[] = [];
  for (let i = 0; i < peers; i++) {
    const lan = createLan(game, createMemoryLan(hub, game), { presence: {}, randomU32: () => hub.rng.u32() });
    void lan.joinOrCreate({ name: 'bench', max: peers }).then((room) => rooms.push(room));
    for (let k = 0; k < 2_000 && rooms.length <= i; k++) await hub.play(5);
    if (rooms.length <= i) throw new Error(`peer ${i} did not get in`);
  }
  const ships = rooms.flatMap((room, r) =>
    Array.from({ length: ENTITIES }, (_, i) => ({ ship: room.entities.spawn('ship', { x: 900, y: 500, aim: 0, hp: 100 }), turn: r + i / ENTITIES })),
  );
  const play = async (ticks: number, from: number): Promise<void> => {
    for (let tick = from; tick < from + ticks; tick++) {
      for (const { ship, turn } of ships) {
        const angle = turn + tick / 20;
        ship.x = 960 + 400 * Math.cos(angle);
        ship.y = 540 + 400 * Math.sin(angle);
        ship.aim = angle;
        if (tick % 40 === 0) ship.hp = (ship.hp + 1) % 256;
      }
      await hub.play(1_000 / HZ);
    }
  };
  await play(HZ, 0);
  const total = (): number =>
    rooms.reduce((sum, room) => sum + [...room.stats().peers.values()].reduce((bytes, { bytesOut }) => bytes + bytesOut, 0), 0);
  const before = total();
  const begin = process.cpuUsage();
  await play(HZ * SECONDS, HZ);
  const { user, system } = process.cpuUsage(begin);
  const bytes = (total() - before) / peers / SECONDS;
  for (const room of rooms) void room.leave();
  await hub.play(100);
  return {
    peers,
    bytesOutPerPeerPerSecond: Math.round(bytes),
    bytesPerLinkPerSecond: Math.round(bytes / (peers - 1)),
    cpuMsPerPeerPerSecond: Math.round(((user + system) / 1_000 / peers / SECONDS) * 100) / 100,
  };
}

export async function bench(args: readonly string[]): Promise<object> {
  const rows: Awaited<ReturnType<typeof measurePeers>>[] = [];
  // The compiler's round.
  await measurePeers(4);
  for (const count of COUNTS) rows.push(await measurePeers(count));
  const table: Row[] = rows.map(({ cpuMsPerPeerPerSecond: _, ...bytes }) => bytes);
  const text = `${JSON.stringify(table, undefined, 2)}\n`;
  if (args.includes('--write')) writeFileSync(GOLDEN, text);
  const pass = readFileSync(GOLDEN, 'utf8') === text;
  if (!args.includes('--json')) for (const row of rows) process.stdout.write(`${Object.values(row).join('\t')}\n`);
  return {
    entities: ENTITIES,
    hz: HZ,
    seconds: SECONDS,
    rows: rows.map((row) => ({ ...row, cpuOverTwoPeers: Math.round((row.cpuMsPerPeerPerSecond / rows[0]!.cpuMsPerPeerPerSecond) * 100) / 100 })),
    golden: pass ? 'equal' : 'differs',
    pass,
  };
}
