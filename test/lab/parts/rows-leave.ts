/** Rows about leaving: rooms that close, are killed, or only seem to. */
import { Lab } from '../netns.ts';
import { sleep, until } from '../process.ts';
import { borrowAddresses, startStranger } from './hostile.ts';
import { Peers, clock, share, type Peer } from './peers.ts';
import type { Row } from './rows.ts';

const has = (name: string) => (peer: Peer) => peer.rooms.some((room) => room.name === name);

/** Waits until every watcher lists `name`; long enough for a network that loses half of everything. */
async function listed(watchers: readonly Peer[], name: string): Promise<void> {
  await until(`${name} to be listed`, 30_000, () => (watchers.every(has(name)) ? true : undefined), 10);
}

/** ms until each watcher's list is without `name`. */
function gone(watchers: readonly Peer[], name: string, since: number): Promise<readonly (number | null)[]> {
  return Promise.all(
    watchers.map((watcher) =>
      watcher.seen(`${name} to be gone`, since, 20_000, (rooms) => rooms.every((room) => room.name !== name)).catch(() => null),
    ),
  );
}

const leaving: Row = {
  name: 'T7',
  target: 'gone at all peers: closed, SIGINT, SIGTERM <= 0.5 s; kill -9 <= 3 s; <= 8 s at 50 % loss',
  async run(bundle) {
    using lab = new Lab(4);
    await using peers = new Peers(lab, bundle);
    const watchers = await peers.startAll(lab.hosts.slice(1));
    for (const watcher of watchers) {
      await watcher.call({ do: 'open' });
      await watcher.call({ do: 'watch' });
    }
    const figures: Record<string, number> = {};
    const uncaught = (): number => watchers.reduce((sum, watcher) => sum + watcher.uncaught.length, 0);
    const measure = async (way: string, tries: number, settleMs: number, leave: (peer: Peer) => void): Promise<void> => {
      const times: (number | null)[] = [];
      for (let i = 0; i < tries; i++) {
        const name = `${way} ${i}`;
        await using peer = await peers.start(lab.host(0));
        await peer.call({ do: 'open' });
        await peer.call({ do: 'create', name });
        await listed(watchers, name);
        await sleep(settleMs + ((i * 131) % 700));
        const since = clock();
        leave(peer);
        times.push(...(await gone(watchers, name, since)));
      }
      figures[`${way}_p50_ms`] = share(times, 0.5);
      figures[`${way}_max_ms`] = share(times, 1);
    };
    await measure('closed', 5, 500, (peer) => void peer.call({ do: 'close' }).catch(() => undefined));
    await measure('sigint', 5, 500, (peer) => void peer.process.child.kill('SIGINT'));
    await measure('sigterm', 5, 500, (peer) => void peer.process.child.kill('SIGTERM'));
    await measure('killed', 10, 500, (peer) => peer.process.kill());
    lab.setLoss(0.5);
    // Long enough that the list knows how badly this network is heard.
    await measure('killed_loss50', 6, 5_000, (peer) => peer.process.kill());
    const polite = ['closed', 'sigint', 'sigterm'].every((way) => figures[`${way}_max_ms`]! <= 500);
    const pass = polite && figures['killed_max_ms']! <= 3_000 && figures['killed_loss50_max_ms']! <= 8_000 && uncaught() === 0;
    return { ...figures, uncaught: uncaught(), pass };
  },
};

/** Rooms that vanished from a list and came back, of rooms that never closed. */
function falseLeaves(watcher: Peer, from: number, to: number): { readonly count: number; readonly backMs: readonly number[] } {
  const missing = new Map<string, number>();
  const backMs: number[] = [];
  let before = new Set<string>();
  let count = 0;
  for (const { t, rooms } of watcher.history) {
    if (t > to) break;
    const names = new Set(rooms.map((room) => room.name));
    if (t >= from) {
      for (const name of before) {
        if (names.has(name)) continue;
        count++;
        missing.set(name, t);
      }
      for (const [name, since] of missing) {
        if (!names.has(name)) continue;
        backMs.push(t - since);
        missing.delete(name);
      }
    }
    before = names;
  }
  return { count, backMs: [...backMs, ...[...missing.values()].map((since) => to - since)] };
}

const staying: Row = {
  name: 'T8',
  target: '100 spoofed goodbyes: nobody leaves; 50 % loss for 60 s: at most 1 false leave per 32 room-minutes, back within 2 s',
  async run(bundle) {
    const count = 6;
    using lab = new Lab(count + 1);
    await using peers = new Peers(lab, bundle);
    const all = await peers.startAll(lab.hosts.slice(0, count));
    const ports: number[] = [];
    for (const [index, peer] of all.entries()) {
      ports.push((await peer.call<{ joinPort: number }>({ do: 'open' })).joinPort);
      await peer.call({ do: 'create', name: `stays ${index}` });
      await peer.call({ do: 'watch' });
    }
    await using stranger = await startStranger(lab, lab.host(count));
    const whole = (): Promise<true> =>
      until('everybody to list everybody', 15_000, () => (all.every((peer) => peer.rooms.length === count - 1) ? true : undefined), 20);
    await whole();
    const victims = all.map((_, index) => ({ host: lab.host(index).address, port: ports[index]! }));
    const { names } = await stranger.call<{ names: number }>({ do: 'learn', victims });
    borrowAddresses(lab.host(count), lab.hosts.slice(0, count));
    await sleep(1_000);
    const quietFrom = clock();
    const spoofed = await stranger.call<{ sent: number }>({ do: 'goodbyes', count: 100, victims, perSecond: 20 });
    await sleep(3_000);
    const quiet = all.map((peer) => falseLeaves(peer, quietFrom, clock()));

    lab.setLoss(0.5);
    const lossFrom = clock();
    await sleep(60_000);
    const lossTo = clock();
    const lossy = all.map((peer) => falseLeaves(peer, lossFrom, lossTo));
    const lossyLeaves = lossy.reduce((sum, one) => sum + one.count, 0);
    const roomMinutes = (count * (count - 1) * (lossTo - lossFrom)) / 60_000;
    const backMs = lossy.flatMap((one) => one.backMs);
    const quietLeaves = quiet.reduce((sum, one) => sum + one.count, 0);
    const backMaxMs = backMs.length === 0 ? 0 : Math.round(Math.max(...backMs));
    return {
      goodbyes: spoofed.sent,
      names_spoofed: names,
      left_by_goodbye: quietLeaves,
      left_by_loss: lossyLeaves,
      room_minutes: Math.round(roomMinutes),
      back_max_ms: backMaxMs,
      pass: names === count && quietLeaves === 0 && lossyLeaves <= roomMinutes / 32 && backMaxMs <= 2_000,
    };
  },
};

export const leaveRows: readonly Row[] = [leaving, staying];
