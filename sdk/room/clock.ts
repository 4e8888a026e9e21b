/** The room's clock as a game sees it: the port's time, and beats on it. */
import { assertCallback, callGuarded } from '../base/callback.ts';
import type { LocalTime } from '../port/lan-port.ts';
import type { RoomPort } from '../port/port.ts';
import type { Metronome } from '../sync/clock.ts';
import type { RoomClock } from './types.ts';

export function createRoomClock(port: RoomPort, time: LocalTime, beats: Metronome, failed: (what: string, cause: unknown) => void): RoomClock {
  const now = (): number => port.time(time.now());
  return {
    now,
    get errorMs(): number {
      return port.timeErrorMs(time.now());
    },
    every: (hz, fn) => {
      const what = `clock.every(${hz})`;
      assertCallback(what, fn);
      const beat = (tick: number, at: number): void =>
        void callGuarded(
          () => fn(tick, at),
          (cause) => failed(what, cause),
        );
      return beats.every(now(), hz, beat);
    },
  };
}
