/**
 * One seed of the game's simulator: rooms with entities of every authority live through loss, churn and partition; then the game
 * falls quiet, the faults stop, and every replica has to be the same.
 *
 *   start, most at once and some late -> players write, spawn, despawn, take, ask, talk, while fate strikes -> quiet and heal
 *   -> one list -> equal replicas, one owner per entity, every request ended, every reliable message there
 */
import { createRng, type Rng } from '../../sdk/base/rng.ts';
import { memoryDigest } from '../../sdk/port/memory-digest.ts';
import type { PortEvent } from '../../sdk/port/port.ts';
import { GameRoom } from '../../sdk/room/room.ts';
import { coreOf } from '../../sdk/sync/handle.ts';
import { Duel } from './game-duel.ts';
import { holdings, Ledger, type Replica } from './game-ledger.ts';
import { MeshStage } from './game-mesh.ts';
import { Parcels } from './game-parcels.ts';
import { FIELDS, KINDS, MOVING, simGame, stamped, type SimField, type SimRoom } from './game-rules.ts';
import { MemoryStage, Tap, type Seating, type Stage, type StageEvents } from './game-stage.ts';
import { Talk } from './game-talk.ts';

export interface GameSimOptions {
  readonly seed: number;
  readonly members: number;
  /** Seconds of play before the quiet. */
  readonly seconds: number;
  /** Which network is below; by default every other seed has the whole mesh. */
  readonly stage?: 'memory' | 'mesh';
  readonly trace?: (line: string) => void;
}

export interface GameSimResult {
  readonly seed: number;
  readonly stage: 'memory' | 'mesh';
  readonly violations: readonly string[];
  readonly converged: boolean;
  readonly convergeMs: number;
  readonly hash: string;
  readonly rooms: number;
  readonly entities: number;
  readonly writes: number;
  readonly applied: number;
  readonly moves: number;
  readonly disputes: number;
  readonly sent: number;
  readonly delivered: number;
  readonly outcomes: Readonly<Record<string, number>>;
  /** Ticks of the simulation that were settled, states that were replaced, guesses that were wrong. */
  readonly settledTicks: number;
  readonly resyncs: number;
  readonly restarts: number;
  readonly deputyTurns: number;
  readonly rollbacks: number;
  /** Blocks of bytes that were found, and looked for in vain. */
  readonly found: number;
  readonly missed: number;
}

/** The lists of members become one within this. */
const LIST_LIMIT_MS = 12_000;
/** Then the grace of who is gone may pass, and after it the orphans' time (4 s) and a round of hashes (2 s). */
const STATE_LIMIT_MS = 6_500;
/** Replicas that are equal have to stay so for this long. */
const STABLE_MS = 1_500;
const MOST_OWN = 10;

interface Player extends Replica {
  readonly tap: Tap;
  readonly rng: Rng;
  readonly room: SimRoom;
}

class Play {
  readonly ledger = new Ledger();
  readonly talk = new Talk(this.ledger);
  /** Every third seed plays a simulation beside the rest. */
  readonly duel: Duel | undefined;
  /** Every fourth shares blocks of bytes. */
  readonly parcels: Parcels | undefined;
  readonly stage: Stage;
  readonly players = new Map<number, Player>();
  readonly #rng: Rng;
  readonly #thrifty: boolean;
  #lives = 0;
  #quiet = false;

  constructor(options: GameSimOptions, kind: 'memory' | 'mesh') {
    this.#rng = createRng(options.seed);
    this.#thrifty = options.seed % 5 === 3;
    this.duel = options.seed % 3 === 1 ? new Duel(this.ledger, options.seed) : undefined;
    this.parcels = options.seed % 4 === 2 || options.seed % 8 === 3 ? new Parcels(this.ledger) : undefined;
    const { trace } = options;
    if (trace !== undefined) this.ledger.trace = trace;
    this.ledger.now = () => this.stage?.now ?? 0;
    const events: StageEvents = {
      seated: (seating) => this.#open(seating),
      ended: (index) => this.#end(index),
      trace: (line) => trace?.(line),
    };
    this.stage = kind === 'memory' ? new MemoryStage(this.#rng, options.members, events) : new MeshStage(this.#rng, options.members, events);
  }

  get rooms(): number {
    return this.#lives;
  }

  /** Players with a seat, whose room is open. */
  living(): Player[] {
    return this.stage.seated.flatMap((index) => {
      const player = this.players.get(index);
      return player === undefined || player.room.signal.aborted ? [] : [player];
    });
  }

  #end(index: number): void {
    const player = this.players.get(index);
    this.players.delete(index);
    if (player === undefined) return;
    player.tap.dead = true;
    this.talk.ended(player);
    this.duel?.leave(player.life);
  }

  #open({ index, port, time }: Seating): void {
    const life = ++this.#lives;
    const tap: Tap = new Tap(port, (event) => {
      if (event.type === 'reset') this.talk.allowGap(player, event.peer);
      if (event.type !== 'message') this.ledger.trace?.(`${Math.round(this.stage.now)} ${index} told ${told(event)}`);
    });
    const room = new GameRoom(simGame, tap, {
      time,
      session: this.#rng.u32(),
      presence: {},
      digest: async (bytes) => memoryDigest(bytes),
    }) as unknown as SimRoom;
    // A fifth of the seeds plays within budgets that are mostly too small.
    if (this.#thrifty) room.setStateBudget({ bytesPerTick: 90 + ((index * 37 + life * 11) % 120) });
    const player: Player = { index, life, room, tap, rng: createRng(this.#rng.u32()) };
    this.players.set(index, player);
    this.ledger.watch(player);
    this.talk.watch(player);
    for (const event of ['away', 'back', 'join'] as const) room.on(event, (peer) => this.talk.allowGap(player, peer.id));
    room.on('leave', ({ peer }) => this.talk.allowGap(player, peer.id));
    room.on('warn', ({ code, detail }) => code === 'handler' && this.ledger.violate('S11', player, detail));
    room.whileHost(({ first }) => {
      if (first) for (let i = 0; i < 3; i++) this.#spawn(player, 'post');
    });
    room.clock.every(20, () => this.#turn(player));
    const dice = createRng(player.life ^ 0x5eed);
    if (this.duel !== undefined) room.clock.every(20, () => room.signal.aborted || this.duel!.turn(player, dice, this.#quiet));
    const lots = createRng(player.life ^ 0xb10c);
    if (this.parcels !== undefined) room.clock.every(20, () => this.parcels!.turn(player, lots, this.#quiet));
  }

  #spawn(player: Player, kind: (typeof KINDS)[number]): void {
    const stamp = ++this.ledger.stamp;
    const init = { a: stamp, b: stamp, x: stamp / 16, t: String(stamp) };
    player.room.entities.spawn(kind, init);
  }

  /** What a player does in a twentieth of a second. */
  #turn(player: Player): void {
    const { room, rng } = player;
    this.ledger.inspect(player);
    if (this.#quiet || room.signal.aborted) return;
    let own = 0;
    for (const kind of KINDS)
      for (const entity of room.entities.mine(kind)) {
        own++;
        if (rng.chance(0.01)) {
          entity.despawn();
          continue;
        }
        if (rng.chance(0.02)) entity.teleport();
        for (const field of FIELDS) if (rng.chance(0.15)) this.#write(entity as never, field);
      }
    if (own < MOST_OWN && rng.chance(0.15)) {
      const kind = KINDS[rng.int(KINDS.length)]!;
      if (kind !== 'post' || room.isHost) this.#spawn(player, kind);
    }
    if (rng.chance(0.1)) this.#reach(player);
    this.#talk(player);
  }

  #write(entity: Record<SimField, unknown>, field: SimField): void {
    this.ledger.writes++;
    entity[field] = stamped(field, ++this.ledger.stamp);
  }

  /** Wants something that somebody else has. */
  #reach(player: Player): void {
    const kind = MOVING[player.rng.int(MOVING.length)]!;
    const others = [...player.room.entities.all(kind)].filter((entity) => !entity.mine);
    const entity = others[player.rng.int(Math.max(1, others.length))];
    if (entity === undefined) return;
    void entity.requestAuthority({ timeoutMs: 800 }).then(
      (got) => {
        if (got !== undefined && !got.mine && coreOf(got)!.kind.def.transfer === 'request' && got.alive) this.ledger.mix(got.id);
      },
      (error: unknown) => this.ledger.violate('SY7', player, `requestAuthority rejected with ${String(error)}`),
    );
  }

  #talk(player: Player): void {
    const { rng, room } = player;
    const peers = [...room.peers.values()].filter((peer) => !peer.isSelf);
    const one = peers[rng.int(Math.max(1, peers.length))]?.id;
    if (rng.chance(0.15))
      this.talk.say(player, rng.chance(0.4) ? 'all' : rng.chance(0.4) || one === undefined ? 'host' : rng.chance(0.5) ? one : [one]);
    if (rng.chance(0.3)) this.talk.shoot(player);
    if (rng.chance(0.1) && one !== undefined) this.talk.call(player, 'double', one);
    if (rng.chance(0.1)) this.talk.call(player, 'rule', undefined);
    if (rng.chance(0.02)) room.setPresence({ n: ++this.ledger.stamp });
  }

  async run(seconds: number): Promise<void> {
    const end = seconds * 1_000;
    let next = 1_500;
    while (this.stage.now < end) {
      await this.stage.play(100);
      if (this.stage.now < next) continue;
      this.stage.strike(this.#rng);
      next = this.stage.now + 200 + this.#rng.float() * 1_500;
    }
  }

  /** Quiet; resolves with how long it took until every replica was the same for good, or with what still differs. */
  async settle(): Promise<number | string> {
    this.#quiet = true;
    this.stage.heal(this.#rng);
    const start = this.stage.now;
    let since = start;
    let agreed: number | undefined;
    let amiss: string | undefined = 'never looked';
    const stateLimit = this.stage.graceMs + STATE_LIMIT_MS;
    while (agreed === undefined ? this.stage.now - start <= LIST_LIMIT_MS : this.stage.now - agreed <= stateLimit) {
      const list = this.stage.disagreement();
      if (list === undefined) agreed ??= this.stage.now;
      amiss = list ?? this.#difference();
      if (amiss !== undefined) since = this.stage.now + 50;
      else if (this.stage.now - since >= STABLE_MS) return since - start;
      await this.stage.play(50);
    }
    return amiss ?? 'did not stay equal';
  }

  #difference(): string | undefined {
    const living = this.living();
    const [first] = living;
    if (first === undefined || living.length !== this.stage.seated.length) return `${living.length} rooms on ${this.stage.seated.length} seats`;
    const lines = holdings(first.room);
    for (const { room, index } of living) {
      const owners = new Set([...room.peers.values()].filter(({ status }) => status === 'present').map(({ id }) => id));
      if (room.host !== first.room.host) return `host of ${index} is another`;
      for (const [id, peer] of room.peers)
        if (peer.presence.n !== living.find((one) => one.room.self.id === id)?.room.self.presence.n) return `presence of ${peer.slot} at ${index}`;
      const held = holdings(room);
      const at = held.findIndex((line, i) => line !== lines[i]);
      if (at >= 0 || held.length !== lines.length)
        return `members ${first.index} and ${index} differ: ${lines[at < 0 ? held.length : at]} / ${held[at < 0 ? lines.length : at]}`;
      for (const kind of KINDS)
        for (const entity of room.entities.all(kind))
          if (!owners.has(entity.owner)) return `${kind} ${entity.id} at ${index} is owned by nobody present`;
    }
    return this.duel?.difference(living) ?? this.parcels?.difference(living);
  }
}

/** What a port said, for the trace. */
function told(event: PortEvent): string {
  if (event.type === 'reset') return `reset ${event.peer.slice(0, 4)}`;
  if (event.type !== 'roster') return event.type;
  const { term, epoch, host, peers } = event.roster;
  return `list ${term}/${epoch} of ${host.slice(0, 4)}: ${peers.map(({ id, status }) => `${id.slice(0, 4)}${status === 'away' ? '?' : ''}`).join(' ')}`;
}

/** Runs one seed. Exceptions inside are violations (S11), not crashes of the runner. */
export async function simulateGame(options: GameSimOptions): Promise<GameSimResult> {
  const kind = options.stage ?? (options.seed % 2 === 0 ? 'mesh' : 'memory');
  const play = new Play(options, kind);
  const { ledger, talk } = play;
  let convergeMs: number | undefined;
  try {
    await play.run(options.seconds);
    const settled = await play.settle();
    if (typeof settled === 'number') convergeMs = settled;
    else ledger.violations.push(`L1: not equal after the quiet: ${settled}`);
    talk.finish(play.living());
    play.parcels?.finish(play.living());
    for (const { life } of play.living()) play.duel?.leave(life);
  } catch (error) {
    ledger.violations.push(`S11 at ${Math.round(play.stage.now)} ms: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  }
  const [one] = play.living();
  return {
    seed: options.seed,
    stage: kind,
    violations: ledger.violations,
    converged: convergeMs !== undefined,
    convergeMs: convergeMs ?? Number.POSITIVE_INFINITY,
    hash: `${ledger.hash.toString(16)}-${play.stage.hash.toString(16)}`,
    rooms: play.rooms,
    entities: one === undefined ? 0 : holdings(one.room).length,
    writes: ledger.writes,
    applied: ledger.applied,
    moves: ledger.moves,
    disputes: ledger.disputes,
    sent: talk.sent,
    delivered: talk.delivered,
    outcomes: talk.outcomes,
    settledTicks: play.duel?.settled ?? 0,
    resyncs: play.duel?.resyncs ?? 0,
    restarts: play.duel?.restarts ?? 0,
    deputyTurns: play.duel?.deputyTurns ?? 0,
    rollbacks: play.duel?.rollbacks ?? 0,
    found: play.parcels?.found ?? 0,
    missed: play.parcels?.missed ?? 0,
  };
}
