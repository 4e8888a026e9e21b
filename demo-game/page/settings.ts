/**
 * What this player chose, on this machine: name, colour, sound, motion, patterns; and what the URL asks
 * for, which wins and is not kept. Tests and second windows use the URL.
 */
import { shownName } from '../rules/names.ts';
import { stored } from './stored.ts';

export interface Settings {
  name: string;
  hue: number;
  volume: number;
  muted: boolean;
  /** Patterns on the paints, for players who cannot tell the colours apart. */
  strongPatterns: boolean;
  reducedMotion: boolean;
}

export interface UrlOptions {
  readonly name: string | undefined;
  readonly room: string | undefined;
  /** `1` presses Play by itself; `bot` also plays by itself. */
  readonly autoplay: 'no' | 'enter' | 'bot';
  readonly renderer: 'webgl' | 'canvas';
  /** False: no particles, shake, or shader noise. */
  readonly fx: boolean;
  /** Pictures per second at most, 5 to 60, for a machine that has to paint them without a graphics chip; undefined draws as many as the screen shows. */
  readonly fps: number | undefined;
  readonly matchSeconds: number | undefined;
  readonly lobbySeconds: number | undefined;
  readonly bots: number | undefined;
  readonly sound: boolean;
  /** The process has maps that this player brought along. */
  readonly maps: boolean;
}

const names = ['Pip', 'Dot', 'Blot', 'Inky', 'Dab', 'Smudge', 'Speck', 'Splash'];

export function readSettings(options: UrlOptions): Settings {
  const random = Math.floor(Math.random() * 8);
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const kept = stored.read();
  return {
    name: options.name ?? text(kept['name']) ?? names[random] ?? 'Pip',
    hue: number(kept['hue'], 0, 7) ?? random,
    volume: number(kept['volume'], 0, 1) ?? 0.6,
    muted: kept['muted'] === true,
    strongPatterns: kept['strongPatterns'] === true,
    reducedMotion: typeof kept['reducedMotion'] === 'boolean' ? kept['reducedMotion'] : calm,
  };
}

export function keepSettings(settings: Settings): void {
  stored.write({ ...settings });
}

export function readUrl(search: string): UrlOptions {
  const query = new URLSearchParams(search);
  const seconds = (key: string): number | undefined => {
    const value = Number(query.get(key));
    return query.has(key) && Number.isFinite(value) && value >= 1 && value <= 3600 ? value : undefined;
  };
  const autoplay = query.get('autoplay');
  const bots = Number(query.get('bots'));
  const fps = Number(query.get('fps'));
  return {
    name: text(query.get('name')),
    room: query.get('room')?.slice(0, 28) || undefined,
    autoplay: autoplay === 'bot' ? 'bot' : autoplay === null || autoplay === '0' ? 'no' : 'enter',
    renderer: query.get('renderer') === 'canvas' ? 'canvas' : 'webgl',
    fx: query.get('fx') !== '0',
    fps: fps >= 5 && fps <= 60 ? Math.floor(fps) : undefined,
    matchSeconds: seconds('seconds'),
    lobbySeconds: seconds('lobby'),
    bots: query.has('bots') && bots >= 0 && bots <= 8 ? Math.floor(bots) : undefined,
    sound: query.get('sound') !== '0',
    maps: query.get('maps') === '1',
  };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? shownName(value) || undefined : undefined;
}

function number(value: unknown, min: number, max: number): number | undefined {
  return typeof value === 'number' && value >= min && value <= max ? value : undefined;
}
