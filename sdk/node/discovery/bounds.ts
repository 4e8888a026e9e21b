/**
 * Every bound of discovery, in one place: its value, why this value, what breaks otherwise.
 * They are not in `wire/limits.ts` because no byte of the protocol depends on them.
 */

/** Beacon port, shared by all local players. Below 32,768, where Linux begins its ephemeral ports. */
export const BEACON_PORT = 29_797;

/** First and last data port. With the beacon, one firewall rule `29797:29829/udp` covers everything. */
export const DATA_PORT_FIRST = 29_798;
export const DATA_PORT_LAST = 29_829;

export const MDNS_PORT = 5_353;
/** The one multicast group that VPN kill switches and Wi-Fi routers tolerate; never one of our own. */
export const MDNS_GROUP = '224.0.0.251';
/** Service name (RFC 6335 §5.1: at most 15 of [a-z0-9-]). */
export const SERVICE_NAME = 'lanista';

/**
 * Receive buffers of the mDNS and the beacon socket, bytes. The kernel counts some 1,300 for each small packet, so its usual
 * 208 KiB hold 160: what 32 players say while one of them is busy starting for a few hundred milliseconds is more.
 */
export const DISCOVERY_BUFFER_BYTES = 1_024 * 1_024;

/** Linux allows 20 multicast memberships per socket; four are left for others. */
export const MAX_INTERFACES = 16;

/** Time between looks at the interface list, ms. A cable plugged in is used within this; a look costs 0.1 ms. */
export const INTERFACE_POLL_MS = 1_000;

/** Wall-clock jump between two looks that counts as sleep, ms. A stalled event loop stays below. */
export const SLEEP_JUMP_MS = 5_000;

/** Largest mDNS packet (RFC 6762 §17). Larger is dropped unread. */
export const MDNS_MAX_BYTES = 9_000;
/** Questions in one packet: ours have one. 1,500 of them made 1,501 answers of the stock library. */
export const MDNS_MAX_QUESTIONS = 16;
/** Records in one packet; a busy printer sends about 20. */
export const MDNS_MAX_RECORDS = 96;
/** Labels and pointers followed in one name (a name has at most 127 labels). */
export const MDNS_MAX_LABELS = 128;
/** Work in one packet, in labels walked. Bounds the time of the worst packet whatever its bytes are. */
export const MDNS_MAX_STEPS = 4_096;
/** TTL of every record we send, s (RFC 6762 §10 for records with a host name); stock 28,800 keeps the dead listed. */
export const MDNS_TTL_S = 120;
/** Known answers are listed up to this size of a query, so that it stays one datagram. */
export const MDNS_QUERY_BYTES = 1_400;
/** Equal responses leave at most this often, ms (RFC 6762 §6). */
export const MDNS_RESPONSE_GAP_MS = 1_000;
/** Packets taken from one source: burst, and per second. A flood costs the flooder, not the game. */
export const MDNS_SOURCE_BURST = 60;
export const MDNS_SOURCE_PER_S = 30;
/** Sources whose rate is remembered; the oldest gives way. */
export const MDNS_MAX_SOURCES = 512;
/** Instance names let through to the browser, which never forgets one by itself. */
export const MDNS_MAX_NAMES = 256;
/** Packets waiting to be sent, interfaces multiplied in. More than this is an amplifier, not a host. */
export const MDNS_MAX_QUEUE = 64;
/** Time between tries to bind 5353, or the beacon port, again while another program holds it, ms. */
export const MDNS_REBIND_MS = 10_000;
export const BEACON_REBIND_MS = 10_000;

/** Query times after the start of a search, ms; then every `MDNS_QUERY_SLOW_MS`. */
export const MDNS_QUERY_LADDER_MS: readonly number[] = [0, 1_000, 3_000, 7_000, 15_000, 31_000];
export const MDNS_QUERY_SLOW_MS = 60_000;
/**
 * Who knows so many instances is at a party, and hears multicast well: it leaves out the second question, and an announcement
 * that is due within a second is the answer to all who ask meanwhile.
 */
export const MDNS_CROWD = 8;
/** The second announcement comes this long after the first, ms (RFC 6762 §8.3). */
export const MDNS_ANNOUNCE_AGAIN_MS = 1_000;

/**
 * Broadcast times after the start of a search, ms: dense until `joinOrCreate` has settled, so that of many
 * who start at once few found a part of their own; then often enough for 6 s that on a network that loses half of
 * everything one of thirty players in a hundred misses none of eight rooms; then every `BEACON_SLOW_MS`
 * (searching) or `BEACON_QUIET_MS` (playing).
 */
export const BEACON_LADDER_MS: readonly number[] = [
  0, 60, 150, 250, 310, 370, 430, 490, 550, 610, 670, 1_000, 1_300, 1_600, 2_000, 2_400, 2_800, 3_200, 3_600, 4_000, 4_400, 4_800, 5_200, 5_600,
];
/**
 * With this many rooms or searchers the network is a party, and broadcasts are so far apart at least, ms, while the ladder is dense
 * and after: those who come say so. Thirty-two that start at once and all ask twelve times in a second would have 12,000 answers on the air.
 */
export const BEACON_CROWD = 8;
export const BEACON_DENSE_CROWD_GAP_MS = 250;
export const BEACON_CROWD_GAP_MS = 900;
/** A search that begins anew broadcasts this long after the last time, ms, at least: a room is opened and the list watched in one breath. */
export const BEACON_RESTART_GAP_MS = 50;
/**
 * Until the ladder is past this, ms, broadcasts find who starts now: nobody is asked back at once, and adverts wait a little for
 * their answer. Whose broadcast came in that time is asked itself when it is not listed after `BEACON_ASK_MS`.
 */
export const BEACON_DENSE_MS = 700;
export const BEACON_ASK_MS = 300;
export const ADVERT_WAIT_MS = 200;
export const BEACON_SLOW_MS = 5_000;
export const BEACON_QUIET_MS = 15_000;
/** Answers to one endpoint: burst, and per second. A searcher that sees loss asks 10 times a second; a hint makes it 11 in half a second. */
export const HERE_SOURCE_BURST = 24;
export const HERE_SOURCE_PER_S = 24;
/** Answers to one machine, per second and as a burst: sixteen players on it may search at once. */
export const HERE_HOST_PER_S = 200;
/** In a room of more players the answers to a broadcast are spread over 1 to 4 times the spread, ms. */
export const HERE_CROWD = 8;
export const HERE_SPREAD_MS = 20;
/** An asker whose broadcasts come further apart than this, ms, is answered twice, the second time this much later, once to twice. */
export const HERE_SELDOM_MS = 200;
export const HERE_AGAIN_MS = 40;
/** Second answers, to all together, as a burst and per second: who comes alone has as many as it asks for, of a crowd everybody is asked and answered often enough. */
export const HERE_AGAIN_BURST = 8;
export const HERE_AGAIN_PER_S = 4;
/** Whoever asks us by unicast knows us: after two such questions, the last at most this old, ms, its broadcasts are not answered. */
export const HERE_KNOWN_MS = 1_000;
/** How long a room that was left is answered for, as empty, ms: those who heard the farewell ask at once, and three times in this. */
export const FAREWELL_ANSWER_MS = 150;
/** Broadcasts of strangers that make us ask them, per second and address: a room that opens is then found at once. At a party one that was asked is given so long to answer, ms. */
export const ASK_BACK_PER_S = 2;
export const ASK_BACK_GAP_MS = 400;
/** Sources whose rate, and who is told when a room closes, is remembered. */
export const HERE_MAX_SOURCES = 128;

/** Addresses kept as candidates. A LAN party is 32; a spoofing flood must not push memory. */
export const MAX_CANDIDATES = 64;
/** A candidate nobody names any more is forgotten after this, ms. */
export const CANDIDATE_TTL_MS = 15_000;
/** Back-off of unanswered candidates, ms: first and last. */
export const CANDIDATE_BACKOFF_MS = 250;
export const CANDIDATE_BACKOFF_MAX_MS = 5_000;

/** Rooms in the list, and answering addresses kept of each. */
export const MAX_ROOMS = 128;
export const MAX_ROOM_ADDRESSES = 8;
/** A list in which only pings changed is told this far apart, ms: they always do, and each list is made and sorted anew. */
export const PING_SHOWN_MS = 500;
/** Questions to single addresses, per second and as a burst. A list of 31 rooms needs 45; more is a crowd that cannot keep up. */
export const WHO_PER_S = 120;
export const WHO_BURST = 80;
/** Time until a question held back by that rate is tried again, ms. */
export const WHO_WAIT_MS = 25;
/** An answer is worth this long after its question, ms; so many questions are remembered: all of that time and some more. */
export const NONCE_TTL_MS = 3_000;
export const MAX_NONCES = 512;
/** Time between two times that all candidates are asked because a listed one missed, ms. */
export const TROUBLE_GAP_MS = 1_000;

/** An answering room is asked again after this, ms; while we play with others, whoever looks at lists, after `PROBE_QUIET_MS`. */
export const PROBE_MS = 700;
export const PROBE_QUIET_MS = 15_000;
/** In a list of more than so many rooms after `PROBE_CROWD_MS`: there all the questions of all the players are most of what is on the air. */
export const PROBE_CROWD = 16;
export const PROBE_CROWD_MS = 1_000;
/**
 * One that missed is asked again after `PROBE_RETRY_MS`, from the second miss on after `PROBE_RETRY_FAST_MS`, and is gone
 * after `PROBE_MISSES`; never sooner than twice the time its last answer took. 700 + 2 x 200 + 15 x 90 = 2,450, which leaves half a second to a busy machine, and while half of all datagrams are lost 17 misses in a row are one in 130.
 */
export const PROBE_RETRY_MS = 200;
export const PROBE_RETRY_FAST_MS = 90;
export const PROBE_MISSES = 17;
export const PROBE_RETRY_MAX_MS = 1_500;
/** Whoever answers slowly is asked less often: it is gone after this much silence since the first miss, ms, and at least so many misses. */
export const PROBE_SILENCE_MS = 2_000;
export const PROBE_MISSES_LEAST = 12;
/** Share of unanswered questions, its own or of all who answer, above which a member counts as hard to hear: it then has `PROBE_MISSES_LOSSY`, 6.7 s. */
export const PROBE_LOSSY_RATIO = 0.3;
export const PROBE_MISSES_LOSSY = 64;
/** Questions to one that is not shown any more, `PROBE_RETRY_FAST_MS` apart: one that still lives is back within 2 s, 99 times of 100 where half of everything is lost. */
export const PROBE_AFTER = 20;
/** After a hint that it left: 11 probes 40 ms apart, gone within 0.5 s. A spoofed hint only makes it answer. */
export const PROBE_HINT_MS = 40;
export const PROBE_HINT_MISSES = 11;
export const PROBE_HINT_MISSES_LOSSY = 40;
/** Hints about one member are heeded this far apart, ms: a flood of them costs two questions a second. */
export const PROBE_HINT_GAP_MS = 500;

/** Files read in the same-machine registry. */
export const MAX_LOCAL_ENTRIES = 64;
/** Largest registry entry, bytes. */
export const LOCAL_ENTRY_BYTES = 512;
/** How often who is in the registry says that it is there, ms, and how long the entry of another container counts: its process ids say nothing here. */
export const LOCAL_REFRESH_MS = 5_000;
export const LOCAL_FOREIGN_MS = 20_000;
/** Time between looks at the registry while searching, ms. */
export const LOCAL_POLL_MS = 250;

/** Endpoints of former games kept on disk. */
export const MAX_KNOWN_PEERS = 16;

/** A player that answers but is not heard by mDNS for this long, ms, shows that multicast does not pass: two questions went out by then. */
export const HEALTH_SILENCE_MS = 1_200;
/** How long a refused send keeps the state degraded, ms. */
export const HEALTH_ERROR_MS = 10_000;
/** Machines remembered for that. */
export const HEALTH_MAX_HOSTS = 64;
