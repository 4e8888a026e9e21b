/**
 * One player of a simulation for the lab `duel`: joins at once, presses keys at random, and says every tenth of a second what it has settled since.
 *
 *     out  {"at":"ready"}   it plays
 *          {"at":"told", …} ticks it settled since the last line, each with the hash of its state; who is host; what happened
 *
 * `t` is on the machine's one clock, so lines of all peers compare.
 */
import { parseArgs } from 'node:util';
import { defineGame, det, s, simulation } from 'lanista';
import { openLan } from 'lanista/node';

const { values } = parseArgs({ options: { name: { type: 'string', default: 'player' } } });

const duel = simulation({
  id: 'duel',
  input: { push: s.i8().default(0), fire: s.bool().default(false) },
  start: (seed) => ({ dice: det.rng(seed).save(), sums: new Map<number, number>(), grid: new Float64Array(256) }),
  step(state, players, tick) {
    const rng = det.rng(0);
    rng.restore(state.dice);
    for (const slot of [...state.sums.keys()]) if (!players.some((player) => player.slot === slot)) state.sums.delete(slot);
    for (const { slot, input } of players) {
      state.sums.set(slot, (state.sums.get(slot) ?? 0) + input.push);
      if (input.fire) state.grid[rng.int(256)]! += det.sin(tick);
    }
    state.dice = rng.save();
  },
});

function say(line: object): void {
  process.stdout.write(`${JSON.stringify({ name: values.name, t: performance.timeOrigin + performance.now(), ...line })}\n`);
}

const lan = await openLan(defineGame({ id: 'lab-duel', version: 1 }), { presence: {} });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void lan.close().then(() => process.exit(0)));
const room = await lan.joinOrCreate({ name: 'duel' });
const run = room.rollback(duel);

let ticks: (readonly [number, number])[] = [];
let events: string[] = [];
run.on('confirm', ({ tick, state }) => ticks.push([tick, det.hashState(state)]));
for (const event of ['start', 'stall', 'resume', 'desync', 'resync'] as const) run.on(event, () => events.push(event));
room.on('warn', ({ code, detail }) => events.push(`${code}: ${detail}`));
run.on('start', () => say({ at: 'ready' }));

room.clock.every(60, () => {
  if (Math.random() < 0.2) run.setInput({ push: Math.floor(Math.random() * 200) - 100, fire: Math.random() < 0.5 });
});
room.clock.every(10, () => {
  say({ at: 'told', self: room.self.id, host: room.host, players: run.players.length, status: run.status, ticks, events, stats: run.stats() });
  ticks = [];
  events = [];
});
