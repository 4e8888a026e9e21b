/**
 * What must never happen to blocks of bytes that players share and fetch beside everything else (CO1, CO3, CO6, CO7):
 *
 *  - what is found is what its name says, and a fetch ends once, in its bytes or in one of the documented codes;
 *  - nobody honest is refused as one who lies;
 *  - after the quiet everybody finds whatever anybody still has.
 */
import type { ContentId } from 'lanista';
import { createRng, type Rng } from '../../sdk/base/rng.ts';
import type { Ledger, Replica } from './game-ledger.ts';
import type { SimRoom } from './game-rules.ts';

type Sharer = Replica & { readonly room: SimRoom };

interface Parcel {
  readonly id: ContentId;
  readonly bytes: Uint8Array;
}

const MOST = 6;
const MOST_BYTES = 90_000;
const ENDS = ['timeout', 'closed', 'aborted'];
const LIES = ['content-hash', 'content-size', 'content-malformed'];
/** After the quiet, ms. */
const PATIENCE_MS = 20_000;

export class Parcels {
  readonly #ledger: Ledger;
  /** The newest of those that were shared. */
  readonly #known: Parcel[] = [];
  readonly #last = new Set<string>();
  /** Of those that have to be found. */
  #pending = 0;
  #stamp = 0;
  found = 0;
  missed = 0;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  turn(player: Sharer, rng: Rng, isQuiet: boolean): void {
    const { content, signal } = player.room;
    if (isQuiet || signal.aborted) return;
    if (rng.chance(0.02)) {
      const bytes = new Uint8Array(1 + rng.int(rng.chance(0.3) ? MOST_BYTES : 5_000));
      const dice = createRng(++this.#stamp);
      for (let i = 0; i < bytes.length; i++) bytes[i] = dice.int(256);
      void content.share(bytes).then((id) => this.#keep({ id, bytes }), this.#ended(player));
    }
    const one = this.#known[rng.int(Math.max(1, this.#known.length))];
    if (one === undefined) return;
    if (rng.chance(0.06)) void this.#fetch(player, one, 200 + rng.int(6_000));
    if (rng.chance(0.005)) content.forget(one.id);
  }

  #keep(parcel: Parcel): void {
    this.#known.push(parcel);
    if (this.#known.length > MOST) this.#known.shift();
  }

  async #fetch(player: Sharer, { id, bytes }: Parcel, timeoutMs: number): Promise<void> {
    await player.room.content.fetch(id, { timeoutMs }).then((got) => {
      this.found++;
      if (Buffer.compare(got, bytes) !== 0) this.#ledger.violate('CO3', player, `${id} is not what its name says`);
    }, this.#ended(player));
  }

  #ended(player: Sharer): (error: unknown) => void {
    return (error) => {
      this.missed++;
      const { code } = error as { code?: string };
      if (code === undefined || !ENDS.includes(code)) this.#ledger.violate('CO16', player, `content rejected with ${String(error)}`);
    };
  }

  /** After the quiet: undefined when everybody has what anybody has. */
  difference(living: readonly Sharer[]): string | undefined {
    for (const player of living) {
      for (const reason of LIES)
        if ((player.room.stats().drops[reason] ?? 0) > 0) this.#ledger.violate('CO4', player, `somebody honest was refused: ${reason}`);
      for (const parcel of this.#known) {
        const key = `${player.life} ${parcel.id}`;
        if (player.room.content.has(parcel.id) || this.#last.has(key) || !living.some(({ room }) => room.content.has(parcel.id))) continue;
        this.#last.add(key);
        this.#pending++;
        void this.#fetch(player, parcel, PATIENCE_MS).finally(() => this.#pending--);
      }
    }
    return this.#pending === 0 ? undefined : `${this.#pending} blocks are on their way`;
  }

  /** In the end: whoever was to find one has it. */
  finish(living: readonly Sharer[]): void {
    for (const player of living)
      for (const { id } of this.#known)
        if (this.#last.has(`${player.life} ${id}`) && !player.room.content.has(id))
          this.#ledger.violate('CO7', player, `${id} is not found, and somebody has it`);
  }
}
