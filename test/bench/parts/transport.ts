/** What the link benchmark compares: an echo in one process, a caller in another, 64 bytes to and fro. */

/** Sends one message; `done` is called when its echo is here. */
export type Ping = (done: () => void) => void;

/** Carries what the two sides have to tell each other before they can talk (descriptions of a data channel). */
export interface Signals {
  send(what: unknown): void;
  onSignal(take: (what: any) => void): void;
}

export interface Transport {
  /** Starts an echo; resolves with what the caller needs to find it. */
  echo(signals: Signals): Promise<unknown>;
  /** Connects to it; resolves when messages pass. */
  call(at: any, signals: Signals): Promise<Ping>;
}

export const PAYLOAD = Buffer.alloc(64, 7);
export const LOOPBACK = '127.0.0.1';

/** One ping waits at a time; `answered` is for whatever the transport calls when a message comes. */
export function pinger(send: () => void): { readonly ping: Ping; readonly answered: () => void } {
  let waiting: () => void = () => {};
  return {
    ping(done) {
      waiting = done;
      send();
    },
    answered: () => waiting(),
  };
}
