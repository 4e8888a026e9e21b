/**
 * One page's end of the bridge between a socket, a clock and a process that the test makes up.
 */
import type { PeerId, RoomId, Slot } from '../sdk/base/brand.ts';
import { BRIDGE_VERSION, createEventOutbox, decodeCommands } from '../sdk/bridge/index.ts';
import type { BridgeRoster, PageCommand, ProcessEvent } from '../sdk/bridge/index.ts';
import { BridgeClient } from '../sdk/browser/bridge-client.ts';
import type { PageWebSocket } from '../sdk/browser/page-socket.ts';
import type { PageClock } from '../sdk/browser/tick-source.ts';
import type { RoomPort } from '../sdk/port/port.ts';
import { GAME, join, ME, OTHER } from './bridge-fake.ts';

export const CAT = 'cccccccccccccccc' as PeerId;
export const seat = (peer: number, slot: number, more: Partial<BridgeRoster['peers'][number]> = {}): BridgeRoster['peers'][number] => ({
  peer,
  slot: slot as Slot,
  status: 'present',
  spectator: false,
  eligible: true,
  via: undefined,
  ...more,
});
export const roster: BridgeRoster = {
  roomId: '00' as RoomId,
  name: 'den',
  max: 8,
  locked: false,
  epoch: 1,
  term: 1,
  host: 0,
  peers: [seat(0, 0), seat(1, 1), seat(2, 2, { status: 'away', via: 1 })],
};
export const listing = {
  id: '00' as RoomId,
  name: 'den',
  players: 1,
  max: 8,
  locked: false,
  pingMs: 1,
  gameId: 'g',
  version: 1,
  schemaHash: 1,
  compatible: true,
  reason: undefined,
  address: '',
};
export const bytes = (size: number): Uint8Array => new Uint8Array(size);

class FakeSocket implements PageWebSocket {
  binaryType = 'blob';
  readyState = 1;
  bufferedAmount = 0;
  readonly said: PageCommand[] = [];
  batches = 0;
  closed = 0;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  send(data: Uint8Array): void {
    this.batches++;
    this.said.push(...decodeCommands(data.slice()).entries);
  }
  close(): void {
    this.closed++;
  }
  tell(...events: ProcessEvent[]): void {
    const out = createEventOutbox();
    for (const event of events) out.add(event);
    const batch = out.take()!;
    this.onmessage?.({ data: batch.buffer.slice(batch.byteOffset, batch.byteOffset + batch.length) } as never);
  }
  lose(code = 1_006, reason = ''): void {
    this.readyState = 3;
    this.onclose?.({ code, reason } as never);
  }
  of<T extends PageCommand['type']>(type: T) {
    return this.said.filter((command): command is Extract<PageCommand, { type: T }> => command.type === type);
  }
}

export const turn = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await Promise.resolve();
};

function start(welcome: Partial<Extract<ProcessEvent, { type: 'welcome' }>> = {}) {
  const sockets: FakeSocket[] = [];
  const watched = { now: (_hidden: boolean): void => undefined, ended: 0 };
  const page = {
    at: 1_000,
    hidden: false as boolean,
    timers: [] as { fn: () => void; at: number }[],
    now: (): number => page.at,
    setTimeout: (fn: () => void, ms: number): object | undefined => page.timers[page.timers.push({ fn, at: page.at + ms }) - 1],
    clearTimeout: (timer: unknown) => void (page.timers = page.timers.filter((one) => one !== timer)),
    requestFrame: () => undefined,
    onVisibility: (fn: () => void) => {
      watched.now = (hidden) => {
        page.hidden = hidden;
        fn();
      };
      return { [Symbol.dispose]: () => void watched.ended++ };
    },
    /** Time passes, and what is due by then is done, each at its time. */
    pass(ms: number): void {
      const end = page.at + ms;
      for (;;) {
        const next = page.timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        page.at = Math.max(page.at, next.at);
        page.clearTimeout(next);
        next.fn();
      }
      page.at = end;
    },
  } satisfies PageClock & Record<string, unknown>;
  const openSocket = (): FakeSocket => sockets[sockets.push(new FakeSocket()) - 1]!;
  const connecting = BridgeClient.connect({ url: 'ws://127.0.0.1:1/', token: 't'.repeat(22), game: GAME, page, openSocket });
  const discovery = { level: 'ok' as const, reasons: [] };
  const greet = (): FakeSocket => {
    const socket = sockets.at(-1)!;
    socket.onopen?.(undefined as never);
    socket.tell({
      type: 'welcome',
      version: BRIDGE_VERSION,
      self: ME,
      kept: undefined,
      discovery,
      joinCode: 'p4aaa-amgt4',
      guests: undefined,
      ...welcome,
    });
    return socket;
  };
  return { sockets, page, watched, connecting, greet };
}

export async function connected(welcome: Parameters<typeof start>[0] = {}) {
  const all = start(welcome);
  const socket = all.greet();
  return { ...all, socket, client: await all.connecting };
}

export async function inRoom() {
  const all = await connected();
  const opening = all.client.open(join());
  await turn();
  const room = all.socket.of('open')[0]!.room;
  const peers = [ME, OTHER, CAT].map((id, peer) => ({ type: 'peer' as const, peer, id }));
  all.socket.tell(...peers, { type: 'opened', room, roster }, { type: 'time', room, at: 50_000, time: 1_000_000, errorMs: 2 });
  const port: RoomPort = await opening;
  return { ...all, room, port };
}
