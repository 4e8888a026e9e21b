/** What other operating systems answer, and machines in a bad way: their error codes are put in by hand. */
import { describe, expect, it } from 'vitest';

import type { LanInterface } from '../sdk/node/discovery/interfaces.ts';
import { MulticastSender } from '../sdk/node/discovery/multicast-sender.ts';

const lan = (name: string, address: string): LanInterface => ({
  name,
  address,
  netmask: '255.255.255.0',
  broadcast: address.replace(/\d+$/, '255'),
  kind: 'lan',
  rank: 0,
});

const failure = (code: string): Error => Object.assign(new Error(code), { code });

/** A socket with the membership rules of one system. */
class Group {
  readonly members = new Set<string>();
  readonly #again: string;
  readonly #max: number;

  constructor(again: string, max = Number.POSITIVE_INFINITY) {
    this.#again = again;
    this.#max = max;
  }

  addMembership(_group: string, address: string): void {
    if (this.members.has(address)) throw failure(this.#again);
    if (this.members.size >= this.#max) throw failure('ENOBUFS');
    this.members.add(address);
  }

  dropMembership(_group: string, address: string): void {
    if (!this.members.delete(address)) throw failure('EADDRNOTAVAIL');
  }
}

describe('multicast memberships', () => {
  it.each(['EADDRINUSE', 'EADDRNOTAVAIL'])('[DI11] joining again each second is no trouble where the system calls it %s', (again) => {
    const drops: string[] = [];
    const sender = new MulticastSender({ onState: () => undefined, onDrop: (reason) => drops.push(reason) });
    sender.use(new Group(again) as never);
    const nics = [lan('Ethernet', '192.168.1.7')];
    expect(sender.setInterfaces(nics)).toBe(true);
    expect(sender.setInterfaces(nics)).toBe(false);
    expect(sender.reasons()).toEqual([]);
    expect(drops).toEqual([]);
  });

  it('[DI11] an interface that cannot be joined at all is still told', () => {
    const sender = new MulticastSender({ onState: () => undefined, onDrop: () => undefined });
    const socket = {
      addMembership: () => {
        throw failure('EADDRNOTAVAIL');
      },
    };
    sender.use(socket as never);
    expect(sender.setInterfaces([lan('Ethernet', '192.168.1.7')])).toBe(false);
    expect(sender.setInterfaces([lan('Ethernet', '192.168.1.7')])).toBe(false);
    expect(sender.reasons()).toHaveLength(1);
  });

  it('[DI2] interfaces that come and go for days leave no memberships behind', () => {
    const sender = new MulticastSender({ onState: () => undefined, onDrop: () => undefined });
    const group = new Group('EADDRINUSE', 20);
    sender.use(group as never);
    const stays = lan('wlan0', '192.168.1.7');
    for (let i = 1; i <= 30; i++) {
      sender.setInterfaces([stays, lan(`br-${i}`, `172.20.${i}.1`)]);
      expect(group.members.size).toBe(2);
      sender.setInterfaces([stays]);
    }
    expect(sender.reasons()).toEqual([]);
  });
});
