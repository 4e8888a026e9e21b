/** The numbers that `docs/protocol.md` and `docs/spec.md` name are those of the code: other tests ask for them by their names, and would not notice. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import * as limits from '../sdk/wire/limits.ts';

const read = (name: string): string => readFileSync(new URL(`../docs/${name}`, import.meta.url), 'utf8').replaceAll(/\s+/gu, ' ');
const text = read('protocol.md') + read('spec.md');

/** The sentence with the number in braces, and what it is a number of. */
const BOUNDS: readonly (readonly [string, number])[] = [
  ['one over {1,500} bytes', limits.MAX_DATAGRAM_BYTES],
  ['of at most {32} the newest', limits.MAX_HALF_OPEN],
  ['gives up {5} s after the first', limits.HANDSHAKE_TIMEOUT_MS / 1_000],
  ['{20} a second, 256 at once, per host', limits.SOURCE_RATE_PER_SECOND],
  ['a second, {256} at once, per host', limits.SOURCE_BURST],
  ['per host; {100} and 512 of all hosts', limits.HANDSHAKES_PER_SECOND],
  ['per host; 100 and {512} of all hosts', limits.HANDSHAKE_BURST],
  ['cookies a second ({500} at once)', limits.COOKIE_BURST],
  ['Strangers get at most {5,000} cookies', limits.COOKIES_PER_SECOND],
  ['this host has {5} wrong ones', limits.MAX_CODE_FAILURES_PER_SOURCE],
  ['everybody together {20} within a minute', limits.MAX_CODE_FAILURES],
  ['(then for {60} s)', limits.CODE_LOCKOUT_MS / 1_000],
  ['{1,024} or more behind the newest', limits.REPLAY_WINDOW_PACKETS],
  ['every {64} to 511, at random', limits.SKIP_SEQ_MIN],
  ['every 64 to {511}, at random', limits.SKIP_SEQ_MAX - 1],
  ['A message of at most {1,120} bytes travels whole', limits.MAX_WHOLE_BYTES],
  ['a longer one, of at most {262,144}', limits.MAX_MESSAGE_BYTES],
  ['ceil(length / {268})', limits.FRAGMENT_BYTES],
  ['at most {1,024} messages of a lane', limits.LANE_WINDOW_MESSAGES],
  ['at most {8} fragmented messages incomplete', limits.MAX_OPEN_REASSEMBLIES],
  ['({64} more counted per message)', limits.HELD_OVERHEAD_BYTES],
  ['({15} to 500 ms, doubling)', limits.MIN_RESEND_MS],
  ['(15 to {500} ms, doubling)', limits.MAX_RESEND_MS],
  ['after at most {4} ms, or 8 packets', limits.ACK_DELAY_MS],
  ['after at most 4 ms, or {8} packets', limits.ACK_EVERY_PACKETS],
  ['at most {125} ms or 32 packets', limits.ACK_DELAY_REALTIME_MS],
  ['at most 125 ms or {32} packets', limits.ACK_EVERY_REALTIME_PACKETS],
  ['a multiple of {16,384}; 2^32', limits.CONTENT_PIECE_BYTES],
  ['At most {4} pieces asked of one peer', limits.CONTENT_WINDOW],
  ['of the whole, 1 to {4,194,304}, the', limits.MAX_CONTENT_BYTES],
  ['Who has more than {131,072} bytes of content', limits.CONTENT_QUEUE_BYTES],
  ['or {1,048,576} to all', limits.MAX_CONTENT_QUEUE_BYTES],
  ['is asked more than {32} times', limits.MAX_CONTENT_QUESTIONS],
  ['A block of more than {65,536} bytes', limits.CONTENT_WINDOW * limits.CONTENT_PIECE_BYTES],
  ['is given to {3} peers at a time', limits.MAX_CONTENT_TAKERS],
  ['At most {32} MiB are held', limits.MAX_CONTENT_HELD_BYTES / 1_024 ** 2],
  ['broken rules eight in {10} s are forgiven', limits.ERROR_WINDOW_MS / 1_000],
  ['sent nothing for {100} ms sends a packet', limits.KEEP_ALIVE_MS],
  ['After {150} ms without one', limits.DOUBT_MS],
  ['pings every {50} ms', limits.DOUBT_PROBE_MS],
  ['{450} ms without one is silence', limits.SILENT_MS],
  ['After {25} s without an authentic packet', limits.LINK_TIMEOUT_MS / 1_000],
  ['not within {1} s after a move', limits.PATH_SWITCH_MS / 1_000],
  ['at most {1,200} bytes until a larger size', limits.MTU_FLOOR_BYTES],
  ['nested at most {16} deep', limits.MAX_PAYLOAD_DEPTH],
  ['{4,096} values (2,048', limits.MAX_PAYLOAD_NODES],
  ['4,096 values ({2,048}', limits.MAX_PAYLOAD_CONTAINERS],
  ['strings of at most {4,096} bytes', limits.MAX_PAYLOAD_STRING_BYTES],
  ['at most once in {50} ms, and not answered', limits.STRAY_MS],
  ['per peer, {8} MiB in all', limits.MAX_HELD_BYTES / 2 ** 20],
  ['each link has {32} KiB that nobody can take', limits.HELD_SHARE_BYTES / 1_024],
];

it('[PR10] every bound has the number that the page names', () => {
  for (const [sentence, value] of BOUNDS) {
    const number = Number(/\{([\d,]+)\}/u.exec(sentence)![1]!.replaceAll(',', ''));
    expect([sentence, text.includes(sentence.replaceAll(/[{}]/gu, '')), value]).toEqual([sentence, true, number]);
  }
  // In words there.
  expect([limits.ERROR_BUDGET, limits.HELD_STALE_MS, limits.ACK_COPIES]).toEqual([8, 2_000, 3]);
});

it('[LK23] what nobody flushes leaves after 8 ms, and [LK24] a realtime message of 1,100 bytes always fits', () => {
  expect([limits.FLUSH_MS, limits.MAX_DATAGRAM_MESSAGE_BYTES]).toEqual([8, 1_100]);
});
