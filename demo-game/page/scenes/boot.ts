/** Draws the textures, then shows home. */
import { Scene } from 'phaser';
import { drawTextures } from '../look/textures.ts';

export class BootScene extends Scene {
  constructor() {
    super('boot');
  }

  create(): void {
    drawTextures(this);
    this.scene.start('home');
  }
}
