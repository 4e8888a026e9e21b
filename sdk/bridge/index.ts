/**
 * The page <-> process protocol: pure, used by both edges (`node/bridge-session.ts`, `browser/`).
 */
export * from './batch.ts';
export * from './bounds.ts';
export { BRIDGE_CLOSE, BRIDGE_VERSION } from './messages.ts';
export type { BridgeRoster, PageCommand, ProcessEvent } from './messages.ts';
