/** What happens at the edges of a room's life (`docs/spec.md`, Room): opening, losing it, and what the network half brings in odd moments. */
import { describe, expect, it } from 'vitest';
import { only, pair } from './room-party.ts';

describe('the end', () => {
  it('[RO35] of a seat that is lost is no full queue for what the host says in its last moment', async () => {
    const { party, ann } = await pair();
    const heard: string[] = [];
    ann.whileHost(({ signal }) =>
      signal.addEventListener('abort', () => {
        ann.send('chat', { text: 'good luck' });
        heard.push('said');
      }),
    );
    ann.on('close', ({ reason }) => heard.push(reason));
    await party.play(50);
    only(party.hub.rooms.values()).seats.get(ann.self.id)!.port.push({ type: 'closed', reason: 'copied' });
    await party.play(50);
    expect(heard).toEqual(['said', 'copied']);
  });
});
