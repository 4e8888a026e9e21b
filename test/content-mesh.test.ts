/** Content over the whole network half, on emulated networks: loss, members that go, and what the game beside it notices. */
import { describe, expect, it } from 'vitest';
import { defineGame, entity, message, s } from '../sdk/index.ts';
import type { ContentId, Room } from '../sdk/index.ts';
import type { PortEvent } from '../sdk/port/port.ts';
import { GameRoom } from '../sdk/room/room.ts';
import { World } from '../sdk/testing/index.ts';
import type { NetemOptions } from '../sdk/testing/netem.ts';
import { bytesOf, same, sha256 } from './content-rig.ts';
import { MeshPort, WorldTime } from './sim/game-mesh.ts';

const game = defineGame({
  id: 'content-mesh',
  version: 1,
  entities: { blob: entity({ authority: 'spawner', rate: 60, fields: { told: s.u32().default(0) } }) },
  messages: { say: message({ at: s.u32() }) },
});
type R = Room<typeof game>;

const LARGEST = 4 * 1_024 * 1_024;

async function turns(): Promise<void> {
  for (let i = 0; i < 6; i++) await Promise.resolve();
}

class Den {
  readonly world: World;
  readonly rooms: R[] = [];
  readonly #ports = new Map<number, MeshPort>();
  // What is told before the room is made waits for it, as it does in every port.
  readonly #early = new Map<number, PortEvent[]>();

  constructor(peers: number, network: Omit<NetemOptions, 'seed'>, seed = 5) {
    this.world = new World({ seed, peers, network });
    this.world.watchers.push({
      onLife: (_now, peer) => {
        this.#ports.delete(peer.index);
        this.#early.delete(peer.index);
      },
      onEvent: (_now, { index }, event) => {
        const port = this.#ports.get(index);
        if (port === undefined) return void this.#early.set(index, [...(this.#early.get(index) ?? []), event]);
        port.events.push(event);
        port.onWake?.();
      },
    });
  }

  static async open(peers: number, network: Omit<NetemOptions, 'seed'>, seed?: number): Promise<Den> {
    const den = new Den(peers, network, seed);
    for (let i = 0; i < peers; i++) await den.enter(i);
    await den.play(1_000);
    return den;
  }

  /** Names whose hash a member takes for that of its own bytes: what it shares is something else than it says. */
  readonly lies = new Map<number, Uint8Array>();

  async enter(index: number): Promise<R> {
    const peer = this.world.start(index, index === 0 && this.rooms.length === 0 ? 'found' : 'join');
    for (let k = 0; k < 4_000 && peer.mesh!.joinState.type !== 'joined'; k++) await this.play(5);
    const port = new MeshPort(this.world, peer);
    this.#ports.set(index, port);
    port.events.push(...(this.#early.get(index) ?? []));
    const room = new GameRoom(game, port, {
      time: new WorldTime(this.world, peer),
      session: this.world.rng.u32(),
      presence: {},
      digest: async (bytes) => sha256(this.lies.get(index) ?? bytes),
    }) as unknown as R;
    this.rooms[index] = room;
    await this.play(100);
    return room;
  }

  async play(ms: number, done: () => boolean = () => false): Promise<void> {
    for (let left = ms; left > 0 && !done(); left -= 2) {
      this.world.run(2);
      await turns();
    }
  }

  async settled<T>(promise: Promise<T>, ms = 60_000): Promise<T> {
    let isOver = false;
    const over = (): void => void (isOver = true);
    promise.then(over, over);
    await this.play(ms, () => isOver);
    if (!isOver) throw new Error(`nothing after ${ms} ms`);
    return promise;
  }

  share(index: number, bytes: Uint8Array): Promise<ContentId> {
    return this.settled(this.rooms[index]!.content.share(bytes));
  }
}

/** Reasons beginning so. */
const contentDrops = (room: R): string[] => Object.keys(room.stats().drops).filter((reason) => reason.startsWith('content'));

describe('content over the mesh', () => {
  it('[CO1] [CO6] comes through a fifth of loss, with somebody who leaves in the middle, and somebody who crashes', async () => {
    const den = await Den.open(4, { delayMs: 3, jitterMs: 5, lossRatio: 0.2, duplicateRatio: 0.05 });
    const bytes = bytesOf(1_000_000);
    const id = await den.share(0, bytes);
    const [ann, bob, cid, dan] = den.rooms as [R, R, R, R];
    expect(same(await den.settled(bob.content.fetch(id)), bytes)).toBe(true);
    const found = cid.content.fetch(id, { timeoutMs: 60_000 });
    await den.play(1_000);
    // Whoever gives of the two: it leaves, and the other goes on.
    const gives = [ann, bob].find((room) => (room.stats().peers.get(cid.self.id)?.queuedBytes ?? 0) > 8_000);
    expect(gives).toBeDefined();
    await den.settled(gives!.leave());
    expect(same(await den.settled(found), bytes)).toBe(true);
    const last = dan.content.fetch(id, { timeoutMs: 60_000 });
    await den.play(600);
    const rest = den.rooms.indexOf([ann, bob].find((room) => room !== gives)!);
    den.world.crash(rest);
    expect(same(await den.settled(last), bytes)).toBe(true);
    for (const room of [cid, dan]) expect(contentDrops(room).filter((reason) => reason !== 'content-unasked')).toEqual([]);
  });

  it('[CO3] [CO4] two members who give out something else cost time, and nobody a wrong block', async () => {
    const den = await Den.open(5, { delayMs: 3, jitterMs: 2, lossRatio: 0.2 });
    const bytes = bytesOf(200_000);
    for (const [index, other] of [
      [3, bytesOf(200_000, 3)],
      [4, bytesOf(90_000, 4)],
    ] as const) {
      den.lies.set(index, bytes);
      // It has the name of what the others mean.
      const id = await den.share(index, other);
      expect(id).toBe(Buffer.from(sha256(bytes)).toString('base64url'));
      den.lies.delete(index);
    }
    const id = await den.share(0, bytes);
    const found = await den.settled(Promise.all([1, 2].map((index) => den.rooms[index]!.content.fetch(id))));
    expect(found.every((got) => same(got, bytes))).toBe(true);
    for (const index of [1, 2]) expect(den.rooms[index]!.stats().drops['content-hash'] ?? 0).toBeLessThanOrEqual(3);
    // Everybody holds it by now, and two of them what they call so.
    expect(den.rooms.filter((room) => room.content.has(id))).toHaveLength(5);
  });

  it('[CO1] [CO7] a process that was started anew fetches what it had shared itself', async () => {
    const den = await Den.open(2, { delayMs: 2, jitterMs: 1 });
    const bytes = bytesOf(400_000);
    const id = await den.share(0, bytes);
    await den.settled(den.rooms[1]!.content.fetch(id));
    den.world.crash(0);
    await den.play(1_000);
    const anew = await den.enter(0);
    expect(anew.content.has(id)).toBe(false);
    expect(same(await den.settled(anew.content.fetch(id)), bytes)).toBe(true);
  });

  it('[CO11] fifteen who want one block at the same time have it sooner than one could give it to all of them', async () => {
    // 3 MB a second from each: fifteen times 1 MiB from one takes over 5 s.
    const den = await Den.open(16, { delayMs: 2, jitterMs: 1, bytesPerMs: 3_000 });
    const bytes = bytesOf(1_024 * 1_024);
    const id = await den.share(0, bytes);
    const before = outOf(den.rooms[0]!);
    const began = den.world.now;
    const all = await den.settled(Promise.all(den.rooms.slice(1).map((room) => room.content.fetch(id))));
    expect(all.every((got) => same(got, bytes))).toBe(true);
    expect(den.world.now - began).toBeLessThan(4_000);
    // Most of it came from others.
    expect(outOf(den.rooms[0]!) - before).toBeLessThan(10 * bytes.length);
  });

  it('[CO14] a transfer of 4 MiB keeps neither state nor messages of the game waiting', async () => {
    for (const network of [
      { delayMs: 1, jitterMs: 1 },
      { delayMs: 2, jitterMs: 3, bytesPerMs: 3_000 },
    ]) {
      const den = await Den.open(2, network);
      const [ann, bob] = den.rooms as [R, R];
      const blob = ann.entities.spawn('blob', {});
      const tenths = (): number => Math.round(den.world.now * 10);
      ann.clock.every(60, () => void (blob.told = tenths()));
      ann.clock.every(20, () => ann.send('say', { at: tenths() }));
      const late: { state: number[]; said: number[] } = { state: [], said: [] };
      bob.entities.on('blob', { spawn: (entity) => void entity.onChange('told', (at) => late.state.push(den.world.now - at / 10)) });
      bob.onMessage('say', ({ at }) => late.said.push(den.world.now - at / 10));
      const id = await den.share(0, bytesOf(LARGEST));
      await den.play(1_000);
      const idle = { state: Math.max(...late.state.splice(0)), said: Math.max(...late.said.splice(0)) };
      await den.settled(bob.content.fetch(id));
      expect(late.state.length).toBeGreaterThan(10);
      expect(Math.max(...late.state) - idle.state).toBeLessThan(5);
      expect(Math.max(...late.said) - idle.said).toBeLessThan(20);
    }
  });
});

function outOf(room: R): number {
  return [...room.stats().peers.values()].reduce((sum, { bytesOut }) => sum + bytesOut, 0);
}
