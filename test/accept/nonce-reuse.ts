/** No key ever seals twice with one nonce: restarts, reconnects, crossing calls and rekeys, every seal watched. */
import { createRng } from '../../sdk/base/rng.ts';
import type { RoomId } from '../../sdk/base/brand.ts';
import type { CryptoProvider, KeyPair } from '../../sdk/secure/provider.ts';
import { swarmOptions } from '../../sdk/testing/netem.ts';
import { NonceRegistry, createSimCrypto } from '../../sdk/testing/sim-crypto.ts';
import { Rig, linkOf, type Node } from '../link-rig.ts';
import type { AcceptOptions, AcceptResult } from './rows.ts';

/** One in so many seeds runs past the age at which keys are replaced. */
const REKEY_EVERY = 16;
const REKEY_RUN_MS = 130_000;

class SimRig extends Rig {
  readonly registry = new NonceRegistry();
  readonly crypto: CryptoProvider;

  constructor(seed: number) {
    super({ seed, delayMs: 3 });
    this.crypto = createSimCrypto(createRng(seed ^ 0x5151), this.registry);
  }

  override add(host?: string, roomId?: RoomId, prologue?: Uint8Array<ArrayBuffer>, identity: KeyPair = this.crypto.generateKeyPair()): Node {
    return super.add(host, roomId, prologue, identity, this.crypto);
  }

  /** The process dies and starts again with the key it kept. */
  restart(node: Node, identity: KeyPair): Node {
    this.nodes.splice(this.nodes.indexOf(node), 1);
    return this.add(node.host, undefined, undefined, identity);
  }
}

export async function accept({ small, seed }: AcceptOptions): Promise<AcceptResult> {
  const seeds = small ? 32 : 10_000;
  let sealed = 0;
  let keys = 0;
  let rekeyed = 0;
  const failed: string[] = [];
  for (let s = seed; s < seed + seeds; s++) {
    const rig = new SimRig(s);
    try {
      if (life(rig, s)) rekeyed++;
    } catch (error) {
      failed.push(`seed ${s}: ${error instanceof Error ? error.message : String(error)}`);
    }
    sealed += rig.registry.sealed;
    keys += rig.registry.keys;
  }
  return {
    value: failed.length,
    unit: 'seeds with a repeated (key, nonce)',
    target: '0 of 10,000 seeds',
    pass: failed.length === 0,
    details: { seeds, sealed, keys, seedsPastRekey: rekeyed, failed: failed.slice(0, 5) },
  };
}

function life(rig: SimRig, seed: number): boolean {
  const rng = createRng(seed);
  const identity = rig.crypto.generateKeyPair();
  let a = rig.add('a', undefined, undefined, identity);
  const b = rig.add('b');
  const { seed: _seed, ...faults } = swarmOptions(seed);
  rig.net.configure({ ...faults, bytesPerMs: Infinity });
  for (let round = 0; round < 4; round++) {
    rig.connect(a, b);
    // Both call at once, or one calls twice.
    if (rng.chance(0.5)) rig.connect(b, a);
    if (rng.chance(0.3)) rig.connect(a, b);
    rig.run(200 + rng.int(1_500));
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const link = linkOf(from, to);
      if (link !== undefined)
        for (let i = rng.int(8); i > 0; i--)
          from.endpoint.send(rig.now, link, rng.chance(0.5) ? 'reliable' : 'unreliable', new Uint8Array(1 + rng.int(300)));
    }
    rig.run(rng.int(400));
    const turn = rng.int(4);
    if (turn < 2) a = rig.restart(a, identity);
    else if (turn === 2) {
      const link = linkOf(b, a);
      if (link !== undefined) b.endpoint.close(rig.now, link, 'bye');
      rig.run(rng.int(200));
    }
  }
  if (seed % REKEY_EVERY !== 0) return false;
  rig.net.heal();
  rig.connect(a, b);
  rig.run(REKEY_RUN_MS);
  return linkOf(a, b) !== undefined;
}
