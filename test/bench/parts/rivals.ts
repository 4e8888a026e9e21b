/**
 * Other people's transports in the link benchmark. They are development dependencies that a checkout may lack, so
 * each is imported by a name the compiler does not follow; one that is not there is reported as not run.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { LOOPBACK, PAYLOAD, pinger, type Transport } from './transport.ts';

const load = (name: string): Promise<any> => import(name);

/** `websocket` only: its other way, polling, would be slower still. */
export const socketio: Transport = {
  async echo() {
    const { Server } = await load('socket.io');
    const http = createServer();
    const server = new Server(http, { transports: ['websocket'], perMessageDeflate: false });
    server.on('connection', (socket: any) => socket.on('e', (data: Buffer) => socket.emit('e', data)));
    await new Promise<void>((resolve) => http.listen(0, LOOPBACK, resolve));
    return (http.address() as AddressInfo).port;
  },
  async call(port: number) {
    const { io } = await load('socket.io-client');
    const socket = io(`http://${LOOPBACK}:${port}`, { transports: ['websocket'] });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('connect_error', reject);
    });
    const { ping, answered } = pinger(() => socket.emit('e', PAYLOAD));
    socket.on('e', answered);
    return ping;
  },
};

export const colyseus: Transport = {
  async echo() {
    const { Server, Room } = await load('@colyseus/core');
    const { WebSocketTransport } = await load('@colyseus/ws-transport');
    class EchoRoom extends Room {
      onCreate(): void {
        this['onMessageBytes']('e', (client: any, bytes: Uint8Array) => client.sendBytes('e', bytes));
      }
    }
    const http = createServer();
    const server = new Server({ transport: new WebSocketTransport({ server: http }), greet: false, gracefullyShutdown: false });
    server.define('echo', EchoRoom);
    await server.listen(0, LOOPBACK);
    return (http.address() as AddressInfo).port;
  },
  async call(port: number) {
    const { Client } = await load('@colyseus/sdk');
    const room = await new Client(`ws://${LOOPBACK}:${port}`).joinOrCreate('echo');
    const { ping, answered } = pinger(() => room.sendBytes('e', PAYLOAD));
    room.onMessage('e', answered);
    return ping;
  },
};

/**
 * A data channel, unordered and without retransmission. ICE offers no loopback address, so the ones it offers are
 * replaced by it on their way: everything stays on loopback, as for the others.
 */
function dataChannel(isCaller: boolean): Transport['call'] {
  return async (_at, signals) => {
    const { PeerConnection } = await load('node-datachannel');
    const peer = new PeerConnection(isCaller ? 'call' : 'echo', { iceServers: [] });
    peer.onLocalDescription((sdp: string, type: string) => signals.send({ sdp: sdp.replace(/a=candidate:.*\r?\n/g, ''), type }));
    peer.onLocalCandidate((candidate: string, mid: string) => {
      const parts = candidate.split(' ');
      if (!/^\d+\.\d+\.\d+\.\d+$/.test(parts[4] ?? '')) return;
      parts[4] = LOOPBACK;
      signals.send({ candidate: parts.join(' '), mid });
    });
    signals.onSignal((what) => {
      if (what.sdp === undefined) peer.addRemoteCandidate(what.candidate, what.mid);
      else peer.setRemoteDescription(what.sdp, what.type);
    });
    if (!isCaller) {
      peer.onDataChannel((channel: any) => channel.onMessage((bytes: Buffer) => channel.sendMessageBinary(bytes)));
      return () => {};
    }
    const channel = peer.createDataChannel('e', { unordered: true, maxRetransmits: 0 });
    await new Promise<void>((resolve) => channel.onOpen(resolve));
    const { ping, answered } = pinger(() => channel.sendMessageBinary(PAYLOAD));
    channel.onMessage(answered);
    return ping;
  };
}

export const datachannel: Transport = {
  async echo(signals) {
    await dataChannel(false)(undefined, signals);
    return null;
  },
  call: dataChannel(true),
};

/** Noise and secretstream over UDX, which is what hyperswarm gives; without its table of peers. */
async function secretStream(isCaller: boolean): Promise<{ readonly port: number; connect(port: number): any }> {
  const UDX = (await load('udx-native')).default;
  const SecretStream = (await load('@hyperswarm/secret-stream')).default;
  const udx = new UDX();
  const socket = udx.createSocket();
  socket.bind(0, LOOPBACK);
  const [mine, theirs] = isCaller ? [1, 2] : [2, 1];
  return {
    port: socket.address().port,
    connect(port) {
      const raw = udx.createStream(mine);
      raw.connect(socket, theirs, port, LOOPBACK);
      return new SecretStream(isCaller, raw);
    },
  };
}

export const secretstream: Transport = {
  async echo(signals) {
    const side = await secretStream(false);
    signals.onSignal(({ port }) => {
      const stream = side.connect(port);
      stream.on('data', (bytes: Buffer) => stream.write(bytes));
    });
    return side.port;
  },
  async call(port: number, signals) {
    const side = await secretStream(true);
    const stream = side.connect(port);
    signals.send({ port: side.port });
    await new Promise<void>((resolve) => stream.once('connect', resolve));
    const { ping, answered } = pinger(() => stream.write(PAYLOAD));
    stream.on('data', answered);
    return ping;
  },
};
