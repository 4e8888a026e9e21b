/** The kernel's memory for datagrams that wait to be read. */
import type { Socket } from 'node:dgram';

/** Every system gives at least so much. */
const LEAST_BYTES = 64 * 1_024;

/**
 * Asks for `bytes` for a bound socket, or else for as much as there is: Linux and Windows cut down what is too much, BSD and a macOS that
 * was told to save memory refuse it.
 */
export function enlargeReceiveBuffer(socket: Socket, bytes: number): void {
  for (let size = bytes; size >= LEAST_BYTES; size /= 2) {
    try {
      return socket.setRecvBufferSize(size);
    } catch {
      // Less, then.
    }
  }
}
