/**
 * What one member does, says and follows, with the others played by the test.
 */
import { describe, expect, it } from 'vitest';
import { seatPeer, type Roster } from '../sdk/mesh/roster.ts';
import { member } from './mesh-script.ts';

describe('addresses', () => {
  it('[ME79] of a process whose seat another one of its key has are not told as that seat’s', () => {
    const { script, roster, self } = member();
    const theirs = seatPeer(roster, { ...self, instance: 99, addresses: [{ host: '10.0.0.77', port: 1 }] }) as Roster;
    script.says(1, { type: 'roster', roster: theirs, key: undefined });
    script.mesh.setAddresses(script.now, [{ host: '10.0.0.201', port: 1 }]);
    script.pass(100);
    expect(script.saidTo(1, 'move')).toEqual([]);
    script.says(1, { type: 'roster', roster: seatPeer(theirs, self) as Roster, key: undefined });
    script.pass(100);
    expect(script.saidTo(1, 'move')).toEqual([{ type: 'move', addresses: [{ host: '10.0.0.201', port: 1 }] }]);
  });
});
