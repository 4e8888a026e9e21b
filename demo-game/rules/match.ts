/**
 * One player's whole game in one room, without a picture: composes the rules over a `Room`. The page
 * gives it input and draws what it holds; tests and bots run it in Node just the same.
 */
import type { MineEntity, PeerId } from 'lanista';
import { Actor } from './actor.ts';
import type { ActorWorld } from './actor.ts';
import { blobRadius, startPosition } from './arena.ts';
import type { ArenaMap } from './arena.ts';
import { BallKeeper } from './ball.ts';
import { BotKeeper } from './bot-keeper.ts';
import { botNames } from './bots.ts';
import { EffectQueue } from './effects.ts';
import { Floor } from './floor.ts';
import type { Stroke } from './floor.ts';
import { answerMs, FloorSync } from './floor-sync.ts';
import type { ChromaGame, ChromaRoom, Power } from './game.ts';
import { firstBot, noHue, paintOf, tallyBytes } from './game.ts';
import { Held } from './held.ts';
import { MapKeeper } from './map-keeper.ts';
import { idle, keepOutside } from './movement.ts';
import type { Body, Input } from './movement.ts';
import { Painter } from './painter.ts';
import { PickupKeeper } from './pickups.ts';
import { currentRound, defaultRound, keepRound } from './round.ts';
import type { RoundOptions, RoundState } from './round.ts';
import { shotAt, splashRadius, touches } from './shots.ts';
import type { Shot } from './shots.ts';
import { strokeAt } from './strokes.ts';
import { tell } from './tell.ts';
import { Wearing } from './wearing.ts';

/** A blob as anybody may draw it, steered here or elsewhere. */
export interface BlobView {
  /** Slot, or `firstBot` + number. */
  readonly who: number;
  readonly name: string;
  readonly paint: number;
  readonly x: number;
  readonly y: number;
  readonly vx: number;
  readonly vy: number;
  readonly aim: number;
  readonly ink: number;
  readonly hp: number;
  readonly state: 'alive' | 'shield' | 'dash' | 'splat';
  readonly power: Power;
  readonly self: boolean;
  readonly bot: boolean;
  readonly host: boolean;
  /** Its machine went silent and its seat is kept: nobody steers it. */
  readonly away: boolean;
  readonly owner: ChromaRoom['host'];
  /** How much of the wait for the next dash is over, 1 when it may; own blob only. */
  readonly dash: number;
}

/** One line of the feed. */
export interface SplatNews {
  /** Names, as they were then: a bot makes way for whoever joins. */
  readonly who: string;
  readonly by: string;
  readonly paint: number;
  readonly at: number;
}

export interface MatchOptions {
  readonly round?: Partial<RoundOptions>;
  /** Numbers in [0, 1). */
  readonly random: () => number;
}

/** Steps per second of own blobs. State is sent at the entities' own rate. */
const stepHz = 60;
const stepMs = 1000 / stepHz;
/** A remote shot older than this when it comes is not worth showing. */
const staleShotMs = 1000;
/** The blobs of the other half of a merge are seen within this. */
const roomyMs = 3000;

export class Match implements Disposable {
  readonly room: ChromaRoom;
  readonly floor = new Floor();
  readonly effects = new EffectQueue();
  readonly shots: Shot[] = [];
  readonly news: SplatNews[] = [];
  /** Splats dealt per `who`, this round, as far as this peer heard or was told. */
  readonly splats = new Map<number, number>();
  input: Input = idle;
  readonly sync: FloorSync;
  readonly maps: MapKeeper;
  readonly me: Actor;
  readonly #blob: MineEntity<ChromaGame, 'blob'>;
  readonly #tell: ChromaRoom['send'];
  readonly #wearing: Wearing;
  readonly #painter: Painter;
  readonly #bots: BotKeeper;
  readonly #ball: BallKeeper;
  readonly #pickups: PickupKeeper;
  readonly #off = new Held();
  readonly #world: ActorWorld;
  #round: RoundState | undefined;
  #lastRound: RoundState | undefined;
  #phase = '';
  readonly #floorThere: Promise<void>;
  #reseated: { readonly x: number; readonly y: number; readonly until: number } | undefined;

  constructor(room: ChromaRoom, options: MatchOptions) {
    this.room = room;
    this.#tell = tell(room);
    const slot = room.self.slot;
    this.#wearing = this.#off.use(new Wearing(room));
    this.#blob = room.entities.spawn('blob', startPosition(slot));
    this.me = new Actor(this.#blob, slot, paintOf(room.self.presence.hue));
    this.#painter = this.#off.use(new Painter(room, this.floor, (stroke) => this.#seeStroke(stroke)));
    this.sync = this.#off.use(new FloorSync(room, this.floor));
    this.#bots = new BotKeeper(room);
    this.#ball = new BallKeeper(room);
    this.#pickups = this.#off.use(new PickupKeeper(room));
    this.#world = this.#createWorld(options.random);
    this.maps = this.#off.use(new MapKeeper(room));
    this.#off.use(keepRound(room, this.maps.shelf, { ...defaultRound, ...options.round }, () => this.#lastRound));
    this.#listen();
    this.#off.use(room.clock.every(stepHz, (_tick, time) => this.#step(time)));
    this.#floorThere = this.sync.fetchAll();
  }

  get round(): RoundState | undefined {
    return this.#round;
  }

  get map(): ArenaMap {
    return this.maps.map;
  }

  /** Cells per paint, index 0 bare; cells under walls count for nobody. */
  coverage(): number[] {
    return this.floor.coverage(this.maps.mask);
  }

  /** Everybody in the arena, own blob first as it is now, the others as they should be drawn. */
  blobs(): BlobView[] {
    const { room } = this;
    const views: BlobView[] = [];
    for (const blob of room.entities.all('blob')) {
      const peer = room.peers.get(blob.owner);
      // A seat shows before its presence has come; its blob waits for the name.
      if (peer?.presence.name === undefined || (blob.mine && blob !== this.#blob)) continue;
      const { view } = blob;
      const shown = blob.mine ? this.#ahead() : this.#outside(view);
      views.push({
        vx: view.vx,
        vy: view.vy,
        aim: view.aim,
        ink: view.ink,
        hp: view.hp,
        state: view.state,
        power: view.power,
        x: shown.x,
        y: shown.y,
        who: peer.slot,
        name: peer.presence.name,
        paint: paintOf(peer.presence.hue),
        self: blob.mine,
        bot: false,
        host: peer.isHost,
        away: peer.status === 'away',
        owner: blob.owner,
        dash: blob.mine ? this.me.dashShare(room.clock.now()) : 1,
      });
    }
    for (const bot of room.entities.all('bot')) {
      const who = firstBot + bot.number;
      const actor = bot.mine ? this.#bots.actor(who) : undefined;
      const { view } = bot;
      const place = actor?.body ?? this.#outside(view);
      views.push({
        vx: view.vx,
        vy: view.vy,
        aim: view.aim,
        ink: view.ink,
        hp: view.hp,
        state: view.state,
        power: view.power,
        x: place.x,
        y: place.y,
        who,
        name: `BOT ${botNames[bot.number % botNames.length] ?? ''}`,
        paint: paintOf(bot.hue),
        self: false,
        bot: true,
        host: false,
        away: room.peers.get(bot.owner)?.status === 'away',
        owner: bot.owner,
        dash: 1,
      });
    }
    return views;
  }

  /** Tells everybody a feeling. */
  emote(what: number): void {
    this.#tell('emote', { what });
    this.effects.push({ type: 'emote', x: this.me.body.x, y: this.me.body.y, paint: this.me.paint, who: this.me.who, amount: what });
  }

  [Symbol.dispose](): void {
    this.#off[Symbol.dispose]();
    if (this.#blob.alive && !this.room.signal.aborted) this.#blob.despawn();
  }

  #createWorld(random: () => number): ActorWorld {
    const match = this;
    return {
      floor: this.floor,
      get map() {
        return match.map;
      },
      get painting() {
        return match.#painting();
      },
      paint: (stroke) => this.#painter.paint(stroke),
      shoot: (shot) => this.#shoot(shot),
      effect: (effect) => this.effects.push(effect),
      random,
    };
  }

  #listen(): void {
    const { room } = this;
    const off = this.#off;
    off.use(
      room.onMessage('shot', (shot) => {
        const age = room.clock.now() - shot.at;
        if (age > staleShotMs || age < -staleShotMs || shot.paint < 1 || shot.paint > 8) return;
        if (this.shots.some((known) => known.id === shot.id && known.who === shot.who)) return;
        this.shots.push(shot);
        this.effects.push({ type: 'shot', x: shot.x, y: shot.y, paint: shot.paint, who: shot.who });
      }),
    );
    off.use(room.onMessage('splat', ({ who, by, paint, x, y }) => this.#report({ who, by, paint }, x, y)));
    off.use(
      room.onMessage('emote', ({ what }, { from }) => {
        const slot = room.peers.get(from)?.slot;
        if (slot !== undefined) this.effects.push({ type: 'emote', x: 0, y: 0, paint: 0, who: slot, amount: what });
      }),
    );
    off.use(room.handle('tally', ({ number }, from) => this.#tally(number, from)));
    off.use(room.handle('hit', (claim) => ({ ok: this.#judge(claim) })));
  }

  #painting(): boolean {
    const round = this.#round;
    return round !== undefined && round.phase !== 'scores' && this.room.clock.now() < round.endsAt;
  }

  #step(now: number): void {
    this.#followRound(now);
    this.me.paint = paintOf(this.room.self.presence.hue);
    this.#keepSeat(now);
    this.me.step(this.input, now, stepMs, this.#world);
    const fill = this.#round?.fill ?? 0;
    const targets = this.blobs().filter((blob) => blob.state === 'alive' && !blob.away);
    this.#bots.step(now, stepMs, fill, this.#world, targets);
    this.#ball.step(now, stepMs, this.me, this.#world);
    this.#pickups.step(now, this.me, this.#round?.phase === 'match', this.#world);
    this.#flyShots(now, targets);
    this.#painter.flush(now);
    this.sync.step(now);
    while ((this.news[0]?.at ?? now) < now - 5000) this.news.shift();
  }

  /**
   * Two who press Play at once found a room each, sit in its first seat, and start in one place; then the rooms become one. Who got
   * another seat by that goes to its place, when somebody stands in its old one.
   */
  #keepSeat(now: number): void {
    const { me } = this;
    const { slot } = this.room.self;
    if (slot !== me.who) {
      me.who = slot;
      this.#reseated = { x: me.body.x, y: me.body.y, until: now + roomyMs };
    }
    const was = this.#reseated;
    if (was === undefined) return;
    const near = (x: number, y: number): boolean => Math.hypot(x - me.body.x, y - me.body.y) < 2 * blobRadius;
    if (now > was.until || !me.alive || !near(was.x, was.y)) this.#reseated = undefined;
    else if (this.blobs().some((blob) => !blob.self && near(blob.x, blob.y))) {
      this.#reseated = undefined;
      me.goTo(startPosition(slot));
    }
  }

  #followRound(now: number): void {
    const round = currentRound(this.room);
    this.#round = round;
    if (round === undefined) return;
    const { phase: current, startsAt, endsAt, number, map, queue, waiting, fill } = round;
    this.#lastRound = { phase: current, startsAt, endsAt, number, map, queue, waiting, fill };
    this.floor.startAt(round.startsAt);
    this.maps.follow(round, now);
    const phase = `${round.phase} ${round.number}`;
    if (phase === this.#phase) return;
    if (round.phase === 'match') this.splats.clear();
    if (round.phase === 'match' && this.#phase !== '') this.#wearing.startRound();
    if (this.#phase === '' && round.phase !== 'lobby') void this.#comeInto(round.number);
    if (round.phase === 'lobby' && this.#phase !== '') this.room.setPresence({ ready: false });
    this.#phase = phase;
    this.effects.push({ type: 'phase', x: 0, y: 0, paint: 0, who: 0, amount: now });
  }

  #shoot(shot: Shot): void {
    const x = Math.round(shot.x);
    const y = Math.round(shot.y);
    this.shots.push(shot);
    this.effects.push({ type: 'shot', x, y, paint: shot.paint, who: shot.who });
    this.#tell('shot', { id: shot.id, who: shot.who, paint: shot.paint, x, y, angle: shot.angle, at: shot.at, range: Math.round(shot.range) });
  }

  /** Own shots paint where they land and claim what they touch; the others' only vanish. */
  #flyShots(now: number, targets: readonly BlobView[]): void {
    for (let i = this.shots.length - 1; i >= 0; i--) {
      const shot = this.shots[i];
      if (shot === undefined) continue;
      const { x, y, landed } = shotAt(shot, now);
      const target = targets.find((blob) => blob.who !== shot.who && blob.paint !== shot.paint && touches(x, y, blob.x, blob.y));
      if (target === undefined && !landed) continue;
      this.shots.splice(i, 1);
      if (this.#steers(shot.who)) {
        this.#splash(shot, x, y, now);
        if (target !== undefined) this.#claim(shot, target, x, y, now);
      }
    }
  }

  #steers(who: number): boolean {
    return who === this.me.who || this.#bots.actor(who) !== undefined;
  }

  #splash(shot: Shot, x: number, y: number, now: number): void {
    if (!this.#painting()) return;
    const world = this.#world;
    world.paint(strokeAt(x, y, splashRadius, now, shot.who, shot.paint));
    for (let drop = 0; drop < 3; drop++) {
      const turn = shot.angle + (world.random() - 0.5) * 2.2;
      const far = splashRadius * (0.8 + world.random() * 0.9);
      world.paint(strokeAt(x + Math.cos(turn) * far, y + Math.sin(turn) * far, 16 + world.random() * 16, now, shot.who, shot.paint));
    }
    this.effects.push({ type: 'splash', x, y, paint: shot.paint, who: shot.who, amount: splashRadius });
  }

  /** Asks the owner of the target whether it was there. */
  #claim(shot: Shot, target: BlobView, x: number, y: number, now: number): void {
    const claim = {
      shot: shot.id,
      who: target.who,
      by: shot.who,
      paint: shot.paint,
      at: Math.round(now),
      x: Math.max(0, Math.round(x)),
      y: Math.max(0, Math.round(y)),
    };
    if (this.#steers(target.who)) this.#judge(claim);
    else void this.room.call('hit', claim, { to: target.owner, timeoutMs: 300 }).catch(() => undefined);
  }

  #judge(claim: {
    readonly who: number;
    readonly by: number;
    readonly paint: number;
    readonly at: number;
    readonly x: number;
    readonly y: number;
  }): boolean {
    const actor = claim.who === this.me.who ? this.me : this.#bots.actor(claim.who);
    if (actor === undefined || claim.paint < 1 || claim.paint > 8) return false;
    const { ok, splat } = actor.judge(claim, this.room.clock.now(), this.#world);
    if (splat) {
      const x = Math.round(actor.body.x);
      const y = Math.round(actor.body.y);
      this.#tell('splat', { who: claim.who, by: claim.by, paint: claim.paint, x, y });
      this.#report(claim, x, y);
    }
    return ok;
  }

  #report(splat: { readonly who: number; readonly by: number; readonly paint: number }, x: number, y: number): void {
    const views = this.blobs();
    const name = (who: number): string => views.find((view) => view.who === who)?.name ?? 'somebody';
    this.news.push({ who: name(splat.who), by: name(splat.by), paint: splat.paint, at: this.room.clock.now() });
    if (this.news.length > 5) this.news.shift();
    this.splats.set(splat.by, (this.splats.get(splat.by) ?? 0) + 1);
    this.effects.push({ type: 'burst', x, y, paint: splat.paint, who: splat.who });
  }

  #tally(number: number, from: PeerId): { readonly pairs: Uint8Array; readonly hue: number } {
    if (number !== this.#round?.number) return { pairs: new Uint8Array(0), hue: noHue };
    const pairs = [...this.splats].slice(0, tallyBytes / 2).flatMap(([who, count]) => [who, Math.min(255, count)]);
    return { pairs: Uint8Array.from(pairs), hue: this.#wearing.wornBy(from) };
  }

  /** Into a round that runs: with a paint in which nobody else has painted, or the own one of before. */
  async #comeInto(number: number): Promise<void> {
    const hue = await this.#askTally(number);
    await this.#floorThere;
    // Whom nobody answers may have its floor here, and keeps what it wears.
    if (hue === undefined || this.room.signal.aborted || this.#round?.number !== number || this.#round.phase === 'lobby') return;
    this.#wearing.settle(hue, this.coverage());
  }

  /**
   * Who comes into a round has not heard what was dealt before; a host whose page was reloaded neither. Resolves with the hue that this
   * player wore in it, if anybody knows.
   */
  async #askTally(number: number): Promise<number | undefined> {
    const { room } = this;
    const others = [...room.peers.values()].filter((peer) => !peer.isSelf && peer.status === 'present');
    const to = others.find((peer) => peer.isHost) ?? others[0];
    if (to === undefined) return undefined;
    try {
      const { pairs, hue } = await room.call('tally', { number }, { to: to.id, timeoutMs: answerMs });
      if (this.#round?.number !== number) return undefined;
      for (let i = 0; i + 1 < pairs.length; i += 2) {
        const who = pairs[i] ?? 0;
        this.splats.set(who, Math.max(this.splats.get(who) ?? 0, pairs[i + 1] ?? 0));
      }
      return hue;
    } catch {
      // Whoever was asked left, or is slow; the floor decides who wins.
      return undefined;
    }
  }

  #seeStroke(stroke: Stroke): void {
    if (stroke.radius < splashRadius - 1 || this.room.clock.now() - stroke.time > 800) return;
    this.effects.push({ type: 'splash', x: stroke.x / 16, y: stroke.y / 16, paint: stroke.paint, who: stroke.who, amount: stroke.radius });
  }

  /** Where to draw a remote blob: guessing ahead on a bad network must not put it inside a wall. */
  #outside(view: { readonly x: number; readonly y: number }): Body {
    const body = { x: view.x, y: view.y, vx: 0, vy: 0 };
    keepOutside(body, blobRadius, this.map);
    return body;
  }

  /** Own blob between two steps, so that it moves as smoothly as the screen. */
  #ahead(): { readonly x: number; readonly y: number } {
    const { body, steppedAt } = this.me;
    if (!this.me.alive) return body;
    const dt = Math.min(stepMs, Math.max(0, this.room.clock.now() - steppedAt)) / 1000;
    return { x: body.x + body.vx * dt, y: body.y + body.vy * dt };
  }
}
