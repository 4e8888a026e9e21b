/**
 * A bounded reader of mDNS packets, run before any library may see one.
 *
 * dns-packet 5.6.1 can be made to exhaust memory by a small packet, and nothing catches that; so every
 * packet from the LAN is walked here first and dropped unless it is plainly sane. Bounds: size, numbers
 * of questions and records, labels in total, known record types, record data inside the packet,
 * compression pointers that only go backwards, names of at most 255 bytes. Pure; never throws.
 */
import { MDNS_MAX_BYTES, MDNS_MAX_LABELS, MDNS_MAX_QUESTIONS, MDNS_MAX_RECORDS, MDNS_MAX_STEPS } from './bounds.ts';

export const DNS_TYPE = { A: 1, CNAME: 5, PTR: 12, HINFO: 13, TXT: 16, AAAA: 28, SRV: 33, OPT: 41, NSEC: 47, ANY: 255 } as const;

const TYPES: ReadonlySet<number> = new Set(Object.values(DNS_TYPE));

export type DnsDrop = 'short' | 'long' | 'flags' | 'counts' | 'name' | 'type' | 'data' | 'work' | 'trailing';

export interface DnsQuestion {
  /** Lower case, dots between labels. */
  readonly name: string;
  readonly type: number;
}

export interface DnsRecord {
  /** As sent, dots between labels; compare in lower case. */
  readonly name: string;
  readonly type: number;
  readonly ttlS: number;
  /** Offsets of the record data in the packet. */
  readonly dataStart: number;
  readonly dataEnd: number;
  /** The name inside the data of PTR, CNAME and SRV; empty otherwise. */
  readonly target: string;
}

export interface DnsPacket {
  readonly isResponse: boolean;
  readonly questions: readonly DnsQuestion[];
  readonly answers: readonly DnsRecord[];
  /** Authority and additional records. */
  readonly extras: readonly DnsRecord[];
}

interface Cursor {
  readonly bytes: Uint8Array;
  at: number;
  steps: number;
}

const LATIN: string[] = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));

/**
 * Reads a name at the cursor and leaves the cursor behind it. Bytes are kept as Latin-1, which is
 * enough to compare names; undefined when the name is malformed or too much work.
 */
function readName(cursor: Cursor): string | undefined {
  const { bytes } = cursor;
  let at = cursor.at;
  let after = -1;
  let length = 0;
  let name = '';
  for (let labels = 0; labels < MDNS_MAX_LABELS; labels++) {
    if (++cursor.steps > MDNS_MAX_STEPS || at >= bytes.length) return undefined;
    const size = bytes[at]!;
    if (size === 0) {
      cursor.at = after < 0 ? at + 1 : after;
      return name;
    }
    if ((size & 0xc0) === 0xc0) {
      if (at + 1 >= bytes.length) return undefined;
      const target = ((size & 0x3f) << 8) | bytes[at + 1]!;
      // Only backwards, past the header: a pointer chain is then finite by construction.
      if (target >= at || target < 12) return undefined;
      if (after < 0) after = at + 2;
      at = target;
      continue;
    }
    if ((size & 0xc0) !== 0 || at + 1 + size > bytes.length) return undefined;
    length += size + 1;
    if (length > 254) return undefined;
    if (name !== '') name += '.';
    for (let i = at + 1; i <= at + size; i++) name += LATIN[bytes[i]!]!;
    at += size + 1;
  }
  return undefined;
}

/** Record data that a decoder would trip over, or that could not be what its type says. */
function checkData(cursor: Cursor, type: number, start: number, end: number): string | undefined {
  const { bytes } = cursor;
  const size = end - start;
  switch (type) {
    case DNS_TYPE.A:
      return size === 4 ? '' : undefined;
    case DNS_TYPE.AAAA:
      return size === 16 ? '' : undefined;
    case DNS_TYPE.PTR:
    case DNS_TYPE.CNAME:
    case DNS_TYPE.SRV: {
      const inner: Cursor = { bytes, at: type === DNS_TYPE.SRV ? start + 6 : start, steps: cursor.steps };
      if (inner.at >= end) return undefined;
      const target = readName(inner);
      cursor.steps = inner.steps;
      return target !== undefined && inner.at === end ? target : undefined;
    }
    case DNS_TYPE.HINFO: {
      // Two texts and nothing more: the library looks at no size here, and would read whatever follows them as records of its own.
      const second = start + (size > 0 ? bytes[start]! + 1 : 0);
      return second < end && second + bytes[second]! + 1 === end ? '' : undefined;
    }
    case DNS_TYPE.TXT: {
      let at = start;
      for (; at < end; at += bytes[at]! + 1) if (++cursor.steps > MDNS_MAX_STEPS) return undefined;
      return at === end ? '' : undefined;
    }
    case DNS_TYPE.OPT: {
      let at = start;
      for (; at + 4 <= end; at += 4 + ((bytes[at + 2]! << 8) | bytes[at + 3]!)) if (++cursor.steps > MDNS_MAX_STEPS) return undefined;
      return at === end ? '' : undefined;
    }
    case DNS_TYPE.NSEC: {
      // The decoder of the library follows this name as well, so it is held to the same rule.
      const inner: Cursor = { bytes, at: start, steps: cursor.steps };
      const target = readName(inner);
      cursor.steps = inner.steps;
      if (target === undefined || inner.at > end) return undefined;
      let at = inner.at;
      // Bitmap blocks: window, length 1 to 32, bytes.
      while (at + 2 <= end) {
        const length = bytes[at + 1]!;
        if (length === 0 || length > 32) return undefined;
        at += 2 + length;
      }
      return at === end ? '' : undefined;
    }
    default:
      return undefined;
  }
}

/** The packet's outline, or why it is dropped. */
export function walkDns(bytes: Uint8Array): DnsPacket | DnsDrop {
  if (bytes.length < 12) return 'short';
  if (bytes.length > MDNS_MAX_BYTES) return 'long';
  const u16 = (at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;
  // Opcode and response code must be zero (RFC 6762 §18.3, §18.11); truncated packets pass.
  if ((bytes[2]! & 0x78) !== 0 || (bytes[3]! & 0x0f) !== 0) return 'flags';
  const questionCount = u16(4);
  const answerCount = u16(6);
  const recordCount = answerCount + u16(8) + u16(10);
  if (questionCount > MDNS_MAX_QUESTIONS || recordCount > MDNS_MAX_RECORDS) return 'counts';
  const cursor: Cursor = { bytes, at: 12, steps: 0 };
  const questions: DnsQuestion[] = [];
  for (let i = 0; i < questionCount; i++) {
    const name = readName(cursor);
    if (name === undefined || cursor.at + 4 > bytes.length) return cursor.steps > MDNS_MAX_STEPS ? 'work' : 'name';
    const type = u16(cursor.at);
    if (!TYPES.has(type)) return 'type';
    questions.push({ name: name.toLowerCase(), type });
    cursor.at += 4;
  }
  const answers: DnsRecord[] = [];
  const extras: DnsRecord[] = [];
  for (let i = 0; i < recordCount; i++) {
    const name = readName(cursor);
    if (name === undefined || cursor.at + 10 > bytes.length) return cursor.steps > MDNS_MAX_STEPS ? 'work' : 'name';
    const type = u16(cursor.at);
    if (!TYPES.has(type) || type === DNS_TYPE.ANY) return 'type';
    const ttlS = u16(cursor.at + 4) * 65_536 + u16(cursor.at + 6);
    const dataStart = cursor.at + 10;
    const dataEnd = dataStart + u16(cursor.at + 8);
    if (dataEnd > bytes.length) return 'data';
    const target = checkData(cursor, type, dataStart, dataEnd);
    if (target === undefined) return cursor.steps > MDNS_MAX_STEPS ? 'work' : 'data';
    cursor.at = dataEnd;
    (i < answerCount ? answers : extras).push({ name, type, ttlS, dataStart, dataEnd, target });
  }
  return cursor.at === bytes.length ? { isResponse: (bytes[2]! & 0x80) !== 0, questions, answers, extras } : 'trailing';
}

/** A name as DNS labels. Labels longer than 63 bytes are cut: ours never are. */
export function encodeName(name: string): Uint8Array {
  const out: number[] = [];
  for (const label of name.split('.')) {
    if (label === '') continue;
    const size = Math.min(label.length, 63);
    out.push(size);
    for (let i = 0; i < size; i++) out.push(label.charCodeAt(i) & 0xff);
  }
  out.push(0);
  return Uint8Array.from(out);
}

export interface OutRecord {
  readonly name: string;
  readonly type: number;
  readonly ttlS: number;
  /** Cache-flush bit: this record replaces what was known (RFC 6762 §10.2). */
  readonly flush: boolean;
  readonly data: Uint8Array;
}

/** An authoritative response without questions. */
export function encodeResponse(answers: readonly OutRecord[], extras: readonly OutRecord[]): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.of(0, 0, 0x84, 0, 0, 0, answers.length >>> 8, answers.length, 0, 0, extras.length >>> 8, extras.length)];
  for (const record of [...answers, ...extras]) {
    const size = record.data.length;
    parts.push(
      encodeName(record.name),
      Uint8Array.of(
        0,
        record.type,
        record.flush ? 0x80 : 0,
        1,
        record.ttlS >>> 24,
        record.ttlS >>> 16,
        record.ttlS >>> 8,
        record.ttlS,
        size >>> 8,
        size,
      ),
      record.data,
    );
  }
  return Buffer.concat(parts);
}

/**
 * A query with the instances already known appended as answers, so that their owners stay silent
 * (RFC 6762 §7.1). Only a packet with exactly one question takes them; the names are compressed
 * against it. As many as fit into `maxBytes`.
 */
export function withKnownAnswers(query: Uint8Array, instances: Iterable<string>, ttlS: number, maxBytes: number): Uint8Array {
  if (query.length < 12 || query[5] !== 1 || query[4] !== 0 || query[7] !== 0 || query[6] !== 0) return query;
  const parts: Uint8Array[] = [query];
  let size = query.length;
  let count = 0;
  for (const label of instances) {
    if (label.length === 0 || label.length > 63) continue;
    const record = new Uint8Array(15 + label.length);
    if (size + record.length > maxBytes || count === MDNS_MAX_RECORDS) break;
    record.set([0xc0, 12, 0, DNS_TYPE.PTR, 0, 1, ttlS >>> 24, ttlS >>> 16, ttlS >>> 8, ttlS, 0, label.length + 3, label.length]);
    for (let i = 0; i < label.length; i++) record[13 + i] = label.charCodeAt(i) & 0xff;
    record.set([0xc0, 12], 13 + label.length);
    parts.push(record);
    size += record.length;
    count++;
  }
  if (count === 0) return query;
  const out = Buffer.concat(parts);
  out[6] = count >>> 8;
  out[7] = count;
  return out;
}
