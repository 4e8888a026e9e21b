/**
 * Five ways to bring 256 ships of 8 fields to 8 peers, 3 fields of each changed per tick. Each has a writable world, makes what a tick sends to
 * every peer, and applies it at one of them, which stands for all eight: each is a process of its own, with its own caches. A part of `state.ts`.
 *
 * `mutate` stands in each of them on purpose: it is timed, and one loop over five classes of ships would be slow for all.
 */
import { Packr, Unpackr } from 'msgpackr/index-no-eval';
import { defineGame, entity, s } from 'lanista';
import type { PeerId } from 'lanista';
import type { RoomPort } from '../../sdk/port/port.ts';
import type { EntityHome } from '../../sdk/sync/entity.ts';
import { EntityCore, initialise } from '../../sdk/sync/entity.ts';
import type { InboundRules } from '../../sdk/sync/inbound-rules.ts';
import { Inbound } from '../../sdk/sync/inbound.ts';
import { Outbound } from '../../sdk/sync/outbound.ts';
import { Replication } from '../../sdk/sync/replication.ts';
import { EntityStore } from '../../sdk/sync/store.ts';
import { PackReader } from '../../sdk/wire/pack.ts';
import { soleOwnerRules } from './parts/rules.ts';

export const SHIPS = 256;
export const PEERS = 8;
const FIELDS = ['x', 'y', 'vx', 'vy', 'rot', 'hp', 'ammo', 'flags'] as const;
export type Ship = Record<(typeof FIELDS)[number], number>;

export interface Rival {
  readonly name: string;
  readonly ships: readonly Ship[];
  /** The game's tick. Written out in each: a call site that saw five kinds of ship would be measured instead of them. */
  mutate(): void;
  /** Makes what this tick sends to all peers; returns the bytes one peer gets. */
  encode(): number;
  /** Applies it as one peer does. */
  decode(): void;
  /** What that peer sees, to be compared. */
  seen(): readonly Readonly<Ship>[];
}

const start = (i: number): Ship => ({ x: i, y: i, vx: 0, vy: 0, rot: 0, hp: 0, ammo: 0, flags: 0 });

const SESSION = 7;
export const home: EntityHome = { roomTime: () => 0, failed: () => undefined, despawn: () => undefined, requestAuthority: async () => undefined };

/** Rules of a room with one owner and nothing to decide; a replica that diverges ends the benchmark. */
export function rulesOf(hash: () => number): InboundRules {
  const diverged = (): never => {
    throw new Error('the replica diverged');
  };
  return soleOwnerRules({ self: 'b', home, hash, diverged });
}

/** Frames as they leave `send`, each peer's copied into its own buffer, as a port does. Acks come back one tick late. */
export function lanista(): Rival {
  const game = defineGame({
    id: 'bench',
    version: 1,
    entities: {
      ship: entity({
        authority: 'spawner',
        fields: {
          x: s.num({ min: -4096, max: 4096, step: 1 / 8 }),
          y: s.num({ min: -4096, max: 4096, step: 1 / 8 }),
          vx: s.i16(),
          vy: s.i16(),
          rot: s.angle(16),
          hp: s.u8(),
          ammo: s.u8(),
          flags: s.u8(),
        },
      }),
    },
  });
  const store = new EntityStore(game);
  const peers = Array.from({ length: PEERS }, (_, i) => `p${i}` as PeerId);
  const mail = new Map(peers.map((peer) => [peer, { bytes: new Uint8Array(1 << 16), ends: [] as number[], count: 0, used: 0 }]));
  const port = {
    send: (_now: number, to: PeerId, _channel: string, bytes: Uint8Array) => {
      const box = mail.get(to)!;
      box.bytes.set(bytes, box.used);
      box.used += bytes.length;
      box.ends[box.count++] = box.used;
      return true;
    },
    queued: () => 0,
  } as unknown as RoomPort;
  const replication = new Replication(port, store, 30, SESSION);
  for (const peer of peers) {
    replication.outbound.set(peer, new Outbound(peer));
    replication.inbound.set(
      peer,
      new Inbound(
        peer,
        SESSION,
        30,
        store,
        rulesOf(() => 0),
      ),
    );
  }
  const replica = new EntityStore(game);
  const stream = new Inbound(
    'a' as PeerId,
    SESSION,
    30,
    replica,
    rulesOf(() => replication.hash(undefined)),
  );
  const box = mail.get(peers[0]!)!;
  const ships = Array.from({ length: SHIPS }, (_, i) => {
    const core = new EntityCore(home, store.kind('ship'), SESSION, i + 1, 'a' as PeerId);
    initialise(core, { ...start(i) });
    replication.own(core);
    store.add(core);
    return core.handle as Ship;
  });
  let tick = 0;
  return {
    name: 'lanista',
    ships,
    mutate: () => {
      for (const ship of ships) {
        ship.x = ship.x > 4000 ? 0 : ship.x + 1;
        ship.y = ship.y > 4000 ? 0 : ship.y + 2;
        ship.rot = ship.rot > 6 ? 0 : ship.rot + 0.1;
      }
    },
    encode: () => {
      for (const peer of peers) replication.handleAck(peer, stream.completeTick);
      for (const each of mail.values()) each.used = each.count = 0;
      tick++;
      replication.collect(tick, 0);
      replication.send((tick * 1_000) / 30, peers);
      return box.used;
    },
    decode: () => {
      let at = 0;
      for (let i = 0; i < box.count; i++) {
        const input = new PackReader(box.bytes, at, box.ends[i]);
        input.array(5);
        const full = input.int() === 4;
        input.int();
        const of = input.int();
        if (!input.nil()) input.int();
        const drop = stream.handleBody((of * 1_000) / 30, of, full, input);
        if (drop !== undefined) throw new Error(drop);
        at = box.ends[i]!;
      }
    },
    seen: () => [...replica.all()].map((core) => core.handle as Ship),
  };
}

/** The limit: what one would write by hand for these very fields, over a reliable stream: 16-bit values by a mask, one buffer for all. */
export function dataView(): Rival {
  const ships = Array.from({ length: SHIPS }, (_, i) => start(i));
  const replica = Array.from({ length: SHIPS }, (_, i) => start(i));
  const view = new DataView(new ArrayBuffer(65_536));
  const bytes = new Uint8Array(view.buffer);
  const boxes = Array.from({ length: PEERS }, () => new Uint8Array(65_536));
  const input = new DataView(boxes[0]!.buffer);
  const shadow = new Int32Array(SHIPS * 8).fill(-1);
  let used = 0;
  const scales = [8, 8, 1, 1, 10_430.378, 1, 1, 1];
  return {
    name: 'dataview',
    ships,
    mutate: () => {
      for (const ship of ships) {
        ship.x = ship.x > 4000 ? 0 : ship.x + 1;
        ship.y = ship.y > 4000 ? 0 : ship.y + 2;
        ship.rot = ship.rot > 6 ? 0 : ship.rot + 0.1;
      }
    },
    encode: () => {
      let at = 0;
      for (let i = 0; i < SHIPS; i++) {
        const ship = ships[i]!;
        let mask = 0;
        const head = at;
        at += 3;
        for (let f = 0; f < 8; f++) {
          const int = Math.round(ship[FIELDS[f]!] * scales[f]!);
          if (shadow[i * 8 + f] === int) continue;
          shadow[i * 8 + f] = int;
          mask |= 1 << f;
          view.setUint16(at, int);
          at += 2;
        }
        if (mask === 0) at = head;
        else {
          view.setUint16(head, i);
          view.setUint8(head + 2, mask);
        }
      }
      used = at;
      for (const box of boxes) box.set(bytes.subarray(0, used));
      return used;
    },
    decode: () => {
      for (let at = 0; at < used;) {
        const ship = replica[input.getUint16(at)]!;
        const mask = input.getUint8(at + 2);
        at += 3;
        for (let f = 0; f < 8; f++) {
          if ((mask & (1 << f)) === 0) continue;
          const int = f === 4 ? input.getUint16(at) : input.getInt16(at);
          ship[FIELDS[f]!] = int / scales[f]!;
          at += 2;
        }
      }
    },
    seen: () => replica,
  };
}

/** The whole state each tick, packed once for all. */
function wholeState(name: string, pack: (ships: readonly Ship[]) => Uint8Array | string, unpack: (packed: never) => readonly Ship[]): Rival {
  const ships = Array.from({ length: SHIPS }, (_, i) => start(i));
  let replica: readonly Ship[] = [];
  let packed: Uint8Array | string = '';
  return {
    name,
    ships,
    mutate: () => {
      for (const ship of ships) {
        ship.x = ship.x > 4000 ? 0 : ship.x + 1;
        ship.y = ship.y > 4000 ? 0 : ship.y + 2;
        ship.rot = ship.rot > 6 ? 0 : ship.rot + 0.1;
      }
    },
    encode: () => (packed = pack(ships)).length,
    decode: () => {
      replica = unpack(packed as never);
    },
    seen: () => replica,
  };
}

export function json(): Rival {
  return wholeState(
    'json',
    (ships) => JSON.stringify(ships),
    (text: string) => JSON.parse(text) as Ship[],
  );
}

export function msgpackr(): Rival {
  const packr = new Packr({ useRecords: false });
  const unpackr = new Unpackr({ useRecords: false });
  return wholeState(
    'msgpackr',
    (ships) => packr.pack(ships),
    (bytes: Uint8Array) => unpackr.unpack(bytes) as Ship[],
  );
}

/** As a Colyseus room does without views: one patch per tick, the same bytes to each client, over a reliable stream. */
export async function colyseus(): Promise<Rival> {
  const { schema, t, Encoder, Decoder } = (await import('@colyseus/schema')) as unknown as Record<string, any>;
  const Ship = schema(
    {
      x: t.quantized({ min: -4096, max: 4096 }),
      y: t.quantized({ min: -4096, max: 4096 }),
      vx: t.int16(),
      vy: t.int16(),
      rot: t.quantized({ min: 0, max: 6.2831853, mode: 'wrap' }),
      hp: t.uint8(),
      ammo: t.uint8(),
      flags: t.uint8(),
    },
    'Ship',
  );
  const State = schema({ ships: t.map(Ship) }, 'State');
  const state = new State();
  const ships = Array.from({ length: SHIPS }, (_, i) => {
    const ship = new Ship();
    Object.assign(ship, start(i));
    state.ships.set(String(i), ship);
    return ship as Ship;
  });
  Encoder.BUFFER_SIZE = 64 * 1024;
  const encoder = new Encoder(state);
  const everything = Uint8Array.from(encoder.encodeAll() as Uint8Array);
  encoder.discardChanges();
  const replica = new State();
  const decoder = new Decoder(replica);
  decoder.decode(everything);
  const boxes = Array.from({ length: PEERS }, () => new Uint8Array(65_536));
  let used = 0;
  return {
    name: 'colyseus',
    ships,
    mutate: () => {
      for (const ship of ships) {
        ship.x = ship.x > 4000 ? 0 : ship.x + 1;
        ship.y = ship.y > 4000 ? 0 : ship.y + 2;
        ship.rot = ship.rot > 6 ? 0 : ship.rot + 0.1;
      }
    },
    encode: () => {
      const bytes = encoder.encode() as Uint8Array;
      encoder.discardChanges();
      used = bytes.byteLength;
      for (const box of boxes) box.set(bytes);
      return used;
    },
    decode: () => {
      decoder.decode(boxes[0]!.subarray(0, used));
    },
    seen: () => [...replica.ships.values()] as Ship[],
  };
}
