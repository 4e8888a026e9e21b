/**
 * A join code: an IPv4 address and port in ten characters that can be read aloud (`abcde-fghij`), for
 * networks where nothing finds anything. RFC 4648 base32 of four and two bytes.
 */
import { fromBase32, toBase32 } from '../../base/bytes.ts';
import type { Address } from '../../link/endpoint-types.ts';
import { formatIpv4, parseIpv4 } from './interfaces.ts';

/** Undefined when `address` is not IPv4. */
export function encodeJoinCode(address: Address): string | undefined {
  const host = parseIpv4(address.host);
  if (host === undefined) return undefined;
  const text = toBase32(Uint8Array.of(host >>> 24, host >>> 16, host >>> 8, host, address.port >>> 8, address.port));
  return `${text.slice(0, 5)}-${text.slice(5)}`;
}

/** Takes any case, blanks and dashes, and the digits people write for letters. */
export function decodeJoinCode(code: string): Address | undefined {
  const text = code.toLowerCase().replace(/[\s-]/g, '').replace(/0/g, 'o').replace(/1/g, 'l').replace(/8/g, 'b');
  if (text.length !== 10) return undefined;
  const bytes = fromBase32(text);
  if (bytes === undefined || bytes.length !== 6) return undefined;
  // Two spare bits of the last character must be zero: one code for one address.
  if (toBase32(bytes) !== text) return undefined;
  const port = (bytes[4]! << 8) | bytes[5]!;
  const host = ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 0;
  return port === 0 ? undefined : { host: formatIpv4(host), port };
}

/** A room code as both sides type it: compatibility forms folded, lower case, no blanks or dashes. */
export function normaliseRoomCode(code: string): string {
  return (
    code
      .normalize('NFKC')
      .toLowerCase()
      .replace(/[\s\p{Pd}_]/gu, '')
      // What a blank stood between may be one character now.
      .normalize('NFKC')
  );
}
