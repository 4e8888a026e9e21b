/**
 * The way of a room from its seat to its game: it opens with the state of everybody who was ready, or without it when that takes too long.
 */

/** A newcomer waits this long for everybody's state before the room opens anyway, ms. */
const OPENING_MS = 3_000;
/** Whoever awaited the room has subscribed this long after it opened, ms. */
const LISTEN_MS = 50;

/** The parts of the room this one speaks to. */
export interface OpeningRoom {
  /** Whether somebody's state is missing. */
  isMissing(): boolean;
  /** It is open. */
  open(): void;
  /** What was said to the game before it was may reach it now. */
  listen(): void;
  /** It opened without everybody's state. */
  incomplete(): void;
}

export class Opening {
  readonly #room: OpeningRoom;
  readonly #startedAt: number;
  readonly #waiting: (() => void)[] = [];
  #isReady = false;
  /** When what was said to the game before the room opened reaches it. */
  #listensAt = Number.POSITIVE_INFINITY;
  /** When the room opened without everybody's state; told a tick later, when whoever awaited the room can have subscribed. */
  #incompleteAt = Number.POSITIVE_INFINITY;

  constructor(now: number, room: OpeningRoom) {
    this.#startedAt = now;
    this.#room = room;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** When `run` is to be called next. */
  get deadline(): number {
    return this.#listensAt;
  }

  /** Resolves when the room is open, or when it cannot be any more. */
  async over(): Promise<void> {
    if (!this.#isReady) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  run(now: number): void {
    if (!this.#isReady) this.#check(now);
    if (this.#listensAt <= now) {
      this.#listensAt = Number.POSITIVE_INFINITY;
      this.#room.listen();
    }
    if (this.#incompleteAt < now) {
      this.#incompleteAt = Number.POSITIVE_INFINITY;
      this.#room.incomplete();
    }
  }

  #check(now: number): void {
    // What came while this page or process stood still is here all the same.
    if (this.#room.isMissing()) {
      if (now - this.#startedAt <= OPENING_MS) return;
      this.#incompleteAt = now;
    }
    this.#isReady = true;
    this.#listensAt = now + LISTEN_MS;
    this.#room.open();
    this.end();
  }

  /** Nobody waits any longer. */
  end(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
