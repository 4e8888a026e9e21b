/**
 * Who may say what an entity is: the rules by which authority moves, the same on every peer.
 *
 * Each entity carries `(epoch, owner)`. A claim with a higher epoch wins, a tie goes to the lower owner, so replicas that see claims
 * in any order end with the same owner. A despawn is the last word of a claim: it beats every claim that is no better, and a better one beats
 * it. Kinds with `authority: 'host'` follow the roster instead: the host's word, whoever it is.
 *
 *   owner leaves:  despawn ─ gone at once, everywhere      host ─ the host takes it      redistribute ─ seat (id mod seats) takes it
 *   asked for:     never ─ no      request ─ its owner grants it, with its last state      take ─ taken, and perhaps lost again
 */
import type { PeerId } from '../base/brand.ts';
import { LanError } from '../base/errors.ts';
import type { PackReader } from '../wire/pack.ts';
import { assertSignal, deadlineAfter } from './clock.ts';
import { checkCall } from './definition.ts';
import type { Ask, AuthorityWorld } from './authority-words.ts';
import { AuthorityWords } from './authority-words.ts';
import type { WholeValues } from './delta.ts';
import { decodeWhole } from './delta.ts';
import { EntityCore } from './entity.ts';
import { Heirs, ORPHAN_MS, RETAKE_MS, SECOND_HEIR_MS, secondHeir } from './heirs.ts';
import type { EntityHome } from './entity.ts';
import { fill, settleInts } from './hand-over.ts';
import type { KindSpec } from './kind.ts';
import type { Claim } from './inbound-rules.ts';
import type { Replication } from './replication.ts';
import type { Telling } from './retold.ts';
import { Retold } from './retold.ts';
import type { EntityStore, Grave } from './store.ts';
import { epochAfter, isBetterClaim, isForgotten } from './store.ts';
import { ADOPT, ASK, BURIED, DENY, GRANT } from './wire.ts';

const DEFAULT_ASK_MS = 1_000;
const ASK_OPTIONS = ['timeoutMs', 'signal'];
export class AuthorityRules {
  readonly #world: AuthorityWorld;
  readonly #store: EntityStore;
  readonly #replication: Replication;
  readonly #home: EntityHome;
  readonly #asks = new Map<number, Ask>();
  readonly #words: AuthorityWords;
  readonly #retold: Retold;
  readonly #scratch = { ints: new Int32Array(32), boxed: [] as unknown[] };
  #lastAsk = 0;
  #awaitsHost = false;
  /** When the room opened this peer was its host, and not alone: it has been here before. */
  #startedAnew = false;
  readonly #heirs = new Heirs();
  #orphansSince = Number.POSITIVE_INFINITY;
  #secondHeirsAsked = false;

  constructor(world: AuthorityWorld, store: EntityStore, replication: Replication, home: EntityHome) {
    this.#world = world;
    this.#store = store;
    this.#replication = replication;
    this.#home = home;
    this.#words = new AuthorityWords(replication.session, (to, bytes) => world.control(to, bytes));
    this.#retold = new Retold(replication.hz);
  }

  /**
   * What a claim of `from`, made by streaming the entity, is worth.
   * @param session of `from`.
   */
  judge(from: PeerId, kind: KindSpec, core: EntityCore | undefined, grave: Grave | undefined, epoch: number, session?: number): Claim {
    if (kind.def.authority === 'host') {
      if (from !== this.#world.roster().host) return 'later';
      const byFormerSelf = core === undefined && grave?.session !== undefined && grave.session !== session;
      return byFormerSelf && isForgotten(epoch, from, grave) ? 'buried' : 'accept';
    }
    if (core !== undefined) return !kind.isFixed && isBetterClaim(epoch, from, core) ? 'accept' : 'refuse';
    if (grave === undefined || isBetterClaim(epoch, from, grave)) return 'accept';
    if (grave.lost !== true) return 'buried';
    return grave.epoch === epoch && grave.owner === from ? 'accept' : 'outbid';
  }

  /** What it means that the reign of `from` in `epoch` ended with a despawn. */
  judgeEnd(from: PeerId, core: EntityCore, epoch: number): Claim {
    if (core.owner === from) return epoch >= core.epoch ? 'accept' : 'refuse';
    if (core.kind.def.authority !== 'host') return !core.kind.isFixed && isBetterClaim(epoch, from, core) ? 'accept' : 'refuse';
    return from === this.#world.roster().host ? 'accept' : epoch > core.epoch ? 'later' : 'refuse';
  }

  /** `core` was despawned by the word of another peer. */
  bury(core: EntityCore, grave: Grave): void {
    if (core.mine) this.#replication.bury(core);
    this.#store.remove(core, grave);
  }

  tellBuried(to: PeerId, origin: number, counter: number, grave: Grave): void {
    this.#words.buried(to, origin, counter, grave);
  }

  /** Its owner's full state does not have `core`. False when that proves nothing, and the owner has to say all of it once more. */
  abandoned(core: EntityCore): boolean {
    // Its owner's former self had it: an heir's word is on its way, or that one had left and is here again.
    if (this.#isLeft(core)) {
      if (this.#orphansSince === Number.POSITIVE_INFINITY) this.#awaitHeirs(true);
      return true;
    }
    if (core.given === true) {
      // That state may have been on its way when this was handed over; the next one is not.
      core.given = 'doubted';
      return false;
    }
    const { authority, transfer } = core.kind.def;
    const mayPass = authority === 'host' ? core.lastChange < 0 : authority === 'distributed' && transfer === 'request';
    if (core.given === false && !core.missed && mayPass) {
      // So may that of somebody else, or of who is host just now. If it is nobody's, the next whole state is without it, too.
      core.missed = true;
      return false;
    }
    // It was handed over, and the message was lost with the link.
    if (core.given === 'doubted') this.#acquire(core);
    // As good as despawned by it: what somebody says who has heard less than this replica cannot bring it back, what somebody took can.
    else this.#store.remove(core, authority === 'host' ? undefined : { epoch: core.epoch, owner: core.owner });
    return true;
  }

  /** A better claim was accepted. */
  yielded(core: EntityCore, previous: PeerId): void {
    if (core.mine) {
      this.#replication.disown(core);
      core.takenAt = this.#world.now();
    }
    this.#store.authorityChanged(core, previous);
  }

  /** Applies a roster to every entity: duties of the host, and of those who are gone or away. */
  applyRoster(): void {
    const { self } = this.#world;
    const roster = this.#world.roster();
    const present = this.#present();
    const orphans: EntityCore[] = [];
    let left = false;
    if (roster.host === self) this.#awaitsHost = false;
    for (const core of [...this.#store.all()]) {
      if (core.kind.def.authority === 'host') {
        if (roster.host === self) this.#acquire(core);
        else if (core.mine) this.#give(core, roster.host);
        else if (this.#isOrphan(core)) left = true;
        continue;
      }
      // Whoever was cut off may read of itself that it is away: what it owns it still has, and says so again.
      if (core.mine) continue;
      const seat = roster.peers.find((peer) => peer.id === core.owner);
      const isLeft = this.#isLeft(core);
      if (isLeft && core.kind.def.onOwnerLeave !== 'redistribute') orphans.push(core);
      else if (!isLeft && (seat === undefined || (seat.status !== 'present' && core.kind.def.authority === 'distributed'))) orphans.push(core);
      else if (this.#isOrphan(core)) left = true;
    }
    this.#heirs.share(
      orphans.filter((core) => core.kind.def.onOwnerLeave === 'redistribute'),
      present,
    );
    for (const core of orphans) if (!this.#inherit(core)) left = true;
    this.#awaitHeirs(left);
  }

  /** Where any are `left`: their heirs have some time from now on, as everybody's have. */
  #awaitHeirs(left: boolean): void {
    this.#orphansSince = left ? this.#world.now() : Number.POSITIVE_INFINITY;
    this.#secondHeirsAsked = false;
  }

  /** Who may inherit, by slot. */
  #present(): readonly PeerId[] {
    return this.#world
      .roster()
      .peers.filter((peer) => peer.status === 'present' && !peer.spectator)
      .map((peer) => peer.id);
  }

  /**
   * `peer` started anew: what its former self owned is left behind.
   * @param knew newest tick of that one that is here, -1 for none.
   */
  handleRestart(peer: PeerId, knew: number): void {
    const roster = this.#world.roster();
    const others = this.#present().filter((id) => id !== peer);
    const left = [...this.#store.all()].filter((core) => core.owner === peer && !core.mine);
    this.#heirs.share(
      left.filter((core) => core.kind.def.onOwnerLeave === 'redistribute'),
      others,
    );
    // It is still host but has forgotten everything.
    for (const core of left) if ((!core.kind.fallsToHost || roster.host !== peer) && !this.#inherit(core)) this.#awaitHeirs(true);
    this.retell(peer, knew);
    for (const ask of [...this.#asks.values()]) if (ask.of === peer) ask.settle(undefined);
  }

  /** Its owner started anew, and an heir has not claimed it yet: not the owner, who is told of it where it is host. */
  #isLeft(core: EntityCore): boolean {
    return !core.mine && this.#replication.isOfFormer(core) && !(core.kind.fallsToHost && core.owner === this.#world.roster().host);
  }

  /** Whose it is does not say so any more, nor does anybody else yet. */
  #isOrphan(core: EntityCore): boolean {
    const { host, peers } = this.#world.roster();
    if (core.mine) return false;
    // Who became host after it had started anew and told all it has, is told nothing of it.
    if (this.#replication.isOfFormer(core)) return this.#isLeft(core) || this.#replication.inbound.get(core.owner)!.synced;
    return core.kind.def.authority === 'host' ? core.owner !== host : !peers.some((peer) => peer.id === core.owner);
  }

  /** Tells `peer`, if it is host, what it has not said that it has, of its former self's and the host's; once more where a link was lost with that. */
  retell(peer: PeerId, knew: number): void {
    const stream = this.#replication.inbound.get(peer);
    const isForgotten = (core: EntityCore): boolean => {
      if (this.#world.roster().host !== peer || core.mine || !core.kind.fallsToHost) return false;
      if (core.kind.def.authority === 'host' && (core.owner !== peer || core.lastChange < 0)) return true;
      return core.owner === peer ? core.source !== stream || stream === undefined : this.#isLeft(core);
    };
    this.#words.retellAll(peer, knew, [...this.#store.all()].filter(isForgotten));
  }

  /** Gives an ownerless entity to its heir. False when the heir is another peer, whose claim has to come yet. */
  #inherit(core: EntityCore): boolean {
    const rule = core.kind.def.onOwnerLeave;
    const roster = this.#world.roster();
    if (rule === 'despawn') {
      this.#lose(core);
      return true;
    }
    const heir = rule === 'host' ? roster.host : this.#heirs.of(core);
    // Given to somebody whose own word about it never came, or taken just now: the others think that it is ours, and would wait for us.
    if (heir !== this.#world.self && !core.given && this.#world.now() - core.takenAt > RETAKE_MS) return false;
    this.#acquire(core);
    return true;
  }

  /** It is gone with its owner, and may come back with it, or by a better claim. */
  #lose(core: EntityCore): void {
    const { kind, epoch, owner } = core;
    this.#store.remove(core, kind.def.authority === 'host' ? undefined : { epoch, owner, lost: true, isFixed: kind.isFixed });
  }

  #acquire(core: EntityCore): void {
    if (core.mine || !core.alive) return;
    const previous = core.owner;
    core.owner = this.#world.self;
    core.given = core.missed = core.yielded = false;
    core.parted = -1;
    core.epoch = epochAfter(core.epoch);
    this.#replication.own(core);
    if (previous !== core.owner) this.#store.authorityChanged(core, previous);
    // However it came here, whoever asked for it has it.
    for (const ask of [...this.#asks.values()]) if (ask.core === core) ask.settle(core.handle);
  }

  #give(core: EntityCore, to: PeerId): void {
    const roomTime = this.#home.roomTime();
    // It was drawn where it is, and is drawn from now on where it was a moment ago, as what others move is.
    const drawn = core.drawnAt(roomTime);
    if (drawn) core.hold(roomTime);
    this.#replication.rest(core);
    this.#replication.disown(core);
    const previous = core.owner;
    core.owner = to;
    core.source = this.#replication.inbound.get(to);
    core.lastChange = -1;
    core.parted = Math.max(0, this.#replication.tick);
    if (drawn) core.glide(roomTime, true);
    this.#store.authorityChanged(core, previous);
  }

  /** What gave way in a merge waits for the host's whole state. */
  get awaitsHost(): boolean {
    return this.#awaitsHost && this.#world.roster().host !== this.#world.self;
  }

  /** Host-owned state of this part of the room gives way to the other part's. */
  mergeLost(): void {
    this.#awaitsHost = true;
    for (const core of this.#store.all()) if (core.kind.def.authority === 'host') core.yielded = true;
  }

  /** The host's full state has arrived: what was to give way and is not in it is gone. */
  mergeSettled(from: PeerId): void {
    if (from !== this.#world.roster().host) return;
    this.#awaitsHost = false;
    for (const core of [...this.#store.all()]) if (core.yielded && !core.mine) this.#store.remove(core, undefined);
  }

  request(core: EntityCore, options: { readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<object | undefined> {
    if (!core.alive) return Promise.reject(new LanError('closed', `${core.kind.name}: this entity was despawned.`));
    if (core.mine) return Promise.resolve(core.handle);
    let deadline: number;
    try {
      checkCall(`${core.kind.name}.requestAuthority`, options, ASK_OPTIONS);
      assertSignal(`${core.kind.name}.requestAuthority`, options.signal);
      deadline = deadlineAfter(`${core.kind.name}.requestAuthority`, this.#world.now(), options.timeoutMs ?? DEFAULT_ASK_MS);
    } catch (error) {
      return Promise.reject(error as Error);
    }
    const { transfer } = core.kind.def;
    if (transfer === 'never' || options.signal?.aborted === true) return Promise.resolve(undefined);
    if (transfer === 'take') {
      this.#acquire(core);
      return Promise.resolve(core.handle);
    }
    const id = ++this.#lastAsk;
    if (!this.#words.say(core.owner, ASK, id, core)) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const abort = (): void => settle(undefined);
      const settle = (handle: object | undefined): void => {
        this.#asks.delete(id);
        options.signal?.removeEventListener('abort', abort);
        resolve(handle);
      };
      this.#asks.set(id, { core, of: core.owner, deadline, settle });
      options.signal?.addEventListener('abort', abort, { once: true });
    });
  }

  /** The room is left: what was asked for is not coming any more. */
  close(): void {
    for (const ask of [...this.#asks.values()]) ask.settle(undefined);
  }

  deadline(): number {
    let earliest = this.#orphansSince + (this.#secondHeirsAsked ? ORPHAN_MS : SECOND_HEIR_MS);
    for (const ask of this.#asks.values()) earliest = Math.min(earliest, ask.deadline);
    return earliest;
  }

  handleTimeout(now: number): void {
    const { peers } = this.#world.roster();
    this.#words.retellRest(peers);
    // What is gone, and who has left, answers nothing.
    for (const ask of [...this.#asks.values()])
      if (ask.deadline <= now || !ask.core.alive || !peers.some(({ id }) => id === ask.of)) ask.settle(undefined);
    if (now < this.#orphansSince + SECOND_HEIR_MS) return;
    const orphans = [...this.#store.all()].filter((core) => this.#isOrphan(core));
    if (!this.#secondHeirsAsked) {
      this.#secondHeirsAsked = true;
      const present = this.#present();
      const { host } = this.#world.roster();
      const heir = (core: EntityCore): PeerId | undefined => secondHeir(core, present, this.#replication.isOfFormer(core) ? host : undefined);
      for (const core of orphans)
        if (core.kind.def.authority !== 'host' && core.kind.def.onOwnerLeave === 'redistribute' && heir(core) === this.#world.self)
          this.#acquire(core);
    } else if (now >= this.#orphansSince + ORPHAN_MS) {
      this.#orphansSince = Number.POSITIVE_INFINITY;
      for (const core of orphans) this.#lose(core);
    }
  }

  /** One control message about authority, past its type. False when it is malformed. */
  handle(from: PeerId, type: number, input: PackReader): boolean {
    const id = input.count(0xffff_ffff);
    const origin = input.count(0xffff_ffff);
    const counter = input.count(0xf_ffff);
    if (!input.ok) return false;
    const core = this.#store.find(origin, counter);
    if (type === ASK) {
      if (
        core === undefined ||
        !core.mine ||
        core.kind.def.transfer !== 'request' ||
        core.kind.def.authority === 'host' ||
        !this.#store.allows(core, from) ||
        // Whom the game asked may have despawned it.
        !core.alive
      )
        this.#words.say(from, DENY, id, { origin, counter });
      else this.#grant(core, from, id);
      return true;
    }
    if (type === DENY) {
      const ask = this.#asks.get(id);
      if (ask?.of === from && ask.core.id === origin * 0x10_0000 + counter) ask.settle(undefined);
      return true;
    }
    if (type === BURIED) {
      const epoch = input.count(0x7fff_ffff);
      const grave: Grave = { epoch, owner: input.text(64) as PeerId };
      if (!input.done || id > 1) return false;
      if (id === 1) {
        // Somebody had it by a better claim, and lost it: our reign goes on above that one.
        if (core?.mine === true && core.kind.def.authority !== 'host' && isBetterClaim(epoch, grave.owner, core)) {
          this.#replication.disown(core);
          core.epoch = epochAfter(epoch);
          this.#replication.own(core);
        }
      } else if (core === undefined) this.#store.deepen(origin, counter, grave);
      else if (this.#mayBury(from, core, grave)) this.bury(core, grave);
      return true;
    }
    if (type === ADOPT) {
      this.#retold.heard(from, id - 1, input.done);
      if (input.done) return true;
    }
    if (input.int() !== 0) return false;
    const values = decodeWhole(input, this.#store.kinds, this.#scratch);
    if (values === undefined) return false;
    if (type === ADOPT) {
      const telling = { ...values, from, origin, counter, knew: id - 1 };
      if (this.#world.isReady()) this.#adopt(telling);
      else this.#retold.keep(telling);
      return true;
    }
    return this.#granted(from, id, origin, counter, core, values);
  }

  /** Whether `from` tells in good faith that `core` was despawned: it is told to who says that it is his, or that it was given to `from`. */
  #mayBury(from: PeerId, core: EntityCore, grave: Grave): boolean {
    if (core.owner === from) return !isBetterClaim(core.epoch, core.owner, grave);
    if (!core.mine || core.kind.isFixed) return false;
    if (core.kind.def.authority !== 'host') return !isBetterClaim(core.epoch, core.owner, grave);
    // What was spawned since we started anew nobody knows better.
    return core.origin !== this.#replication.session && isForgotten(core.epoch, core.owner, grave);
  }

  /** `from` has given it to this peer, and everybody who hears of it will believe so: it is taken unless somebody has a better claim by now. */
  #granted(from: PeerId, id: number, origin: number, counter: number, known: EntityCore | undefined, values: WholeValues): boolean {
    const { self } = this.#world;
    const { kind, epoch } = values;
    if (kind.def.authority === 'host' || kind.def.transfer !== 'request' || (known !== undefined && known.kind !== kind)) return true;
    const grave = known === undefined ? this.#store.grave(origin, counter) : undefined;
    const claim = this.judge(self, kind, known, grave, epoch);
    if (claim === 'buried') this.tellBuried(from, origin, counter, grave!);
    if (claim !== 'accept' && claim !== 'outbid') return true;
    const above = claim === 'outbid' ? epochAfter(grave!.epoch) : epoch;
    let core = known;
    if (core === undefined) {
      if (this.#store.full) return true;
      core = new EntityCore(this.#home, kind, origin, counter, self);
      core.epoch = above;
      fill(core, values.ints, values.boxed);
      this.#replication.own(core);
      this.#store.add(core);
    } else this.#reign(core, above, values);
    const ask = this.#asks.get(id);
    if (ask?.core.id === core.id) ask.settle(core.handle);
    return true;
  }

  /** A reign of ours that begins with `values`; `core` may be ours already, by an older one. */
  #reign(core: EntityCore, epoch: number, values: WholeValues): void {
    const old = core.watched ? core.kind.fields.map((_, i) => core.value(i)) : undefined;
    fill(core, values.ints, values.boxed);
    if (core.mine) this.#replication.disown(core);
    core.epoch = epoch - 1;
    this.#acquire(core);
    if (old !== undefined) for (let i = 0; i < core.kind.count; i++) if (core.value(i) !== old[i]) core.changedValue(i, old[i]);
  }

  #grant(core: EntityCore, to: PeerId, id: number): void {
    // What was assigned since the last tick goes along: the new owner starts from the very last word.
    settleInts(core);
    core.epoch = epochAfter(core.epoch);
    if (!this.#words.say(to, GRANT, id, core, core)) {
      // It stays; what was settled here is told with everything else of it at the next tick.
      this.#replication.disown(core);
      this.#replication.own(core);
      return;
    }
    core.given = true;
    this.#give(core, to);
    this.#replication.give(core, core.epoch - 1);
  }

  /** Tells `peer`, who started anew, of `core`, which it owned before. */
  tellNewer(peer: PeerId, core: EntityCore): void {
    this.#words.retell(peer, core.source?.soundTick ?? -1, core);
  }

  /** The room opens. */
  opened(): void {
    const { host, peers } = this.#world.roster();
    this.#startedAnew = host === this.#world.self && peers.length > 1;
    for (const telling of this.#retold.settle(peers.map((peer) => peer.id))) this.#adopt(telling);
    this.applyRoster();
  }

  /** As a host that started anew: somebody tells of what we owned before. */
  #adopt(telling: Telling): void {
    const { from, origin, counter, kind, epoch } = telling;
    const { self } = this.#world;
    // Who is host of a room in which nobody was before, or became it later, has forgotten nothing; nor has anybody what he spawned since.
    if (this.#world.roster().host !== self || !this.#startedAnew || !kind.fallsToHost || origin === this.#replication.session) return;
    const known = this.#store.find(origin, counter);
    if (known !== undefined) {
      // Somebody else had told of an older reign.
      if (known.mine && known.kind === kind && kind.def.authority !== 'host' && epoch >= known.epoch) this.#reign(known, epochAfter(epoch), telling);
      return;
    }
    if (this.#store.full || this.#retold.isOutdated(telling.knew)) return;
    // Despawned since, and who tells was away: for what is the host's, the host's own word is the last.
    const grave = this.#store.grave(origin, counter);
    if (grave !== undefined && grave.lost !== true && (kind.def.authority === 'host' || !isBetterClaim(epoch, self, grave)))
      return this.tellBuried(from, origin, counter, grave);
    const core = new EntityCore(this.#home, kind, origin, counter, self);
    core.epoch = epochAfter(Math.max(epoch, grave?.epoch ?? 0));
    fill(core, telling.ints, telling.boxed);
    this.#replication.own(core);
    this.#store.add(core);
  }
}
