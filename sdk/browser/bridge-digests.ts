/** Hashes that the page has its process take, one after the other: a page over plain HTTP has no cryptography of its own. */
import type { LanError } from '../base/errors.ts';
import { BRIDGE_DIGEST_BLOCK_BYTES, BRIDGE_DIGEST_BLOCKS } from '../bridge/index.ts';
import type { PageCommand, ProcessEvent } from '../bridge/index.ts';

interface Job {
  readonly number: number;
  readonly bytes: Uint8Array;
  sent: number;
  /** Blocks that are not answered. */
  under: number;
  readonly resolve: (hash: Uint8Array) => void;
  readonly reject: (error: LanError) => void;
}

export class PageDigests {
  readonly #tell: (command: PageCommand) => void;
  readonly #jobs: Job[] = [];
  #last = 0;

  constructor(tell: (command: PageCommand) => void) {
    this.#tell = tell;
  }

  digest(bytes: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#last = (this.#last + 1) >>> 0;
      this.#jobs.push({ number: this.#last, bytes, sent: 0, under: 0, resolve, reject });
      if (this.#jobs.length === 1) this.#send();
    });
  }

  handle(event: Extract<ProcessEvent, { type: 'digested' }>): void {
    const [job] = this.#jobs;
    if (job?.number !== event.digest) return;
    job.under--;
    if (event.hash !== undefined) {
      this.#jobs.shift();
      // It is a view of what came.
      job.resolve(event.hash.slice());
    }
    this.#send();
  }

  #send(): void {
    const [job] = this.#jobs;
    if (job === undefined) return;
    const { number, bytes } = job;
    while (job.under < BRIDGE_DIGEST_BLOCKS && (job.sent < bytes.length || job.sent === 0)) {
      const block = bytes.subarray(job.sent, job.sent + BRIDGE_DIGEST_BLOCK_BYTES);
      job.sent += Math.max(1, block.length);
      job.under++;
      this.#tell({ type: 'digest', digest: number, bytes: block, isLast: job.sent >= bytes.length });
    }
  }

  /** The process is gone, and what it has begun with it. */
  fail(error: LanError): void {
    for (const { reject } of this.#jobs.splice(0)) reject(error);
  }
}
