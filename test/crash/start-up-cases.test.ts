import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { QueueEntry } from '../../parser/facts.ts'
import { loadInstance } from '../../parser/instance.ts'
import { Journal } from '../../parser/journal/journal.ts'
import type { Session } from '../../parser/ledger/connection.ts'
import type { LedgerFile } from '../../parser/ledger/file-rows.ts'
import { Ledger } from '../../parser/ledger/ledger.ts'
import {
  type FileAsRead,
  REOPENING,
  type RunAsSealed,
} from '../../parser/reading/reopening-cases.ts'
import { type RowOfContent, START_UP } from '../../parser/start-up-cases.ts'
import { writeRunSync } from '../../parser/sums/run-writer.ts'
import { ParserEvents } from '../../shared/events.ts'
import { workName } from '../../shared/paths.ts'
import type { Outcome } from '../../shared/protocol.ts'
import { REFUSED } from '../../shared/state-table.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { type DataFile, dataFile, sha256Of, totalsOf } from '../helpers/files.ts'
import { assertTotalsEqual, processedFiles } from '../helpers/invariants.ts'
import { pingParser, settledCount, startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'
import { entryOf, settlementOf } from '../parser/journal/helpers.ts'
import { batchFor, pairSource } from '../parser/ledger/helpers.ts'
import { failureOf } from '../shared/helpers.ts'
import { untilAgreed } from './scene.ts'

// Everything that a start may find, at once: each combination of how far a file had come, what became
// of it and of its sealed sums, and what the ledger has of its content.

type Row = Exclude<RowOfContent, 'unasked'>

interface Case {
  readonly stage: QueueEntry['stage']
  readonly file: FileAsRead
  readonly run: RunAsSealed
  readonly row: Row
}

const STAGES = Object.keys(START_UP) as QueueEntry['stage'][]
const FILES = Object.keys(REOPENING) as FileAsRead[]
const RUNS: readonly RunAsSealed[] = ['none', 'usable', 'unusable']
/** What becomes of these is tried in `recording-stage.test.ts`: a start makes no difference between them and others that wait. */
const NOT_LAID = /^(unasked|.* (reverting|reverted|held))$/
const ROWS = (Object.keys(START_UP.digested) as RowOfContent[]).filter(row => !NOT_LAID.test(row))

const CASES: readonly Case[] = STAGES.flatMap(stage =>
  FILES.flatMap(file =>
    (stage === 'digested' ? RUNS : RUNS.slice(0, 1)).flatMap(run =>
      ROWS.map(row => ({ stage, file, run, row: row as Row })),
    ),
  ),
)

/** The content is in the totals, or will be by what is in the ledger alone. */
function isInLedger(row: Row): boolean {
  return row.endsWith(' staged') || row.endsWith(' applying') || row.endsWith(' applied')
}

/** What must become of the file; `waits` for somebody else who records its content. */
function expected({ stage, file, run, row }: Case): Outcome | 'waits' {
  if (stage === 'settling') return 'duplicate'
  const isOurs = row.startsWith('ours')
  if (stage === 'claimed') {
    if (file === 'changed') return 'quarantined'
    if (file === 'gone') return isOurs && isInLedger(row) ? 'applied' : 'quarantined'
  }
  if (row === 'none' || row === 'ours staging') {
    if (stage === 'digested' && REOPENING[file][run] === 'use') return 'applied'
    return file === 'the same' ? 'applied' : 'quarantined'
  }
  if (row === 'ours refused') return 'quarantined'
  if (row === 'other staging') return 'waits'
  if (isOurs || row === 'other refused') return 'applied'
  return file === 'changed' ? 'quarantined' : 'duplicate'
}

/** Two consumers of its own for each case. */
function fileOf(number: number): DataFile {
  return dataFile(`f${number}`, `${number * 2} 5\n${number * 2 + 1} 9\n`)
}

function pairsOf(number: number): readonly (readonly [bigint, bigint])[] {
  return [
    [BigInt(number * 2), 5n],
    [BigInt(number * 2 + 1), 9n],
  ]
}

/** Makes all cases, as if a crash had left them. */
async function lay(t: Test, site: Site): Promise<void> {
  const { paths } = site
  const rows = await rowsLaidBy(site, await loadInstance(paths.instance))
  const journal = Journal.open(paths.journal)
  try {
    const first = journal.nextSequence
    for (const [number, one] of CASES.entries()) {
      const sequence = first + number
      layFile(journal, site, { number, sequence, ...one })
      if (one.row !== 'none') await rows.lay({ number, sequence, row: one.row })
    }
  } finally {
    await journal.close()
    await rows.close()
  }
  t.equal(CASES.length, 11 * (3 + 3 * 3 + 3), 'every combination')
}

function layFile(
  journal: Journal,
  { paths }: Site,
  { number, sequence, stage, file, run }: Case & { number: number; sequence: number },
): void {
  const { name, content } = fileOf(number)
  const path = join(paths.work, workName(sequence, name))
  writeFileSync(path, content)
  const entry = entryOf(sequence, { name, sizeBytes: content.length, isPlain: true })
  journal.claim([entry])
  if (stage !== 'claimed') {
    const runName = run === 'none' ? undefined : `f${number}.run`
    const digest = {
      ...{ sha256: Buffer.from(sha256Of(content), 'hex'), sizeBytes: content.length },
      ...{ lines: 2, amount: 14n, startedAtMs: Date.now(), endedAtMs: Date.now() },
    }
    const [digested] = journal.digested([{ entry, digest, runName }])
    if (stage === 'settling') journal.settle([settlementOf(digested!, 'duplicate')])
    if (run === 'usable') sealRun(paths.runs, runName!, number)
    if (run === 'unusable') writeFileSync(join(paths.runs, runName!), 'no run')
  }
  if (file === 'gone') rmSync(path)
  // As long as the first one was not, so that its size tells.
  if (file === 'changed') writeFileSync(path, `${content}1 1\n`)
}

function sealRun(directory: string, name: string, number: number): void {
  const pairs = pairsOf(number)
  const ids = BigUint64Array.from(pairs, ([id]) => id)
  const amounts = BigUint64Array.from(pairs, ([, amount]) => amount)
  writeRunSync(directory, name, { owner: 'f' }, put => {
    put({ ids, amounts })
  })
}

/** Rows of contents, recorded by this parser or by another, and counted by whomever. */
async function rowsLaidBy(site: Site, instance: Uint8Array) {
  const { config, address } = site
  let isDying = false
  const ledgerOf = (instance: Uint8Array): Ledger => {
    const events = new ParserEvents()
    events.on('chunk', () => {
      if (isDying) throw new Error('the process ends')
    })
    const { signal } = new AbortController()
    return new Ledger({ config, address: () => address, instance, signal, events })
  }
  const ledgers = { ours: ledgerOf(instance), other: ledgerOf(Buffer.alloc(16, 9)) }
  const { counter } = ledgers.other
  for (const ledger of Object.values(ledgers)) await ledger.open()
  await counter.takeLease()
  return {
    async lay({ number, sequence, row }: { number: number; sequence: number; row: string }) {
      const { name, content } = fileOf(number)
      const [whose, state] = row.split(' ') as ['ours' | 'other', LedgerFile['state']]
      const pairs = pairsOf(number)
      const { id, files } = batchFor(pairs, {
        ...{ sha256: Buffer.from(sha256Of(content), 'hex'), sizeBytes: content.length },
        ...{ name, workSequence: sequence },
      })
      const { recorder } = ledgers[whose]
      if (state === 'staging') {
        const sums = pairSource(pairs, () => {
          throw new Error('the process ends')
        })
        await failureOf(recorder.record([{ ...files[0]!, sums }], () => false))
        return
      }
      await recorder.record(files, () => false)
      if (state === 'refused') await withSession(site, refuseStaged)
      if (state !== 'applied' && state !== 'applying') return
      const recorded = await ledgers.other.find(files[0]!.sha256)
      isDying = state === 'applying'
      // Behind its first chunk.
      const counting = counter.countStaged({ id, files: [recorded!] })
      await (isDying ? failureOf(counting) : counting)
      isDying = false
    },
    async close(): Promise<void> {
      for (const ledger of Object.values(ledgers)) await ledger.close()
    },
  }

  async function refuseStaged(session: Session): Promise<void> {
    const newest = 'SELECT MAX(sequence) FROM countersink_file'
    await session.execute(
      `UPDATE countersink_file SET state = 'refused', reason = 'TOTAL_OVERFLOW: too much'
        WHERE sequence = (${newest})`,
    )
    await session.execute(`DELETE FROM countersink_todo WHERE file_sequence = (${newest})`)
  }
}

const server = await startDatabaseServer(t)
t.setTimeout(600_000)

t.test('a start takes up every combination as its tables say', async t => {
  const site = await makeSite(t, server, {
    ...{ COUNTERSINK_CHUNK_PAIRS_MAX: '1', COUNTERSINK_TAKEOVER_MS: '3600000' },
  })
  // For its directories, its ledger and its name, until the journal knows which ledger is its own.
  const first = await startParser(t, site)
  await untilAgreed(site)
  await stopProgram(first)
  await lay(t, site)
  const fates = CASES.map(expected)
  const settled = fates.filter(fate => fate !== 'waits').length
  const parser = await startParser(t, site)
  await eventually('all are settled that can be', async () => {
    const health = await pingParser(site.paths)
    return health !== undefined && settledCount(health.ever) >= settled
  })
  // They leave the queue a moment later, when they have left work/.
  await eventually('the others wait', async () => {
    const health = await pingParser(site.paths)
    return health?.queue.files === fates.length - settled
  })
  t.same(await stopProgram(parser).then(({ code }) => code), 0)
  const outcomes = new Map((await processedFiles(site)).map(file => [file.name, file]))
  for (const [number, one] of CASES.entries()) {
    const found = outcomes.get(`f${number}`)
    const what = `${one.stage}, file ${one.file}, run ${one.run}, row ${one.row}`
    t.equal(found?.outcome ?? 'waits', fates[number], `${what} (${found?.reason ?? ''})`)
  }
  const counted = CASES.flatMap(({ row }, number) =>
    isInLedger(row) || fates[number] === 'applied' ? [fileOf(number)] : [],
  )
  await withSession(site, session => assertTotalsEqual(t, site, session, totalsOf(counted)))
})

t.test('what cannot be found together is refused by the table', async t => {
  for (const stage of ['claimed', 'settling'] as const) {
    for (const row of ROWS) t.equal(START_UP[stage][row], REFUSED, `${stage} is not asked about`)
  }
  t.equal(START_UP.digested.unasked, REFUSED)
})
