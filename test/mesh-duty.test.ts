/**
 * What the host watches, and what times mean after our own stall: parts of the mesh by themselves.
 */
import { describe, expect, it } from 'vitest';
import type { PeerId, RoomId } from '../sdk/base/brand.ts';
import { toBase32 } from '../sdk/base/bytes.ts';
import { HostDuty } from '../sdk/mesh/host-duty.ts';
import { LinkState } from '../sdk/mesh/link-state.ts';
import type { Word } from '../sdk/mesh/messages.ts';
import type { Party } from '../sdk/mesh/party.ts';
import { foundRoster, seatOf, seatPeer, updateSeat, type Roster } from '../sdk/mesh/roster.ts';
import { SeatSearch } from '../sdk/mesh/seat-search.ts';
import { AWAY_HOLD_MS, SEAT_SETTLE_MS, WRONG_CODE_PATIENCE_MS } from '../sdk/wire/limits.ts';

const id = (n: number): PeerId => toBase32(Uint8Array.from({ length: 10 }, (_, i) => (n * 37 + i * 11) & 0xff)) as PeerId;
const newcomer = (n: number) => ({ id: id(n), instance: n, spectator: false, addresses: [] });
const founded = (): Roster => foundRoster({ roomId: '00'.repeat(16) as RoomId, name: 'Friday', max: 16, locked: false }, newcomer(0), 5);

/** The duty of peer 0, and what it hears. */
function watch(options: { readonly graceMs?: number } = {}) {
  const linkState = new LinkState(id(0));
  const duty = new HostDuty({ self: id(0), instance: 0, linkState, options } as unknown as Party);
  let seq = 0;
  /** Peer `n` says this now, and is connected to us. */
  const says = (now: number, n: number, more: Partial<Word> = {}): void => {
    const heard = LinkState.encodeHeard([id(0)]);
    linkState.update(now, { id: id(n), instance: n, seq: ++seq, host: false, eligible: true, left: false, term: 0, epoch: 1, heard, ...more }, true);
    linkState.refresh(now, [id(n)]);
  };
  const falls = (now: number): void => linkState.refresh(now, []);
  return { duty, linkState, says, falls };
}

const statusOf = (roster: Roster, n: number): string | undefined => seatOf(roster, id(n))?.status;

describe('our own stall', () => {
  it('[ME13] is no time in which a player that was just given a seat could have linked', () => {
    const { duty } = watch();
    let roster = duty.seat(0, founded(), newcomer(1), 0) as Roster;
    duty.excuse(10_000);
    for (let now = 10_000; now < 10_000 + SEAT_SETTLE_MS; now += 50) roster = duty.tick(now, roster);
    expect(statusOf(roster, 1)).toBe('present');
  });

  it('[ME13] is no time in which anybody was out of reach', () => {
    const { duty, falls } = watch();
    const roster = seatPeer(founded(), newcomer(1)) as Roster;
    falls(0);
    duty.tick(0, roster);
    duty.excuse(10_000);
    expect(duty.tick(10_050, roster)).toBe(roster);
  });

  it('[ME32] is no time in which another candidate could have taken our code', () => {
    const party = { links: { size: 0, all: () => [] } } as unknown as Party;
    const failsAfterMs = (stallMs: number): number => {
      const search = new SeatSearch(0, party);
      search.onRefused(100, 'wrong-code');
      search.excuse(stallMs);
      for (let now = 100 + stallMs; ; now += 50) if (search.tick(now, () => expect.fail()) === 'wrong-code') return now - stallMs - 100;
    };
    expect(failsAfterMs(0)).toBeGreaterThan(WRONG_CODE_PATIENCE_MS);
    expect(failsAfterMs(3_000)).toBe(failsAfterMs(0));
  });
});

describe('the host’s duty', () => {
  it('[ME12] what was missed as host before, and is back since, makes nobody away at its next gap', () => {
    const { duty, says, falls } = watch();
    let roster = seatPeer(founded(), newcomer(1)) as Roster;
    falls(0);
    roster = duty.tick(0, roster);
    // Another one is host for a while; peer 1 is there all the time.
    for (let now = 50; now < 5_000; now += 50) {
      says(now, 1);
      duty.follow(now, roster);
    }
    falls(5_000);
    roster = duty.tick(5_000, roster);
    expect(statusOf(roster, 1)).toBe('present');
    roster = duty.tick(5_000 + AWAY_HOLD_MS - 1, roster);
    expect(statusOf(roster, 1)).toBe('present');
    expect(statusOf(duty.tick(5_000 + AWAY_HOLD_MS, roster), 1)).toBe('away');
    expect(updateSeat(roster, id(1), { status: 'present' })).toBe(roster);
  });
});
