/** Who is on the network, as lines for the terminal: one when a room appears, changes or goes, and one per seat of the own room. */
import type { LanPort, RoomListing } from 'lanista/node';
import { shownName } from '../rules/names.ts';

type RoomPort = Awaited<ReturnType<LanPort['open']>>;

/** How often the own room's seats are looked at, ms. */
const lookMs = 500;

/** What was last said of a room. */
interface Told {
  readonly title: string;
  readonly line: string;
}

/** Prints until disposed. Returns the port to hand to the bridge: it notices which room the page opens. */
export function watchNetwork(lan: LanPort, gameId: string, print: (line: string) => void): LanPort & Disposable {
  const known = new Map<string, Told>();
  let open: RoomPort | undefined;
  const rooms = lan.watchRooms((list) =>
    tellRooms(
      list.filter((room) => room.gameId === gameId),
      known,
      // Of the own room nobody else tells once all others have left; it is not gone for that.
      (id) => id === open?.roster().roomId,
      print,
    ),
  );
  const seats = new Map<string, string>();
  const timer = setInterval(() => tellSeats(open, seats, print), lookMs);
  timer.unref();
  return {
    self: lan.self,
    time: lan.time,
    async open(request, signal) {
      const port = await lan.open(request, signal);
      open = port;
      onClosed(port, () => {
        if (open !== port) return;
        open = undefined;
        seats.clear();
      });
      print(`You are in “${shownName(port.roster().name)}”.`);
      return port;
    },
    watchRooms: (onChange) => lan.watchRooms(onChange),
    discovery: () => lan.discovery(),
    joinCode: () => lan.joinCode(),
    diagnose: () => lan.diagnose(),
    digest: (bytes) => lan.digest(bytes),
    close: () => lan.close(),
    [Symbol.dispose]() {
      clearInterval(timer);
      rooms[Symbol.dispose]();
    },
  };
}

/** Calls `act` when whoever drains the port hears that its room is closed. */
function onClosed(port: RoomPort, act: () => void): void {
  const poll = port.poll.bind(port);
  port.poll = () => {
    const event = poll();
    if (event?.type === 'closed') act();
    return event;
  };
}

function tellRooms(list: readonly RoomListing[], known: Map<string, Told>, isOwn: (id: string) => boolean, print: (line: string) => void): void {
  const gone = new Set(known.keys());
  for (const room of list) {
    gone.delete(room.id);
    // A name comes from the network, and a terminal does what it is told.
    const title = `Room “${shownName(room.name)}”`;
    const line = `${title}: ${room.players} of ${room.max} players${room.locked ? ', locked' : ''}${room.reason === undefined ? '' : `, ${room.reason}`}`;
    if (known.get(room.id)?.line !== line) print(line);
    known.set(room.id, { title, line });
  }
  for (const id of gone) {
    if (!isOwn(id)) print(`${known.get(id)!.title} is gone.`);
    known.delete(id);
  }
}

function tellSeats(open: RoomPort | undefined, seats: Map<string, string>, print: (line: string) => void): void {
  const roster = open?.roster();
  if (open === undefined || roster === undefined) return;
  const now = new Map(
    roster.peers.filter((peer) => peer.id !== open.self).map((peer) => [peer.id as string, { seat: peer.slot + 1, status: peer.status }]),
  );
  for (const [id, { seat, status }] of now) {
    const before = seats.get(id);
    if (before === status) continue;
    print(
      `  seat ${seat} (${id.slice(0, 6)}) ${before === undefined ? 'joined' : status === 'away' ? 'lost the connection; the seat is kept' : 'is back'}`,
    );
    seats.set(id, status);
  }
  for (const id of seats.keys()) {
    if (now.has(id)) continue;
    print(`  (${id.slice(0, 6)}) left`);
    seats.delete(id);
  }
}
