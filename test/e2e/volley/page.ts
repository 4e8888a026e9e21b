/** The page of the game: arrow keys, a canvas, and what the test wants to know. */
import { det } from 'lanista';
import { connectLan } from 'lanista/browser';
import { game, HEIGHT, volley, WIDTH } from './game.ts';

const lan = await connectLan(game, { presence: {} });
const room = await (lan.resumed === undefined ? lan.joinOrCreate({ name: 'Volley' }) : lan.resume());
const run = room.rollback(volley);

const settled = new Map<number, number>();
const events: string[] = [];
run.on('confirm', ({ tick, state }) => settled.set(tick, det.hashState(state)));
for (const event of ['start', 'stall', 'resume', 'desync', 'resync'] as const) run.on(event, () => events.push(event));
room.on('warn', ({ detail }) => events.push(detail));

const keys = { up: false, down: false };
const press = (held: boolean) => (event: KeyboardEvent) => {
  if (event.code === 'ArrowUp') keys.up = held;
  if (event.code === 'ArrowDown') keys.down = held;
  run.setInput(keys);
};
addEventListener('keydown', press(true));
addEventListener('keyup', press(false));

const pen = document.querySelector('canvas')!.getContext('2d')!;
/** How far the drawn ball went from picture to picture, in ticks, and how much time passed between them, ms. */
const pictures: { readonly at: number; readonly ticks: number }[] = [];

requestAnimationFrame(function draw(at) {
  requestAnimationFrame(draw);
  const { state, previous: before } = run;
  if (state === undefined || before === undefined) return;
  const between = (from: number, to: number): number => from + (to - from) * run.fraction;
  pictures.push({ at, ticks: run.tick + run.fraction });
  pen.fillStyle = '#0B0D1A';
  pen.fillRect(0, 0, WIDTH, HEIGHT);
  pen.fillStyle = '#F4F6FF';
  pen.beginPath();
  pen.arc(between(before.ball.x, state.ball.x), between(before.ball.y, state.ball.y), 8, 0, 7);
  pen.fill();
  for (const paddle of state.paddles) {
    const last = before.paddles.find(({ slot }) => slot === paddle.slot) ?? paddle;
    pen.fillStyle = ['#FF4D6D', '#4CC9F0', '#FFD166', '#06D6A0'][paddle.slot % 4]!;
    pen.fillRect(paddle.slot % 2 === 0 ? 12 : WIDTH - 24, between(last.y, paddle.y) - 40, 12, 80);
  }
});

Object.assign(globalThis, {
  /** Forgets what was settled and told until now. */
  anew: () => {
    settled.clear();
    events.length = 0;
  },
  look: () => ({
    slot: room.self.slot,
    status: run.status,
    tick: run.tick,
    confirmed: run.confirmedTick,
    players: run.players.map((player) => player.slot),
    ys: run.state?.paddles.map((paddle) => paddle.y) ?? [],
    settled: [...settled],
    events,
    stats: run.stats(),
    pictures: pictures.splice(0),
    drops: room.stats().drops,
  }),
});
