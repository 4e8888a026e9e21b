/** A ball between paddles, simulated by everybody: the guide's example, with something to see. */
import { defineGame, det, s, simulation } from 'lanista';

export const game = defineGame({ id: 'volley', version: 1 });

export interface Volley {
  ball: { x: number; y: number; vx: number; vy: number };
  paddles: { slot: number; y: number; hits: number }[];
}

export const WIDTH = 800;
export const HEIGHT = 450;

export const volley = simulation({
  id: 'volley',
  input: { up: s.bool().default(false), down: s.bool().default(false) },
  start: (seed): Volley => {
    const turn = det.rng(seed).float() * 0.8 - 0.4;
    return { ball: { x: WIDTH / 2, y: HEIGHT / 2, vx: 6 * det.cos(turn), vy: 6 * det.sin(turn) }, paddles: [] };
  },
  step(state, players) {
    state.paddles = players.map(({ slot, input }) => {
      const { y, hits } = state.paddles.find((paddle) => paddle.slot === slot) ?? { y: HEIGHT / 2, hits: 0 };
      return { slot, hits, y: Math.min(HEIGHT - 40, Math.max(40, y + (input.down ? 7 : 0) - (input.up ? 7 : 0))) };
    });
    const { ball } = state;
    ball.x += ball.vx;
    ball.y += ball.vy;
    if (ball.y < 8 || ball.y > HEIGHT - 8) ball.vy = -ball.vy;
    if (ball.x < 30 || ball.x > WIDTH - 30) {
      ball.vx = -ball.vx;
      const side = ball.x < WIDTH / 2 ? 0 : 1;
      for (const paddle of state.paddles)
        if (paddle.slot % 2 === side && Math.abs(paddle.y - ball.y) < 45) {
          paddle.hits++;
          ball.vy += det.sin((ball.y - paddle.y) / 45);
        }
    }
  },
});
