/** The endpoint under attack. */
import { createRng } from '../../../sdk/base/rng.ts';
import type { RoomId } from '../../../sdk/base/brand.ts';
import { Endpoint } from '../../../sdk/link/endpoint.ts';
import type { CryptoProvider } from '../../../sdk/secure/provider.ts';
import { HeldBudget } from '../../../sdk/link/held-budget.ts';

export const ROOM = '00112233445566778899aabbccddeeff' as RoomId;
export const PROLOGUE = new Uint8Array([1]);

export function createVictim(crypto: CryptoProvider, seed: number, budget = new HeldBudget()): Endpoint {
  const endpoint = new Endpoint(
    { crypto, rng: createRng(seed), identity: crypto.generateKeyPair(), roomId: ROOM, joinPort: 1, sessionPort: 2, prologue: PROLOGUE },
    budget,
  );
  endpoint.setDoor({ open: true, code: undefined, roomKey: undefined });
  return endpoint;
}
