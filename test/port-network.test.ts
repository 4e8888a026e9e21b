/**
 * The UDP mesh and the bridge of a page keep the contract of `RoomPort`, over real sockets on loopback.
 */
import { WebSocket } from 'ws';
import { BridgeClient } from '../sdk/browser/bridge-client.ts';
import type { PageWebSocket } from '../sdk/browser/page-socket.ts';
import { startBridge } from '../sdk/node/bridge-server.ts';
import { openNodeLanPort, type NodeLanPort } from '../sdk/node/lan-port.ts';
import type { GameFacts, LanPort } from '../sdk/port/lan-port.ts';
import type { RoomPort } from '../sdk/port/port.ts';
import { portContract, type PortHarness } from './port.contract.ts';

const facts: GameFacts = { id: `contract${process.pid}`, version: 1, schemaHash: 1 };
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Seats in one room, one after another by address, ready when each is present for and linked with all. */
async function seatAll(lans: readonly LanPort[], network: readonly NodeLanPort[]): Promise<RoomPort[]> {
  const ports: RoomPort[] = [];
  for (const [i, lan] of lans.entries()) {
    const common = { code: undefined, spectate: false } as const;
    ports.push(
      await lan.open(
        i === 0 ? { type: 'create', name: 'room', max: 8, ...common } : { type: 'join', target: `127.0.0.1:${network[0]!.joinPort}`, ...common },
      ),
    );
    for (const port of ports) while (port.roster().peers.length <= i) await wait(5);
  }
  // Who joined has a link to whom it asked; those of later seats to one another follow by a moment. A statistic stands for a link.
  const linked = (port: RoomPort, i: number): boolean => port.stats(lans[i]!.time.now()).peers.size === lans.length - 1;
  while (lans.length > 2 && !ports.every(linked)) await wait(5);
  return ports;
}

async function openNetwork(seats: number): Promise<NodeLanPort[]> {
  const discovery = { local: false, beacon: false, mdns: false };
  return Promise.all(Array.from({ length: seats }, () => openNodeLanPort(facts, { interfaces: ['127.0.0.1'], profile: false, discovery })));
}

portContract(
  'UDP mesh',
  async (seats): Promise<PortHarness> => {
    const network = await openNetwork(seats);
    const ports = await seatAll(network, network);
    return {
      ports,
      lans: network,
      now: (i) => network[i]!.time.now(),
      advance: wait,
      close: async () => void (await Promise.all(network.map((lan) => lan.close()))),
    };
  },
  800,
);

portContract(
  'bridge',
  async (seats): Promise<PortHarness> => {
    const network = await openNetwork(seats);
    const bridges = await Promise.all(network.map((lan) => startBridge({ lan })));
    const pages = await Promise.all(
      bridges.map((bridge) =>
        BridgeClient.connect({
          url: `ws://127.0.0.1:${bridge.port}/__lanista`,
          token: bridge.token,
          game: facts,
          openSocket: (url) => new WebSocket(url, { origin: `http://127.0.0.1:${bridge.port}` }) as unknown as PageWebSocket,
        }),
      ),
    );
    const ports = await seatAll(pages, network);
    return {
      ports,
      lans: pages,
      now: (i) => pages[i]!.time.now(),
      advance: wait,
      close: async () => {
        for (const page of pages) await page.close();
        for (const bridge of bridges) await bridge.close();
        for (const lan of network) await lan.close();
      },
    };
  },
  800,
);
