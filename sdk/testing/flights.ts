/**
 * Datagrams under way, the earliest first: a binary heap, and the memory their bytes lie in.
 */

export interface NetemDatagram {
  readonly from: { readonly host: string; readonly port: number };
  readonly to: { readonly host: string; readonly port: number };
  /** Which of the receiver's sockets; opaque here. */
  readonly socket: string;
  readonly bytes: Uint8Array;
}

/** One copy of a datagram and when it arrives. `order` keeps those of one moment in the order they left. */
export interface Flight {
  readonly at: number;
  readonly order: number;
  datagram: NetemDatagram;
}

const before = (a: Flight, b: Flight): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

export class Flights {
  readonly #heap: Flight[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** In no particular order: for picking one of those under way. */
  at(index: number): Flight | undefined {
    return this.#heap[index];
  }

  first(): Flight | undefined {
    return this.#heap[0];
  }

  push(flight: Flight): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(flight);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent]!;
      if (before(above, flight)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = flight;
  }

  pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    const size = heap.length;
    if (size === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= size) break;
      if (child + 1 < size && before(heap[child + 1]!, heap[child]!)) child++;
      const below = heap[child]!;
      if (before(last, below)) break;
      heap[i] = below;
      i = child;
    }
    heap[i] = last;
  }
}

const CHUNK_BYTES = 256 * 1_024;

/** Copies into large chunks: an allocation per datagram would be a tenth of a simulation's time. */
export class ByteArena {
  #chunk = new ArrayBuffer(CHUNK_BYTES);
  #used = 0;

  /** A view of `size` bytes that nobody else has; zero only in a fresh chunk. */
  take(size: number): Uint8Array {
    if (size > CHUNK_BYTES) return new Uint8Array(size);
    if (this.#used + size > CHUNK_BYTES) {
      this.#chunk = new ArrayBuffer(CHUNK_BYTES);
      this.#used = 0;
    }
    const view = new Uint8Array(this.#chunk, this.#used, size);
    this.#used += size;
    return view;
  }

  copy(bytes: Uint8Array): Uint8Array {
    const view = this.take(bytes.length);
    view.set(bytes);
    return view;
  }
}
