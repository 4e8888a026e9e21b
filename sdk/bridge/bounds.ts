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

/**
 * Bytes of one command of a page that wants a hash: what a process hashes in a fraction of a millisecond, and a phone's Wi-Fi carries in 30 ms, for
 * so long what the game says behind it waits.
 */
export const BRIDGE_DIGEST_BLOCK_BYTES = 64 * 1_024;

/** Such blocks that a page has under way: one is hashed while the next comes. */
export const BRIDGE_DIGEST_BLOCKS = 2;

/** Hashes one page may have begun. It takes one after the other; what a broken one begins beyond is not answered. */
export const MAX_BRIDGE_DIGESTS = 4;

/** A page's own random id: 128 bits as hex. */
export const MAX_BRIDGE_PAGE_ID = 32;
export const BRIDGE_PAGE_ID = /^[0-9a-f]{32}$/;

/** Guests at once unless the game says otherwise: each is a player with sockets and links of its own in this process. */
export const MAX_GUESTS = 8;

/** Batches a guest's page may send in a second, and at once: a page sends one a tick, and a Wi-Fi that stood still for 5 s hands 5 s of them over together. */
export const GUEST_BATCHES_PER_S = 120;
export const GUEST_BATCHES_AT_ONCE = 600;

/**
 * Bytes a guest's page may send in a second, and at once: half of the latter is for what it has hashed or gives to others, which waits for its turn; the
 * largest batch of the bridge fits into the other half several times.
 */
export const GUEST_BYTES_PER_S = 1_024 * 1_024;
export const GUEST_BYTES_AT_ONCE = 4 * 1_024 * 1_024;

/** Commands in those batches, in a second and at once: one for each of 31 others at 60 Hz. The shortest has one byte, and thousands fit into a batch. */
export const GUEST_COMMANDS_PER_S = 2_000;
export const GUEST_COMMANDS_AT_ONCE = 10_000;

/** Of them, those that are no play but ask for something (a room, the list, the doctor) and may be answered with a sentence. */
export const GUEST_REQUESTS_PER_S = 10;
export const GUEST_REQUESTS_AT_ONCE = 60;

/** Connections to the door of the guests, of all machines and of one: a browser opens six and its socket, and a router may hide several phones behind itself. */
export const MAX_GUEST_SOCKETS = 128;
export const MAX_GUEST_SOCKETS_PER_ADDRESS = 24;

/** Sockets of one machine that have not said hello yet: some are left for the others. */
export const MAX_GUEST_STRANGERS_PER_ADDRESS = 3;

/** How long a request of a stranger's browser may take to arrive (ms). */
export const GUEST_REQUEST_MS = 5_000;

/** How often a guest's page is asked for a sign of life, and after how long without one its connection counts as lost (ms): a phone that left the Wi-Fi says nothing. */
export const GUEST_PING_MS = 5_000;
export const GUEST_SILENT_MS = 15_000;

/** How often a guest's room is compared with the owner's (ms). */
export const GUEST_LOOK_MS = 250;
