/**
 * What was put into quarantine comes back by the inbox, as anything else that is published: by its content
 * it is once, however often this is asked or wherever it dies. A file that goes back itself is taken out of
 * quarantine/ when its copy stands durably in the inbox; its sidecar stays, and says so.
 */

import { unlink } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { syncDirectories } from '../../shared/durable.ts'
import { type CountersinkError, explainError, hasCode } from '../../shared/errors.ts'
import { isSameFile } from '../../shared/file-identity.ts'
import { processIdentity } from '../../shared/lifecycle.ts'
import { statsIfLookedAt } from '../../shared/looks.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { printable, quotedName } from '../../shared/printable.ts'
import { OUTCOMES } from '../../shared/protocol.ts'
import {
  command,
  count,
  errorFields,
  fields,
  lines,
  list,
  oneOf,
  orNull,
  problem,
  sha256,
  text,
} from '../command-table/index.ts'
import {
  findQuarantined,
  hashFile,
  noteRequeued,
  type PublishedFile,
  publishFile,
  type Quarantined,
  SettlementWatch,
  type Source,
  SourceRest,
  untilAtRest,
  whatWasPutAside,
  whereItStands,
  whyPutAside,
} from '../publishing/index.ts'
import { readSupervisor } from '../state/index.ts'
import { EXIT, environment, print, sayAside, usage } from '../terminal/index.ts'
import { PUT_ASIDE_SHAPE, putAsideJson, putAsideText } from './put-aside.ts'

export const requeue = command({
  name: 'requeue',
  summary: 'bring files back from quarantine, as they are or mended',
  about: `Brings each file from quarantine/ back into the inbox under the name that it came with: for one whose
reason has gone (a total that was too large, a file that was refused). With --with, MENDED-FILE goes into
the inbox in its place, under the same name; the ledger then has that it mends the other one, which
"countersink explain" tells of both. The mended file is not touched, and the one that it mends stays.
What was said beside a file in quarantine/ stays there, and says that it was brought back. When it was used
stays what it was published with.

QUARANTINED is a path in quarantine/, a name there, the name that the file came with, or 8 digits or more
of its SHA-256. Prints a line per file, as "countersink publish" does.`,
  words: {
    ...{ kind: 'file', value: 'QUARANTINED', min: 1, max: Number.POSITIVE_INFINITY },
    missing: 'a file in quarantine/',
  },
  options: {
    with: { kind: 'file', value: 'MENDED-FILE', help: 'bring this in instead; of one file only' },
    wait: {
      kind: 'switch',
      help: 'wait until each file is settled, also while the service starts or restarts, and say how',
    },
    timeout: {
      ...{ kind: 'number', value: 'S', min: 0, max: 1_000_000_000, onlyWith: 'wait' },
      help: 'wait at most S seconds; without it, as long as a service runs in the directory',
    },
  },
  exits: {
    0: 'all are in the inbox, or settled',
    1: 'a file was quarantined again',
    3: 'a file could not be brought in, or is not settled when --wait ends',
  },
  examples: [
    { line: 'countersink requeue 3f2a91c0 --wait', what: 'try this content once more' },
    {
      line: 'countersink requeue usage.txt --with usage-mended.txt --wait',
      what: 'count the mended file for the one that was quarantined',
    },
  ],
  answer: lines(
    fields(
      {
        file: text('as it was named'),
        outcome: oneOf(...OUTCOMES, 'queued'),
        ...{ sha256, name: text('in the inbox'), size: count('bytes') },
        mends: orNull(sha256, 'null: it went back itself'),
      },
      {
        reasons: list(text(), 'why it was quarantined or is held, and where it is'),
        ...PUT_ASIDE_SHAPE,
      },
    ),
    fields({ file: text('one that could not be brought in'), error: problem }),
  ),
  async run({ values, positionals, answer }) {
    const { paths, config } = environment(values.dir)
    const mended = values.with
    if (mended !== undefined && positionals.length > 1) {
      throw usage(`--with goes with one file in quarantine/, got ${positionals.length}`)
    }
    const untilMs = performance.now() + (values.timeout ?? Number.POSITIVE_INFINITY) * 1_000
    const asked = new Map<string, Quarantined>()
    for (const one of positionals) asked.set(one, await findQuarantined(paths, one))
    const watch = new SettlementWatch(paths.parserSocket)
    const published = new Map<string, Requeued>()
    let status: number = EXIT.ok
    try {
      for (const [name, file] of asked) {
        try {
          const mayBeCut = config.unterminated === 'accept'
          const requeued = await bringBack(file, mended, paths, {
            ...{ quietMs: config.quietMs, mayBeCut },
          })
          published.set(name, requeued)
          await watch.announce(requeued.file)
        } catch (error) {
          if (!hasCode(error, 'FILE_UNFIT', 'FILE_CHANGED', 'IO_FAILED', 'STOPPED')) throw error
          sayAside(explainError(error as CountersinkError))
          if (values.json) await answer({ file: name, ...errorFields(error) })
          status = EXIT.cannot
        }
      }
      for (const [asName, { file, mends }] of published) {
        const outcome = values.wait
          ? await watch.outcomeOf(file, {
              untilMs,
              isServiceAlive: async () => (await readSupervisor(paths)) !== undefined,
              onAbsence: () => sayAside('the parser is not there; waiting for it …'),
            })
          : undefined
        const isAside = outcome === 'quarantined' || outcome === 'held'
        const reasons = isAside ? await whyPutAside(paths, file, outcome) : []
        const aside = outcome === 'applied' ? await whatWasPutAside(paths, file) : undefined
        if (values.json) {
          await answer({
            ...{ file: asName, outcome: outcome ?? 'queued', sha256: file.sha256 },
            ...{ name: file.name, size: file.sizeBytes, mends },
            ...(isAside ? { reasons } : {}),
            ...putAsideJson(aside),
          })
        } else {
          await print(`${outcome ?? 'queued'} ${file.sha256} ${quotedName(file.basename)}\n`)
        }
        if (aside !== undefined) process.stderr.write(`  ${putAsideText(aside)}\n`)
        for (const line of reasons) process.stderr.write(`  ${printable(line)}\n`)
        if (outcome === 'quarantined' && status === EXIT.ok) status = EXIT.no
        if (values.wait && outcome === undefined) {
          sayAside(`${asName} is not settled: ${await whereItStands(paths)}`)
          status = EXIT.cannot
        }
      }
    } finally {
      watch.close()
    }
    return status
  },
})

interface Requeued {
  readonly file: PublishedFile
  /** In hex; null: it went back itself. */
  readonly mends: string | null
}

async function bringBack(
  quarantined: Quarantined,
  mended: string | undefined,
  paths: StatePaths,
  how: { readonly quietMs: number; readonly mayBeCut: boolean },
): Promise<Requeued> {
  const { path, name, usedAtMs } = quarantined
  const used = usedAtMs === undefined ? {} : { usedAtMs }
  const owner = processIdentity(process.pid)!
  const identity = await untilAtRest(new SourceRest(mended ?? path, how.quietMs))
  const source: Source = { path: mended ?? path, name, identity, mayBeCut: how.mayBeCut }
  if (mended !== undefined) {
    const parent = quarantined.sha256 ?? (await hashFile(path))
    if ((await hashFile(mended)) === parent) {
      throw usage(`${mended} has the very content that it is to mend; without --with it goes back`)
    }
    const file = await publishFile({ ...source, terms: { parent, ...used } }, paths, owner)
    await noteRequeued(quarantined, { sha256: file.sha256, name: file.name })
    return { file, mends: parent }
  }
  const file = await publishFile({ ...source, terms: used }, paths, owner)
  await noteRequeued(quarantined, { sha256: file.sha256, name: file.name })
  // What was written to meanwhile is not what went back.
  const now = statsIfLookedAt(path)
  if (now !== undefined && isSameFile(identity, now)) {
    await unlink(path)
    await syncDirectories(dirname(path))
  } else if (now !== undefined)
    sayAside(`${basename(path)} was written to, and stays in quarantine/`)
  return { file, mends: null }
}
