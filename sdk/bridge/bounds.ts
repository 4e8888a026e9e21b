/**
 * Bounds of the bridge. They are not bounds of the network protocol (`wire/limits.ts`): no other peer
 * ever sees them, and both ends of a bridge ship together.
 */

/** Largest batch. A reliable message of the largest size and a tick's worth beside it must fit. */
export const MAX_BRIDGE_BATCH_BYTES = 512 * 1_024;

/** Largest first message: a hello. A stranger that got past Host and Origin can cost us no more. */
export const MAX_BRIDGE_HELLO_BYTES = 4 * 1_024;

/** Entries looked at in one batch; bounds the time one batch can take. */
export const MAX_BRIDGE_ENTRIES = 8_192;

/** UTF-16 units of a sentence, an address, a hint. */
export const MAX_BRIDGE_TEXT = 1_024;

/** A token is 128 bits as base64url: 22 characters. */
export const MAX_BRIDGE_TOKEN = 64;

/** What a page takes for a token where its address ends: one that a game chose itself is no shorter than fresh bits nearly are. */
export const BRIDGE_TOKEN = /^[A-Za-z0-9_-]{20,64}$/;

/** Peers that can leave within one roster change: all seats, and the bans beside them. */
export const MAX_BRIDGE_PEERS = 128;

/** Rooms in one list; a LAN with more than this has other problems. */
export const MAX_BRIDGE_ROOMS_LISTED = 256;

/** Checks of one diagnosis: some for each of 16 interfaces, some for each machine that was met. */
export const MAX_BRIDGE_CHECKS = 128;

/** Seats one page can hold at once. One is usual; a second while the first says goodbye. */
export const MAX_BRIDGE_ROOMS = 4;

/** Sockets that have not said hello yet; more are refused. */
export const MAX_BRIDGE_STRANGERS = 8;

/** How long a socket may stay without a hello (ms). */
export const BRIDGE_HELLO_MS = 2_000;

/** Unsent bytes beyond which unreliable and sequenced messages for the page are dropped, not queued. */
export const BRIDGE_LAG_BYTES = 256 * 1_024;

/** Unsent bytes beyond which the page counts as gone. Reliable messages cannot be dropped one by one. */
export const BRIDGE_LOST_BYTES = 8 * 1_024 * 1_024;

/** Reliable bytes a page may have under way for one peer before `send` refuses. */
export const BRIDGE_CREDIT_BYTES = 1_024 * 1_024;

/** Taken bytes after which the page is told without waiting for another reason to send. */
export const BRIDGE_TAKEN_BYTES = 32 * 1_024;

/** How long a seat outlives its page (ms): a reload takes 1 to 3 s, a rebuild of the page some more. */
export const BRIDGE_KEEP_MS = 15_000;

/** Shortest time between two batches to the page (ms): at most 250 a second, a quarter of a tick late. */
export const BRIDGE_BATCH_MS = 4;
