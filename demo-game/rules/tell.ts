/** Saying something to everybody. */
import { LanError } from 'lanista';
import type { ChromaRoom } from './game.ts';

/**
 * `room.send`, where one who takes nothing more (a machine about to fall silent) is no reason to stop: everybody else was told, and
 * what that one missed of the floor is repaired.
 */
export const tell = (room: ChromaRoom): ChromaRoom['send'] => {
  return (name, body, options) => {
    try {
      room.send(name, body, options);
    } catch (error) {
      if (!(error instanceof LanError) || error.code !== 'queue-full') throw error;
    }
  };
};
