/** Every picture in the game, drawn by code when it starts. Keys: `blob1` to `blob8`, `drop1` …, `eyes`, `ball`, … */
import type { GameObjects, Scene } from 'phaser';
import { ink, paintColor, paints, shade } from './palette.ts';

export function drawTextures(scene: Scene): void {
  if (scene.textures.exists('eyes')) return;
  const g = scene.make.graphics({}, false);
  for (let paint = 1; paint < paints.length; paint++) {
    blob(g, paint);
    g.generateTexture(`blob${paint}`, 96, 96).clear();
    g.fillStyle(shade(paintColor(paint), -0.25), 1)
      .fillCircle(16, 16, 16)
      .fillStyle(paintColor(paint), 1)
      .fillCircle(16, 15, 13);
    g.fillStyle(0xffffff, 0.5).fillEllipse(12, 10, 9, 6);
    g.generateTexture(`drop${paint}`, 32, 32).clear();
  }
  eyes(g);
  star(g);
  pickups(g);
  ball(g);
  g.destroy();
}

function blob(g: GameObjects.Graphics, paint: number): void {
  const color = paintColor(paint);
  g.fillStyle(ink, 1).fillCircle(48, 48, 40);
  g.fillStyle(shade(color, -0.28), 1).fillCircle(48, 48, 35);
  g.fillStyle(color, 1).fillCircle(48, 45, 32);
  g.fillStyle(shade(color, 0.25), 1).fillEllipse(44, 32, 38, 20);
  g.fillStyle(0xffffff, 0.55).fillEllipse(35, 26, 15, 8);
  marks(g, paint, shade(color, -0.4));
}

/** The paint's pattern, small, along the lower rim: readable without colour, out of the way of the eyes. */
function marks(g: GameObjects.Graphics, paint: number, color: number): void {
  g.fillStyle(color, 0.75).lineStyle(3, color, 0.75);
  const at = [30, 42, 54, 66];
  for (const [i, x] of at.entries()) {
    const y = 64 + (i === 0 || i === 3 ? -2 : 4);
    switch (paint) {
      case 1:
        g.fillCircle(x, y, 3.5);
        break;
      case 2:
        g.lineBetween(x - 3, y + 4, x + 3, y - 4);
        break;
      case 3:
        g.lineBetween(x - 4, y, x + 4, y);
        break;
      case 4:
        g.fillRect(x - 3.5, y - 3.5, 7, 7);
        break;
      case 5:
        g.lineBetween(x, y - 5, x, y + 5);
        break;
      case 6:
        g.strokeCircle(x, y, 3.5);
        break;
      case 7:
        g.lineBetween(x - 3, y - 4, x + 3, y + 4);
        break;
      default:
        g.lineBetween(x - 4, y, x + 4, y).lineBetween(x, y - 4, x, y + 4);
    }
  }
}

function eyes(g: GameObjects.Graphics): void {
  g.fillStyle(ink, 1).fillCircle(18, 14, 12).fillCircle(18, 40, 12);
  g.fillStyle(0xffffff, 1).fillCircle(18, 14, 10).fillCircle(18, 40, 10);
  g.fillStyle(ink, 1).fillCircle(22, 14, 5).fillCircle(22, 40, 5);
  g.fillStyle(0xffffff, 1).fillCircle(20, 12, 1.8).fillCircle(20, 38, 1.8);
  g.generateTexture('eyes', 36, 54).clear();
}

function star(g: GameObjects.Graphics): void {
  g.fillStyle(ink, 1)
    .fillTriangle(2, 34, 2, 6, 20, 34)
    .fillTriangle(50, 34, 50, 6, 32, 34)
    .fillTriangle(8, 34, 26, 0, 44, 34)
    .fillRect(2, 28, 48, 10);
  g.fillStyle(0xffd166, 1)
    .fillTriangle(6, 31, 6, 13, 18, 31)
    .fillTriangle(46, 31, 46, 13, 34, 31)
    .fillTriangle(12, 31, 26, 7, 40, 31)
    .fillRect(6, 28, 40, 6);
  g.fillStyle(0xff4d6d, 1).fillCircle(26, 26, 3);
  g.generateTexture('crown', 52, 38).clear();
  g.lineStyle(7, 0xffffff, 1).strokeCircle(48, 48, 42).generateTexture('shield', 96, 96).clear();
  g.fillStyle(0xffffff, 1).fillCircle(16, 16, 16).generateTexture('dot', 32, 32).clear();
}

function pickups(g: GameObjects.Graphics): void {
  const plate = (rim: number): GameObjects.Graphics =>
    g.fillStyle(ink, 1).fillCircle(36, 36, 34).fillStyle(rim, 1).fillCircle(36, 36, 30).fillStyle(0xf4f6ff, 1).fillCircle(36, 36, 25);
  plate(0xff4d6d).fillStyle(ink, 1).fillCircle(34, 40, 13).fillRect(38, 22, 7, 10).fillStyle(0xff9f1c, 1).fillCircle(46, 20, 5);
  g.generateTexture('bomb', 72, 72).clear();
  plate(0x06d6a0)
    .fillStyle(ink, 1)
    .fillRoundedRect(20, 22, 32, 13, 4)
    .fillRect(33, 35, 6, 9)
    .fillRoundedRect(30, 42, 12, 13, 4)
    .fillStyle(0x06d6a0, 1)
    .fillRoundedRect(22, 24, 28, 5, 2);
  g.generateTexture('roller', 72, 72).clear();
  plate(0x4cc9f0).fillStyle(ink, 1).fillTriangle(42, 16, 22, 40, 38, 38).fillTriangle(30, 58, 50, 33, 34, 35);
  g.generateTexture('turbo', 72, 72).clear();
}

function ball(g: GameObjects.Graphics): void {
  g.fillStyle(ink, 1).fillCircle(52, 52, 50);
  for (let i = 0; i < 6; i++) {
    const turn = (i / 6) * Math.PI * 2;
    g.fillStyle(i % 2 === 0 ? 0xf4f6ff : (paints[(i % 8) + 1] ?? 0xff4d6d), 1);
    g.slice(52, 52, 44, turn, turn + Math.PI / 3, false).fillPath();
  }
  g.fillStyle(0xf4f6ff, 1).fillCircle(52, 52, 11).fillStyle(0xffffff, 0.4).fillEllipse(38, 32, 22, 12);
  g.generateTexture('ball', 104, 104).clear();
}
