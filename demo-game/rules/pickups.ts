/**
 * Pickups: the host lays them out and gives each to the first who asks. The taker applies the effect to
 * its own blob, so nothing else has to travel.
 */
import type { Actor, ActorWorld } from './actor.ts';
import { blobRadius, insideWall, worldHeight, worldWidth } from './arena.ts';
import type { ChromaRoom } from './game.ts';

export const pickupRadius = 26;
export const kinds = ['bomb', 'roller', 'turbo'] as const;
const mostAtOnce = 3;
const everyMs = 7000;
const askEveryMs = 400;

export class PickupKeeper implements Disposable {
  readonly #room: ChromaRoom;
  readonly #off: Disposable;
  readonly #asked = new Map<number, number>();
  #laidAt = 0;
  #number = 0;

  constructor(room: ChromaRoom) {
    this.#room = room;
    this.#off = room.handle('take', ({ number }) => {
      for (const pickup of room.entities.mine('pickup')) {
        if (pickup.number !== number) continue;
        pickup.despawn();
        return { ok: true };
      }
      return { ok: false };
    });
  }

  step(now: number, me: Actor | undefined, running: boolean, world: ActorWorld): void {
    if (this.#room.isHost) this.#layOut(now, running, world);
    if (me === undefined || !me.alive) return;
    for (const pickup of this.#room.entities.all('pickup')) {
      if (Math.hypot(pickup.x - me.body.x, pickup.y - me.body.y) > pickupRadius + blobRadius) continue;
      const { number, what, x, y } = pickup;
      const taken = (): void => {
        world.effect({ type: 'pickup', x, y, paint: me.paint, who: me.who, amount: kinds.indexOf(what) });
        me.collect(what, this.#room.clock.now(), world);
      };
      if (pickup.mine) {
        pickup.despawn();
        taken();
      } else if (now - (this.#asked.get(number) ?? 0) > askEveryMs) {
        this.#asked.set(number, now);
        this.#room.call('take', { number }, { to: 'host', timeoutMs: 800 }).then(
          ({ ok }) => ok && taken(),
          () => undefined,
        );
      }
    }
  }

  #layOut(now: number, running: boolean, world: ActorWorld): void {
    const own = [...this.#room.entities.mine('pickup')];
    if (!running) {
      for (const pickup of own) pickup.despawn();
      this.#laidAt = now;
      return;
    }
    if (own.length >= mostAtOnce || now - this.#laidAt < everyMs) return;
    this.#laidAt = now;
    const x = Math.round(120 + world.random() * (worldWidth - 240));
    const y = Math.round(120 + world.random() * (worldHeight - 240));
    if (insideWall(world.map, x, y)) return;
    for (const pickup of own) this.#number = Math.max(this.#number, pickup.number);
    this.#number = (this.#number + 1) & 0xffff;
    this.#room.entities.spawn('pickup', { number: this.#number, x, y, what: kinds[Math.floor(world.random() * kinds.length)] ?? 'bomb' });
  }

  [Symbol.dispose](): void {
    this.#off[Symbol.dispose]();
  }
}
