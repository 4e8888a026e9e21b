/** Rooms that play the simulator's game over the in-memory port: it has a kind for every way authority can lie and move. */
import { expect } from 'vitest';
import type { PeerId } from 'lanista';
import { MemoryHub } from '../sdk/port/memory.ts';
import { createMemoryLan } from '../sdk/port/memory-lan.ts';
import { createLan } from '../sdk/room/lan.ts';
import { holdings } from './sim/game-ledger.ts';
import { simGame, type SimKind, type SimRoom } from './sim/game-rules.ts';

export class Den {
  readonly hub: MemoryHub;
  readonly rooms: SimRoom[] = [];

  constructor(latencyMs = 20, jitterMs = 0, seed = 1) {
    this.hub = new MemoryHub({ latencyMs, jitterMs, seed });
  }

  /** Opens `count` more rooms, and lets everybody hear of everybody. */
  async open(count: number, id?: PeerId, opened?: (room: SimRoom) => void): Promise<SimRoom[]> {
    for (let i = 0; i < count; i++) {
      const lan = createLan(simGame, createMemoryLan(this.hub, simGame, id === undefined ? {} : { id }), {
        presence: {},
        randomU32: () => this.hub.rng.u32(),
      });
      const before = this.rooms.length;
      void lan.joinOrCreate({ name: 'den' }).then((room) => {
        this.rooms.push(room);
        opened?.(room);
      });
      for (let k = 0; k < 1_000 && this.rooms.length === before; k++) await this.hub.play(5);
    }
    await this.hub.play(300);
    return this.rooms;
  }

  /** The page of `room` is reloaded. */
  async reload(room: SimRoom): Promise<SimRoom> {
    return (await this.open(1, room.self.id)).at(-1)!;
  }

  cut(room: SimRoom, away: boolean): void {
    for (const den of this.hub.rooms.values()) den.setAway(room.self.id, away);
  }

  spawn(room: SimRoom, kind: SimKind, n = 1): void {
    room.entities.spawn(kind, { a: n, b: n, x: n, t: String(n) });
  }

  /** The one entity of `kind` at `room`. */
  one(room: SimRoom, kind: SimKind): { a: number; readonly mine: boolean; readonly owner: string } {
    const all = [...room.entities.all(kind)];
    expect(all).toHaveLength(1);
    return all[0] as never;
  }

  count(kind: SimKind): number[] {
    return this.rooms.map((room) => [...room.entities.all(kind)].length);
  }

  /** Every replica is the same. */
  expectEqual(): void {
    for (const room of this.rooms) expect(holdings(room)).toEqual(holdings(this.rooms[0]!));
  }
}
