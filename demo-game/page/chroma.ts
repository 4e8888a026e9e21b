/**
 * `window.chroma`: the running game for tests and for the curious. Try
 * `chroma.room.peers`, `chroma.press({ x: 1, fire: true })`, `chroma.state()` in the console.
 */
import type { Lan } from 'lanista';
import type { ChromaGame, ChromaRoom } from '../rules/game.ts';
import type { Match } from '../rules/match.ts';
import type { Pressed } from './controls.ts';

export interface ChromaState {
  /** `home` outside a room, `waiting` before the round is known. */
  readonly phase: 'home' | 'waiting' | 'lobby' | 'match' | 'scores';
  /** Room time, ms; NaN outside a round. */
  readonly startsAt: number;
  readonly endsAt: number;
  readonly now: number;
  readonly round: number;
  /** Content id, and what is known of it: no name and no walls while it is not here. */
  readonly map: string;
  readonly mapName: string;
  readonly walls: number;
  readonly slot: number;
  readonly host: boolean;
  readonly hostSlot: number;
  /** Present players, this one included. */
  readonly players: number;
  readonly names: readonly string[];
  readonly x: number;
  readonly y: number;
  readonly hp: number;
  readonly paint: number;
  /** Cells per paint. */
  readonly coverage: readonly number[];
  readonly bots: number;
}

export interface Chroma {
  lan: Lan<ChromaGame> | undefined;
  room: ChromaRoom | undefined;
  match: Match | undefined;
  /** Enters a room as the Play button does; a name of a room makes it that room. */
  play(room?: string): Promise<void>;
  join(target: string): Promise<void>;
  leave(): Promise<void>;
  /** Steers until the next call; `{}` gives the controls back. */
  press(pressed: Pressed): void;
  state(): ChromaState;
  /** Equal on every page whose floor is equal; empty outside a room. */
  floorHash(): string;
}

export function readState(match: Match | undefined): ChromaState {
  if (match === undefined)
    return {
      phase: 'home',
      startsAt: Number.NaN,
      endsAt: Number.NaN,
      now: Number.NaN,
      round: 0,
      map: '',
      mapName: '',
      walls: 0,
      slot: -1,
      host: false,
      hostSlot: -1,
      players: 0,
      names: [],
      x: 0,
      y: 0,
      hp: 0,
      paint: 0,
      coverage: [],
      bots: 0,
    };
  const { room, round, me } = match;
  const present = [...room.peers.values()].filter((peer) => peer.status === 'present');
  return {
    phase: round?.phase ?? 'waiting',
    startsAt: round?.startsAt ?? Number.NaN,
    endsAt: round?.endsAt ?? Number.NaN,
    now: room.clock.now(),
    round: round?.number ?? 0,
    map: round?.map ?? '',
    mapName: match.map.name,
    walls: match.map.walls.length,
    slot: room.self.slot,
    host: room.isHost,
    hostSlot: room.peers.get(room.host)?.slot ?? -1,
    players: present.length,
    names: present.map((peer) => peer.presence.name ?? ''),
    x: me.body.x,
    y: me.body.y,
    hp: me.entity.hp,
    paint: me.paint,
    coverage: match.coverage(),
    bots: [...room.entities.all('bot')].length,
  };
}

declare global {
  // The one name the page gives away.
  var chroma: Chroma;
}
