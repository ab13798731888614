/** Where rows stand between the passes of the kernel, and why a pass stopped. */

/** Bytes of lines that go through all passes together: small enough for the first-level cache. */
export const BLOCK_BYTES: u32 = 4096
/** The shortest line has four bytes. */
export const ROWS_MAX: u32 = BLOCK_BYTES / 4

/** Rows: id and amount, 8 bytes each. */
export const rows: usize = memory.data(ROWS_MAX * 16, 64)
/** For each row the address of its sum (in the window) or of its entry (in the table). */
export const places: usize = memory.data(ROWS_MAX * 4, 64)

// Why work stopped; the same numbers stand in sum-kernel.ts.
export const DONE: u32 = 0
/** The next line is none, or it has more than 63 bytes. */
export const BAD: u32 = 1
/** The next row's consumer is one more than may be held. */
export const FULL: u32 = 2
/** The table must grow for the next row's consumer, and can. */
export const CROWDED: u32 = 3
/** The next row would bring its consumer's sum past 2^64 - 1. */
export const OVERFLOW: u32 = 4
