/** All targets, and all decoders whose lines they answer for together. */
import type { Target } from '../target.ts';
import { contents } from './content.ts';
import { discovery } from './discovery.ts';
import { handshakes } from './handshake.ts';
import { links } from './link.ts';
import { members } from './mesh.ts';
import { rollbacks } from './rollback.ts';
import { rooms } from './room.ts';
import { wire } from './wire.ts';

const FILES = [wire, handshakes, links, members, rooms, rollbacks, contents, discovery];

export const TARGETS: Readonly<Record<string, () => Target | Promise<Target>>> = Object.assign({}, ...FILES.map((file) => file.targets));

/** Declarations by file. */
export const DECODERS: ReadonlyMap<string, readonly string[]> = collect();

function collect(): Map<string, readonly string[]> {
  const all = new Map<string, readonly string[]>();
  for (const { decoders } of FILES) for (const [path, parts] of Object.entries(decoders)) all.set(path, [...(all.get(path) ?? []), ...parts]);
  return all;
}
