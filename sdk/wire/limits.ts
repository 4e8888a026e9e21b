/**
 * Every bound of the protocol, in one place: its value, why this value, what breaks otherwise.
 * A bound that is not named here does not exist.
 */

/** First byte pair of the protocol's idea of itself; part of the handshake's prologue. */
export const PROTOCOL_VERSION = 1;

/** Seats in a room. Link state is carried as a 32-bit mask, so this cannot exceed 32. */
export const MAX_PEERS = 32;

/** Peer ids whose bytes and text are remembered; whoever names more makes us forget, never hold more. */
export const MAX_KNOWN_IDS = 1_024;

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

/**
 * Silence after which a link counts as down for routing and the host's duties (ms). A stall of 200 ms between
 * two keep-alives must stay below it; each 100 ms more are 100 ms more without a host after a crash.
 */
export const SILENT_MS = 450;

/** A link sends at least this often, so that `SILENT_MS` is four lost packets, not one (ms). */
export const KEEP_ALIVE_MS = 100;

/**
 * After this much silence the peer is asked to answer at once, and so often (ms). Every unanswered question makes
 * loss a less likely explanation, so that `SILENT_MS` can be short on a lossy network, too.
 */
export const DOUBT_MS = 150;
export const DOUBT_PROBE_MS = 50;

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

/**
 * Arrays and maps among them: each is an object to be made. More than half of the values are such only where most of them are empty, and
 * nobody sends that.
 */
export const MAX_PAYLOAD_CONTAINERS = 2_048;

/** Longest string in a payload, bytes of UTF-8. */
export const MAX_PAYLOAD_STRING_BYTES = 4_096;

/** Longest room name, bytes of UTF-8. */
export const MAX_ROOM_NAME_BYTES = 32;

/** UTF-16 units of a room's code as it is given: the bridge carries no more, and a page whose code is cut would knock with another. */
export const MAX_ROOM_CODE_LENGTH = 64;

/** Longest game id: it is a TXT value and a subtype label. */
export const MAX_GAME_ID_BYTES = 32;

/** Addresses kept per peer: interfaces times two ports is plenty, and it bounds gossip. */
export const MAX_ENDPOINTS_PER_PEER = 4;

/** Keys banned from one room. */
export const MAX_BANNED = 64;

/** Fields of one entity kind: the changed ones are a bit mask of one 32-bit integer, with bits to spare. */
export const MAX_ENTITY_FIELDS = 28;

/** Entity kinds, messages or requests of one game: their numbers stay one byte. */
export const MAX_KINDS = 127;

/** HELLO is padded to this, so that COOKIE (29) is less than half of it: a forged source gains nothing. */
export const HELLO_BYTES = 64;

/** INIT is padded to this, so that RESP (at most 192) is at most half of it. */
export const INIT_BYTES = 384;

/** WHO is padded to this, so that HERE is at most half of it. */
export const WHO_BYTES = 512;

/** Largest answer to WHO. */
export const MAX_HERE_BYTES = 256;

/** Other members named in an answer to WHO: enough to find a second way in, bounded for gossip. */
export const MAX_HERE_MEMBERS = 8;

/** Largest message that travels whole: 1,200 less header, tag, acknowledgement and the frame's own head. */
export const MAX_WHOLE_BYTES = 1_120;

/**
 * Most bytes of a message in one fragment. Five fill a datagram of 1,452 bytes and four one of 1,200 to within
 * a few per cent. One large fragment per datagram would leave a fifth of the larger one empty, and could not
 * be sent again once the path had become a narrower one.
 */
export const FRAGMENT_BYTES = 268;

/** Fragments of the largest message. */
export const MAX_FRAGMENTS = Math.ceil(MAX_MESSAGE_BYTES / FRAGMENT_BYTES);

/** Reassemblies under way per peer. Senders keep to it; a ninth is a broken rule, not bad luck. */
export const MAX_OPEN_REASSEMBLIES = 8;

/** Messages of one lane between the oldest not acknowledged and the newest sent; bounds the reorder buffer. */
export const LANE_WINDOW_MESSAGES = 1_024;

/** Received bytes held per peer: one message of the largest size. A sender keeps to it, so more is a broken rule. */
export const MAX_RECEIVE_HELD_BYTES = MAX_MESSAGE_BYTES;

/** Bytes waiting or unacknowledged towards one peer; with what is received it makes `MAX_HELD_BYTES_PER_PEER`. */
export const MAX_SEND_HELD_BYTES = MAX_HELD_BYTES_PER_PEER - MAX_RECEIVE_HELD_BYTES;

/**
 * Bytes of `MAX_HELD_BYTES` that each direction of each link has for itself, whatever others hold: the reorder
 * buffer of a quick transfer. All shares together are half of it; the other half is for who needs more at the moment.
 */
export const HELD_SHARE_BYTES = 32 * 1_024;

/** Bytes held this long on average (ms) give way when the common half is used up. Honest ones leave within a few round trips. */
export const HELD_STALE_MS = 2_000;

/** Least time between two searches for stale bytes (ms): each looks at everything that is held. */
export const HELD_SEARCH_MS = 50;

/** What a queued message is taken to cost besides its bytes, so that a million empty ones are not free. */
export const HELD_OVERHEAD_BYTES = 64;

/** Realtime bytes (`sequenced`, `unreliable`) waiting for one peer; the rest of a tick that big is refused. */
export const MAX_REALTIME_BYTES = 64 * 1_024;

/** Sent packets remembered per link: at 60 Hz 17 s, in a bulk transfer several windows. */
export const SENT_WINDOW_PACKETS = 1_024;

/** Packets an acknowledgement covers: its newest and the 64 before it. Fixed, so that no peer sizes a loop. */
export const ACK_BITS = 64;

/** Longest an acknowledgement of reliable data waits for company (ms). Part of the sender's timeout. */
export const ACK_DELAY_MS = 4;

/**
 * Longest an acknowledgement of realtime data waits (ms), and most packets it waits for: whatever goes the other way carries it for free, be it
 * one beat in `BEAT_MS`, at most `ACK_RIDE_MS` too soon. The packets are half of what one acknowledgement names.
 */
export const ACK_DELAY_REALTIME_MS = 125;
export const ACK_EVERY_REALTIME_PACKETS = 32;

/**
 * An acknowledgement of realtime data rides on a packet when it is this old (ms): every second one at 60 Hz. They teach
 * round trip and loss, which needs no answer to each packet, and cost a tenth of sending and receiving a small one.
 */
export const ACK_RIDE_MS = 20;

/** Packets that repeat the acknowledgement of reliable data: one of them may be lost without anything sent again. */
export const ACK_COPIES = 3;

/** Reliable packets after which an acknowledgement leaves at once; well below `ACK_BITS`, so none is missed. */
export const ACK_EVERY_PACKETS = 8;

/** Queued data leaves after this even when nobody flushes (ms). */
export const FLUSH_MS = 8;

/** Least and most wait before unacknowledged data is sent again (ms). Below the least, timers of 1 ms lie. */
export const MIN_RESEND_MS = 15;
export const MAX_RESEND_MS = 500;

/** Reliable bytes in flight, least and most. The most fits the default receive buffer of Linux (92 datagrams). */
export const MIN_WINDOW_BYTES = 8 * 1_200;
export const MAX_WINDOW_BYTES = 96 * 1_024;

/** Queueing delay the reliable window aims for (ms). A bulk transfer must not add 5 ms to a stream beside it. */
export const TARGET_QUEUE_MS = 2;

/** Sequence numbers are skipped once in this range: whoever acknowledges one has not seen what it acknowledges. */
export const SKIP_SEQ_MIN = 64;
export const SKIP_SEQ_MAX = 512;

/** Broken rules forgiven to one peer within `ERROR_WINDOW_MS`; one more closes the link. */
export const ERROR_BUDGET = 8;
export const ERROR_WINDOW_MS = 10_000;

/** First wait before a handshake message is repeated (ms); it doubles. */
export const HANDSHAKE_RETRY_MS = 100;

/** A handshake that has not finished by then has failed (ms). */
export const HANDSHAKE_TIMEOUT_MS = 5_000;

/** Attempts to connect under way at once. */
export const MAX_ATTEMPTS = 64;

/** Links of one endpoint: the room's other seats, and room for sessions that replace one another. */
export const MAX_LINKS = 2 * MAX_PEERS;

/** Handshake datagrams one source address may send: rate per second and burst. A classroom behind one host must fit. */
export const SOURCE_RATE_PER_SECOND = 20;
export const SOURCE_BURST = 256;

/** The same of all sources together: one host may have any number of addresses, and each answer costs four scalar multiplications. */
export const HANDSHAKES_PER_SECOND = 100;
export const HANDSHAKE_BURST = 512;

/**
 * Cookies given away per second and at once, to whomever. An answer costs more than a refusal, and a source that has
 * proved nothing cannot be told from another; so past this rate strangers wait, not members. A room of 32 needs 32.
 */
export const COOKIES_PER_SECOND = 5_000;
export const COOKIE_BURST = 500;

/** Sources whose rate is remembered; the oldest is forgotten. */
export const MAX_SOURCES = 256;

/** Wrong codes forgiven per minute: from one address, and in all. Guessing 30 bits then takes a century. */
export const MAX_CODE_FAILURES_PER_SOURCE = 5;
export const MAX_CODE_FAILURES = 20;

/** How long code joins are ignored after too many wrong codes (ms). */
export const CODE_LOCKOUT_MS = 60_000;

/** A member that did not take our code is of another room of that name; asked again after this, doubling to the lock-out (ms). */
export const WRONG_CODE_RETRY_MS = 15_000;

/** Once one candidate did not take our code, a join waits so long for one that does (ms); longer only delays "wrong code". */
export const WRONG_CODE_PATIENCE_MS = 2_000;

/** A timer that fires this late means that we stalled, not that the others fell silent (ms). */
export const STALL_MS = 300;

/** Sealed packets for connections we do not have are told of at most this often, whoever sends them (ms). */
export const STRAY_MS = 50;

/** A link keeps its address at least this long, however often packets come from elsewhere (ms). */
export const PATH_SWITCH_MS = 1_000;

/** Pings per link: every second is enough for clock and RTT, faster at first. */
export const PING_MS = 1_000;
export const PING_FAST_MS = 100;
export const PING_FAST_COUNT = 8;

/** After the fast ones a ping waits so long for a packet to ride on (ms): a beat passes in that time. */
export const PING_RIDE_MS = 100;

/** Clock samples kept, and for how long (ms). */
export const CLOCK_SAMPLES = 16;
export const CLOCK_SAMPLE_MS = 30_000;

/** A budget of state, bytes per tick and peer: below it not even a head and one entity fit, above it a tick holds more parts than may be sent. */
export const MIN_STATE_BUDGET_BYTES = 64;
export const MAX_STATE_BUDGET_BYTES = 60_000;

/** Priorities of entities: a range wide enough for any game, and so narrow that what has the least is told within some hundred ticks all the same. */
export const MIN_PRIORITY = 0.01;
export const MAX_PRIORITY = 1_000;

/** How far two monotonic clocks run apart (ratio): the worst crystals sold are off by 100 ppm each. Less, and a stated error of a clock is not one. */
export const CLOCK_DRIFT_RATIO = 0.0002;

/**
 * Bytes of a whole state, or one part of it, that may lie with the port for one peer, the rest waits for its turn: half of what a receiver holds, so that what the
 * game says meanwhile starts beside it, and always finds room.
 */
export const MAX_STATE_QUEUED_BYTES = MAX_RECEIVE_HELD_BYTES / 2;

/** Rows of an entity's past: a receiver may lag two seconds at 30 Hz, one at 60, before it needs everything anew, and so far back `at` knows what moves. */
export const HISTORY_ROWS = 64;

/** Most that what is drawn may lag behind, ms: past it a late snapshot is extrapolated instead. */
export const MAX_VIEW_DELAY_MS = 150;

/** How far movement is continued without news, ms. Longer turns a guess into a lie. */
export const EXTRAPOLATE_MS = 250;

/**
 * Datagrams one tick of one owner's state may take: with what the game says beside it they fit `MAX_REALTIME_BYTES`. Of more the link refuses the rest, and the
 * same would be tried at every tick, and never be acked.
 */
export const MAX_STATE_PARTS = 56;

/**
 * Bytes a second of own entities that are told anew though nothing changed, one after the other: what loss, a bug or a cosmic ray left behind is
 * mended without anybody noticing it. A tenth of what one moving entity costs; 100 entities come round in about ten seconds.
 */
export const REFRESH_BYTES_PER_S = 256;

/** Entities one room may hold: bounds what a hostile peer makes us keep. */
export const MAX_ENTITIES = 8_192;

/** A member tells who it hears this often (ms). Six lost in a row make it look gone, so not slower than keep-alives. */
export const BEAT_MS = 100;

/** While the game sends, a word may leave this much later, in a packet of the game's (ms): longer than a tick at 60 Hz. */
export const BEAT_RIDE_MS = 20;

/** The mesh looks at itself this often (ms); finer would burn time, coarser delays a new host. */
export const MESH_TICK_MS = 50;

/** What a member said about whom it hears is forgotten after this (ms), unless repeated. */
export const BEAT_STALE_MS = 1_000;

/** A fresh link counts in both directions this long before the far side's word is needed (ms). */
export const LINK_SETTLE_MS = 700;

/** Unreachable this long before the host writes `away` (ms); absorbs one member noticing before another. */
export const AWAY_HOLD_MS = 150;

/** A peer just seated is not called away before this (ms): it has to learn the roster and link first. */
export const SEAT_SETTLE_MS = 2_500;

/** The same for those who came with another part of the room: they are linked to one of us already. */
export const MERGE_SETTLE_MS = 1_000;

/** Wait before the next in line claims the host's duties when the one before does not (ms). */
export const CLAIM_RANK_MS = 300;

/** A peer that lost everybody at once is itself cut off; it waits this long before it is host of itself (ms). */
export const LONE_CLAIM_MS = 3_000;

/** A host never reached in its term is waited for so long (ms): a newcomer's links take a moment to stand. */
export const MEET_HOST_MS = 1_500;

/** Time a reason to merge or rejoin has to stand before it is acted on, and between repeats (ms). */
export const MERGE_HOLD_MS = 120;
export const MERGE_RETRY_MS = 400;

/** First wait between requests for a seat (ms); it doubles up to `JOIN_RETRY_MAX_MS`. */
export const JOIN_RETRY_MS = 100;
export const JOIN_RETRY_MAX_MS = 800;

/** Without an answer by then a join has failed (ms). */
export const JOIN_TIMEOUT_MS = 10_000;

/** The side that is not first to call tries after this (ms). */
export const DIAL_SECOND_MS = 500;

/** A silent link to a peer others still reach is made anew after this (ms); one to a peer nobody reaches, later. */
export const DIAL_SILENT_MS = 1_500;
export const DIAL_SILENT_ALONE_MS = 6_000;

/** Waits between attempts to link to a seat or a candidate (ms): least and most. */
export const DIAL_RETRY_MS = 700;
export const DIAL_RETRY_MAX_MS = 3_000;
export const CANDIDATE_RETRY_MAX_MS = 8_000;

/**
 * A peer that is linked at another address for so long may have left its old one to somebody else, who is asked for; and
 * where it answers itself (it has two addresses) not again for so long (ms).
 */
export const PROBE_AFTER_MS = 1_000;
export const PROBE_MS = 20_000;

/** A candidate that discovery did not name for so long, and names again, is called at once (ms). */
export const CANDIDATE_LOST_MS = 2_000;

/** Attempts under way to one seat or candidate; more would only be the same packet again. */
export const MAX_DIALS_PER_TARGET = 3;

/** Addresses remembered as possibly of this room. */
export const MAX_CANDIDATES = 64;

/** Members a relayed datagram may pass; longer detours cost more than they help, and loops end. */
export const MAX_RELAY_HOPS = 4;

/** Relayed datagrams of which only a part has come, for all origins together. */
export const MAX_RELAY_PARTIALS = 64;

/** Messages and bytes kept for one peer that is seated but not yet linked, or linked but not yet seated; or one message of any size. */
export const MAX_EARLY_MESSAGES = 256;
export const MAX_EARLY_BYTES = 256 * 1_024;

/** A leaving peer waits at most this long for its goodbye to be acknowledged (ms). */
export const LEAVE_LINGER_MS = 400;

/** Host changes a roster remembers, so that a peer that slept knows whether it missed or lost something. */
export const MAX_LINEAGE = 32;

/** Departures a roster remembers with their reason. */
export const MAX_DEPARTED = 16;

/** Answers to WHO per second and their burst: enough for a room full of browsers, too few to be a weapon. */
export const WHO_RATE_PER_SECOND = 50;
export const WHO_BURST = 100;

/** Room time follows the host's at this rate (ratio): 5 ms per second is below what anybody sees. */
export const TIME_SLEW_RATIO = 0.005;

/** Behind by more than this, room time steps forward at once (ms). */
export const TIME_STEP_MS = 250;

/** Requests of one peer that wait for an answer at once, on either side: bounds what a silent or greedy peer can pile up. */
export const MAX_PENDING_CALLS = 256;

/** One player's input of one tick, packed. A tick in which all of MAX_PEERS press something new must fit a datagram, or nobody would ever hear of it. */
export const MAX_INPUT_BYTES = 30;

/** Datagrams in which the host says, each tick and to each peer, what counted: more than one only where much is pressed at once, or was lost. */
export const MAX_CONFIRMS_DATAGRAMS = 4;

/** Ticks after which an input counts, at most: more than the slowest LAN needs at 120 Hz, and less than a player would take for broken keys. */
export const MAX_INPUT_DELAY_TICKS = 8;

/** Ticks that a player's inputs may be ahead of what is confirmed: over half a second at 120 Hz. What is further is not kept. */
export const ROLLBACK_AHEAD_TICKS = 64;

/** Confirmed ticks whose inputs every peer keeps: 17 s at 60 Hz. Who is further behind is given the state instead; a slow transfer of it must fit. */
export const ROLLBACK_KEPT_TICKS = 1_024;

/** A simulation's state, packed. It shares a link's queue with the game's messages, so it must leave them room. */
export const MAX_ROLLBACK_STATE_BYTES = 512 * 1_024;

/** A state travels in pieces of this size, so that what else is said goes between them. */
export const ROLLBACK_PIECE_BYTES = 32 * 1_024;

/** Lists, objects, maps and the like in such a state: an empty one takes two bytes to say and two hundred to keep, and a copy of all is kept for each tick. */
export const MAX_ROLLBACK_STATE_PARTS = 32_768;

/** A block of content, as a map or a picture is: a second or two on the slowest Wi-Fi. It is in memory whole, and hashed whole. */
export const MAX_CONTENT_BYTES = 4 * 1_024 * 1_024;

/** What a room holds of it at most, what was fetched and what the game shared together: eight of the largest size, or an avatar for each of 32 with room to spare. */
export const MAX_CONTENT_HELD_BYTES = 32 * 1_024 * 1_024;

/** It travels in pieces of this size: small enough that nothing waits long behind one, large enough that a piece is worth its question. */
export const CONTENT_PIECE_BYTES = 16 * 1_024;

/** Pieces asked of one peer and not here yet: 64 KiB each round trip, which is 4 MiB a second between two pages that take 15 ms there and back. */
export const CONTENT_WINDOW = 4;

/** Bytes of content on their way to one peer beyond which it is given nothing more: twice what an honest one asks for. It shares that link's queue with the game. */
export const CONTENT_QUEUE_BYTES = 2 * CONTENT_WINDOW * CONTENT_PIECE_BYTES;

/** The same of all peers together, an eighth of what all links may hold: who asks when there is more asks again. */
export const MAX_CONTENT_QUEUE_BYTES = 1_024 * 1_024;

/**
 * Questions to one peer whether it has a block, since it last said anything about content: one that has no link yet, or stands still, is not asked more and
 * more, which would take the place of what the game says to it.
 */
export const MAX_CONTENT_QUESTIONS = 32;

/** Blocks that one room looks for at once; what a game asks for beyond is refused. One for each of 32 players, twice. */
export const MAX_CONTENT_FETCHES = 64;

/** How many of them travel at once: unfinished ones are held beside what is whole. */
export const MAX_CONTENT_TRANSFERS = 4;

/**
 * Peers that one gives large blocks to at once: whoever is served first serves the others. With three, fifteen who want one block have it in two rounds.
 * With all fifteen it takes twice as long where uplinks are slow (4 MiB each at 3 MB/s: 23 s for 10 s) and leaves here fifteen times; with one it takes
 * four rounds also where a transfer is slow for its round trips.
 */
export const MAX_CONTENT_TAKERS = 3;
