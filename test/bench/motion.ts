/**
 * One owner and one viewer of one moving thing, with nothing between them but a list of arrivals: real encoder, real decoder, real view.
 * A part of `smooth.ts`, and of the behaviour tests of interpolation.
 */
import { defineGame, entity, s } from 'lanista';
import type { PeerId } from 'lanista';
import type { RoomPort } from '../../sdk/port/port.ts';
import { BodyEncoder } from '../../sdk/sync/body-encoder.ts';
import type { EntityHome } from '../../sdk/sync/entity.ts';
import { EntityCore, initialise } from '../../sdk/sync/entity.ts';
import { Inbound } from '../../sdk/sync/inbound.ts';
import { Replication } from '../../sdk/sync/replication.ts';
import { EntityStore } from '../../sdk/sync/store.ts';
import { PackReader, PackWriter } from '../../sdk/wire/pack.ts';
import { soleOwnerRules } from './parts/rules.ts';

export const motionGame = defineGame({
  id: 'motion',
  version: 1,
  entities: {
    ship: entity({
      authority: 'spawner',
      fields: {
        x: s.num({ min: -100_000, max: 100_000, step: 1 / 16 }).lerp('hermite', { velocity: 'vx' }),
        vx: s.i16(),
        plain: s.num({ min: -100_000, max: 100_000, step: 1 / 16 }).lerp('linear'),
        aim: s.angle(12).lerp('angle'),
      },
    }),
  },
});

export interface Values {
  x: number;
  vx: number;
  plain: number;
  aim: number;
}

const SESSION = 7;

/** The owner's side: each `sample` is a snapshot that may or may not arrive. */
export class Owner {
  readonly hz: number;
  readonly ship: Values & { teleport(): void };
  readonly #replication: Replication;
  readonly #out = new PackWriter(4_096);
  readonly #encoder = new BodyEncoder(this.#out);
  #changeTick = -1;
  #core: EntityCore;

  constructor(hz: number, init: Partial<Values> = {}) {
    this.hz = hz;
    const store = new EntityStore({ ...motionGame, stateHz: hz });
    this.#replication = new Replication({} as RoomPort, store, hz, SESSION);
    this.#core = new EntityCore(
      homeAt(() => 0),
      store.kind('ship'),
      SESSION,
      1,
      'owner' as PeerId,
    );
    initialise(this.#core, { x: 0, vx: 0, plain: 0, aim: 0, ...init });
    this.#replication.own(this.#core);
    this.ship = this.#core.handle as Values & { teleport(): void };
  }

  /** The body of `tick`, sampled at room time `time`, against what the viewer had at `baseline` (-1: nothing). */
  sample(tick: number, time: number, baseline: number): Uint8Array {
    const phase = this.#replication.phaseAt(tick, time);
    this.#replication.collect(tick, phase);
    const before = this.#changeTick;
    const changed = this.#core.lastChange === tick;
    const quiet = before < 0 ? 127 : Math.min(127, tick - before);
    if (changed) this.#changeTick = tick;
    this.#out.reset();
    const { starts, ends } = this.#encoder;
    this.#encoder.encode({ tick, phase, quiet, hash: 0, session: SESSION }, baseline, this.#replication.owned, []);
    return this.#out.bytes.slice(starts[0], ends[0]);
  }
}

/** The viewer's side. */
export class Viewer {
  now = 0;
  readonly inbound: Inbound;
  readonly #store: EntityStore;

  constructor(hz: number) {
    this.#store = new EntityStore({ ...motionGame, stateHz: hz });
    const rules = soleOwnerRules({ self: 'viewer', home: homeAt(() => this.now), hash: () => 0, diverged: () => undefined });
    this.inbound = new Inbound('owner' as PeerId, SESSION, hz, this.#store, rules);
  }

  /** A snapshot arrives at room time `now`. */
  arrive(now: number, tick: number, body: Uint8Array, full: boolean): string | undefined {
    this.now = Math.max(this.now, now);
    return this.inbound.handleBody(now, tick, full, new PackReader(body));
  }

  get core(): EntityCore | undefined {
    return this.#store.find(SESSION, 1);
  }

  /** What is drawn at room time `now`. */
  draw(now: number): Readonly<Values> {
    this.now = now;
    return this.core!.view as Values;
  }
}

function homeAt(roomTime: () => number): EntityHome {
  return { roomTime, failed: () => undefined, despawn: () => undefined, requestAuthority: async () => undefined };
}
