/** The floor of the link benchmark (dgram, both ends connected) and its nearest relative (ws). */
import { createSocket } from 'node:dgram';
import { WebSocket, WebSocketServer } from 'ws';
import { LOOPBACK, PAYLOAD, pinger, type Transport } from './transport.ts';

export const dgram: Transport = {
  async echo() {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, LOOPBACK, resolve));
    socket.once('message', (first, from) => {
      socket.connect(from.port, LOOPBACK, () => {
        socket.on('message', (bytes) => socket.send(bytes));
        socket.send(first);
      });
    });
    return socket.address().port;
  },
  async call(port: number) {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.connect(port, LOOPBACK, resolve));
    const { ping, answered } = pinger(() => socket.send(PAYLOAD));
    socket.on('message', answered);
    return ping;
  },
};

export const ws: Transport = {
  async echo() {
    const server = new WebSocketServer({ host: LOOPBACK, port: 0, perMessageDeflate: false });
    server.on('connection', (socket) => socket.on('message', (data) => socket.send(data as Buffer)));
    await new Promise((resolve) => server.once('listening', resolve));
    return (server.address() as { port: number }).port;
  },
  async call(port: number) {
    const socket = new WebSocket(`ws://${LOOPBACK}:${port}`, { perMessageDeflate: false });
    await new Promise((resolve) => socket.once('open', resolve));
    const { ping, answered } = pinger(() => socket.send(PAYLOAD));
    socket.on('message', answered);
    return ping;
  },
};
