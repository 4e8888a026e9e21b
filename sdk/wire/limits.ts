/**
 * Every bound of the protocol, in one place: its value, why this value, what breaks otherwise.
 * A bound that is not named here does not exist.
 */

/** First byte pair of the protocol's idea of itself; part of the handshake's prologue. */
export const PROTOCOL_VERSION = 1;

/** Seats in a room. Link state is carried as a 32-bit mask, so this cannot exceed 32. */
export const MAX_PEERS = 32;

/** Default number of players of a room. */
export const DEFAULT_PLAYERS = 16;

/** Payload of a datagram that passes every path we know (IPv6 minimum 1,280 less headers). */
export const MTU_FLOOR_BYTES = 1_200;

/** Largest payload probed for: 1,500 of Ethernet less IPv6 and UDP headers. Larger would fragment. */
export const MTU_CEILING_BYTES = 1_452;

/** Largest datagram any decoder looks at; larger is dropped unread. */
export const MAX_DATAGRAM_BYTES = 1_500;

/** Largest message on `reliable`. 256 KiB is a map or a late joiner's snapshot; larger wants chunks of its own. */
export const MAX_MESSAGE_BYTES = 256 * 1_024;

/** Largest message on `sequenced` and `unreliable`: must fit one datagram at the MTU floor. */
export const MAX_DATAGRAM_MESSAGE_BYTES = 1_100;

/** Independent ordered lanes of each channel. Three bits in a frame header. */
export const MAX_LANES = 8;

/** Lanes 6 and 7 of `reliable` belong to the mesh; the game half has 0 to 5. */
export const MESH_LANE = 7;

/** Most bytes one peer can make us hold: reassembly, reorder buffers and unsent data together. */
export const MAX_HELD_BYTES_PER_PEER = 1_024 * 1_024;

/** Most bytes all peers together can make us hold. */
export const MAX_HELD_BYTES = 8 * 1_024 * 1_024;

/** Receive buffer asked of the kernel: a 200 ms stall of a full 60 Hz mesh must not lose datagrams. */
export const RECEIVE_BUFFER_BYTES = 4 * 1_024 * 1_024;

/** Handshakes under way at once; the oldest gives way. Without it a flood owns our memory. */
export const MAX_HALF_OPEN = 32;

/** Silence after which a link counts as down for routing and the host's duties (ms). */
export const SILENT_MS = 600;

/** A link sends at least this often, so that `SILENT_MS` is six lost packets, not one (ms). */
export const KEEP_ALIVE_MS = 100;

/** Silence after which a link's keys are thrown away (ms). Longer than the longest gap that must cost nothing. */
export const LINK_TIMEOUT_MS = 25_000;

/** How long an `away` peer keeps its seat (ms). */
export const DEFAULT_GRACE_MS = 20_000;

/** Packets the replay window remembers: 17 s at 60 Hz. */
export const REPLAY_WINDOW_PACKETS = 1_024;

/** Depth of nested arrays and maps in a payload. Deeper overflows recursive consumers. */
export const MAX_PAYLOAD_DEPTH = 16;

/** Values in one payload. Bounds decode time whatever the bytes are. */
export const MAX_PAYLOAD_NODES = 4_096;

/** Longest string in a payload, bytes of UTF-8. */
export const MAX_PAYLOAD_STRING_BYTES = 4_096;

/** Longest room name, bytes of UTF-8. */
export const MAX_ROOM_NAME_BYTES = 32;

/** Longest game id: it is a TXT value and a subtype label. */
export const MAX_GAME_ID_BYTES = 32;

/** Addresses kept per peer: interfaces times two ports is plenty, and it bounds gossip. */
export const MAX_ENDPOINTS_PER_PEER = 4;

/** Keys banned from one room. */
export const MAX_BANNED = 64;
