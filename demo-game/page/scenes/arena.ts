/** The match as seen: floor, walls, blobs, shots, pickups, ball, and everything that splashes. */
import { Math as PhaserMath, Scene } from 'phaser';
import type { GameObjects } from 'phaser';
import { worldHeight, worldWidth } from '../../rules/arena.ts';
import type { ArenaMap } from '../../rules/arena.ts';
import type { Effect } from '../../rules/effects.ts';
import type { BlobView, Match } from '../../rules/match.ts';
import { leader } from '../../rules/scoring.ts';
import { shotAt } from '../../rules/shots.ts';
import { BlobSprite } from '../look/blob-sprite.ts';
import { FloorLayer } from '../look/floor-layer.ts';
import { ink, shade, uiFont } from '../look/palette.ts';
import { fitCamera, stageOf } from '../stage.ts';
import type { Stage } from '../stage.ts';

/** Screen shake at most, px of a 1280-wide screen; more makes people sick. */
const mostShake = 6;
/** What one has got, in the order of the rules' kinds. */
const pickupWords = ['Paint bomb!', 'Roller: wide trail', 'Turbo: faster'] as const;
export const emotes = ['Nice!', 'Oops', 'Haha', 'Catch me'] as const;

export class ArenaScene extends Scene {
  #stage!: Stage;
  #match!: Match;
  #layer!: FloorLayer;
  #walls!: GameObjects.Graphics;
  readonly #blobs = new Map<number, BlobSprite>();
  readonly #shots: GameObjects.Image[] = [];
  readonly #pickups = new Map<number, GameObjects.Container>();
  #ball: GameObjects.Image | undefined;
  #emitters: (GameObjects.Particles.ParticleEmitter | undefined)[] = [];
  /** Whose walls are drawn. */
  #map: ArenaMap | undefined;
  #leader = 0;
  #leaderAt = 0;
  #zoom = 1;
  #letters = 1;

  /** As in the HUD. */
  #live = false;

  constructor() {
    super('arena');
  }

  create(): void {
    this.#stage = stageOf(this);
    const match = this.#stage.match;
    this.#live = match !== undefined;
    if (match === undefined) {
      this.scene.start('home');
      return;
    }
    this.#match = match;
    this.#blobs.clear();
    this.#pickups.clear();
    this.#shots.length = 0;
    this.#ball = undefined;
    this.#map = undefined;
    this.#refit();
    this.scale.on('resize', this.#refit, this);
    this.events.once('shutdown', () => this.scale.off('resize', this.#refit, this));
    this.#layer = new FloorLayer(this, 'arena-floor', this.#stage.options.fx);
    this.#walls = this.add.graphics().setDepth(2);
    this.#emitters = [];
    if (this.#stage.options.fx) {
      for (let paint = 1; paint <= 8; paint++) {
        this.#emitters[paint] = this.add
          .particles(0, 0, `drop${paint}`, {
            speed: { min: 90, max: 430 },
            lifespan: { min: 260, max: 620 },
            scale: { start: 0.75, end: 0 },
            gravityY: 320,
            rotate: { min: 0, max: 360 },
            emitting: false,
          })
          .setDepth(30);
      }
    }
    this.scene.launch('hud');
  }

  override update(_time: number, delta: number): void {
    const { controls, settings } = this.#stage;
    const match = this.#match;
    if (!this.#live || match.room.signal.aborted) return;
    const views = match.blobs();
    const canvas = this.game.canvas.getBoundingClientRect();
    match.input =
      this.#stage.options.autoplay === 'bot' && this.#stage.pilot !== undefined
        ? this.#stage.pilot(match)
        : controls.read(match.me.body, views, (x, y) => ({
            x: ((x - canvas.left) / canvas.width) * worldWidth,
            y: ((y - canvas.top) / canvas.height) * worldHeight,
          }));
    const now = match.room.clock.now();
    this.#layer.strongPatterns = settings.strongPatterns;
    this.#layer.draw(match.floor, now, performance.now());
    if (match.map !== this.#map) this.#drawWalls();
    if (now - this.#leaderAt > 500 || now < this.#leaderAt) {
      this.#leaderAt = now;
      this.#leader = leader(match.coverage());
    }
    this.#drawBlobs(views, delta);
    this.#drawShots(now);
    this.#drawThings(delta);
    for (let effect = match.effects.poll(); effect !== undefined; effect = match.effects.poll()) {
      // What happened while the page was hidden is old news.
      if (delta < 400) this.#show(effect);
    }
  }

  #refit(): void {
    this.#zoom = fitCamera(this, worldWidth, worldHeight);
    // A name is 22 units high as designed; it stays at 11 px of the page, up to twice its size.
    for (const sprite of this.#blobs.values()) sprite.sharpness = Math.max(0.6, this.#zoom);
    this.#letters = Math.min(2, Math.max(1, (0.5 * worldWidth) / this.scale.displaySize.width));
  }

  #drawBlobs(views: readonly BlobView[], delta: number): void {
    const seen = new Set<number>();
    for (const view of views) {
      seen.add(view.who);
      let sprite = this.#blobs.get(view.who);
      if (sprite === undefined) {
        sprite = new BlobSprite(this, Math.max(0.6, this.#zoom));
        sprite.pop(0.6);
        this.#blobs.set(view.who, sprite);
      }
      sprite.letters = this.#letters;
      sprite.draw(view, view.paint === this.#leader, delta);
      if (view.state === 'dash' && this.#stage.options.fx) this.#emitters[view.paint]?.emitParticleAt(view.x, view.y, 1);
    }
    for (const [who, sprite] of this.#blobs) {
      if (seen.has(who)) continue;
      sprite.destroy();
      this.#blobs.delete(who);
    }
  }

  #drawShots(now: number): void {
    const { shots } = this.#match;
    while (this.#shots.length < shots.length) this.#shots.push(this.add.image(0, 0, 'drop1').setDepth(20));
    this.#shots.forEach((image, i) => {
      const shot = shots[i];
      image.setVisible(shot !== undefined);
      if (shot === undefined) return;
      const { x, y } = shotAt(shot, now);
      const part = Math.min(1, Math.hypot(x - shot.x, y - shot.y) / Math.max(1, shot.range));
      // A lob: it rises and falls a little, and its shadowless arc tells how far it will go.
      image
        .setTexture(`drop${shot.paint}`)
        .setPosition(x, y - Math.sin(part * Math.PI) * 26)
        .setRotation(shot.angle)
        .setScale(1.35, 0.85);
    });
  }

  #drawThings(delta: number): void {
    const { room } = this.#match;
    const seen = new Set<number>();
    for (const pickup of room.entities.all('pickup')) {
      seen.add(pickup.number);
      let token = this.#pickups.get(pickup.number);
      if (token === undefined) {
        token = this.add
          .container(pickup.x, pickup.y, [this.add.ellipse(0, 34, 52, 18, 0x000000, 0.4), this.add.image(0, 0, pickup.what)])
          .setDepth(6)
          .setScale(0.1);
        this.tweens.add({ targets: token, scale: 1, duration: 320, ease: 'Back.easeOut' });
        this.#pickups.set(pickup.number, token);
      }
      const icon = token.list[1];
      if (icon !== undefined && 'y' in icon) icon.y = Math.sin(this.time.now / 280 + pickup.number) * 6 - 4;
    }
    for (const [number, token] of this.#pickups) {
      if (seen.has(number)) continue;
      this.#pickups.delete(number);
      this.tweens.add({ targets: token, scale: 0, duration: 160, ease: 'Back.easeIn', onComplete: () => token.destroy() });
    }
    let ball: { readonly x: number; readonly y: number; readonly vx: number; readonly vy: number } | undefined;
    for (const one of room.entities.all('ball')) ball = one.view;
    if (ball === undefined) return;
    this.#ball ??= this.add.image(ball.x, ball.y, 'ball').setDepth(9);
    this.#ball.setPosition(ball.x, ball.y);
    this.#ball.rotation += ((ball.vx + ball.vy * 0.4) / 44) * (delta / 1000);
  }

  #drawWalls(): void {
    this.#map = this.#match.map;
    const g = this.#walls.clear();
    const { walls } = this.#map;
    const box = (x: number, y: number, width: number, height: number, most: number): void =>
      // A wall of one cell is too narrow for the corners of the others.
      void g.fillRoundedRect(x, y, width, height, Math.min(most, width / 2, height / 2));
    // By layers, so that walls that touch are one block.
    g.fillStyle(0x000000, 0.4);
    for (const { x, y, width, height } of walls) box(x - 4, y + 14, width + 8, height + 4, 22);
    g.fillStyle(ink, 1);
    for (const { x, y, width, height } of walls) box(x - 6, y - 6, width + 12, height + 12, 22);
    g.fillStyle(0x262b50, 1);
    for (const { x, y, width, height } of walls) box(x, y, width, height, 18);
    g.fillStyle(0x3a417a, 1);
    for (const { x, y, width, height } of walls) box(x, y, width, height - Math.min(14, height / 3), 18);
    g.fillStyle(0x4a5296, 1);
    for (const { x, y, width, height } of walls) if (width > 20 && height > 20) box(x + 10, y + 7, width - 20, 7, 3);
  }

  #show(effect: Effect): void {
    const { synth, settings, options } = this.#stage;
    const own = effect.who === this.#match.me.who;
    const far = Math.hypot(effect.x - this.#match.me.body.x, effect.y - this.#match.me.body.y);
    synth.play(effect, own ? 1 : PhaserMath.Clamp(1 - far / 900, 0, 0.8));
    const sprite = this.#blobs.get(effect.who);
    const emitter = this.#emitters[effect.paint];
    switch (effect.type) {
      case 'shot':
        sprite?.pop(-0.14);
        break;
      case 'splash':
        emitter?.explode(10, effect.x, effect.y);
        this.#ring(effect, 1);
        break;
      case 'burst':
        emitter?.explode(46, effect.x, effect.y);
        this.#ring(effect, 2.2);
        break;
      case 'hurt':
        sprite?.flash();
        sprite?.pop(0.3);
        emitter?.explode(8, effect.x, effect.y);
        break;
      case 'dash':
        sprite?.pop(0.25);
        break;
      case 'respawn':
        sprite?.pop(0.7);
        this.#ring(effect, 1.4);
        break;
      case 'pickup':
        emitter?.explode(14, effect.x, effect.y);
        if (own) this.#say(effect, pickupWords[effect.amount ?? 0] ?? '');
        break;
      case 'kick':
        emitter?.explode(6, effect.x, effect.y);
        break;
      case 'emote':
        this.#say(effect, emotes[(effect.amount ?? 0) % emotes.length] ?? '');
        break;
      case 'dry':
      case 'phase':
        break;
      default:
        effect.type satisfies never;
    }
    if (!options.fx || settings.reducedMotion) return;
    const shake = effect.type === 'burst' ? (own ? mostShake : 3) : effect.type === 'hurt' && own ? 3 : 0;
    if (shake > 0) this.cameras.main.shake(own ? 240 : 140, shake / 1280);
  }

  #ring(effect: Effect, size: number): void {
    if (!this.#stage.options.fx) return;
    const ring = this.add
      .image(effect.x, effect.y, 'shield')
      .setTint(effect.paint > 0 ? shade(0xffffff, 0) : 0xffffff)
      .setScale(0.4 * size)
      .setAlpha(0.5)
      .setDepth(19);
    this.tweens.add({ targets: ring, scale: 1.5 * size, alpha: 0, duration: 300, ease: 'Cubic.easeOut', onComplete: () => ring.destroy() });
  }

  #say(effect: Effect, text: string): void {
    const sprite = this.#blobs.get(effect.who);
    if (sprite === undefined) return;
    const bubble = this.add
      .text(sprite.x, sprite.y - 100, text, {
        fontFamily: uiFont,
        fontSize: '26px',
        fontStyle: '800',
        color: '#0b0d1a',
        backgroundColor: '#f4f6ff',
        padding: { x: 14, y: 7 },
      })
      .setOrigin(0.5)
      .setDepth(60);
    this.tweens.add({ targets: bubble, y: bubble.y - 40, alpha: 0, delay: 900, duration: 400, onComplete: () => bubble.destroy() });
  }
}
