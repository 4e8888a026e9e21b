/**
 * Batches: entries written one after another, split only where a batch would grow past its bound, and
 * read back without trusting anything.
 */
import { ByteReader, ByteWriter } from '../base/bytes.ts';
import { MAX_BRIDGE_BATCH_BYTES, MAX_BRIDGE_ENTRIES } from './bounds.ts';
import type { Field } from './fields.ts';
import { pageCommand, processEvent } from './messages.ts';
import type { PageCommand, ProcessEvent } from './messages.ts';

export type BatchDrop = 'bridge-oversized' | 'bridge-malformed' | 'bridge-entries';

export interface Batch<T> {
  /** Everything up to the first entry that could not be read. */
  readonly entries: readonly T[];
  readonly drop: BatchDrop | undefined;
}

/** Collects entries for one socket. */
export class Outbox<T> {
  readonly #field: Field<T>;
  readonly #full: Uint8Array[] = [];
  #fullBytes = 0;
  #entries = 0;
  #out = new ByteWriter(2_048);

  constructor(field: Field<T>) {
    this.#field = field;
  }

  get bytes(): number {
    return this.#fullBytes + this.#out.offset;
  }

  add(entry: T): void {
    const before = this.#out.offset;
    this.#field.write(this.#out, entry);
    this.#entries++;
    const over = this.#out.offset > MAX_BRIDGE_BATCH_BYTES || this.#entries > MAX_BRIDGE_ENTRIES;
    if (!over || before === 0) return;
    const late = this.#out.bytes.slice(before, this.#out.offset);
    this.#out.offset = before;
    this.#close();
    this.#out.raw(late);
    this.#entries = 1;
  }

  #close(): void {
    const batch = this.#out.copy();
    this.#full.push(batch);
    this.#fullBytes += batch.length;
    this.#out.reset();
    this.#entries = 0;
  }

  /** The next batch to send, a copy; `undefined` when nothing is left. */
  take(): Uint8Array | undefined {
    if (this.#full.length === 0 && this.#out.offset > 0) this.#close();
    const batch = this.#full.shift();
    if (batch !== undefined) this.#fullBytes -= batch.length;
    return batch;
  }

  clear(): void {
    this.#full.length = 0;
    this.#fullBytes = 0;
    this.#out.reset();
    this.#entries = 0;
  }
}

function decodeBatch<T>(field: Field<T>, bytes: Uint8Array): Batch<T> {
  if (bytes.length > MAX_BRIDGE_BATCH_BYTES) return { entries: [], drop: 'bridge-oversized' };
  const from = new ByteReader(bytes);
  const entries: T[] = [];
  while (from.remaining > 0) {
    if (entries.length >= MAX_BRIDGE_ENTRIES) return { entries, drop: 'bridge-entries' };
    const entry = field.read(from);
    if (!from.ok) return { entries, drop: 'bridge-malformed' };
    entries.push(entry);
  }
  return { entries, drop: undefined };
}

/** Reads what a page sent. Never throws; `bytes` fields are views into the input. */
export function decodeCommands(bytes: Uint8Array): Batch<PageCommand> {
  return decodeBatch(pageCommand, bytes);
}

/** Reads what a process sent. Never throws; `bytes` fields are views into the input. */
export function decodeEvents(bytes: Uint8Array): Batch<ProcessEvent> {
  return decodeBatch(processEvent, bytes);
}

export function createCommandOutbox(): Outbox<PageCommand> {
  return new Outbox<PageCommand>(pageCommand);
}

export function createEventOutbox(): Outbox<ProcessEvent> {
  return new Outbox<ProcessEvent>(processEvent);
}
