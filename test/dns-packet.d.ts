/** The independent mDNS codec the tests compare with has no types of its own. */
declare module 'dns-packet' {
  const dnsPacket: {
    readonly AUTHORITATIVE_ANSWER: number;
    encode(packet: object): Buffer;
    decode(bytes: Uint8Array): unknown;
  };
  export default dnsPacket;
}
