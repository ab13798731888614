import type { Session } from '../../parser/ledger/connection.ts'
import { prove, readConsumer } from '../../parser/ledger/index.ts'
import { ledgerNames } from '../../parser/ledger/schema/tables.ts'
import type { Config } from '../../shared/config.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { seeded, sha256Of, totalsOf } from '../helpers/files.ts'
import type { PlannedFile } from './contents.ts'
import type { Foreign } from './database.ts'
import { type Expected, expectedOf } from './model.ts'
import { runCommand } from './parser-process.ts'
import { pick } from './random.ts'
import { refusedIn } from './refused-in.ts'
import type { HistorySite } from './site.ts'

/**
 * What the program's own proof and explanation say at the end of a history, against a model that knows
 * nothing of blocks and batches: that it adds up, but for what somebody else has added to a total; and
 * of a consumer, which files have moved it, and by how much.
 */
export async function unprovenOf(
  session: Session,
  config: Config,
  { raise }: Foreign,
  expected: Expected,
  seed: number,
): Promise<string[]> {
  const below = seeded(seed)
  // Sometimes so small that a window ends in the middle of everything.
  const few = { rowsMax: 1 + below(20), straysMax: 1 + below(50) }
  const { sums, findings, consumers } = await prove(session, config, {
    journal: [],
    consumers: { differencesMax: 100, ...(below(2) === 0 ? { limits: few } : {}) },
  })
  const faults = findings
    .filter(({ check }) => check !== 'totals' || expected.raised === 0n)
    .map(({ check, text }) => `verify: ${check}: ${text}`)
  const [counted] = await session.query<{ files: bigint }>(
    `SELECT COUNT(*) AS files FROM ${ledgerNames(config).file} WHERE state = 'applied'`,
  )
  if (sums?.batchesOpen !== 0 || Number(counted?.files) !== expected.counted.size) {
    faults.push(`verify: ${counted?.files} files, ${sums?.batchesOpen} open batches`)
  }
  if (consumers === undefined || 'unknownBecause' in consumers) {
    faults.push(`verify: nothing is said of consumers: ${consumers?.unknownBecause}`)
  } else {
    const { differences, unreadable } = consumers
    const told = differences.map(({ id, total, expected }) => `${id} ${(total ?? 0n) - expected}`)
    const wanted = expected.raised === 0n ? [] : [`${raise?.id} ${raise?.by}`]
    if (told.join() !== wanted.join()) faults.push(`verify: differences of ${told}, not ${wanted}`)
    faults.push(...unreadable.map(text => `verify: ${text}`))
  }
  const ids = [...expected.totals.keys()].filter(id => id >= 0n)
  if (ids.length > 0) {
    faults.push(...(await unexplained(session, config, expected, pick(below, ids), raise?.id)))
  }
  return faults
}

async function unexplained(
  session: Session,
  config: Config,
  { counted, opening, totals }: Expected,
  id: bigint,
  raised: bigint | undefined,
): Promise<string[]> {
  const wanted = [...counted].flatMap(([sha256, { file }]) => {
    const sum = totalsOf([file]).get(id)
    return sum === undefined ? [] : [`${sha256} ${sum}`]
  })
  return readConsumer(session, config, id, async account => {
    const faults: string[] = []
    const say = (what: string, found: unknown, must: unknown): void => {
      if (String(found) !== String(must))
        faults.push(`explain ${id}: ${what} ${found}, must be ${must}`)
    }
    let running = account.opening ?? 0n
    const told: string[] = []
    for await (const { amount, sha256 } of account.postings) {
      running += amount
      told.push(`${sha256.toString('hex')} ${amount}`)
    }
    say('opening', account.opening, opening.get(id) ?? 0n)
    say('total', account.total ?? 0n, totals.get(id))
    if (id !== raised) say('postings end in', running, totals.get(id))
    say('postings', told.sort(), wanted.sort())
    return faults
  })
}

/** The same from the built command line; of three commands one a history, as each starts a process. */
export async function saidFaults(
  site: HistorySite,
  directories: readonly StatePaths[],
  {
    seed,
    files,
    own,
  }: {
    readonly seed: number
    readonly files: readonly PlannedFile[]
    /** Those that came to this host. */
    readonly own: readonly PlannedFile[]
  },
): Promise<string[]> {
  const below = seeded(seed)
  const { database } = site
  const expected = expectedOf(files, database, refusedIn(directories))
  const isExact = expected.raised === 0n
  const run = async (code: number, pattern: RegExp, ...args: string[]): Promise<string[]> => {
    const ended = await runCommand(site, args[0]!, ...args.slice(1))
    const isRight = ended.code === code && pattern.test(ended.said)
    return isRight ? [] : [`${args.join(' ')} ended with ${ended.code}:\n${ended.said}`]
  }
  const ids = [...expected.totals.keys()].filter(id => id >= 0n && id !== database.raise?.id)
  switch (below(3)) {
    case 0: {
      const code = isExact ? 0 : 1
      return run(code, new RegExp(`"addsUp":${isExact}`), 'verify', '--full', '--json')
    }
    case 1:
      if (ids.length === 0) return []
      return run(0, /"addsUp":true/, 'explain', '--consumer', `${pick(below, ids)}`, '--json')
    default: {
      const isKnown = ({ content }: PlannedFile): boolean =>
        // What was not counted is forgotten with the database that was put back.
        !database.wasChanged || expected.counted.has(sha256Of(content))
      const good = own.filter(file => file.fault === undefined && isKnown(file))
      if (good.length === 0) return []
      const sha256 = sha256Of(pick(below, good).content)
      const counted = new RegExp(`"counted":${expected.counted.has(sha256)}`)
      return run(0, counted, 'explain', sha256, '--json')
    }
  }
}
