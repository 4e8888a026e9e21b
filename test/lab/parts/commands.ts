/** A process of a lab that does what it is told, line by line, on its standard input; one line of JSON out for each. */
import { createInterface } from 'node:readline';

/** Milliseconds on the machine's one clock, so that lines of all hosts compare. */
export function clock(): number {
  return performance.timeOrigin + performance.now();
}

export function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Answers each command by its `do` with `ok` or `error`, and ends with the input. Says `ready` first. */
export function obey<C extends { readonly id: number; readonly do: string }>(commands: Readonly<Record<string, (command: C) => unknown>>): void {
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      const command = JSON.parse(line) as C;
      void (async () => {
        try {
          const run = commands[command.do];
          if (run === undefined) throw new Error(`no command ${command.do}`);
          say({ id: command.id, ok: await run(command), t: clock() });
        } catch (error) {
          say({ id: command.id, error: error instanceof Error ? error.message : String(error), t: clock() });
        }
      })();
    })
    .on('close', () => process.exit(0));
  say({ event: 'ready' });
}
