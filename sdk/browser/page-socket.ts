/** The page's socket to its process, as far as it is used here. */
import { LanError } from '../base/errors.ts';

/** The part of `WebSocket` used here; `ws` in Node has it too. */
export interface PageWebSocket {
  binaryType: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  send(data: Uint8Array): void;
  close(code?: number, reason?: string): void;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
}

/** Why none could be opened. */
export function unopened(cause: unknown): LanError {
  const hint =
    cause instanceof ReferenceError || cause instanceof TypeError
      ? "connectLan is for pages; in Node use openLan from 'lanista/node'."
      : 'Check `url`: it looks like "ws://127.0.0.1:5173/__lanista".';
  return new LanError('bridge', `No WebSocket can be opened here (${cause instanceof Error ? cause.message : String(cause)}).`, { hint, cause });
}
