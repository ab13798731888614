import assert from 'node:assert/strict'

/**
 * Every bound that holds between processes or protects one from another. What an operator may tune
 * stands in `config.ts`; what stands here is part of the protocol or follows from the platform.
 */

/** Largest value of a consumer id, an amount or a total: unsigned 64 bits. */
export const U64_MAX = 2n ** 64n - 1n

// --- names and paths -------------------------------------------------------------------------

/** Longest inbox name in bytes: leaves room in 255 for sequence, hash and `.manifest.json`. */
export const NAME_BYTES_MAX = 200
/** Linux takes 107; Node 20 silently truncates what is longer, so stop well before. */
export const SOCKET_PATH_BYTES_MAX = 100

// --- socket ----------------------------------------------------------------------------------

export const FRAME_BYTES_MAX = 65_536
/** From the connection to the peer's hello. */
export const HELLO_TIMEOUT_MS = 2_000
/** From the first byte of a frame to its last: a peer that sends a byte a minute is cut off. */
export const FRAME_TIMEOUT_MS = 5_000
/** From a full send buffer to the peer having read it. */
export const DRAIN_TIMEOUT_MS = 10_000
/** Bytes kept for a peer that does not read, before it is cut off. */
export const SEND_BUFFER_BYTES_MAX = 256 * 1024
/** Greeted peers at one socket, besides the one place kept for the supervisor. */
export const CONNECTIONS_MAX = 64
/** Connections whose hello has not come yet; the oldest gives way. */
export const GREETINGS_MAX = 64
/** Requests that one side may leave unanswered on one channel. */
export const REQUESTS_PER_CHANNEL_MAX = 4_096
/** Requests of one peer that may be unanswered before it is read no further. */
export const REQUESTS_IN_HAND_MAX = 256
/** Messages of one peer before the others get a turn. */
export const MESSAGES_PER_TURN = 64
/** How often a server looks whether its socket still stands at its path. */
export const SOCKET_LOOK_INTERVAL_MS = 1_000
/** Announcements taken in one journal commit; what is beyond waits for the next. */
export const CLAIMS_PER_COMMIT_MAX = 256
/** Announcements that may wait for a claim in the whole process; beyond it the ack is `later`. */
export const ANNOUNCEMENTS_WAITING_MAX = 4_096
/** Records in one answer: keeps an answer of long names and reasons below one frame. */
export const RECORDS_PER_ANSWER_MAX = 40
/** How long an ordinary request may stay unanswered. */
export const REQUEST_TIMEOUT_MS = 10_000

// --- times -----------------------------------------------------------------------------------

/** The end of the year 9999: MariaDB refuses a row with a later time. */
export const TIME_MS_MAX = 253_402_300_799_999

// --- texts -----------------------------------------------------------------------------------

/** Longest reason kept in the journal, the ledger and on the wire. */
export const REASON_CHARACTERS_MAX = 300

assert(FRAME_BYTES_MAX < SEND_BUFFER_BYTES_MAX)
assert(
  RECORDS_PER_ANSWER_MAX * (NAME_BYTES_MAX + 3 * REASON_CHARACTERS_MAX + 400) < FRAME_BYTES_MAX,
)
assert(HELLO_TIMEOUT_MS <= FRAME_TIMEOUT_MS)
// Who sends too slowly, or does not read, is found out before a request to it counts as unanswered.
assert(FRAME_TIMEOUT_MS <= REQUEST_TIMEOUT_MS && DRAIN_TIMEOUT_MS <= REQUEST_TIMEOUT_MS)
// A peer is read no further before it breaks the rule for which it would lose its connection.
assert(MESSAGES_PER_TURN <= REQUESTS_IN_HAND_MAX)
assert(REQUESTS_IN_HAND_MAX < REQUESTS_PER_CHANNEL_MAX)
assert(CLAIMS_PER_COMMIT_MAX <= ANNOUNCEMENTS_WAITING_MAX)

/** Times of usage: whole years, so that each has its partition. The first is a time, the second no more. */
export const USED_AT_MS_MIN = Date.UTC(2000, 0, 1)
export const USED_AT_MS_MAX = Date.UTC(2100, 0, 1)
