import { createHash } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { Journal } from '../../parser/journal/index.ts'
import { ledgerNames, type Session } from '../../parser/ledger/index.ts'
import { loadData } from './pairs-table.ts'
import type { Site } from './site.ts'
import type { Workspace } from './workspace.ts'

/** A past for a site: contents that its journal and its ledger say were counted. */

/** The hash of the content with this number; there is no such content. */
export function pastSha256(number: number): Buffer {
  return createHash('sha256').update(`content ${number}`).digest()
}

/**
 * As many as a full batch settles at once. It matters: larger commits of random keys copy nearly every
 * page of the index, and the file keeps twice its room.
 */
const RECORDS_PER_COMMIT = 256

/** Through the journal's own code. The journal must not be in use. */
export async function giveJournalPast(
  path: string,
  contents: number,
  ledgerSequence: bigint,
): Promise<void> {
  const journal = Journal.open(path)
  for (let from = 1; from <= contents; from += RECORDS_PER_COMMIT) {
    const count = Math.min(RECORDS_PER_COMMIT, contents - from + 1)
    journal.learn(
      Array.from({ length: count }, (_, i) => pastFile(from + i)),
      ledgerSequence,
    )
  }
  await journal.close()
}

function pastFile(number: number) {
  const claimedAtMs = 1_750_000_000_000 + number * 1_000
  return {
    name: `usage-5eed5eed-${String(number).padStart(6, '0')}.txt`,
    sha256: pastSha256(number).toString('hex'),
    sizeBytes: 10_000_000 + number,
    lines: 800_000,
    amount: '0',
    outcome: 'applied' as const,
    claimedAtMs,
    digestStartedAtMs: claimedAtMs + 1,
    digestedAtMs: claimedAtMs + 200,
    settledAtMs: claimedAtMs + 900,
  }
}

/** Counted by a parser of long ago, in one batch that moved nothing. The ledger's tables must be there. */
export async function giveLedgerPast(
  workspace: Workspace,
  site: Site,
  contents: number,
): Promise<void> {
  const path = workspace.path('past.txt')
  const fd = openSync(path, 'w', 0o644)
  for (let from = 1; from <= contents; from += RECORDS_PER_COMMIT) {
    let text = ''
    for (let n = from; n < from + RECORDS_PER_COMMIT && n <= contents; n += 1) {
      text += `${pastSha256(n).toString('hex')} ${n} ${pastFile(n).name}\n`
    }
    writeSync(fd, text)
  }
  closeSync(fd)
  await site.withSession(session => insertPast(session, site, path, contents))
  await rm(path)
}

async function insertPast(
  session: Session,
  site: Site,
  path: string,
  contents: number,
): Promise<void> {
  const { batch, file, posting } = ledgerNames(site.config)
  const id = Buffer.alloc(16, 7)
  await session.execute(
    `INSERT INTO ${batch} (id, instance, kind, state, pairs_planned, pairs_applied,
       amount_planned, amount_applied, begun_at, ended_at)
     VALUES (?, ?, 'count', 'applied', 0, 0, 0, 0, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))`,
    [id, id],
  )
  await loadData(
    session,
    path,
    within => `LOAD DATA INFILE '${within}' INTO TABLE ${file} FIELDS TERMINATED BY ' '
       (@hash, sequence, name)
     SET sha256 = UNHEX(@hash), origin = REPEAT(CHAR(7), 16), instance = REPEAT(CHAR(7), 16),
         work_sequence = sequence, size_bytes = ${10_000_000} + sequence, \`lines\` = 800000,
         rejected_lines = 0, pairs = 0, amount = 0, largest_sum = 0, state = 'applied', attempt = 0,
         pairs_recorded = 0, amount_recorded = 0, postings = 1, used_at = UTC_TIMESTAMP(3), claimed_at = UTC_TIMESTAMP(3),
         digested_at = UTC_TIMESTAMP(3), recorded_at = UTC_TIMESTAMP(3), counted_at = UTC_TIMESTAMP(3)`,
  )
  await session.execute(
    `INSERT INTO ${posting} (file_sequence, n, batch_id, folded) SELECT sequence, 1, ?, 0 FROM ${file}`,
    [id],
  )
  const [row] = await session.query<{ files: bigint }>(`SELECT COUNT(*) AS files FROM ${file}`)
  if (Number(row?.files) !== contents) throw new Error(`the ledger has ${row?.files} rows`)
}
