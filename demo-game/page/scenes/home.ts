/** Behind the home screen: bots paint a floor of their own. Nothing here touches the network. */
import { Scene } from 'phaser';
import { plainMap, startPosition, worldHeight, worldWidth } from '../../rules/arena.ts';
import { createMind, think } from '../../rules/bots.ts';
import type { BotMind } from '../../rules/bots.ts';
import { Floor } from '../../rules/floor.ts';
import type { BlobView } from '../../rules/match.ts';
import { moveBody, walkSpeed } from '../../rules/movement.ts';
import type { Body } from '../../rules/movement.ts';
import { strokeAt } from '../../rules/strokes.ts';
import { BlobSprite } from '../look/blob-sprite.ts';
import { FloorLayer } from '../look/floor-layer.ts';
import { fitCamera, stageOf } from '../stage.ts';

interface Walker {
  readonly body: Body;
  readonly mind: BotMind;
  readonly paint: number;
  readonly sprite: BlobSprite;
}

const stepMs = 1000 / 30;
const walkers = 6;

export class HomeScene extends Scene {
  #floor = new Floor();
  #layer: FloorLayer | undefined;
  #walkers: Walker[] = [];
  #time = 0;
  #behind = 0;

  constructor() {
    super('home');
  }

  create(): void {
    const { options, settings } = stageOf(this);
    const zoom = fitCamera(this, worldWidth, worldHeight);
    const refit = (): void => void fitCamera(this, worldWidth, worldHeight);
    this.scale.on('resize', refit);
    this.events.once('shutdown', () => this.scale.off('resize', refit));
    this.#floor = new Floor();
    this.#time = 1000;
    this.#behind = 0;
    this.#layer = new FloorLayer(this, 'home-floor', options.fx);
    this.#layer.strongPatterns = settings.strongPatterns;
    this.#walkers = Array.from({ length: walkers }, (_, i) => ({
      body: { ...startPosition(i * 3), vx: 0, vy: 0 },
      mind: createMind(i),
      paint: ((settings.hue + i) % 8) + 1,
      sprite: new BlobSprite(this, zoom),
    }));
    // A floor that is already lived in: the first picture must not be an empty one.
    for (let i = 0; i < 260; i++) this.#step();
  }

  override update(_time: number, delta: number): void {
    this.#behind = Math.min(250, this.#behind + delta);
    while (this.#behind >= stepMs) {
      this.#behind -= stepMs;
      this.#step();
    }
    for (const { body, mind, paint, sprite } of this.#walkers) sprite.draw(portrait(body, mind.heading, paint), false, delta);
    this.#layer?.draw(this.#floor, this.#time, performance.now());
  }

  #step(): void {
    this.#time += stepMs;
    for (const { body, mind, paint } of this.#walkers) {
      const input = think(mind, body, paint, this.#floor, plainMap, [], this.#time, Math.random);
      moveBody(body, input.moveX, input.moveY, walkSpeed, stepMs / 1000, plainMap);
      this.#floor.stroke(strokeAt(body.x, body.y, 46, this.#time, paint, paint));
      if (Math.random() < 0.012) {
        const turn = Math.random() * Math.PI * 2;
        this.#floor.stroke(strokeAt(body.x + Math.cos(turn) * 190, body.y + Math.sin(turn) * 190, 50 + Math.random() * 40, this.#time, paint, paint));
      }
    }
  }
}

function portrait(body: Body, aim: number, paint: number): BlobView {
  return {
    ...body,
    who: paint,
    name: '',
    paint,
    aim,
    ink: 100,
    hp: 3,
    state: 'alive',
    power: 'none',
    self: false,
    bot: true,
    host: false,
    away: false,
    owner: '' as BlobView['owner'],
    dash: 1,
  };
}
