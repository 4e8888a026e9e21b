/**
 * Branded types for values that can be confused with each other.
 */
declare const brand: unique symbol;

export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/**
 * Who a peer is: 16 characters of base32 (`a-z2-7`), the first 80 bits of a hash over its static
 * public key. The same person keeps it as long as the profile on disk lives.
 */
export type PeerId = Brand<string, 'PeerId'>;

/** A room's identity: 16 bytes as 32 hexadecimal characters, random, or of `joinOrCreate` a hash of what it is asked for. */
export type RoomId = Brand<string, 'RoomId'>;

/**
 * Small integer of a seat, 0 to 31, the lowest that is free. It stays while the room lives, but where two parts of a room become one (two players who
 * pressed Play in one moment are such parts, too): whose seat is taken there gets another. What names a player for good is its `PeerId`.
 */
export type Slot = Brand<number, 'Slot'>;

/** One fixed simulation step, counted from the start of shared time. */
export type Tick = Brand<number, 'Tick'>;

/** Names one entity in a room for the room's life: `origin (u32) * 2^20 + counter`. */
export type EntityId = Brand<number, 'EntityId'>;
