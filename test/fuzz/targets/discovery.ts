/** What comes from the whole LAN, and from files that somebody may have changed: mDNS, codes, kept addresses and keys. */
import dnsPacket from 'dns-packet';
import { fromHex, toHex } from '../../../sdk/base/bytes.ts';
import { DNS_TYPE, encodeName, encodeResponse, walkDns, withKnownAnswers } from '../../../sdk/node/discovery/dns-walker.ts';
import { decodeJoinCode, encodeJoinCode, normaliseRoomCode } from '../../../sdk/node/discovery/join-code.ts';
import { parseIpv4 } from '../../../sdk/node/discovery/interfaces.ts';
import { parseKnownPeers } from '../../../sdk/node/discovery/known-peers.ts';
import { parseLocalEntry } from '../../../sdk/node/discovery/local.ts';
import { MAX_KNOWN_PEERS } from '../../../sdk/node/discovery/bounds.ts';
import { parseSecretKey } from '../../../sdk/node/profile.ts';
import { broken, expectSame, type Target, type TargetFile } from '../target.ts';
import { hostile } from './wire.ts';

const texts = (...all: readonly string[]): Uint8Array[] => all.map((text) => new Uint8Array(Buffer.from(text)));

/** The walker, and behind it the library: what the walker lets pass must decode, quickly, to as much as it said. */
function dns(): Target {
  const service = '_lanista._udp.local';
  const record = (type: number, data: Uint8Array, name = service) => ({ name, type, ttlS: 120, flush: false, data });
  const txt = new Uint8Array(Buffer.from('txtvers=1'));
  const all = encodeResponse(
    [record(DNS_TYPE.PTR, encodeName(`abc.${service}`))],
    [
      record(DNS_TYPE.SRV, Uint8Array.from([0, 0, 0, 0, 0x74, 0x66, ...encodeName('host.local')])),
      record(DNS_TYPE.TXT, Uint8Array.from([txt.length, ...txt])),
      record(DNS_TYPE.A, Uint8Array.of(10, 0, 0, 7), 'host.local'),
      record(DNS_TYPE.AAAA, new Uint8Array(16), 'host.local'),
      record(DNS_TYPE.NSEC, Uint8Array.from([...encodeName('host.local'), 0, 4, 0x40, 0, 0, 8]), 'host.local'),
      record(DNS_TYPE.HINFO, Uint8Array.of(1, 65, 1, 66)),
      record(DNS_TYPE.OPT, Uint8Array.of(0, 4, 0, 2, 1, 2)),
      record(DNS_TYPE.CNAME, encodeName('other.local')),
    ],
  );
  const query = Uint8Array.from([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...encodeName(service), 0, 12, 0, 1]);
  return {
    seeds: [new Uint8Array(all), query, new Uint8Array(withKnownAnswers(query, ['abc', 'def'], 120, 1_000)), ...hostile('dns')],
    run: (bytes) => {
      const packet = walkDns(bytes);
      if (typeof packet === 'string') return;
      const records = packet.answers.length + packet.extras.length;
      if (records > bytes.length / 11 || packet.questions.length > bytes.length / 5) broken('more records than bytes can hold');
      const decoded = dnsPacket.decode(Buffer.from(bytes)) as unknown as Record<
        'answers' | 'authorities' | 'additionals',
        readonly { type: string }[]
      >;
      const read = [...decoded.answers, ...decoded.authorities, ...decoded.additionals];
      expectSame('records', read.length, records);
      const walked = [...packet.answers, ...packet.extras].map(({ type }) => type);
      expectSame(
        'types',
        read.map(({ type }) => DNS_TYPE[type as keyof typeof DNS_TYPE]),
        walked,
      );
    },
  };
}

/** Codes that people type, and the small files on disk. */
function files(): Target {
  return {
    seeds: texts(
      encodeJoinCode({ host: '10.0.0.7', port: 29_798 })!,
      'abcde-fghij',
      'QX7 81-0 ünïcode',
      '{"pid":5,"host":"10.0.0.7","port":29798}',
      '{"pid":5,"host":"x","port":0}',
      '["10.0.0.7:29798","10.0.0.8:1","x:y",5,null,{"a":1}]',
      '["10.0.0.7:70000","10.0.0:5","300.0.0.1:5","10.0.0.7"]',
      '[[[[[[]]]]]]',
      'null',
      '5',
      `${'ab'.repeat(32)}\n`,
      `${'AB'.repeat(32)}`,
      'zz'.repeat(32),
    ),
    run: (bytes) => {
      const text = Buffer.from(bytes).toString(bytes.length % 2 === 0 ? 'utf8' : 'latin1');
      const code = decodeJoinCode(text);
      if (code !== undefined) expectSame('a code said again', decodeJoinCode(encodeJoinCode(code)!), code);
      if (normaliseRoomCode(normaliseRoomCode(text)) !== normaliseRoomCode(text)) broken('a room code that changes each time');
      const entry = parseLocalEntry(text);
      if (entry !== undefined) expectSame('an entry', parseLocalEntry(JSON.stringify({ pid: entry.pid, ...entry.address })), entry);
      const known = parseKnownPeers(text);
      if (known.length > MAX_KNOWN_PEERS) broken('more known peers than are kept');
      for (const { host, port } of known) if (parseIpv4(host) === undefined || port <= 0 || port > 65_535) broken('an address that is none');
      const key = parseSecretKey(text);
      if (key !== undefined) expectSame('a key', fromHex(toHex(key)), key);
    },
  };
}

export const discovery: TargetFile = {
  targets: { dns, files },
  decoders: {
    'sdk/node/discovery/dns-walker.ts': ['function readName', 'function checkData', 'function walkDns'],
    'sdk/node/discovery/join-code.ts': ['function decodeJoinCode', 'function normaliseRoomCode'],
    'sdk/node/discovery/interfaces.ts': ['function parseIpv4'],
    'sdk/node/discovery/local.ts': ['function parseLocalEntry'],
    'sdk/node/discovery/known-peers.ts': ['function parseKnownPeers'],
    'sdk/node/profile.ts': ['function parseSecretKey'],
    'sdk/base/bytes.ts': ['function fromHex', 'function fromBase32'],
  },
};
