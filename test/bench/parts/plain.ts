/** The floors of the link benchmark (dgram, both ends connected, as it is and with the seal alone) and its nearest relative (ws). */
import { createSocket } from 'node:dgram';
import { WebSocket, WebSocketServer } from 'ws';
import type { Aead } from '../../../sdk/secure/provider.ts';
import { DATA_HEADER_BYTES, TAG_BYTES, readDataSeq, writeDataHeader } from '../../../sdk/wire/datagram.ts';
import { PROVIDERS, type Sealing } from './sealing.ts';
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

/** The same with a header and the seal, and nothing else: what is left to a link of that provider. */
export function sealedDgram(sealing: Sealing): Transport {
  return {
    async echo() {
      const socket = createSocket('udp4');
      const seal = await sealer(sealing);
      await new Promise<void>((resolve) => socket.bind(0, LOOPBACK, resolve));
      socket.once('message', (first, from) => {
        socket.connect(from.port, LOOPBACK, () => {
          socket.on('message', (bytes) => socket.send(seal.seal(seal.open(bytes))));
          socket.send(seal.seal(seal.open(first)));
        });
      });
      return socket.address().port;
    },
    async call(port: number) {
      const socket = createSocket('udp4');
      const seal = await sealer(sealing);
      await new Promise<void>((resolve) => socket.connect(port, LOOPBACK, resolve));
      const { ping, answered } = pinger(() => socket.send(seal.seal(PAYLOAD)));
      socket.on('message', (bytes) => {
        seal.open(bytes);
        answered();
      });
      return ping;
    },
  };
}

interface Sealer {
  seal(plain: Uint8Array): Uint8Array;
  /** The plain bytes, until the next call. */
  open(datagram: Uint8Array): Uint8Array;
}

/** One key for both ways will do: nothing here is secret. */
async function sealer(sealing: Sealing): Promise<Sealer> {
  const provider = await PROVIDERS[sealing]();
  const out: Aead = provider.createAead(new Uint8Array(32));
  const into: Aead = provider.createAead(new Uint8Array(32));
  const header = new Uint8Array(DATA_HEADER_BYTES);
  const datagram = new Uint8Array(DATA_HEADER_BYTES + PAYLOAD.length + TAG_BYTES);
  const plain = new Uint8Array(PAYLOAD.length);
  let sent = 0;
  return {
    seal(bytes) {
      writeDataHeader(header, 0, 0, sent);
      for (let i = 0; i < DATA_HEADER_BYTES; i++) datagram[i] = header[i]!;
      out.seal(sent++, header, bytes, datagram, DATA_HEADER_BYTES);
      return datagram;
    },
    open(bytes) {
      for (let i = 0; i < DATA_HEADER_BYTES; i++) header[i] = bytes[i]!;
      if (into.open(readDataSeq(bytes), header, bytes, plain, 0, DATA_HEADER_BYTES) < 0) throw new Error('the seal does not fit');
      return plain;
    },
  };
}

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
