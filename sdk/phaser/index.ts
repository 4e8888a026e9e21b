/**
 * `lanista/phaser`: a room in every scene, and sprites that follow entities. Phaser 4.
 */
export { LanPlugin } from './lan-plugin.ts';
export type { LanPluginData, Register, RegisteredGame } from './lan-plugin.ts';
export { LanScenePlugin } from './lan-scene-plugin.ts';
export type { EntityBinding, SceneWithNet } from './lan-scene-plugin.ts';
