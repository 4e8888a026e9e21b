/** The parent's side of `link-peer.ts`: starts one on a host of the lab, gives it orders, waits for its answers. */
import type { CryptoChoice } from '../../sdk/node/crypto.ts';
import type { Lab, LabHost } from './netns.ts';
import { LabProcess, sourceFlags } from './process.ts';
import type { Order, Told } from './link-peer.ts';

type Answer = Readonly<Record<string, unknown>>;

export class LinkPeer implements AsyncDisposable {
  readonly process: LabProcess;
  readonly #answers: Answer[] = [];
  #wake: (() => void) | undefined;

  /** @param sealedBy `wasm` is the provider of a machine without a native build: what most players have. */
  constructor(lab: Lab, host: LabHost, sealedBy: CryptoChoice = 'wasm') {
    // Ahead of the machine's other work, so that what is measured is the link; TCP runs in the same processes. Not by a
    // realtime class: the kernel stops a busy one for 50 ms of every second where others wait. Where it shares time between
    // sessions first (autogroup), a nice value says nothing to the processes of another session: this one gets its own.
    const first = ['setsid', 'sh', '-c', 'echo -20 2>/dev/null >/proc/self/autogroup; exec nice -n -20 "$@"', 'sh'];
    const argv = [...first, process.execPath, ...sourceFlags, 'test/lab/link-peer.ts', host.address, sealedBy];
    this.process = new LabProcess(argv, { lab, host }, {}, undefined, 'pipe');
    this.process.onLine((line) => {
      if (!line.startsWith('{')) return;
      this.#answers.push(JSON.parse(line) as Answer);
      this.#wake?.();
    });
  }

  order(order: Order): void {
    this.process.child.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  /** The next answer of this kind; what came before it is dropped. */
  async answer(at: string, timeoutMs = 90_000): Promise<Answer> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const index = this.#answers.findIndex((answer) => answer['at'] === at);
      if (index >= 0) return this.#answers.splice(0, index + 1)[index]!;
      if (performance.now() > deadline) throw new Error(`no "${at}" within ${timeoutMs} ms:\n${this.process.output.slice(-2_000)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** What it measured since it was last asked. */
  async tell(): Promise<Told> {
    this.order({ do: 'tell' });
    return (await this.answer('told')) as unknown as Told;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.process[Symbol.asyncDispose]();
  }
}
