/**
 * MariaDB's SEQUENCE engine: tables `seq_FROM_to_TO` of one column `seq` that need not be created. It
 * is built into MariaDB, but a server can be without, or a user not allowed to read such tables.
 */

export const SEQUENCE_ROWS = 16_384

/** One table for all sizes: each that is named takes a place in the server's cache of tables. */
export const SEQUENCE_TABLE = `seq_0_to_${SEQUENCE_ROWS - 1}`
