/**
 * What all links of a process hold together. One object is shared by them.
 */
import { MAX_HELD_BYTES } from '../wire/limits.ts';

export class HeldBudget {
  usedBytes = 0;
  readonly limitBytes: number;

  constructor(limitBytes: number = MAX_HELD_BYTES) {
    this.limitBytes = limitBytes;
  }

  take(bytes: number): boolean {
    if (this.usedBytes + bytes > this.limitBytes) return false;
    this.usedBytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.usedBytes -= bytes;
  }
}
