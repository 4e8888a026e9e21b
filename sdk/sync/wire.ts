/**
 * The first number of everything the game half sends: what it is. Every message is one msgpack array.
 *
 *   HELLO     [1, session, schemaHash, ready, begun, known, presence] reliable, first on lanes 0 and 1
 *   MESSAGE   [2, index, stamp, time, body]                          any channel; stamp: tag << 16 | sequence, 0 when reliable
 *   FRAME     [3, tag, tick, ackAge, body]                           unreliable; `delta.ts`
 *   FULL      [4, tag, tick, ackAge, body]                           reliable, lane 1
 *   CALL      [5, id, index, time, body]      ANSWER [6, id, body]   FAILURE [7, id, code, words]
 *   PRESENCE  [8, presence]                   RESYNC [9, tag]
 *   ASK       [10, tag, id, origin, counter]  DENY the same with 12
 *   GRANT     [11, tag, id, origin, counter, whole entity]
 *   ADOPT     [13, tag, known, origin, counter, whole entity]        of your former session, of which all before tick `known` is here
 *             [13, tag, known, 0, 0]                                 that was all
 *   BURIED    [14, tag, lost, origin, counter, epoch, owner]         despawned by that claim; lost 1: had by that claim, go above it
 *
 * 15 to 22 are those of a simulation: `rollback/words.ts`. 23 to 25 are about content: `content/words.ts`.
 */
export const HELLO = 1;
export const MESSAGE = 2;
export const CALL = 5;
export const ANSWER = 6;
export const FAILURE = 7;
export const PRESENCE = 8;
export const RESYNC = 9;
export const ASK = 10;
export const GRANT = 11;
export const DENY = 12;
export const ADOPT = 13;
export const BURIED = 14;
export const INPUTS = 15;
export const CONFIRMS = 16;
export const STATE_ASK = 17;
export const STATE = 18;
export const TAKEOVER = 19;
export const HELD = 20;
export const QUIT = 21;
export const DEPUTY = 22;
export const CONTENT_ASK = 23;
export const CONTENT_PIECE = 24;
export const CONTENT_NONE = 25;
