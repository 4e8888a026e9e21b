/**
 * What a doctor asks of another machine: of a game only what every stranger may (WHO), of another doctor
 * also how large a datagram may be and what its clock says.
 *
 *     ask     "lanista doctor?" · mark[8] · zeros up to the size under test, at least 128 bytes
 *     answer  "lanista doctor!" · mark[8] · bytes received u16 · wall clock, ms u48        31 bytes
 *
 * Only a doctor answers, while it runs, at a bounded rate, with less than a quarter of the bytes. To others
 * it looks like a room of the game `lanista-doctor`, which no game lists.
 */
import type { PeerId, RoomId } from '../../base/brand.ts';
import { ByteReader, ByteWriter, asciiBytes, toHex } from '../../base/bytes.ts';
import type { Address } from '../../link/endpoint-types.ts';
import type { RoomFacts } from '../../mesh/mesh-types.ts';
import { KIND_HERE, decodeHere, encodeWho } from '../../wire/datagram.ts';
import { MTU_CEILING_BYTES, MTU_FLOOR_BYTES } from '../../wire/limits.ts';
import { nodeCrypto } from '../crypto-node.ts';
import { SourceRates } from '../discovery/source-rates.ts';

/** Game id of a doctor's room. */
export const DOCTOR_GAME_ID = 'lanista-doctor';

const ASK = asciiBytes('lanista doctor?');
const ANSWER = asciiBytes('lanista doctor!');
const MARK_BYTES = 8;
const SMALL_BYTES = 128;
/** Small questions to one machine, and the time between two, ms: a game answers 24 at once and 24 a second. */
const QUESTIONS = 20;
const QUESTION_EVERY_MS = 40;
/** Questions of each larger size. */
const LARGE_QUESTIONS = 4;
/** How long the last answer may take, ms. */
const ANSWER_WAIT_MS = 300;
/** Answers to one machine, as a burst and per second: two doctors ask each other 28 questions. */
const ANSWERS_PER_S = 64;

/** Another machine that answered, measured. */
export interface Neighbour {
  readonly address: string;
  readonly kind: 'doctor' | 'game';
  readonly asked: number;
  readonly answered: number;
  /** Median, ms. */
  readonly pingMs: number | undefined;
  /** Largest datagram that arrived there, of the sizes tried; undefined for a game, which is not asked. */
  readonly largestBytes: number | undefined;
  /** How much its wall clock is ahead of ours, ms; undefined for a game. */
  readonly clockAheadMs: number | undefined;
  readonly heardByMdns: boolean;
}

export function encodeAsk(mark: Uint8Array, bytes: number): Uint8Array {
  const out = new Uint8Array(Math.max(SMALL_BYTES, bytes));
  out.set(ASK);
  out.set(mark, ASK.length);
  return out;
}

/** The mark; undefined for anything else. */
export function decodeAsk(bytes: Uint8Array): Uint8Array | undefined {
  return bytes.length >= SMALL_BYTES && startsWith(bytes, ASK) ? bytes.slice(ASK.length, ASK.length + MARK_BYTES) : undefined;
}

export function encodeAnswer(mark: Uint8Array, receivedBytes: number, wallMs: number): Uint8Array {
  return new ByteWriter(64).raw(ANSWER).raw(mark).u16(receivedBytes).u48(Math.floor(wallMs)).copy();
}

export function decodeAnswer(bytes: Uint8Array): { readonly mark: Uint8Array; readonly receivedBytes: number; readonly wallMs: number } | undefined {
  if (bytes.length !== ANSWER.length + MARK_BYTES + 8 || !startsWith(bytes, ANSWER)) return undefined;
  const reader = new ByteReader(bytes.subarray(ANSWER.length));
  return { mark: reader.take(MARK_BYTES), receivedBytes: reader.u16(), wallMs: reader.u48() };
}

function startsWith(bytes: Uint8Array, magic: Uint8Array): boolean {
  return magic.every((byte, at) => bytes[at] === byte);
}

/** What the doctor says of itself to who searches. */
export function doctorFacts(self: PeerId, joinPort: number): RoomFacts {
  return {
    roomId: toHex(nodeCrypto.randomBytes(16)) as RoomId,
    name: 'doctor',
    players: 1,
    max: 1,
    locked: false,
    gameId: DOCTOR_GAME_ID,
    version: 1,
    schemaHash: 0,
    peer: self,
    joinPort,
    members: [],
  };
}

interface Answered {
  readonly rttMs: number;
  readonly bytes: number;
  readonly clockAheadMs: number | undefined;
}

/** The questions of one doctor, and its answers to others. Shares the join socket of a search. */
export class DoctorPeer {
  readonly #send: (address: Address, bytes: Uint8Array) => void;
  readonly #rates = new SourceRates(ANSWERS_PER_S, ANSWERS_PER_S, 128);
  /** When each open question left, by its mark. */
  readonly #open = new Map<string, number>();
  readonly #answers = new Map<string, Answered>();

  constructor(send: (address: Address, bytes: Uint8Array) => void) {
    this.#send = send;
  }

  /** Takes what belongs to the doctor; false for everything else. Never throws. */
  handle(address: Address, bytes: Uint8Array): boolean {
    const asked = decodeAsk(bytes);
    if (asked !== undefined) {
      if (this.#rates.take(address.host, performance.now())) this.#send(address, encodeAnswer(asked, bytes.length, Date.now()));
      return true;
    }
    const answer = decodeAnswer(bytes);
    if (answer !== undefined) {
      this.#take(toHex(answer.mark), answer.receivedBytes, answer.wallMs);
      return true;
    }
    if (bytes[0] !== KIND_HERE || this.#open.size === 0) return false;
    const here = decodeHere(bytes);
    return here !== undefined && this.#take(toHex(here.nonce), 0, undefined);
  }

  #take(mark: string, bytes: number, wallMs: number | undefined): boolean {
    const sentAt = this.#open.get(mark);
    if (sentAt === undefined || this.#answers.has(mark)) return sentAt !== undefined;
    const rttMs = performance.now() - sentAt;
    const clockAheadMs = wallMs === undefined ? undefined : wallMs - (Date.now() - rttMs / 2);
    this.#answers.set(mark, { rttMs, bytes, clockAheadMs });
    return true;
  }

  /** Asks another machine, for about a second. */
  async measure(address: Address, kind: 'doctor' | 'game'): Promise<Omit<Neighbour, 'heardByMdns'>> {
    const small: string[] = [];
    const large: string[] = [];
    for (let i = 0; i < QUESTIONS; i++) {
      small.push(this.#ask(address, kind, SMALL_BYTES));
      if (kind === 'doctor' && i < 2 * LARGE_QUESTIONS) large.push(this.#ask(address, kind, i % 2 === 0 ? MTU_FLOOR_BYTES : MTU_CEILING_BYTES));
      await pause(QUESTION_EVERY_MS);
    }
    await pause(ANSWER_WAIT_MS);
    const answers = small.flatMap((mark) => this.#answers.get(mark) ?? []);
    const quickest = answers.toSorted((a, b) => a.rttMs - b.rttMs);
    const sizes = [...answers, ...large.flatMap((mark) => this.#answers.get(mark) ?? [])].map((answer) => answer.bytes);
    for (const mark of [...small, ...large]) {
      this.#open.delete(mark);
      this.#answers.delete(mark);
    }
    const median = quickest[quickest.length >> 1]?.rttMs;
    return {
      address: `${address.host}:${address.port}`,
      kind,
      asked: QUESTIONS,
      answered: answers.length,
      pingMs: median === undefined ? undefined : Math.round(median * 10) / 10,
      largestBytes: kind === 'game' || sizes.length === 0 ? undefined : Math.max(...sizes),
      // The quickest answer says most exactly when it was written.
      clockAheadMs: quickest[0]?.clockAheadMs === undefined ? undefined : Math.round(quickest[0].clockAheadMs),
    };
  }

  #ask(address: Address, kind: 'doctor' | 'game', bytes: number): string {
    const mark = nodeCrypto.randomBytes(MARK_BYTES);
    this.#open.set(toHex(mark), performance.now());
    this.#send(address, kind === 'doctor' ? encodeAsk(mark, bytes) : encodeWho({ nonce: mark, roomTag: undefined, gameId: undefined }));
    return toHex(mark);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
