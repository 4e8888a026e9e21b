/** Our link in the link benchmark, sealed by each provider or by none. */
import { openLinkSide } from './link-side.ts';
import { PROVIDERS, type Sealing } from './sealing.ts';
import { PAYLOAD, pinger, type Transport } from './transport.ts';

export function link(sealing: Sealing): Transport {
  return {
    async echo() {
      const side = await openLinkSide(await PROVIDERS[sealing](), (id, bytes) => {
        side.send(id, 'unreliable', bytes);
        side.flush();
      });
      return side.port;
    },
    async call(port: number) {
      const { ping, answered } = pinger(() => {
        side.send(id, 'unreliable', PAYLOAD);
        side.flush();
      });
      const side = await openLinkSide(await PROVIDERS[sealing](), answered);
      const id = await side.connect(port);
      return ping;
    },
  };
}
