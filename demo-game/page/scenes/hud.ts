/** Over the arena, in a scene of its own so that the arena's camera may shake: coverage, clock, names, feed, network. */
import { Math as PhaserMath, Scene } from 'phaser';
import type { GameObjects } from 'phaser';
import { worldHeight, worldWidth } from '../../rules/arena.ts';
import type { Phase } from '../../rules/game.ts';
import type { MapState } from '../../rules/map-keeper.ts';
import type { BlobView, Match } from '../../rules/match.ts';
import { shorten } from '../../rules/names.ts';
import { standings } from '../../rules/scoring.ts';
import { css, ink, monoFont, paintColor, uiFont } from '../look/palette.ts';
import { readNet } from '../net-line.ts';
import { fitCamera, hudHeight, hudWidth, stageOf } from '../stage.ts';
import type { Stage } from '../stage.ts';

const barX = 250;
const barWidth = hudWidth - 2 * barX;
const refreshMs = 200;
const welcome = 'Paint the floor! Whoever has most of it when the clock is at 0:00 wins.';
/** Why there are no walls. */
const mapWords: Partial<Record<MapState, string>> = { coming: 'Getting the map…', refused: 'This map is broken: a plain floor it is' };
/** Of the names on one chip. */
const chipLetters = 26;
/** Of each name in a line of the feed. */
const feedLetters = 14;
/** Fewer letters say nothing. */
const fewestLetters = 4;
/** Half of what the clock takes, with some air. */
const clockHalf = 52;
/** A map on its way for less is not worth a word, ms. */
const momentMs = 400;
/** Whoever comes into a running round is told this long what it is about, ms. */
const welcomeMs = 5000;
/** Narrower on screen than this (CSS px), letters of the design size are too small to read. */
const readableWidth = 960;
/** A phase is announced this long, and fades, ms. By the clock: on a machine that draws a few pictures a second tweens all but stand still. */
const bannerMs = { grow: 220, stay: 900, fade: 300 };
/** How much is left of what lies over the own blob, and over another's. */
const seeThrough = { own: 0.3, other: 0.6 };

/** A part of the HUD that gives way to the own blob under it, in design units. */
interface Veil {
  readonly parts: () => readonly { alpha: number; setAlpha(alpha: number): unknown }[];
  readonly covers: (x: number, y: number) => boolean;
}

export class HudScene extends Scene {
  #stage!: Stage;
  #match!: Match;
  #bar!: GameObjects.Graphics;
  #clock!: GameObjects.Text;
  #banner!: GameObjects.Text;
  #sub!: GameObjects.Text;
  #net!: GameObjects.Text;
  #chips: { readonly dot: GameObjects.Image; readonly text: GameObjects.Text }[] = [];
  /** What chips and feed say, uncut. */
  readonly #told = new Map<GameObjects.Text, string>();
  #feed: GameObjects.Text[] = [];
  #shares: number[] = [];
  #coverage: number[] = [];
  #refreshedAt = 0;
  #second = -1;
  #phase = '';
  #welcomeUntil = 0;
  #mapState: MapState = 'none';
  #mapStateAt = 0;
  #announcedAt = Number.NEGATIVE_INFINITY;
  /** Letters are this much larger than designed, on a small screen. */
  #grow = 1;
  #veils: readonly Veil[] = [];
  /** Blobs as they were at the last refresh. */
  #views: readonly BlobView[] = [];

  /** False where the scene was started again after its match was gone: what is left of the last one is destroyed. */
  #live = false;

  constructor() {
    super('hud');
  }

  create(again: { readonly phase?: string }): void {
    this.#stage = stageOf(this);
    const match = this.#stage.match;
    this.#live = match !== undefined;
    if (match === undefined) return;
    this.#match = match;
    this.#shares = [];
    this.#told.clear();
    this.#coverage = [];
    this.#phase = again.phase ?? '';
    if (this.#phase === '') this.#announcedAt = Number.NEGATIVE_INFINITY;
    this.#refreshedAt = 0;
    this.#views = [];
    this.#grow = this.#wantedGrowth();
    const refit = (): void => {
      fitCamera(this, hudWidth, hudHeight);
      // Letters are made for one size of screen; for another they are made anew.
      const sharper = (this.scale.width / hudWidth) * this.#grow > resolution * 1.2;
      if (sharper || this.#wantedGrowth() !== this.#grow) this.scene.restart({ phase: this.#phase });
    };
    const grow = this.#grow;
    const resolution = Math.max(1, fitCamera(this, hudWidth, hudHeight)) * grow;
    this.scale.on('resize', refit);
    this.events.once('shutdown', () => this.scale.off('resize', refit));
    this.#bar = this.add.graphics();
    const text = (x: number, y: number, size: number, extra: object = {}): GameObjects.Text =>
      this.add
        .text(x, y, '', {
          fontFamily: uiFont,
          fontSize: `${Math.round(size * grow)}px`,
          fontStyle: '800',
          color: '#ffffff',
          stroke: css(ink),
          strokeThickness: Math.max(3, (size * grow) / 5),
          ...extra,
        })
        .setResolution(resolution);
    this.#clock = text(hudWidth / 2, 46 + 24 * grow, 32).setOrigin(0.5);
    this.#banner = text(hudWidth / 2, hudHeight * 0.3, 76)
      .setOrigin(0.5)
      .setAlpha(0);
    this.#sub = text(hudWidth / 2, hudHeight * 0.64, 20, { align: 'center', wordWrap: { width: hudWidth - 60 } }).setOrigin(0.5);
    this.#net = text(14, hudHeight - 14, 13, {
      fontFamily: monoFont,
      fontStyle: '400',
      color: '#9fb3c8',
      backgroundColor: '#0b0d1acc',
      padding: { x: 8, y: 5 },
      strokeThickness: 0,
    }).setOrigin(0, 1);
    // Beside the bar where the letters are small, under it where they are large.
    const top = grow === 1 ? 32 : 46 + 16 * grow;
    this.#chips = Array.from({ length: 8 }, (_, i) => ({
      dot: this.add
        .image(14 + 16 * grow, top + i * 27 * grow, 'blob1')
        .setScale(0.26 * grow)
        .setVisible(false),
      text: text(14 + 32 * grow, top + i * 27 * grow, 15).setOrigin(0, 0.5),
    }));
    this.#feed = Array.from({ length: 4 }, (_, i) => text(hudWidth - 16, 46 + (20 + i * 25) * grow, 15).setOrigin(1, 0.5));
    // A line for the curious, not worth covering a phone's arena.
    this.#net.setVisible(grow === 1);
    this.#veils = [
      { parts: () => [this.#bar, this.#clock], covers: (x, y) => y < 70 + 50 * grow && x > barX - 40 && x < hudWidth - barX + 40 },
      {
        parts: () => this.#chips.flatMap(({ dot, text: line }) => [dot, line]),
        covers: (x, y) => x < 40 + 200 * grow && y < top + 28 + this.#chips.filter(({ dot }) => dot.visible).length * 27 * grow,
      },
      { parts: () => this.#feed, covers: (x, y) => x > hudWidth - 320 * grow && y < 50 + 120 * grow && this.#match.news.length > 0 },
      { parts: () => [this.#net], covers: (x, y) => y > hudHeight - 76 && x < this.#net.width + 54 },
    ];
  }

  /** 1 on a usual screen; in steps, so that a window being dragged does not make the letters anew all the time. */
  #wantedGrowth(): number {
    const width = this.scale.displaySize.width;
    return width >= readableWidth ? 1 : width >= 640 ? 1.5 : 2;
  }

  #drawVeils(delta: number): void {
    const self = this.#match.me.body;
    const under = (covers: Veil['covers'], { x, y }: { readonly x: number; readonly y: number }): boolean =>
      covers((x * hudWidth) / worldWidth, (y * hudHeight) / worldHeight);
    for (const { parts, covers } of this.#veils) {
      const wanted = under(covers, self) ? seeThrough.own : this.#views.some((view) => under(covers, view)) ? seeThrough.other : 1;
      for (const part of parts()) part.setAlpha(part.alpha + (wanted - part.alpha) * Math.min(1, delta / 120));
    }
  }

  override update(_time: number, delta: number): void {
    const match = this.#match;
    if (!this.#live || match.room.signal.aborted) return;
    const now = match.room.clock.now();
    this.#drawClock(now);
    this.#drawBar(delta);
    this.#drawVeils(delta);
    if (now - this.#refreshedAt < refreshMs && now >= this.#refreshedAt) return;
    this.#refreshedAt = now;
    this.#coverage = match.coverage();
    const views = match.blobs();
    this.#views = views;
    this.#drawChips(views);
    this.#drawFeed();
    this.#net.setText(readNet(match));
  }

  #drawClock(now: number): void {
    const round = this.#match.round;
    if (round === undefined) {
      this.#clock.setText('');
      this.#sub.setText('Waiting for the round…');
      return;
    }
    const left = Math.max(0, Math.ceil((round.endsAt - now) / 1000));
    const phase = `${round.phase} ${round.number}`;
    if (phase !== this.#phase) {
      if (this.#phase === '' && round.phase === 'match') this.#welcomeUntil = now + welcomeMs;
      this.#announce(round.phase, now);
      this.#phase = phase;
    }
    this.#drawBanner(now - this.#announcedAt);
    this.#clock.setText(round.phase === 'match' ? `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}` : '');
    const urgent = round.phase === 'match' && left <= 10;
    this.#clock
      .setColor(urgent ? '#ff4d6d' : '#ffffff')
      .setScale(urgent ? 1 + Math.max(0, (round.endsAt - now) / 1000 - Math.floor((round.endsAt - now) / 1000) - 0.6) * 0.6 : 1);
    this.#sub.setText(this.#subText(round.phase, left, now));
    if (left === this.#second) return;
    this.#second = left;
    if ((round.phase === 'lobby' && left <= 3) || (round.phase === 'match' && left <= 5)) this.#stage.synth.tick(left === 0);
  }

  #subText(phase: Phase, left: number, now: number): string {
    if (phase === 'lobby') return this.#lobbyText(left, now);
    if (phase === 'scores') return '';
    return this.#mapText(now) ?? (now < this.#welcomeUntil ? welcome : '');
  }

  /** Why there are no walls: not for a moment, which is what a map takes as a rule, and of a broken one not all the time. */
  #mapText(now: number): string | undefined {
    const { state } = this.#match.maps;
    if (state !== this.#mapState) {
      this.#mapState = state;
      this.#mapStateAt = now;
    }
    const age = now - this.#mapStateAt;
    return (state === 'coming' && age > momentMs) || (state === 'refused' && age < welcomeMs) ? mapWords[state] : undefined;
  }

  #lobbyText(left: number, now: number): string {
    const players = [...this.#match.room.peers.values()].filter((peer) => peer.status === 'present');
    const ready = players.filter((peer) => peer.presence.ready).length;
    const own = this.#match.room.self.presence.ready ? 'You are ready' : 'Press Enter or the button when you are ready';
    const { name } = this.#match.map;
    const where = this.#mapText(now) ?? (name === '' ? 'Warm-up' : `Warm-up on ${name}`);
    return `${where}: the round starts in ${left}\n${own}  ·  ${ready} of ${players.length} ready`;
  }

  #announce(phase: Phase, now: number): void {
    this.#announcedAt = phase === 'scores' ? Number.NEGATIVE_INFINITY : now;
    this.#banner.setText(phase === 'match' ? 'PAINT!' : 'Warm up');
  }

  #drawBanner(age: number): void {
    const { grow, stay, fade } = bannerMs;
    this.#banner
      .setAlpha(PhaserMath.Clamp(1 - (age - stay) / fade, 0, 1))
      .setScale(0.4 + 0.6 * PhaserMath.Easing.Back.Out(PhaserMath.Clamp(age / grow, 0, 1)));
  }

  #drawBar(delta: number): void {
    const g = this.#bar.clear();
    const painted = this.#coverage.reduce((sum, cells, paint) => (paint === 0 ? 0 : sum + cells), 0);
    g.fillStyle(ink, 0.82).fillRoundedRect(barX - 8, 14, barWidth + 16, 32, 16);
    if (painted === 0) return;
    let x = barX;
    for (let paint = 1; paint <= 8; paint++) {
      const target = (this.#coverage[paint] ?? 0) / painted;
      const share = (this.#shares[paint] ?? target) + (target - (this.#shares[paint] ?? target)) * Math.min(1, delta / 160);
      this.#shares[paint] = share;
      const width = share * barWidth;
      if (width < 1) continue;
      g.fillStyle(paintColor(paint), 1).fillRect(x, 20, Math.max(1, width - 2), 20);
      g.fillStyle(0xffffff, 0.25).fillRect(x, 20, Math.max(1, width - 2), 6);
      x += width;
    }
  }

  #drawChips(views: readonly BlobView[]): void {
    const names = new Map<number, string[]>();
    for (const view of views) names.set(view.paint, [...(names.get(view.paint) ?? []), view.name]);
    const host = views.find((view) => view.host);
    const lines = standings(this.#coverage, names)
      .filter((line) => line.names.length > 0)
      .slice(0, 8);
    this.#chips.forEach(({ dot, text }, i) => {
      const line = lines[i];
      dot.setVisible(line !== undefined);
      if (line === undefined) {
        text.setText('');
        this.#told.delete(text);
      } else {
        // The first line stands beside the bar where the letters are small.
        const most = (this.#grow === 1 ? (i === 0 ? barX - 20 : 330) : hudWidth / 2 - clockHalf * this.#grow) - text.x;
        const share = `${String(Math.round(line.share * 100)).padStart(2)}%  `;
        const mark = line.paint === host?.paint ? ' (host)' : '';
        this.#fill(text, most, chipLetters, (letters) => `${share}${shorten(line.names.join(', '), letters)}${mark}`);
        dot.setTexture(`blob${line.paint}`);
      }
    });
  }

  #drawFeed(): void {
    const news = this.#match.news.slice(-4);
    this.#feed.forEach((text, i) => {
      const item = news[i];
      if (item === undefined) {
        text.setText('');
        this.#told.delete(text);
        return;
      }
      const most = hudWidth / 2 - clockHalf * this.#grow;
      this.#fill(text, most, feedLetters, (letters) => `${shorten(item.by, letters)} splatted ${shorten(item.who, letters)}`);
      text.setColor(css(paintColor(item.paint)));
    });
  }

  /** As many letters of the names as `width` has room for. */
  #fill(text: GameObjects.Text, width: number, most: number, words: (letters: number) => string): void {
    const wanted = words(most);
    if (this.#told.get(text) === wanted) return;
    this.#told.set(text, wanted);
    for (let letters = most; letters >= fewestLetters; letters--) {
      text.setText(words(letters));
      if (text.width <= width) return;
    }
  }
}
