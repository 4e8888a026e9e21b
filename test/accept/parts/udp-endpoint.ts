/**
 * An endpoint on two real loopback sockets, driven as the product's own driver does it: datagrams of one turn of
 * the event loop go in one after the other, what they cause leaves at the end of the turn.
 */
import { performance } from 'node:perf_hooks';
import { createRng } from '../../../sdk/base/rng.ts';
import { Endpoint } from '../../../sdk/link/endpoint.ts';
import type { EndpointEvent } from '../../../sdk/link/endpoint-types.ts';
import { openUdp, type Udp } from '../../../sdk/node/udp.ts';
import type { CryptoProvider } from '../../../sdk/secure/provider.ts';
import { PROLOGUE, ROOM } from './victim.ts';

export interface UdpEndpoint {
  readonly endpoint: Endpoint;
  readonly udp: Udp;
  /** Sends and hands out what is due. */
  pump(): void;
  close(): Promise<void>;
}

export async function openUdpEndpoint(crypto: CryptoProvider, seed: number, onEvent: (event: EndpointEvent) => void): Promise<UdpEndpoint> {
  const now = (): number => performance.now();
  let endpoint: Endpoint | undefined;
  let timer: NodeJS.Timeout | undefined;
  let turn: NodeJS.Immediate | undefined;
  const udp = await openUdp({
    host: '127.0.0.1',
    onDatagram: (socket, host, port, bytes) => {
      endpoint?.handleDatagram(now(), socket, host, port, bytes);
      turn ??= setImmediate(pump);
    },
  });
  const made = (endpoint = new Endpoint({
    crypto,
    rng: createRng(seed),
    identity: crypto.generateKeyPair(),
    roomId: ROOM,
    joinPort: udp.joinPort,
    sessionPort: udp.sessionPort,
    prologue: PROLOGUE,
  }));
  made.setDoor({ open: true, code: undefined, roomKey: undefined });
  let armedAt = Infinity;
  function pump(): void {
    if (turn !== undefined) clearImmediate(turn);
    turn = undefined;
    const t0 = now();
    for (let t = made.pollTransmit(t0); t !== undefined; t = made.pollTransmit(t0)) udp.send(t.socket, t.host, t.port, t.bytes);
    for (let e = made.pollEvent(); e !== undefined; e = made.pollEvent()) onEvent(e);
    const at = made.pollTimeout();
    // A later deadline than the armed one costs an idle wake-up, an earlier one needs a new timer.
    if (at >= armedAt) return;
    clearTimeout(timer);
    armedAt = at;
    timer = setTimeout(
      () => {
        armedAt = Infinity;
        made.handleTimeout(now());
        pump();
      },
      Math.max(1, at - t0),
    );
  }
  return {
    endpoint: made,
    udp,
    pump,
    async close() {
      clearTimeout(timer);
      if (turn !== undefined) clearImmediate(turn);
      await udp.close();
    },
  };
}
