/**
 * A process of the small-messages row: `take` counts what comes, `give` sends 64 bytes at a time, as many as the link takes.
 * On `unreliable` the taker says every so often how many it has, and the giver keeps a window ahead of that.
 */
import { performance } from 'node:perf_hooks';
import { loadCrypto } from '../../../sdk/node/crypto.ts';
import type { Channel } from '../../../sdk/port/port.ts';
import { openLinkSide } from './link-side.ts';
import { PAYLOAD } from './transport.ts';

/**
 * Messages under way on `unreliable`, and after how many the taker says so: about 1,000 datagrams, which its receive
 * buffer holds while it waits for its core. A narrower window measures how soon the scheduler comes round.
 */
const WINDOW = 16_384;
const EVERY = 1_024;

const [role, channelText, portText] = process.argv.slice(2);
const channel = channelText as Channel;
setTimeout(() => process.exit(3), 400_000).unref();
process.on('disconnect', () => process.exit(0));
const crypto = await loadCrypto();

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

if (role === 'take') {
  let taken = 0;
  const side = await openLinkSide(
    crypto,
    (link, bytes) => {
      if (bytes.length !== PAYLOAD.length) return;
      if (++taken % EVERY !== 0 || channel !== 'unreliable') return;
      side.send(link, 'reliable', Uint8Array.of(1));
      side.flush();
    },
    { bundled: true },
  );
  process.on('message', () => process.send!({ taken, at: performance.now(), cpuUs: cpuUs() }));
  process.send!({ port: side.port });
} else {
  let known = 0;
  let sent = 0;
  const side = await openLinkSide(crypto, () => void (known += EVERY), { bundled: true });
  const link = await side.connect(Number(portText));
  let filling = false;
  process.on('message', ({ go }: { go?: boolean }) => {
    if (go !== true) process.send!({ cpuUs: cpuUs() });
    else if (!filling) fill();
    filling = true;
  });
  process.send!({ by: crypto.name });
  let stuckAt = performance.now();
  let stuckKnown = 0;
  const fill = (): void => {
    if (channel === 'unreliable') {
      while (sent - known < WINDOW && side.send(link, channel, PAYLOAD)) sent++;
      // Lost ones are never counted as taken: after a pause the window starts anew.
      if (known !== stuckKnown) {
        stuckKnown = known;
        stuckAt = performance.now();
      } else if (performance.now() - stuckAt > 100) known = sent;
    } else for (let i = 0; i < 512 && side.send(link, channel, PAYLOAD); i++) sent++;
    side.flush();
    setImmediate(fill);
  };
}
