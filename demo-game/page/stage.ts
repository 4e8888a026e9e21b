/**
 * What the scenes share: the match of the room the player is in, the settings, the sound, the input.
 * Scenes come and go; this stays, in the game's registry.
 */
import type { Game, Scene } from 'phaser';
import type { Match } from '../rules/match.ts';
import type { Input } from '../rules/movement.ts';
import type { Controls } from './controls.ts';
import type { Settings, UrlOptions } from './settings.ts';
import type { Synth } from './sound/synth.ts';

export interface Stage {
  readonly options: UrlOptions;
  readonly settings: Settings;
  readonly synth: Synth;
  readonly controls: Controls;
  /** Undefined on the home screen. */
  match: Match | undefined;
  /** Steers instead of the player when `autoplay=bot`. */
  pilot: ((match: Match) => Input) | undefined;
}

const key = 'stage';

export function setStage(game: Game, stage: Stage): void {
  game.registry.set(key, stage);
}

export function stageOf(scene: Scene): Stage {
  return scene.registry.get(key) as Stage;
}

/** The design size of the HUD; the arena is designed in world units. */
export const hudWidth = 1280;
export const hudHeight = 720;

/** Shows all of a `width`-wide design on whatever the canvas measures. */
export function fitCamera(scene: Scene, width: number, height: number): number {
  const zoom = scene.scale.width / width;
  scene.cameras.main.setZoom(zoom).centerOn(width / 2, height / 2);
  return zoom;
}
