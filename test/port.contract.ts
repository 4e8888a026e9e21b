/**
 * The contract of `RoomPort`, as one suite for all its implementations. A harness makes a room with a number of seats and lets time pass;
 * everything else is asked of the ports alone.
 */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { PeerId } from '../sdk/base/brand.ts';
import type { LanPort } from '../sdk/port/lan-port.ts';
import type { PortEvent, RoomPort } from '../sdk/port/port.ts';

export interface PortHarness {
  /** Seats of one room, in order of their slots; each is present for every other. */
  readonly ports: readonly RoomPort[];
  /** What they were opened by, in the same order. */
  readonly lans: readonly Pick<LanPort, 'digest'>[];
  /** The `now` of the port at `index`. */
  now(index: number): number;
  /** Lets `ms` pass, with everything that falls due in it. */
  advance(ms: number): Promise<void> | void;
  close(): Promise<void> | void;
}

function drain(port: RoomPort): PortEvent[] {
  const events: PortEvent[] = [];
  for (let event = port.poll(); event !== undefined; event = port.poll()) events.push(event);
  return events;
}

function messages(port: RoomPort): Extract<PortEvent, { type: 'message' }>[] {
  return drain(port).filter((event) => event.type === 'message');
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

/** @param settleMs long enough for a message and a roster change to be everywhere. */
export function portContract(name: string, open: (seats: number) => Promise<PortHarness> | PortHarness, settleMs = 1_500): void {
  /** Lets time pass until `done`, or until everything must have settled; then what is wrong shows in what is expected after it. */
  const settle = async (harness: PortHarness, done: () => boolean): Promise<void> => {
    for (let i = 0; i < 20 && !done(); i++) await harness.advance(settleMs / 20);
  };
  /** Time in which what must not come would have come. */
  const linger = (harness: PortHarness): Promise<void> | void => harness.advance(settleMs / 8);
  const run = (title: string, seats: number, body: (harness: PortHarness) => Promise<void>): void =>
    it(title, async () => {
      const harness = await open(seats);
      try {
        await body(harness);
      } finally {
        await harness.close();
      }
    });

  describe(`RoomPort: ${name}`, () => {
    run('[RO8] every seat sees the same roster, sorted by slot, and its host in it', 3, async ({ ports }) => {
      const rosters = ports.map((port) => port.roster());
      for (const roster of rosters) {
        expect(roster.peers.map((peer) => peer.id)).toEqual(rosters[0]!.peers.map((peer) => peer.id));
        expect(roster.host).toBe(rosters[0]!.host);
        expect(roster.peers.map((peer) => peer.slot)).toEqual([...roster.peers.map((peer) => peer.slot)].sort((a, b) => a - b));
        expect(roster.peers.some((peer) => peer.id === roster.host)).toBe(true);
      }
      expect(new Set(ports.map((port) => port.self)).size).toBe(3);
    });

    run('[RO42] everybody has the same hash of the same bytes, however many there are, and another one of others', 2, async ({ lans }) => {
      const seen = new Set<string>();
      for (const size of [0, 1, 3, 31, 32, 1_000, 65_536, 65_537, 131_072, 300_000, 4 * 1_024 * 1_024]) {
        const of = Uint8Array.from({ length: size }, (_, i) => i * 7 + (i >> 8));
        const [one, other] = await Promise.all(lans.map((lan) => lan.digest(of)));
        expect([one!.length, one]).toEqual([32, other]);
        if (name !== 'memory') expect(Buffer.from(one!).toString('hex')).toBe(createHash('sha256').update(of).digest('hex'));
        seen.add(Buffer.from(one!).toString('hex'));
        if (size === 0) continue;
        of[size - 1]! ^= 1;
        seen.add(Buffer.from(await lans[0]!.digest(of)).toString('hex'));
      }
      expect(seen.size).toBe(21);
    });

    run('[RO9] reliable messages arrive once and in order per lane, large ones too', 2, async (harness) => {
      const [a, b] = harness.ports as [RoomPort, RoomPort];
      drain(b);
      const large = new Uint8Array(100_000).map((_, i) => i * 7);
      for (let i = 0; i < 50; i++) expect(a.send(harness.now(0), b.self, 'reliable', bytes(i), i % 2)).toBe(true);
      expect(a.send(harness.now(0), b.self, 'reliable', large, 2)).toBe(true);
      a.flush(harness.now(0));
      const got: Extract<PortEvent, { type: 'message' }>[] = [];
      for (let i = 0; i < 2; i++) await settle(harness, () => got.push(...messages(b)) >= 51);
      await linger(harness);
      got.push(...messages(b));
      const onLane = (lane: number): number[] =>
        got.filter((message) => message.lane === lane && message.channel === 'reliable').map((message) => message.bytes[0]!);
      expect(onLane(0)).toEqual(Array.from({ length: 25 }, (_, i) => 2 * i));
      expect(onLane(1)).toEqual(Array.from({ length: 25 }, (_, i) => 2 * i + 1));
      const big = got.find((message) => message.lane === 2);
      expect(big?.from).toBe(a.self);
      expect(big !== undefined && Buffer.from(big.bytes).equals(Buffer.from(large))).toBe(true);
    });

    run('[RO10] the bytes are copied before send returns', 2, async (harness) => {
      const [a, b] = harness.ports as [RoomPort, RoomPort];
      drain(b);
      const mine = bytes(1, 2, 3);
      a.send(harness.now(0), b.self, 'unreliable', mine, 1);
      a.send(harness.now(0), b.self, 'reliable', mine, 0);
      mine.fill(9);
      a.flush(harness.now(0));
      const got: ReturnType<typeof messages> = [];
      await settle(harness, () => got.push(...messages(b)) >= 2);
      expect(got.length).toBeGreaterThan(0);
      for (const message of got) expect([...message.bytes]).toEqual([1, 2, 3]);
    });

    run('[RO11] what cannot be sent is refused at once', 2, async (harness) => {
      const [a, b] = harness.ports as [RoomPort, RoomPort];
      const now = harness.now(0);
      expect(a.send(now, a.self, 'reliable', bytes(1))).toBe(false);
      expect(a.send(now, 'nobodynobodyaaaa' as PeerId, 'reliable', bytes(1))).toBe(false);
      expect(a.send(now, b.self, 'unreliable', new Uint8Array(1_101))).toBe(false);
      expect(a.send(now, b.self, 'sequenced', new Uint8Array(1_101))).toBe(false);
      expect(a.send(now, b.self, 'reliable', new Uint8Array(256 * 1_024 + 1))).toBe(false);
      expect(a.send(now, b.self, 'unreliable', new Uint8Array(1_100))).toBe(true);
    });

    run('[RO41] what waits is told lane by lane, and is gone in the end', 2, async (harness) => {
      const [a, b] = harness.ports as [RoomPort, RoomPort];
      const queued = (): number[] => [1, 2, 3].map((lane) => a.queued(b.self, lane));
      expect(queued()).toEqual([0, 0, 0]);
      for (const lane of [1, 3, 3]) expect(a.send(harness.now(0), b.self, 'reliable', new Uint8Array(50_000), lane)).toBe(true);
      const [one, none, two] = queued() as [number, number, number];
      // A port that has no queue has nothing in it.
      if (one > 0) {
        expect(one).toBeGreaterThanOrEqual(50_000);
        expect(one).toBeLessThan(51_000);
      }
      expect([none, two]).toEqual([0, 2 * one]);
      a.flush(harness.now(0));
      await settle(harness, () => queued().every((bytes) => bytes === 0));
      expect(queued()).toEqual([0, 0, 0]);
      expect(a.queued('nobodynobodyaaaa' as PeerId, 1)).toBe(0);
    });

    run('[RO12] sequenced and unreliable messages carry their lane, and each arrives at most once', 2, async (harness) => {
      const [a, b] = harness.ports as [RoomPort, RoomPort];
      drain(b);
      for (let i = 0; i < 10; i++) {
        a.send(harness.now(0), b.self, 'sequenced', bytes(i), 3);
        a.send(harness.now(0), b.self, 'unreliable', bytes(i), 4);
        a.flush(harness.now(0));
        await harness.advance(20);
      }
      const got: ReturnType<typeof messages> = [];
      await settle(harness, () => {
        got.push(...messages(b));
        return got.filter((message) => message.bytes[0] === 9).length === 2;
      });
      await linger(harness);
      got.push(...messages(b));
      for (const [channel, lane] of [
        ['sequenced', 3],
        ['unreliable', 4],
      ] as const) {
        const values = got.filter((message) => message.channel === channel).map((message) => message.bytes[0]!);
        expect(values.length).toBeGreaterThan(0);
        expect(new Set(values).size).toBe(values.length);
        expect(got.filter((message) => message.channel === channel).every((message) => message.lane === lane)).toBe(true);
      }
    });

    run('[RO13] leaving closes the seat, and a roster tells the others who and why', 2, async (harness) => {
      const [a, b] = harness.ports as [RoomPort, RoomPort];
      drain(a);
      const { self } = b;
      b.leave(harness.now(1));
      b.flush(harness.now(1));
      const heard: PortEvent[] = [];
      await settle(harness, () => heard.push(...drain(b)) > 0 && heard.at(-1)?.type === 'closed' && a.roster().peers.length === 1);
      expect(heard.at(-1)).toEqual({ type: 'closed', reason: 'bye' });
      expect([a.over, b.over]).toEqual([false, true]);
      const left = drain(a).flatMap((event) => (event.type === 'roster' ? event.left : []));
      expect(left.map((departure) => [departure.id, departure.reason])).toEqual([[self, 'bye']]);
      expect(a.roster().peers.map((peer) => peer.id)).toEqual([a.self]);
    });

    run('[RO14] the host leaves: another is host, the term has grown', 3, async (harness) => {
      const host = harness.ports.findIndex((port) => port.self === port.roster().host);
      const others = harness.ports.filter((_, i) => i !== host);
      const { term, host: before } = others[0]!.roster();
      harness.ports[host]!.leave(harness.now(host));
      harness.ports[host]!.flush(harness.now(host));
      await settle(harness, () => others.every((port) => port.roster().host !== before));
      for (const port of others) drain(port);
      expect(others[0]!.roster().host).toBe(others[1]!.roster().host);
      expect(others.map((port) => port.self)).toContain(others[0]!.roster().host);
      expect(others[0]!.roster().term).toBeGreaterThan(term);
    });

    run('[RO15] only the host kicks, and the kicked seat is closed as such', 2, async (harness) => {
      const host = harness.ports.findIndex((port) => port.self === port.roster().host);
      const other = 1 - host;
      expect(harness.ports[other]!.kick(harness.now(other), harness.ports[host]!.self)).toBe(false);
      expect(harness.ports[host]!.kick(harness.now(host), harness.ports[other]!.self)).toBe(true);
      harness.ports[host]!.flush(harness.now(host));
      const heard: PortEvent[] = [];
      await settle(harness, () => heard.push(...drain(harness.ports[other]!)) > 0 && heard.at(-1)?.type === 'closed');
      expect(heard.at(-1)).toEqual({ type: 'closed', reason: 'kicked' });
    });

    run('[RO16] room time fits 32 bits, never runs backwards, and is nearly the same everywhere', 2, async (harness) => {
      let before = -1;
      for (let i = 0; i < 20; i++) {
        await harness.advance(25);
        const time = harness.ports[0]!.time(harness.now(0));
        expect(time).toBeGreaterThanOrEqual(before);
        expect(time).toBeLessThan(2 ** 32);
        before = time;
      }
      const difference = Math.abs(harness.ports[0]!.time(harness.now(0)) - harness.ports[1]!.time(harness.now(1)));
      expect(difference).toBeLessThan(20 + harness.ports[0]!.timeErrorMs(harness.now(0)) + harness.ports[1]!.timeErrorMs(harness.now(1)));
    });

    run('[RO17] onWake is called when poll has something new', 2, async (harness) => {
      const [a, b] = harness.ports as [RoomPort, RoomPort];
      drain(b);
      let woken = 0;
      b.onWake = () => woken++;
      a.send(harness.now(0), b.self, 'reliable', bytes(1));
      a.flush(harness.now(0));
      await settle(harness, () => woken > 0);
      await linger(harness);
      expect(woken).toBeGreaterThan(0);
      expect(messages(b)).toHaveLength(1);
    });
  });
}
