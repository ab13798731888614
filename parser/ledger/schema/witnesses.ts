import { CountersinkError } from '../../../shared/errors.ts'
import type { Session } from '../connection.ts'
import { type FileState, isOnItsWay } from '../file-states.ts'
import type { LedgerNames } from './tables.ts'

/** A content that was certainly counted, and the ledger's sequence of its row, if that is known. */
export interface Witness {
  readonly sha256: Uint8Array
  readonly sequence: bigint | undefined
}

/** The newest are what an older database lacks first. */
export const WITNESSES_MAX = 1_000

/** A file that the journal knows to be counted. */
export function witnessOf(file: { sha256: string; ledgerSequence?: string }): Witness {
  return {
    sha256: Buffer.from(file.sha256, 'hex'),
    sequence: file.ledgerSequence === undefined ? undefined : BigInt(file.ledgerSequence),
  }
}

/** The newest of them, as many as are asked for. */
export class NewestCounted {
  /** The newest last. */
  readonly #witnesses = new Map<string, Witness>()
  #newest: Witness | undefined

  add(witness: Witness): void {
    this.#newest = witness
    const key = hex(witness.sha256)
    this.#witnesses.delete(key)
    this.#witnesses.set(key, witness)
    const [oldest] = this.#witnesses.keys()
    if (this.#witnesses.size > WITNESSES_MAX && oldest !== undefined) {
      this.#witnesses.delete(oldest)
    }
  }

  get newest(): Witness | undefined {
    return this.#newest
  }

  get newestFirst(): readonly Witness[] {
    return [...this.#witnesses.values()].reverse()
  }
}

/**
 * Whether this is the ledger that has counted these contents, and not an older state of it: each must
 * stand there, counted or on its way, under its own sequence. That the newest sequence is high enough would prove
 * nothing: a database that was put back gives the same sequences again, to other files.
 *
 * @throws CountersinkError LEDGER_BEHIND
 */
export async function checkWitnesses(
  session: Session,
  names: LedgerNames,
  applied: readonly Witness[],
): Promise<void> {
  if (applied.length === 0) return
  const asked = applied.slice(0, Math.min(WITNESSES_MAX, session.rowsPerStatement(HASH_SQL_BYTES)))
  const hashes = asked.map(({ sha256 }) => `x'${hex(sha256)}'`)
  const rows = await session.query<{
    sha256: Buffer
    sequence: bigint
    state: FileState
    postings: number
  }>(
    `SELECT sha256, sequence, state, postings FROM ${names.file} WHERE sha256 IN (${hashes.join(',')})`,
  )
  const found = new Map(rows.map(row => [hex(row.sha256), row]))
  for (const { sha256, sequence } of asked) {
    const row = found.get(hex(sha256))
    if (row === undefined) throw lacks(sha256, 'is not there')
    // Whoever counts does so from the ledger; of these nobody has the sums any more. One that has postings
    // was counted, and what became of it since is known there.
    if (!isOnItsWay(row.state) && Number(row.postings) === 0)
      throw lacks(sha256, `is ${row.state} there`)
    if (sequence !== undefined && row.sequence !== sequence) {
      throw lacks(sha256, `has the sequence ${row.sequence} there, not ${sequence}`)
    }
  }
}

/** `x'…',` of a SHA-256. */
const HASH_SQL_BYTES = 68

function lacks(sha256: Uint8Array, how: string): CountersinkError {
  return ledgerBehind(
    `the content ${hex(sha256).slice(0, 16)}, which was counted, ${how}: it was restored from a backup, or a replica without the last commits has taken over`,
  )
}

export function ledgerBehind(why: string): CountersinkError {
  return new CountersinkError(
    'LEDGER_BEHIND',
    `MariaDB is not what the parser has worked with: ${why}. Nothing is written to it`,
    {
      advice:
        'Connect the right database. If it is right as it is, stop and run "countersink recover": what the ledger lacks is then counted again from the archive.',
      mend: ['countersink recover --dry-run', 'countersink recover'],
    },
  )
}

function hex(sha256: Uint8Array): string {
  return Buffer.from(sha256).toString('hex')
}
