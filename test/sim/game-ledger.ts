/**
 * What must never happen to an entity, watched at every replica and on every apply (S6, SY8, SY10, SY17):
 *
 *  - a reign is one owner at one epoch. Within a reign no field goes back to an older stamp, not even at a replica that lost the
 *    entity and got it anew;
 *  - no replica shows a value older than what the reign began with;
 *  - a replica never goes back from a better claim (higher epoch, then lower owner) to a worse one. Entities of the host follow the
 *    roster instead, and after a merge the other side's word, whatever its epoch;
 *  - an entity is `mine` exactly where its owner is;
 *  - nothing changes without `onChange`.
 *
 * Two reigns of one epoch are possible for a moment (two take at once, both halves of a split inherit). They are counted as disputes;
 * that one of them is left everywhere is for the end of the run to check.
 */
import type { Entity, EntityId, PeerId } from 'lanista';
import { coreOf } from '../../sdk/sync/handle.ts';
import { FIELDS, KINDS, stampOf, type SimField, type SimGame, type SimKind, type SimRoom } from './game-rules.ts';

/** A room, and who it is in the run. */
export interface Replica {
  readonly room: SimRoom;
  readonly index: number;
  /** Counts the rooms opened in the run. */
  readonly life: number;
}

interface Seen {
  epoch: number;
  owner: PeerId;
  readonly stamps: Record<SimField, number>;
}

type SimEntity = Entity<SimGame, SimKind>;

export class Ledger {
  readonly violations: string[] = [];
  /** Grows with each write of the run. */
  stamp = 0;
  writes = 0;
  applied = 0;
  /** Epochs of an entity that more than one peer claimed. */
  disputes = 0;
  moves = 0;
  now: () => number = () => 0;
  trace: ((line: string) => void) | undefined;
  #hash = 0x811c_9dc5;
  /** By `id epoch owner`: the stamps the reign began with. */
  readonly #bases = new Map<string, Record<SimField, number>>();
  readonly #owners = new Map<string, Set<PeerId>>();
  readonly #seen = new Map<number, Map<EntityId, Seen>>();

  violate(rule: string, replica: Replica, detail: string): void {
    const line = `${rule} at ${Math.round(this.now())} ms, member ${replica.index} life ${replica.life}: ${detail}`;
    this.trace?.(line);
    if (this.violations.length < 50) this.violations.push(line);
  }

  get hash(): number {
    return this.#hash >>> 0;
  }

  mix(...values: readonly number[]): void {
    for (const value of values) this.#hash = Math.imul(this.#hash ^ (value | 0), 0x0100_0193);
  }

  /** Watches every entity of `replica` from now on. */
  watch(replica: Replica): void {
    this.#seen.set(replica.life, new Map());
    const { entities } = replica.room;
    for (const kind of KINDS) {
      entities.on(kind, {
        spawn: (entity) => this.#appeared(replica, entity as SimEntity),
        despawn: (entity) => {
          this.mix(3, replica.index, entity.id);
          this.trace?.(`${Math.round(this.now())} ${replica.index} loses ${this.#name(entity as SimEntity)} of ${entity.owner.slice(0, 4)}`);
        },
        authority: (entity, previous) => this.#moved(replica, entity as SimEntity, previous),
      });
    }
  }

  #appeared(replica: Replica, entity: SimEntity): void {
    const { epoch } = coreOf(entity)!;
    this.mix(1, replica.index, entity.id, epoch);
    this.trace?.(`${Math.round(this.now())} ${replica.index} sees ${this.#name(entity)} epoch ${epoch} of ${entity.owner.slice(0, 4)}`);
    const known = this.#seen.get(replica.life)!.get(entity.id);
    if (entity.mine) this.#begin(replica, entity);
    if (known === undefined) this.#seen.get(replica.life)!.set(entity.id, { epoch, owner: entity.owner, stamps: { a: 0, b: 0, x: 0, t: 0 } });
    for (const field of FIELDS) {
      this.#show(replica, entity, field, entity[field]);
      entity.onChange(field, (value) => this.#show(replica, entity, field, value));
    }
  }

  #moved(replica: Replica, entity: SimEntity, previous: PeerId): void {
    const { epoch } = coreOf(entity)!;
    this.moves++;
    this.mix(2, replica.index, entity.id, epoch);
    this.trace?.(
      `${Math.round(this.now())} ${replica.index} ${this.#name(entity)} epoch ${epoch} from ${previous.slice(0, 4)} to ${entity.owner.slice(0, 4)}${entity.mine ? ' (own)' : ''}`,
    );
    if (entity.mine) this.#begin(replica, entity);
    this.#judge(replica, entity);
  }

  /** `replica` has authority from now on: what it holds is where its reign begins. */
  #begin(replica: Replica, entity: SimEntity): void {
    const { epoch } = coreOf(entity)!;
    const base = Object.fromEntries(FIELDS.map((field) => [field, stampOf(field, entity[field])])) as Record<SimField, number>;
    this.#bases.set(`${entity.id} ${epoch} ${replica.room.self.id}`, base);
    const key = `${entity.id} ${epoch}`;
    let owners = this.#owners.get(key);
    if (owners === undefined) this.#owners.set(key, (owners = new Set()));
    owners.add(replica.room.self.id);
    if (owners.size === 2) this.disputes++;
  }

  /** The claim this replica holds may only get better. */
  #judge(replica: Replica, entity: SimEntity): Seen {
    const core = coreOf(entity)!;
    const seen = this.#seen.get(replica.life)!.get(entity.id)!;
    if (seen.epoch === core.epoch && seen.owner === core.owner) return seen;
    const better = core.epoch > seen.epoch || (core.epoch === seen.epoch && core.owner < seen.owner);
    if (!better && core.kind.def.authority !== 'host')
      this.violate(
        'SY8',
        replica,
        `${this.#name(entity)} went from ${seen.epoch} ${seen.owner.slice(0, 4)} to ${core.epoch} ${core.owner.slice(0, 4)}`,
      );
    seen.epoch = core.epoch;
    seen.owner = core.owner;
    // Another reign: what was seen before is no measure, but what it began with is.
    for (const field of FIELDS) seen.stamps[field] = 0;
    return seen;
  }

  #show(replica: Replica, entity: SimEntity, field: SimField, value: unknown): void {
    const stamp = stampOf(field, value);
    const seen = this.#judge(replica, entity);
    this.applied++;
    this.mix(replica.index, entity.id, stamp);
    const base = this.#bases.get(`${entity.id} ${seen.epoch} ${seen.owner}`)?.[field] ?? 0;
    if (stamp < seen.stamps[field]) this.violate('S6', replica, `${this.#name(entity)}.${field} went back from ${seen.stamps[field]} to ${stamp}`);
    else if (stamp < base) this.violate('S6', replica, `${this.#name(entity)}.${field} shows ${stamp}, and the reign began with ${base}`);
    seen.stamps[field] = stamp;
  }

  /** Looks at everything a replica holds: what changed without a word, and who thinks to own what. */
  inspect(replica: Replica): void {
    for (const kind of KINDS)
      for (const entity of replica.room.entities.all(kind)) {
        if (entity.mine !== (entity.owner === replica.room.self.id))
          this.violate('SY8', replica, `${this.#name(entity as SimEntity)} is ${entity.mine ? '' : 'not '}mine, and of ${entity.owner}`);
        const seen = this.#seen.get(replica.life)!.get(entity.id)!;
        const { epoch, owner } = coreOf(entity)!;
        if (seen.epoch !== epoch || seen.owner !== owner) continue;
        for (const field of FIELDS)
          if (stampOf(field, entity[field]) !== seen.stamps[field] && seen.stamps[field] !== 0)
            this.violate(
              'SY10',
              replica,
              `${this.#name(entity as SimEntity)}.${field} is ${entity[field]}, and onChange last told ${seen.stamps[field]}`,
            );
      }
  }

  #name(entity: SimEntity): string {
    return `${entity.kind} ${entity.id % 0x10_0000}`;
  }
}

/** Everything `room` holds, in one line per entity; equal lines are equal replicas. */
export function holdings(room: SimRoom): string[] {
  const lines: string[] = [];
  for (const kind of KINDS as readonly SimKind[])
    for (const entity of room.entities.all(kind)) {
      const { epoch } = coreOf(entity)!;
      lines.push(`${kind} ${entity.id} epoch ${epoch} of ${entity.owner}: ${FIELDS.map((field) => entity[field]).join(' ')}`);
    }
  return lines.sort();
}
