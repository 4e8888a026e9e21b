/** An endpoint with sockets and a loop, as a process has them: one side of the links that benchmarks measure. */
import { createRng } from '../../../sdk/base/rng.ts';
import { Endpoint } from '../../../sdk/link/endpoint.ts';
import type { LinkId } from '../../../sdk/link/endpoint-types.ts';
import { NEXT_TURN_MS } from '../../../sdk/node/driver.ts';
import { NodeTime } from '../../../sdk/node/local-time.ts';
import { DatagramSender } from '../../../sdk/node/datagram-sender.ts';
import { openUdp } from '../../../sdk/node/udp.ts';
import type { Channel } from '../../../sdk/port/port.ts';
import type { CryptoProvider } from '../../../sdk/secure/provider.ts';
import { PROLOGUE, ROOM } from '../../accept/parts/victim.ts';
import { LOOPBACK } from './transport.ts';

export interface LinkSide {
  /** Port of the join socket. */
  readonly port: number;
  readonly endpoint: Endpoint;
  connect(port: number): Promise<LinkId>;
  /** False when the link takes no more for now. */
  send(link: LinkId, channel: Channel, bytes: Uint8Array): boolean;
  /** What was sent since the last flush leaves. */
  flush(): void;
}

/**
 * @param bundled what datagrams of one turn of the event loop cause leaves together at its end, as the product's driver has
 * it; otherwise with each. Either way what came is answered before what is due leaves, so that both share a datagram.
 */
export async function openLinkSide(
  crypto: CryptoProvider,
  onMessage: (link: LinkId, bytes: Uint8Array) => void,
  options: { readonly bundled?: boolean; readonly onLinked?: (link: LinkId) => void } = {},
): Promise<LinkSide> {
  const { bundled = false } = options;
  const time = new NodeTime();
  let linked: (link: LinkId) => void = options.onLinked ?? (() => {});
  let made: Endpoint | undefined;
  const udp = await openUdp({
    host: LOOPBACK,
    onDatagram(socket, host, port, bytes) {
      const now = time.now();
      made?.handleDatagram(now, socket, host, port, bytes);
      if (bundled) settle(now);
      else drain(now);
    },
  });
  const endpoint = (made = new Endpoint({
    crypto,
    rng: createRng(process.pid),
    identity: crypto.generateKeyPair(),
    roomId: ROOM,
    joinPort: udp.joinPort,
    sessionPort: udp.sessionPort,
    prologue: PROLOGUE,
  }));
  const sender = new DatagramSender(udp);
  endpoint.setDoor({ open: true, code: undefined, roomKey: undefined });
  let turn: NodeJS.Immediate | undefined;
  /** What is due at once, by a turn of its own: as the product's driver does it. */
  let soon: NodeJS.Immediate | undefined;
  let draining = false;
  /** When the timer fires. */
  let wakeAt = Number.POSITIVE_INFINITY;

  /** After a datagram: what it tells is told, and the turn ends with a drain only if something waits to leave. */
  function settle(now: number): void {
    if (turn !== undefined) return;
    tell();
    const at = endpoint.pollTimeout();
    if (endpoint.waiting || at - now < NEXT_TURN_MS) turn = setImmediate(onTurn);
    else if (at < wakeAt) schedule(at);
  }

  function schedule(at: number): void {
    wakeAt = at;
    time.schedule(at, onTimer);
  }

  function tell(): void {
    for (let event = endpoint.pollEvent(); event !== undefined; event = endpoint.pollEvent()) {
      if (event.type === 'message') onMessage(event.link, event.bytes);
      else if (event.type === 'linked') linked(event.link);
    }
  }

  function drain(now: number): void {
    draining = true;
    tell();
    sender.drain(endpoint, now);
    draining = false;
    const next = endpoint.pollTimeout();
    if (next - now < NEXT_TURN_MS) soon ??= setImmediate(onNext);
    else schedule(next);
  }

  function onTurn(): void {
    turn = undefined;
    drain(time.now());
  }

  function onNext(): void {
    soon = undefined;
    onTimer();
  }

  function onTimer(): void {
    const now = time.now();
    endpoint.handleTimeout(now);
    drain(now);
  }

  return {
    port: udp.joinPort,
    endpoint,
    connect: (port) =>
      new Promise<LinkId>((resolve) => {
        linked = resolve;
        endpoint.connect(time.now(), { host: LOOPBACK, port }, { mode: 'open' });
        drain(time.now());
      }),
    send: (link, channel, bytes) => endpoint.send(time.now(), link, channel, bytes),
    flush() {
      const now = time.now();
      endpoint.flush(now);
      if (!draining) drain(now);
    },
  };
}
