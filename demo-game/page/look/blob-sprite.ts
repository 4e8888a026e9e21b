/** One blob on the screen: shadow, squashing body, eyes that follow the aim, name, hearts, ink. */
import type { GameObjects, Scene } from 'phaser';
import type { BlobView } from '../../rules/match.ts';
import { worldWidth } from '../../rules/arena.ts';
import { css, ink, paintColor, uiFont } from './palette.ts';

export class BlobSprite {
  readonly #root: GameObjects.Container;
  readonly #body: GameObjects.Image;
  readonly #eyes: GameObjects.Image;
  readonly #shield: GameObjects.Image;
  readonly #crown: GameObjects.Image;
  readonly #gauge: GameObjects.Graphics;
  readonly #name: GameObjects.Text;
  #paint = 0;
  #label = '';
  #pop = 1;
  #flash = 0;
  #wobble = Math.random() * 6;
  x = 0;
  y = 0;

  constructor(scene: Scene, textScale: number) {
    const shadow = scene.add.ellipse(0, 26, 62, 24, 0x000000, 0.38);
    this.#shield = scene.add.image(0, 0, 'shield').setAlpha(0);
    this.#body = scene.add.image(0, 0, 'blob1');
    this.#eyes = scene.add.image(0, 0, 'eyes');
    this.#crown = scene.add.image(0, -44, 'crown').setVisible(false);
    this.#gauge = scene.add.graphics();
    this.#name = scene.add
      .text(0, -58, '', { fontFamily: uiFont, fontSize: '22px', fontStyle: '700', color: '#ffffff', stroke: css(ink), strokeThickness: 6 })
      .setOrigin(0.5)
      .setResolution(textScale);
    this.#root = scene.add.container(0, 0, [shadow, this.#shield, this.#body, this.#eyes, this.#crown, this.#gauge, this.#name]).setDepth(10);
  }

  /** Letters of the name, 1 as designed; larger where the arena is small on the screen. */
  set letters(scale: number) {
    this.#name.setScale(scale);
  }

  /** Pixels of the canvas per unit of the arena: letters are made for it. */
  set sharpness(scale: number) {
    if (this.#name.style.resolution !== scale) this.#name.setResolution(scale);
  }

  /** Squash for an instant: on shots, hits and landings. */
  pop(amount: number): void {
    this.#pop = 1 + amount;
  }

  flash(): void {
    this.#flash = 1;
  }

  draw(view: BlobView, leads: boolean, dtMs: number): void {
    const dt = dtMs / 1000;
    this.x = view.x;
    this.y = view.y;
    this.#root
      .setPosition(view.x, view.y)
      .setVisible(view.state !== 'splat')
      .setAlpha(view.away ? 0.45 : 1)
      .setDepth(10 + view.y / 10_000);
    if (view.state === 'splat') {
      this.#pop = 0.2;
      return;
    }
    this.#relabel(view, leads);
    this.#pop += (1 - this.#pop) * Math.min(1, dt * 11);
    this.#flash = Math.max(0, this.#flash - dt * 5);
    this.#wobble += dt * 5;
    const speed = Math.hypot(view.vx, view.vy);
    const stretch = Math.min(0.34, speed / 1900);
    const breathe = Math.sin(this.#wobble) * 0.025;
    const heading = Math.atan2(view.vy, view.vx);
    // The body stretches along its way; its lower rim stays below, so it is turned only as far as it is stretched.
    const along = Math.abs(Math.cos(heading));
    const across = Math.abs(Math.sin(heading));
    this.#body.setScale((1 + stretch * (along - across * 0.7) + breathe) * this.#pop, (1 + stretch * (across - along * 0.7) - breathe) * this.#pop);
    this.#body.setAlpha(1 - this.#flash * 0.5);
    this.#eyes
      .setPosition(Math.cos(view.aim) * 10, Math.sin(view.aim) * 8 - 4)
      .setRotation(view.aim)
      .setScale(0.9 * this.#pop);
    const shielded = view.state === 'shield' || view.power !== 'none';
    this.#shield
      .setAlpha(shielded ? 0.55 + Math.sin(this.#wobble * 3) * 0.25 : 0)
      .setTint(view.power === 'turbo' ? 0x4cc9f0 : view.power === 'roller' ? 0x06d6a0 : 0xffffff);
    this.#drawGauge(view);
  }

  destroy(): void {
    this.#root.destroy();
  }

  #relabel(view: BlobView, leads: boolean): void {
    if (view.paint !== this.#paint) {
      this.#paint = view.paint;
      this.#body.setTexture(`blob${view.paint}`);
    }
    this.#crown.setVisible(leads);
    const label = view.away ? `${view.name} (away)` : view.name;
    if (label !== this.#label) {
      this.#label = label;
      this.#name.setText(label);
    }
    // On the floor all of it, beside the rim and under it, too.
    const half = 11 * this.#name.scale;
    const above = (leads ? -71 : -49) - half;
    const side = Math.min(worldWidth / 2, this.#name.displayWidth / 2 + 4);
    this.#name.setPosition(
      Math.min(worldWidth - side, Math.max(side, view.x)) - view.x,
      view.y + above < half ? (view.hp < 3 || view.self ? 82 : 56) + half : above,
    );
  }

  #drawGauge(view: BlobView): void {
    const g = this.#gauge.clear();
    const heartsY = view.self ? 68 : 52;
    if (view.hp < 3)
      for (let i = 0; i < 3; i++)
        g.fillStyle(ink, 0.9)
          .fillCircle(-16 + i * 16, heartsY, 7)
          .fillStyle(i < view.hp ? 0xff4d6d : 0x353b6b, 1)
          .fillCircle(-16 + i * 16, heartsY, 5);
    if (!view.self) return;
    // In the gap of the ring: the dash, a full white dot when it may.
    g.fillStyle(ink, 0.9).fillCircle(0, 48, 9);
    if (view.dash >= 1) g.fillStyle(0xf4f6ff, 1).fillCircle(0, 48, 6);
    else
      g.lineStyle(4, 0x9fb3c8, 1)
        .beginPath()
        .arc(0, 48, 5, -Math.PI / 2, -Math.PI / 2 + Math.PI * 2 * view.dash)
        .strokePath();
    const start = Math.PI * 0.62;
    const full = Math.PI * 1.76;
    g.lineStyle(9, ink, 0.75)
      .beginPath()
      .arc(0, 0, 48, start, start + full)
      .strokePath();
    if (view.ink > 2)
      g.lineStyle(5, paintColor(view.paint), 1)
        .beginPath()
        .arc(0, 0, 48, start, start + (full * view.ink) / 100)
        .strokePath();
  }
}
