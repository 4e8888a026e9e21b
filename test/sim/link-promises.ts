/**
 * What must hold of links, whatever the network and the others do.
 *
 *   S1   reliable: exactly once, in order per lane, unaltered, or the link is closed
 *   S2   what is delivered was sent by the peer it is said to come from
 *   S3   unreliable at most once, sequenced never older: no replay gets through (nonces: the registry); what comes once is no replay
 *   S8   what links hold stays under its caps, and nothing is held when nothing is under way
 *   S10  a link is linked, silent and heard in turns, moved while open, closed once; an attempt ends once
 *   S11  every close has a reason of the list
 *   S12  honest peers never refuse each other as rule breakers, and notice those who are
 */
import type { PeerId } from '../../sdk/base/brand.ts';
import type { EndpointEvent, LinkId } from '../../sdk/link/endpoint-types.ts';
import { TIMER } from '../../sdk/link/timers.ts';
import type { Channel } from '../../sdk/port/port.ts';
import { CLOSE_REASONS } from '../../sdk/wire/frame.ts';
import { MAX_ATTEMPTS, MAX_HALF_OPEN, MAX_HELD_BYTES, MAX_LANES, MAX_LINKS, MAX_SEND_HELD_BYTES } from '../../sdk/wire/limits.ts';
import type { LinkHost, LinkWatcher, LinkWorld } from './link-world.ts';

const HEAD_BYTES = 18;
const CHANNELS: readonly Channel[] = ['reliable', 'sequenced', 'unreliable'];
/** Drops that only a peer that breaks rules can cause. */
const RULES = ['unsent-ack', 'frame', 'reliable', 'held'] as const;
const MAX_TIMERS_PER_PEER = 16;

/** One side of one link. */
interface Side {
  readonly host: LinkHost;
  readonly life: number;
  readonly id: LinkId;
  readonly self: string;
  readonly peer: string;
  state: 'open' | 'silent' | 'closed';
  /** Numbers sent, per channel and lane. */
  readonly sent: Uint32Array;
  /** Of what came in on this link: next number due on `reliable`, next allowed on `sequenced`. */
  readonly due: Uint32Array;
  readonly seen: Set<number>;
  /** The other side, once something of it has come. */
  source: Side | undefined;
}

export class LinkPromises implements LinkWatcher {
  readonly violations: string[] = [];
  sent = 0;
  delivered = 0;
  /** Hosts that do not keep the rules: what they say proves nothing. */
  readonly liars = new Set<LinkHost>();
  /** The network delivers nothing twice and nobody says anything again: then a packet is refused as a replay only where its number was damaged. */
  nothingRepeats = false;
  /** Rules whose breach an honest process has noticed; its counters end with it. */
  readonly #noticed = new Set<string>();
  /** Under every name they had. */
  readonly #liarIds = new Set<string>();
  readonly #world: LinkWorld;
  readonly #sides = new Map<string, Side>();
  readonly #attempts = new Map<string, 'open' | 'over'>();

  constructor(world: LinkWorld) {
    this.#world = world;
    world.watchers.push(this);
    if (Object.keys(TIMER).length + 1 > MAX_TIMERS_PER_PEER) this.violations.push(`S8: ${Object.keys(TIMER).length + 1} timers per peer`);
  }

  #violate(rule: string, host: LinkHost, detail: string): void {
    if (this.violations.length < 50)
      this.violations.push(`${rule} at ${Math.round(this.#world.now)} ms, host ${host.index} life ${host.life}: ${detail}`);
  }

  #side(host: LinkHost, link: LinkId): Side | undefined {
    return this.#sides.get(`${host.index} ${host.life} ${link}`);
  }

  #isLiar(peer: string): boolean {
    return this.#liarIds.has(peer);
  }

  onLife(_now: number, host: LinkHost): void {
    if (this.liars.has(host)) this.#liarIds.add(host.process!.self);
  }

  onEvent(_now: number, host: LinkHost, event: EndpointEvent): void {
    switch (event.type) {
      case 'linked': {
        const { link, peer, attempt } = event;
        if (this.#side(host, link) !== undefined) this.#violate('S10', host, `link ${link} exists twice`);
        this.#sides.set(`${host.index} ${host.life} ${link}`, {
          host,
          life: host.life,
          id: link,
          self: host.process!.self,
          peer,
          state: 'open',
          sent: new Uint32Array(CHANNELS.length * MAX_LANES),
          due: new Uint32Array(CHANNELS.length * MAX_LANES),
          seen: new Set(),
          source: undefined,
        });
        if (peer === host.process!.self) this.#violate('S2', host, 'linked to itself');
        if (attempt !== undefined) this.#endAttempt(host, attempt);
        return;
      }
      case 'failed':
        return this.#endAttempt(host, event.attempt);
      case 'stray':
        return;
      default:
        return this.#onLinkEvent(host, event);
    }
  }

  #endAttempt(host: LinkHost, attempt: number): void {
    const key = `${host.index} ${host.life} ${attempt}`;
    if (this.#attempts.get(key) === 'over') this.#violate('S10', host, `attempt ${attempt} ended twice`);
    this.#attempts.set(key, 'over');
  }

  #onLinkEvent(host: LinkHost, event: Exclude<EndpointEvent, { type: 'linked' | 'failed' | 'stray' }>): void {
    const side = this.#side(host, event.link);
    if (side === undefined || side.state === 'closed') return this.#violate('S10', host, `${event.type} on a link that is not open`);
    if (side.peer !== event.peer) this.#violate('S2', host, `${event.type} names another peer than the link`);
    switch (event.type) {
      case 'silent':
        if (side.state === 'silent') this.#violate('S10', host, 'silent twice');
        side.state = 'silent';
        return;
      case 'heard':
        if (side.state !== 'silent') this.#violate('S10', host, 'heard though it was not silent');
        side.state = 'open';
        return;
      case 'closed':
        side.state = 'closed';
        side.seen.clear();
        if (!CLOSE_REASONS.includes(event.reason)) this.#violate('S11', host, `closed without a reason: ${event.reason as string}`);
        if ((event.reason === 'protocol' || event.reason === 'exhausted') && !this.liars.has(host) && !this.#isLiar(event.peer))
          this.#violate('S12', host, `closed an honest link with '${event.reason}'`);
        this.#remember(host);
        return;
      case 'message':
        if (!this.#isLiar(event.peer)) this.#onMessage(host, side, event.channel, event.lane, event.bytes);
        return;
      case 'moved':
        return;
    }
  }

  // ── numbered messages ─────────────────────────────────────────────────────────────────────────────

  /** Sends the next number of its channel and lane; false when the link did not take it. */
  send(from: LinkHost, link: LinkId, channel: Channel, lane: number, bytes: number): boolean {
    const side = this.#side(from, link);
    if (side === undefined || side.state === 'closed' || from.process === undefined) return false;
    const slot = CHANNELS.indexOf(channel) * MAX_LANES + lane;
    const number = side.sent[slot]!;
    const body = new Uint8Array(Math.max(HEAD_BYTES, bytes));
    const view = new DataView(body.buffer);
    view.setUint32(0, from.index);
    view.setUint32(4, from.life);
    view.setUint32(8, link);
    view.setUint32(12, number);
    view.setUint16(16, slot);
    for (let i = HEAD_BYTES; i < body.length; i++) body[i] = fill(number, i);
    const taken = from.process.send(from.clock(this.#world.now), link, channel, body, lane);
    if (taken) {
      side.sent[slot]!++;
      this.sent++;
    }
    return taken;
  }

  #onMessage(host: LinkHost, side: Side, channel: Channel, lane: number, bytes: Uint8Array): void {
    this.delivered++;
    const slot = CHANNELS.indexOf(channel) * MAX_LANES + lane;
    if (bytes.length < HEAD_BYTES) return this.#violate('S1', host, `${bytes.length} bytes of nothing that was sent`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const source = this.#sides.get(`${view.getUint32(0)} ${view.getUint32(4)} ${view.getUint32(8)}`);
    const number = view.getUint32(12);
    if (source === undefined || source.self !== side.peer || source.peer !== side.self)
      return this.#violate('S2', host, 'delivered what the peer did not send on this link');
    side.source ??= source;
    if (side.source !== source) this.#violate('S2', host, 'two links of the peer end in one');
    if (view.getUint16(16) !== slot) this.#violate('S2', host, 'delivered on another lane or channel than it was sent on');
    for (let i = HEAD_BYTES; i < bytes.length; i++)
      if (bytes[i] !== fill(number, i)) return this.#violate('S1', host, `message ${number} was altered`);
    const due = side.due[slot]!;
    if (channel === 'reliable' && number !== due) this.#violate('S1', host, `lane ${lane}: ${number} came where ${due} was due`);
    if (channel === 'sequenced' && number < due) this.#violate('S3', host, `sequenced lane ${lane}: ${number} came after ${due - 1}`);
    if (channel === 'unreliable') {
      const key = lane * 2 ** 32 + number;
      if (side.seen.has(key)) this.#violate('S3', host, `unreliable lane ${lane}: ${number} came twice`);
      side.seen.add(key);
    }
    side.due[slot] = Math.max(due, number + 1);
  }

  /** Reliable messages on open links to processes that still run, and have not arrived, as text; undefined when all have. */
  undelivered(): string | undefined {
    const running = new Set(this.#world.peers.map((host) => host.process?.self));
    const arrived = new Map<Side, Side>();
    for (const side of this.#sides.values()) if (side.source !== undefined && side.host.life === side.life) arrived.set(side.source, side);
    for (const side of this.#sides.values()) {
      if (side.state === 'closed' || side.host.process === undefined || side.host.life !== side.life) continue;
      if (this.liars.has(side.host) || this.#isLiar(side.peer) || !running.has(side.peer as PeerId)) continue;
      const other = arrived.get(side);
      for (let lane = 0; lane < MAX_LANES; lane++) {
        const due = other?.due[lane] ?? 0;
        if (due < side.sent[lane]!) return `host ${side.host.index} link ${side.id} lane ${lane}: ${due} of ${side.sent[lane]} arrived`;
      }
    }
    return undefined;
  }

  /** Links whose other side is gone for good and which are still open. */
  widowed(): string | undefined {
    const running = new Set(this.#world.peers.map((host) => host.process?.self));
    for (const side of this.#sides.values()) {
      if (side.state === 'closed' || side.host.process === undefined || side.host.life !== side.life) continue;
      if (!running.has(side.peer as PeerId)) return `host ${side.host.index} link ${side.id}`;
    }
    return undefined;
  }

  // ── what is held ──────────────────────────────────────────────────────────────────────────────────

  /** Looks at every host's counters. */
  checkLoad(): void {
    let refused = 0;
    for (const host of this.#world.peers) {
      const endpoint = host.process;
      if (endpoint === undefined || this.liars.has(host)) continue;
      const { halfOpen, attempts, links, heldBytes } = endpoint.load;
      if (halfOpen > MAX_HALF_OPEN || attempts > MAX_ATTEMPTS || links > MAX_LINKS || heldBytes > MAX_HELD_BYTES || heldBytes < 0)
        this.#violate('S8', host, `over a cap: ${JSON.stringify(endpoint.load)}`);
      for (const link of host.links.values()) {
        const queued = endpoint.stats(host.clock(this.#world.now), link.id)?.queuedBytes ?? 0;
        if (queued < 0 || queued > MAX_SEND_HELD_BYTES) this.#violate('S8', host, `${queued} bytes wait for one peer`);
      }
      if (this.liars.size > 0) continue;
      for (const rule of RULES) if ((endpoint.drops[rule] ?? 0) > 0) this.#violate('S12', host, `an honest packet was refused as '${rule}'`);
      refused += endpoint.drops['replay'] ?? 0;
      if (this.nothingRepeats && refused > this.#world.net.counts.damaged)
        this.#violate('S3', host, `${refused} packets refused as replays, though nothing comes twice`);
    }
  }

  /** With everything acknowledged, nothing may be held any more. */
  checkNothingHeld(): void {
    for (const host of this.#world.peers) {
      const held = host.process?.load.heldBytes ?? 0;
      if (held !== 0 && !this.liars.has(host)) this.#violate('S8', host, `${held} bytes held though nothing is under way`);
    }
  }

  /** After every link was closed: nothing is left, and nothing wants to run. */
  checkNothingLeft(): void {
    for (const host of this.#world.peers) {
      const endpoint = host.process;
      if (endpoint === undefined || this.liars.has(host)) continue;
      const { links, heldBytes, attempts } = endpoint.load;
      if (links + heldBytes + attempts !== 0) this.#violate('S8', host, `left over: ${JSON.stringify(endpoint.load)}`);
      if (endpoint.pollTimeout() !== Infinity) this.#violate('L6', host, 'wants to run though there is nothing to do');
    }
  }

  #remember(host: LinkHost): void {
    if (this.liars.has(host)) return;
    for (const rule of RULES) if ((host.process?.drops[rule] ?? 0) > 0) this.#noticed.add(rule);
  }

  /** Somebody must have noticed that a liar acknowledged what never was. */
  checkNoticed(rule: (typeof RULES)[number], told: number): void {
    if (told > 0 && !this.#noticed.has(rule)) this.violations.push(`S12: ${told} lies that break '${rule}', and nobody noticed`);
  }
}

function fill(number: number, at: number): number {
  return (Math.imul(number + 1, 31) + Math.imul(at, 7)) & 0xff;
}
