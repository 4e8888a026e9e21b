/** One peer that decides by the rules of authority, whatever others say: what their tests play with. */
import { defineGame, entity, s } from 'lanista';
import type { PeerId } from 'lanista';
import type { PortPeer, PortRoster, RoomPort } from '../sdk/port/port.ts';
import { AuthorityRules } from '../sdk/sync/authority.ts';
import { encodeWhole } from '../sdk/sync/delta.ts';
import type { EntityHome } from '../sdk/sync/entity.ts';
import { EntityCore } from '../sdk/sync/entity.ts';
import { Replication } from '../sdk/sync/replication.ts';
import { EntityStore } from '../sdk/sync/store.ts';
import { PackReader, PackWriter } from '../sdk/wire/pack.ts';

const fields = { n: s.u16().default(0) };
const game = defineGame({
  id: 'claims',
  version: 1,
  entities: {
    blob: entity({ authority: 'spawner', onOwnerLeave: 'despawn', fields }),
    weed: entity({ authority: 'spawner', onOwnerLeave: 'redistribute', fields }),
    post: entity({ authority: 'host', fields }),
    ball: entity({ authority: 'distributed', transfer: 'request', onOwnerLeave: 'redistribute', fields }),
    cup: entity({ authority: 'distributed', transfer: 'request', onOwnerLeave: 'despawn', fields }),
    egg: entity({ authority: 'distributed', transfer: 'take', onOwnerLeave: 'host', fields }),
    sign: entity({ authority: 'distributed', transfer: 'never', onOwnerLeave: 'host', fields }),
  },
});
export type Kind = keyof typeof game.entities;

export const [ANN, BOB, CAT, DAN] = ['ann', 'bob', 'cat', 'dan'] as PeerId[] as [PeerId, PeerId, PeerId, PeerId];
const SESSION = 50;

/** Bob, as he decides. */
export class Bob {
  readonly store = new EntityStore(game);
  readonly replication = new Replication({} as RoomPort, this.store, game.stateHz, SESSION);
  readonly home: EntityHome = { roomTime: () => 0, failed: () => undefined, despawn: () => undefined, requestAuthority: async () => undefined };
  readonly rules: AuthorityRules;
  readonly said: string[] = [];
  isHeard = true;
  isReady = true;
  now = 0;
  host = ANN;
  peers: [PeerId, PortPeer['status'], boolean?][] = [ANN, BOB, CAT].map((id) => [id, 'present']);
  #spawned = 0;

  constructor() {
    this.rules = new AuthorityRules(
      {
        self: BOB,
        roster: () =>
          ({
            host: this.host,
            peers: this.peers.map(([id, status, spectator]) => ({ id, status, spectator: spectator === true })),
          }) as unknown as PortRoster,
        now: () => this.now,
        isReady: () => this.isReady,
        control: (to, bytes) => {
          const input = new PackReader(bytes);
          input.array(99);
          const type = input.int();
          input.int();
          const id = input.int();
          const origin = input.int();
          if (this.isHeard) this.said.push(`${to} ${type} ${id} ${origin} ${input.int()}`);
          return this.isHeard;
        },
      },
      this.store,
      this.replication,
      this.home,
    );
  }

  /** An entity of `owner` that is known here. */
  know(kind: Kind, owner: PeerId, epoch = 1): EntityCore {
    const core = new EntityCore(this.home, this.store.kind(kind), 9, ++this.#spawned, owner);
    core.epoch = epoch;
    core.lastChange = 3;
    if (owner === BOB) this.replication.own(core);
    this.store.add(core);
    return core;
  }

  roster(host: PeerId, ...peers: [PeerId, PortPeer['status'], boolean?][]): void {
    this.host = host;
    if (peers.length > 0) this.peers = peers;
    this.rules.applyRoster();
  }

  /** What `from` says of an entity; `more` is what follows its id. */
  hear(from: PeerId, type: number, id: number, { origin, counter }: { origin: number; counter: number }, more?: (out: PackWriter) => void): boolean {
    const out = new PackWriter(64);
    for (const value of [id, origin, counter]) out.int(value);
    more?.(out);
    return this.rules.handle(from, type, new PackReader(out.copy()));
  }

  /** An entity as somebody else tells it. */
  tells(
    kind: Kind,
    counter: number,
    epoch: number,
    n = 7,
  ): { readonly origin: number; readonly counter: number; readonly whole: (out: PackWriter) => void } {
    const core = new EntityCore(this.home, this.store.kind(kind), 9, counter, CAT);
    core.epoch = epoch;
    core.ints[0] = n;
    return { origin: 9, counter, whole: (out) => void encodeWhole(out, core) };
  }

  ask(core: EntityCore): { value?: unknown; ended?: boolean } {
    const seen: { value?: unknown; ended?: boolean } = {};
    void this.rules.request(core, { timeoutMs: 10_000 }).then((value) => Object.assign(seen, { value, ended: true }));
    return seen;
  }
}
