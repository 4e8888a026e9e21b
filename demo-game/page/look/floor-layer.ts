/**
 * Draws the floor: by the shader where there is WebGL, as rounded cells on a canvas elsewhere. Reads the
 * floor of the rules and keeps nothing of its own but the texture.
 */
import { Textures, WEBGL } from 'phaser';
import type { Scene } from 'phaser';
import { cellCount, gridHeight, gridWidth, worldHeight, worldWidth } from '../../rules/arena.ts';
import type { Floor } from '../../rules/floor.ts';
import { floorShader } from './floor-shader.ts';
import { drawPlainFloor, plainHeight, plainWidth } from './plain-floor.ts';

/** How long fresh paint glows, ms. */
const wetMs = 450;
/** Textures are uploaded at most this often; paint at 30 Hz looks the same as at 60. */
const uploadEveryMs = 33;

export class FloorLayer {
  readonly #texture: Textures.CanvasTexture;
  readonly #image: ImageData;
  readonly #shader: boolean;
  #version = -1;
  #drawnAt = Number.NEGATIVE_INFINITY;
  #wet = false;
  strongPatterns = false;

  constructor(scene: Scene, key: string, fx: boolean) {
    if (scene.textures.exists(key)) scene.textures.remove(key);
    this.#shader = scene.game.renderer.type === WEBGL;
    const width = this.#shader ? gridWidth : plainWidth;
    const height = this.#shader ? gridHeight : plainHeight;
    const texture = scene.textures.createCanvas(key, width, height);
    if (texture === null) throw new Error('the floor texture could not be made');
    this.#texture = texture;
    this.#texture.setFilter(this.#shader ? Textures.FilterMode.NEAREST : Textures.FilterMode.LINEAR);
    this.#image = texture.context.createImageData(width, height);
    const x = worldWidth / 2;
    const y = worldHeight / 2;
    if (!this.#shader) {
      scene.add.image(x, y, key).setDisplaySize(worldWidth, worldHeight).setDepth(-10);
      return;
    }
    const setupUniforms = (set: (name: string, value: unknown) => void): void => {
      set('uTime', scene.time.now / 1000);
      set('uPattern', this.strongPatterns ? 1 : 0.16);
    };
    const config = {
      name: `floor-${key}`,
      fragmentSource: floorShader,
      initialUniforms: { uGrid: 0, uCells: [gridWidth, gridHeight], uTime: 0, uPattern: 0.16, uNoise: fx ? 1 : 0 },
      setupUniforms,
    };
    scene.add.shader(config, x, y, worldWidth, worldHeight, [key]).setDepth(-10);
  }

  /** Brings the picture up to date. `now`: the clock the strokes are stamped with. */
  draw(floor: Floor, now: number, frameMs: number): void {
    if (frameMs - this.#drawnAt < uploadEveryMs || (floor.version === this.#version && !this.#wet)) return;
    this.#drawnAt = frameMs;
    this.#version = floor.version;
    this.#wet = false;
    if (this.#shader) this.#encode(floor, now);
    else drawPlainFloor(floor.paint, this.#image.data);
    this.#texture.context.putImageData(this.#image, 0, 0);
    this.#texture.refresh();
  }

  /** Owner and wetness of each cell, as the shader reads them. */
  #encode(floor: Floor, now: number): void {
    const { data } = this.#image;
    for (let i = 0; i < cellCount; i++) {
      const paint = floor.paint[i] ?? 0;
      const age = now - (floor.time[i] ?? 0);
      const wet = paint > 0 && age < wetMs ? 1 - Math.max(0, age) / wetMs : 0;
      if (wet > 0) this.#wet = true;
      data[i * 4] = paint * 28;
      data[i * 4 + 1] = Math.round(wet * 255);
      data[i * 4 + 2] = 0;
      data[i * 4 + 3] = 255;
    }
  }
}
