/**
 * Our mDNS responses as they should be on the air, made out of what the library wanted to send: no
 * addresses but the sending interface's own, one TTL, cache-flush bits where a record is ours alone,
 * and no end to what is shared with other players. Pure.
 */
import { MDNS_TTL_S } from './bounds.ts';
import { DNS_TYPE, encodeName, encodeResponse, type DnsPacket, type DnsRecord, type OutRecord } from './dns-walker.ts';
import { parseIpv4, type LanInterface } from './interfaces.ts';

export interface Response {
  readonly answers: readonly OutRecord[];
  readonly extras: readonly OutRecord[];
  /** Host name of our SRV record: where the interface's address record hangs. */
  readonly host: string | undefined;
  /** Our instance, lower case; undefined in a response without SRV. */
  readonly instance: string | undefined;
  readonly kind: 'announcement' | 'goodbye' | 'other';
}

/** @param bytes the packet that `packet` outlines. */
export function readResponse(bytes: Uint8Array, packet: DnsPacket): Response {
  const srv = [...packet.answers, ...packet.extras].find((record) => record.type === DNS_TYPE.SRV);
  const isGoodbye = srv !== undefined && srv.ttlS === 0;
  const isAnnouncement = srv !== undefined && packet.answers.some((record) => record.type === DNS_TYPE.PTR);
  return {
    answers: rewrite(bytes, packet.answers, isGoodbye),
    extras: rewrite(bytes, packet.extras, isGoodbye),
    host: srv === undefined || isGoodbye ? undefined : srv.target,
    instance: srv?.name.toLowerCase(),
    kind: isGoodbye ? 'goodbye' : isAnnouncement ? 'announcement' : 'other',
  };
}

/** The packet for one interface. */
export function encodeFor(nic: LanInterface, response: Response): Uint8Array {
  if (response.host === undefined) return encodeResponse(response.answers, response.extras);
  const value = parseIpv4(nic.address)!;
  const address: OutRecord = {
    name: response.host,
    type: DNS_TYPE.A,
    ttlS: MDNS_TTL_S,
    flush: true,
    data: Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value),
  };
  return encodeResponse(response.answers, [...response.extras, address]);
}

/** Responses that say the same have equal keys: an announcement is also the answer to everybody's question. */
export function responseKey(response: Response): string {
  if (response.kind === 'announcement') return `announcement ${response.instance}`;
  return response.answers.map((answer) => `${answer.type} ${answer.name}`).join('|');
}

function rewrite(bytes: Uint8Array, records: readonly DnsRecord[], isGoodbye: boolean): OutRecord[] {
  const out: OutRecord[] = [];
  for (const record of records) {
    const isMeta = record.name.toLowerCase().startsWith('_services._dns-sd');
    // The service type is shared with every other player: one leaving must not end it.
    if (isMeta && record.ttlS === 0) continue;
    const ttlS = isGoodbye || record.ttlS === 0 ? 0 : MDNS_TTL_S;
    const { name, type } = record;
    if (type === DNS_TYPE.PTR) out.push({ name, type, ttlS, flush: false, data: encodeName(record.target) });
    else if (type === DNS_TYPE.TXT) out.push({ name, type, ttlS, flush: true, data: bytes.slice(record.dataStart, record.dataEnd) });
    else if (type === DNS_TYPE.SRV) {
      out.push({
        name,
        type,
        ttlS,
        flush: true,
        data: Buffer.concat([bytes.slice(record.dataStart, record.dataStart + 6), encodeName(record.target)]),
      });
    }
  }
  return out;
}
