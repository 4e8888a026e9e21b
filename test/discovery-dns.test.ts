/** What of a DNS packet is read, byte by byte: the bounds of the walker, and our own packets as they leave. */
import dnsPacket from 'dns-packet';
import { describe, expect, it } from 'vitest';
import { MDNS_MAX_RECORDS, MDNS_MAX_STEPS, MDNS_QUERY_BYTES } from '../sdk/node/discovery/bounds.ts';
import { DNS_TYPE, encodeName, walkDns, withKnownAnswers, type DnsPacket } from '../sdk/node/discovery/dns-walker.ts';
import { encodeFor, readResponse, responseKey } from '../sdk/node/discovery/mdns-response.ts';
import { scanInterfaces } from '../sdk/node/discovery/interfaces.ts';

const ROOT = [0];
const u16 = (value: number): number[] => [value >>> 8, value & 255];
const pointer = (to: number): number[] => u16(0xc000 | to);
const label = (size: number): number[] => [size, ...new Array<number>(size).fill(97)];
const question = (name: number[], type: number = DNS_TYPE.PTR): number[] => [...name, ...u16(type), 0, 1];
const record = (type: number, data: number[], name = ROOT, size = data.length): number[] => [
  ...name,
  ...u16(type),
  0,
  1,
  0,
  0,
  0,
  120,
  ...u16(size),
  ...data,
];
const packet = (questions: number[][], records: number[][], flags = 0x8400): Uint8Array =>
  Uint8Array.from([0, 0, ...u16(flags), ...u16(questions.length), ...u16(records.length), 0, 0, 0, 0, ...questions.flat(), ...records.flat()]);
const read = (bytes: Uint8Array): DnsPacket => {
  const walked = walkDns(bytes);
  if (typeof walked === 'string') throw new Error(walked);
  return walked;
};
const asked = (...name: number[]) => walkDns(packet([question(name)], []));
const told = (type: number, data: number[], size?: number) => walkDns(packet([], [record(type, data, ROOT, size)]));

describe('names', () => {
  it('[DI3] are followed over pointers, and go on behind the first of them', () => {
    const first = question([1, 97, 0]);
    const second = question(pointer(12));
    const third = question([1, 98, ...pointer(12 + first.length)]);
    expect(read(packet([first, second, third], [])).questions.map(({ name }) => name)).toEqual(['a', 'a', 'b.a']);
  });

  it.each<[string, number[]]>([
    ['half a pointer at the end', [0xc0]],
    ['a pointer into the header', pointer(11)],
    ['a pointer to itself', pointer(12)],
    ['a pointer forward', [...pointer(14), 0]],
    ['a label of the type 01', [...label(65), 0]],
    ['a label of the type 10', [...label(129), 0]],
    ['256 bytes', [...label(63), ...label(63), ...label(63), ...label(62), 0]],
    ['no end', label(5)],
  ])('[DI3] %s is no name', (_what, name) => {
    expect(asked(...name)).toBe('name');
  });

  it('[DI3] of the greatest length are read', () => {
    expect(read(packet([question([...label(63), ...label(63), ...label(63), ...label(61), 0])], [])).questions[0]!.name).toHaveLength(253);
  });

  /** Text of which each two bytes are a pointer to the two before, in strings of 127; and where the last one lies. */
  const chain = (pointers: number): { text: number[]; last: number } => {
    const start = 12 + 11;
    const text: number[] = [];
    let before = 0;
    for (let left = pointers; left > 0; left -= 127) {
      const here = Math.min(127, left);
      text.push(2 * here + (before === 0 ? 1 : 0));
      if (before === 0) {
        before = start + text.length;
        text.push(0);
      }
      for (let i = 0; i < here; i++) {
        const at = start + text.length;
        text.push(...pointer(before));
        before = at;
      }
    }
    return { text, last: before };
  };

  it('[DI3] take only so many steps each, and all of a packet together', () => {
    const short = chain(120);
    const named = (count: number): number[][] => new Array<number[]>(count).fill(record(DNS_TYPE.A, [1, 2, 3, 4], pointer(short.last)));
    const pointing = (count: number): number[][] => new Array<number[]>(count).fill(record(DNS_TYPE.PTR, pointer(short.last)));
    const text = record(DNS_TYPE.TXT, short.text);
    for (const many of [named, pointing]) {
      const fits = Math.floor(MDNS_MAX_STEPS / 123) - 1;
      expect(read(packet([], [text, ...many(fits)])).answers).toHaveLength(fits + 1);
      expect(walkDns(packet([], [text, ...many(fits + 4)]))).toBe('work');
    }
    const long = chain(200);
    expect(walkDns(packet([], [record(DNS_TYPE.TXT, long.text), record(DNS_TYPE.A, [1, 2, 3, 4], pointer(long.last))]))).toBe('name');
  });
});

describe('data', () => {
  it.each<[string, number, number[]]>([
    ['an address of five bytes', DNS_TYPE.A, [1, 2, 3, 4, 5]],
    ['an IPv6 address of fifteen', DNS_TYPE.AAAA, new Array<number>(15).fill(1)],
    ['a service without a target', DNS_TYPE.SRV, [0, 0, 0, 0, 1, 1]],
    ['something behind a name', DNS_TYPE.PTR, [0, 0]],
    ['a text past its end', DNS_TYPE.TXT, [5, 97]],
    ['an option past its end', DNS_TYPE.OPT, [0, 1, 0, 9, 1]],
    ['a bitmap of nothing', DNS_TYPE.NSEC, [0, 0, 0]],
    ['a bitmap of 33 bytes', DNS_TYPE.NSEC, [0, 0, 33, ...new Array<number>(33).fill(1)]],
    ['half a bitmap', DNS_TYPE.NSEC, [0, 0, 4, 1]],
    ['a machine without a system', DNS_TYPE.HINFO, [1, 97]],
    ['a machine of nothing', DNS_TYPE.HINFO, []],
    ['a machine with more than a system', DNS_TYPE.HINFO, [1, 97, 1, 98, 0]],
  ])('[DI3] %s is dropped', (_what, type, data) => {
    expect(told(type, data)).toBe('data');
  });

  it('[DI3] of each known type is let through when it is whole', () => {
    for (const [type, data] of [
      [DNS_TYPE.A, [1, 2, 3, 4]],
      [DNS_TYPE.AAAA, new Array<number>(16).fill(1)],
      [DNS_TYPE.CNAME, [1, 97, 0]],
      [DNS_TYPE.SRV, [0, 0, 0, 0, 1, 1, 0]],
      [DNS_TYPE.TXT, [0]],
      [DNS_TYPE.HINFO, [1, 97, 1, 98]],
      [DNS_TYPE.OPT, [0, 1, 0, 1, 1]],
      [DNS_TYPE.NSEC, [0, 0, 1, 64, 1, 32, ...new Array<number>(32).fill(1)]],
    ] as const)
      expect(typeof told(type, [...data]), String(type)).toBe('object');
  });

  it('[DI3] hides no other one: what the library would read is what was walked', () => {
    const service = encodeName('_lanista._udp.local');
    const instance = encodeName('abc._lanista._udp.local');
    const hidden = [...service, 0, DNS_TYPE.PTR, 0, 1, 0, 0, 0, 120, ...u16(instance.length), ...instance];
    // The library takes two texts and reads on behind them; all that follows there can be read as texts as well.
    const bytes = packet([], [record(DNS_TYPE.HINFO, [1, 97, 1, 98, ...hidden]), record(DNS_TYPE.A, [1, 2, 3, 4])]);
    const { answers } = dnsPacket.decode(Buffer.from(bytes)) as unknown as { answers: { type: string; data: unknown }[] };
    expect(answers.map(({ type, data }) => [type, data])).toEqual([
      ['HINFO', { cpu: 'a', os: 'b' }],
      ['PTR', 'abc._lanista._udp.local'],
    ]);
    expect(walkDns(bytes)).toBe('data');
  });

  it('[DI3] that says it is longer than the packet is dropped, and a text of thousands of nothings is too much work', () => {
    expect(told(DNS_TYPE.A, [1, 2, 3], 4)).toBe('data');
    expect(told(DNS_TYPE.TXT, [1, 97], 3)).toBe('data');
    expect(told(DNS_TYPE.TXT, new Array<number>(MDNS_MAX_STEPS + 10).fill(0))).toBe('work');
  });
});

it('[DI3] packets of another kind are dropped: errors, unknown types, more records than anybody sends', () => {
  const one = record(DNS_TYPE.A, [1, 2, 3, 4]);
  expect(walkDns(packet([], [one], 0x8403))).toBe('flags');
  expect(walkDns(packet([], [one], 0x0800))).toBe('flags');
  expect(walkDns(packet([question(ROOT, 99)], []))).toBe('type');
  expect(told(99, [1])).toBe('type');
  expect(told(DNS_TYPE.ANY, [1])).toBe('type');
  expect(read(packet([question(ROOT, DNS_TYPE.ANY)], [])).questions[0]!.type).toBe(DNS_TYPE.ANY);
  expect(read(packet([], new Array<number[]>(MDNS_MAX_RECORDS).fill(one))).answers).toHaveLength(MDNS_MAX_RECORDS);
  expect(walkDns(packet([], new Array<number[]>(MDNS_MAX_RECORDS + 1).fill(one)))).toBe('counts');
  for (const at of [8, 10]) {
    const bytes = packet([], [one, one]);
    bytes.set([0, 1, 0, 0, 0, 0], 6);
    bytes[at + 1] = 1;
    expect(read(bytes)).toMatchObject({ answers: [{ type: DNS_TYPE.A }], extras: [{ type: DNS_TYPE.A }] });
    bytes[at + 1] = MDNS_MAX_RECORDS;
    expect(walkDns(bytes)).toBe('counts');
  }
});

describe('our own packets', () => {
  const SERVICE = '_lanista._udp.local';
  const query = (...more: string[]): Buffer =>
    dnsPacket.encode({ type: 'query', questions: [SERVICE, ...more].map((name) => ({ name, type: 'PTR' as const })) }) as Buffer;
  const labels = (count: number): string[] => Array.from({ length: count }, (_, i) => `ln-${i}`);
  const answers = (bytes: Uint8Array): string[] => (dnsPacket.decode(Buffer.from(bytes)) as any).answers.map(({ data }: { data: string }) => data);

  it('[DI4] a name has labels that can be: none is empty, none longer than 63 bytes', () => {
    expect([...encodeName('a..b.')]).toEqual([1, 97, 1, 98, 0]);
    expect([...encodeName('x'.repeat(70))]).toEqual([63, ...new Array<number>(63).fill(120), 0]);
  });

  it('[DI4] known answers are listed in a query of one question alone, as many as a packet may have, and none that is no label', () => {
    for (const other of [query('other.local'), query().subarray(0, 11), withKnownAnswers(query(), ['ln-a'], 110, MDNS_QUERY_BYTES)])
      expect(withKnownAnswers(other, labels(3), 110, MDNS_QUERY_BYTES)).toBe(other);
    expect(answers(withKnownAnswers(query(), labels(300), 110, 9_000))).toHaveLength(MDNS_MAX_RECORDS);
    expect(answers(withKnownAnswers(query(), ['', 'y'.repeat(64), 'z'.repeat(63)], 110, MDNS_QUERY_BYTES))).toEqual([`${'z'.repeat(63)}.${SERVICE}`]);
    const nothing = query();
    expect(withKnownAnswers(nothing, ['a'.repeat(63)], 110, nothing.length + 70)).toBe(nothing);
  });

  const [nic] = scanInterfaces(() => ({
    eth0: [{ address: '10.0.0.1', netmask: '255.255.255.0', family: 'IPv4', mac: '02:00:00:00:00:01', internal: false, cidr: null }],
  }));
  /** As the library says it: an announcement, or its end. */
  const response = (ttl: number, part: { name?: string; target?: string; meta?: number; ptr?: number } = {}) => {
    const { name = 'ln-own', target = `${name}.local`, meta = ttl, ptr = ttl } = part;
    const fqdn = `${name}.${SERVICE}`;
    const bytes = dnsPacket.encode({
      type: 'response',
      answers: [
        { name: SERVICE, type: 'PTR', ttl: ptr, data: fqdn },
        { name: '_services._dns-sd._udp.local', type: 'PTR', ttl: meta, data: SERVICE },
        { name: fqdn, type: 'SRV', ttl, data: { port: 29_798, target } },
        { name: fqdn, type: 'TXT', ttl, data: ['v=1'] },
        { name: target, type: 'A', ttl, data: '172.17.0.1' },
      ],
    }) as Buffer;
    return readResponse(bytes, read(bytes));
  };
  const onAir = (of: ReturnType<typeof response>): any => dnsPacket.decode(Buffer.from(encodeFor(nic!, of)));

  it('[DI18] an end is one of our own records alone: it ends no service type for the others, and has no address', () => {
    const end = response(0);
    expect([end.kind, end.instance]).toEqual(['goodbye', `ln-own.${SERVICE}`]);
    const { answers: said, additionals } = onAir(end);
    expect(said.map((one: any) => [one.type, one.name, one.ttl])).toEqual([
      ['PTR', SERVICE, 0],
      ['SRV', `ln-own.${SERVICE}`, 0],
      ['TXT', `ln-own.${SERVICE}`, 0],
    ]);
    expect(additionals).toEqual([]);
    // Whatever else the library would keep alive in it.
    expect(onAir(response(0, { meta: 4_500, ptr: 4_500 })).answers.every((one: any) => one.ttl === 0)).toBe(true);
  });

  it('[DI18] an announcement has the address of the interface it leaves by, and no other', () => {
    const said = onAir(response(4_500));
    expect([...said.answers, ...said.additionals].filter((one: any) => one.type === 'A').map((one: any) => [one.name, one.data])).toEqual([
      ['ln-own.local', '10.0.0.1'],
    ]);
    expect([...said.answers, ...said.additionals].every((one: any) => one.ttl === 120)).toBe(true);
  });

  it('[DI40] whatever tells of one instance counts as one answer, an answer about the service type as another', () => {
    const [first, again, other] = [response(120), response(120, { target: 'elsewhere.local' }), response(120, { name: 'ln-two' })];
    const bytes = dnsPacket.encode({
      type: 'response',
      answers: [{ name: '_services._dns-sd._udp.local', type: 'PTR', ttl: 120, data: SERVICE }],
    }) as Buffer;
    const meta = readResponse(bytes, read(bytes));
    expect([first.kind, meta.kind, meta.instance]).toEqual(['announcement', 'other', undefined]);
    expect(responseKey(again)).toBe(responseKey(first));
    expect(new Set([first, other, meta].map(responseKey)).size).toBe(3);
    const fewer = { ...first, answers: first.answers.slice(0, 2) };
    expect(responseKey(fewer)).toBe(responseKey(first));
  });
});
