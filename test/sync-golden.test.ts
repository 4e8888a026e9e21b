/**
 * What goes over the wire is exact: everything is seeded, so bytes that change are a change somebody made (`docs/spec.md`, Sync).
 */
import { expect, it } from 'vitest';
import { goldenRows, measurePeers } from './bench/peers.ts';

it.each(goldenRows().filter(({ peers }) => peers <= 4))(
  '[SY58] $peers peers of 8 moving entities at 30 Hz hand out $bytesPerLinkPerSecond bytes a second and link',
  async (row) => {
    const { cpuMsPerPeerPerSecond: _, ...measured } = await measurePeers(row.peers);
    expect(measured).toEqual(row);
  },
);
