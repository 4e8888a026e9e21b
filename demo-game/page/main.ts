/**
 * The page: connects to the local process, shows home, and turns a room into a match. Everything seen is
 * in `scenes/` and `ui/`, everything played in `../rules/`.
 */
import { AUTO, CANVAS, Game, Scale, WEBGL } from 'phaser';
import { LanError } from 'lanista';
import type { Lan, NetworkCheck, RoomListing } from 'lanista';
import { connectLan } from 'lanista/browser';
import type { PageLan } from 'lanista/browser';
import { createMind, think } from '../rules/bots.ts';
import { game as rules } from '../rules/game.ts';
import type { ChromaGame, ChromaRoom } from '../rules/game.ts';
import { Match } from '../rules/match.ts';
import { idle } from '../rules/movement.ts';
import type { Chroma } from './chroma.ts';
import { readState } from './chroma.ts';
import { Controls } from './controls.ts';
import { css, ink } from './look/palette.ts';
import { MapBringer } from './map-bringer.ts';
import { ArenaScene } from './scenes/arena.ts';
import { BootScene } from './scenes/boot.ts';
import { HomeScene } from './scenes/home.ts';
import { HudScene } from './scenes/hud.ts';
import { readSettings, readUrl } from './settings.ts';
import { Synth } from './sound/synth.ts';
import { setStage } from './stage.ts';
import { worn } from './stored.ts';
import type { Stage } from './stage.ts';
import { HomeView } from './ui/home.ts';
import { MatchOverlay } from './ui/overlay.ts';

const defaultRoom = 'Chroma Rush';
const maxPlayers = 16;
/** Rooms of one name and a number that Play looks into. */
const mostTables = 4;
/** Between two attempts to reach the game's own process. */
const retryMs = 2000;

/** A phone, say: it plays through another machine's process. */
const isGuest = !/^(?:127\.[\d.]+|localhost|\[::1\])$/u.test(location.hostname);

const options = readUrl(location.search);
const settings = readSettings(options);
const surface = part('game');
const ui = part('ui');
const synth = new Synth();
const stage: Stage = { options, settings, synth, controls: new Controls(surface, ui), match: undefined, pilot: createPilot() };
const phaser = startPhaser();
const home = new HomeView(settings, {
  play: () => enter((lan) => findSeat(lan, options.room ?? defaultRoom)),
  join: (target) => enter((lan) => lan.join(target).catch(explain)),
  diagnose,
});
ui.append(home.root);
const bringer = new MapBringer(ui, stage);

let overlay: MatchOverlay | undefined;
let lan: PageLan<ChromaGame> | undefined;

const chroma: Chroma = {
  lan: undefined,
  room: undefined,
  match: undefined,
  play: (room) => enter((to) => findSeat(to, room ?? options.room ?? defaultRoom)),
  join: (target) => enter((to) => to.join(target)),
  leave: () => leave(),
  press: (pressed) => stage.controls.press(pressed),
  state: () => readState(stage.match),
  floorHash: () => stage.match?.floor.hash().toString(16) ?? '',
};
globalThis.chroma = chroma;

if (options.sound) for (const type of ['pointerdown', 'keydown'] as const) addEventListener(type, () => synth.unlock());
document.addEventListener('visibilitychange', () => showOrHide());
addEventListener('pagehide', () => keepWorn());
void start();

async function start(): Promise<void> {
  try {
    lan = await connectLan(rules, { presence: { name: settings.name, hue: settings.hue } });
  } catch (error) {
    home.tell(words(error));
    // It may only be slow, or be started again in a moment at the same address.
    setTimeout(() => void start(), retryMs);
    return;
  }
  chroma.lan = lan;
  home.invite(lan.guests);
  void followRooms(lan);
  const kept = lan;
  kept.onConnection(({ type }) => {
    if (type === 'open') comeBack(kept);
  });
  if (!comeBack(kept) && options.autoplay !== 'no') void home.run(() => chroma.play());
}

/** A page that was reloaded, or cut off for a moment, takes its seat up again without being asked. False when there is none. */
function comeBack(to: PageLan<ChromaGame>): boolean {
  home.tell('');
  if (to.resumed === undefined) return false;
  void home.run(() => enter(() => to.resume(), worn.read() ?? settings.hue));
  return true;
}

async function diagnose(): Promise<readonly NetworkCheck[]> {
  if (lan === undefined) throw new Error('Not connected to the game’s own process yet. Try again in a moment.');
  return lan.diagnose();
}

async function followRooms(from: Lan<ChromaGame>): Promise<void> {
  try {
    for await (const rooms of from.browse())
      home.show(
        rooms.filter((room: RoomListing) => room.gameId === rules.id),
        from.discovery,
      );
  } catch (error) {
    home.tell(words(error));
  }
}

/** Whoever presses Play gets to play: where the room is full, in the one beside it. */
async function findSeat(to: Lan<ChromaGame>, name: string): Promise<ChromaRoom> {
  for (let table = 1; ; table++) {
    try {
      return await to.joinOrCreate({ name: table === 1 ? name : `${name} ${table}`, max: maxPlayers });
    } catch (error) {
      if (!(error instanceof LanError) || error.code !== 'room-full' || table === mostTables) throw error;
    }
  }
}

/** Words for what this game has no button for. */
function explain(error: unknown): never {
  if (!(error instanceof LanError)) throw error;
  if (error.code === 'room-full') throw new Error('That room is full. Press Play: it takes you to one with a free seat.', { cause: error });
  if (error.code === 'wrong-code')
    throw new Error('That room is locked: only who has its code gets in. Press Play for an open one.', { cause: error });
  throw error;
}

/** Opens a room and swaps home for the arena. Rejects with what went wrong, in words. */
async function enter(open: (lan: Lan<ChromaGame>) => Promise<ChromaRoom>, hue = settings.hue): Promise<void> {
  if (lan === undefined) throw new Error('Not connected to the game’s own process yet. Try again in a moment.');
  if (stage.match !== undefined) return;
  // As the others see us from the first moment.
  lan.setPresence({ name: settings.name, hue, ready: options.autoplay !== 'no' });
  const room = await open(lan);
  try {
    startMatch(room);
  } catch (error) {
    // A seat without a match would be in the way of the next attempt.
    void room.leave();
    throw error;
  }
}

function startMatch(room: ChromaRoom): void {
  const round = {
    ...(options.matchSeconds !== undefined && { matchMs: options.matchSeconds * 1000 }),
    ...(options.lobbySeconds !== undefined && { lobbyMs: options.lobbySeconds * 1000 }),
    ...(options.bots !== undefined && { fill: options.bots }),
  };
  const match = new Match(room, { round, random: Math.random });
  stage.match = match;
  stage.controls.active = true;
  chroma.match = match;
  chroma.room = room;
  showOrHide();
  room.clock.every(60, () => playHidden(match));
  home.root.hidden = true;
  if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
  overlay = new MatchOverlay(ui, match, settings, synth, { leave: () => void leave(), addMap: () => bringer.pick(), diagnose });
  room.signal.addEventListener('abort', () => goHome(match), { once: true });
  room.on('close', ({ reason }) => {
    if (reason === 'kicked') home.tell('The host removed you from the room.');
    else if (reason === 'bridge') home.tell(lostProcess());
    else if (reason === 'copied') home.tell('Another machine plays with a copy of this player. Start the game here again: it is somebody else then.');
    else if (reason !== 'bye') home.tell('The connection to the room was lost. Press Play to come back.');
  });
  phaser.scene.stop('home');
  phaser.scene.start('arena');
  void bringer.entered(match);
}

/** Why the game's own process is not there: it was ended, or gives its attention to another tab. */
function lostProcess(): string {
  const state = lan?.connection;
  if (state?.type === 'closed') return state.error.message;
  return isGuest
    ? 'The computer this game came from is out of reach, or the game was closed there.'
    : 'The game on this computer was closed or is stuck. Start it again, and open the address it prints.';
}

/** A hidden page lets go of the keys and of the host's duties; its blob stays. */
function showOrHide(): void {
  const { match } = stage;
  if (match === undefined) return;
  match.room.setEligible(!document.hidden);
  if (document.hidden) match.input = idle;
}

/** Frames read the controls, and a hidden page has none: what plays by program plays on, and nobody watches the splashes. */
function playHidden(match: Match): void {
  if (!document.hidden) return;
  const { options: asked, controls, pilot } = stage;
  match.input = asked.autoplay === 'bot' && pilot !== undefined ? pilot(match) : (controls.programmed ?? idle);
  while (match.effects.poll() !== undefined);
}

/** Whoever comes back goes on with the same paint, for the floor in it is theirs. */
function keepWorn(): void {
  if (stage.match !== undefined) worn.write(stage.match.me.paint - 1);
}

async function leave(): Promise<void> {
  const match = stage.match;
  if (match === undefined) return;
  goHome(match);
  home.focus();
  await match.room.leave();
}

function goHome(match: Match): void {
  if (stage.match !== match) return;
  keepWorn();
  stage.match = undefined;
  stage.controls.active = false;
  chroma.match = undefined;
  chroma.room = undefined;
  overlay?.[Symbol.dispose]();
  overlay = undefined;
  match[Symbol.dispose]();
  phaser.scene.stop('hud');
  phaser.scene.stop('arena');
  phaser.scene.start('home');
  home.root.hidden = false;
}

function startPhaser(): Game {
  const width = sharpWidth();
  const type = options.renderer === 'canvas' ? CANVAS : hasWebGl() ? WEBGL : AUTO;
  const game = new Game({
    type,
    parent: surface,
    backgroundColor: css(ink),
    scale: { mode: Scale.FIT, autoCenter: Scale.CENTER_BOTH, width, height: (width * 9) / 16 },
    fps: { limit: options.fps ?? 0 },
    banner: false,
    audio: { noAudio: true },
    input: { keyboard: false, mouse: false, touch: false, gamepad: false },
    // Frames stop in a hidden tab; the match does not, it ticks by the room's clock.
    scene: [BootScene, HomeScene, ArenaScene, HudScene],
  });
  setStage(game, stage);
  // A window made larger, a phone turned; not while it is being dragged, for each size costs a picture.
  let resized: ReturnType<typeof setTimeout> | undefined;
  addEventListener('resize', () => {
    clearTimeout(resized);
    resized = setTimeout(() => {
      const wanted = sharpWidth();
      if (wanted !== game.scale.gameSize.width) game.scale.setGameSize(wanted, (wanted * 9) / 16);
    }, 250);
  });
  return game;
}

/** As sharp as the screen, within what a weak graphics chip fills at 60 Hz. */
function sharpWidth(): number {
  const wanted = Math.min(innerWidth, (innerHeight * 16) / 9) * Math.min(2, devicePixelRatio);
  return Math.round(Math.min(1920, Math.max(480, wanted)) / 16) * 16;
}

function hasWebGl(): boolean {
  return document.createElement('canvas').getContext('webgl') !== null;
}

/** Plays like a bot: for watching, and for tests that need a lively arena. */
function createPilot(): Stage['pilot'] {
  const mind = createMind(Math.random() * 6);
  return (match) =>
    think(
      mind,
      match.me.body,
      match.me.paint,
      match.floor,
      match.map,
      match.blobs().filter((blob) => !blob.self && !blob.away),
      match.room.clock.now(),
      Math.random,
    );
}

function part(id: string): HTMLElement {
  const node = document.getElementById(id);
  if (node === null) throw new Error(`index.html has no #${id}`);
  return node;
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
