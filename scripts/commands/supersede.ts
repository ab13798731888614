import { stat } from 'node:fs/promises'
import { fromSqlTime } from '../../parser/ledger/index.ts'
import { type CountersinkError, hasCode } from '../../shared/errors.ts'
import { printable, quotedName } from '../../shared/printable.ts'
import { OUTCOMES } from '../../shared/protocol.ts'
import { command, count, fields, list, one, oneOf, sha256, text } from '../command-table/index.ts'
import { contentMeant, withLedger } from '../mariadb/index.ts'
import { hashFile, publishFiles, usedAtOf, whereItStands } from '../publishing/index.ts'
import { cannot, EXIT, environment, print, sayAside, usage } from '../terminal/index.ts'
import { REASON, TIMEOUT } from './correction.ts'
import { PUT_ASIDE_SHAPE, putAsideJson, putAsideText } from './put-aside.ts'

export const supersede = command({
  name: 'supersede',
  summary: 'count a file in place of one that was counted',
  about: `Publishes NEW-FILE and counts it together with taking back the content OLD: of each consumer the total
is moved from the one to the other in one commit, and where both files have the same sum it is not
touched. All of it is done, or nothing; the totals are moved in ascending order, some at a time, so
who reads them meanwhile may see the one file's sums and the other's, never both or none of a consumer.

The old file goes to reverted/. What cannot be done leaves the totals as they are and quarantines the new
file, with the reason beside it.`,
  words: {
    ...{ kind: 'file', value: 'OLD NEW-FILE', min: 2, max: 2 },
    missing:
      'the content that was counted (8 digits of its SHA-256 or more), and the file that replaces it',
  },
  options: {
    reason: REASON,
    'used-at': {
      ...{ kind: 'text', value: 'T' },
      help: 'when it was used, as 2026-01-31T23:59:59Z; without it, when OLD was',
    },
    timeout: TIMEOUT,
  },
  exits: {
    0: 'it is done',
    1: 'it cannot be done, for the reason that is told; the totals are as they were',
    3: 'it is not done yet, and will be once it can; or it cannot be known',
  },
  examples: [
    {
      line: 'countersink supersede 3f2a91c0 mended.txt --reason twice',
      what: 'count this file instead of that one',
    },
  ],
  answer: one(
    fields(
      {
        ...{
          old: sha256,
          oldName: text(),
          sha256,
          name: text('in the inbox'),
          size: count('bytes'),
        },
        outcome: oneOf(...OUTCOMES, 'queued'),
      },
      { reasons: list(text(), 'why it was not done'), ...PUT_ASIDE_SHAPE },
    ),
  ),
  async run({ values, positionals, answer }) {
    const [prefix, path] = positionals as [string, string]
    if (!(await isFile(path))) throw usage(`there is no file ${JSON.stringify(path)}`)
    const usedAtMs = usedAtOf(values['used-at'], '--used-at')
    const { paths, config } = environment(values.dir)
    const waitMs = values.timeout === undefined ? Number.POSITIVE_INFINITY : values.timeout * 1_000
    const old = await withLedger(paths, async ledger => {
      const row = await contentMeant(ledger, prefix)
      const content = await hashFile(path)
      if (content === row.sha256.toString('hex')) {
        throw usage(`${path} has the very content that it is to replace`)
      }
      if (row.state === 'reverted' || row.state === 'refused') {
        throw cannot(
          `${row.name} is ${row.state}, so there is nothing to replace`,
          'Publish the new file by itself.',
        )
      }
      const known = await contentMeant(ledger, content).catch(() => undefined)
      if (known !== undefined && known.state !== 'refused' && known.state !== 'staging') {
        throw cannot(
          `the content of ${path} is ${known.state} already, as ${known.name}`,
          'Take the old one back with "countersink undo".',
        )
      }
      return row
    })
    const terms = {
      supersedes: old.sha256.toString('hex'),
      usedAtMs: usedAtMs ?? fromSqlTime(old.usedAt),
      ...(values.reason === '' ? {} : { reason: values.reason }),
    }
    const options = {
      ...{ paths, config, terms, timeoutMs: waitMs },
      meanwhile: (text: string) => void process.stderr.write(`countersink supersede: ${text}\n`),
      onRefused: (_path: string, error: CountersinkError): never => {
        throw error
      },
    }
    let status: number = EXIT.cannot
    await publishFiles([path], options, async ({ file, outcome, reasons = [], aside }) => {
      if (values.json) {
        await answer({
          ...{ old: old.sha256.toString('hex'), oldName: old.name },
          ...{ sha256: file.sha256, name: file.name, size: file.sizeBytes },
          ...{ outcome: outcome ?? 'queued', ...(reasons.length === 0 ? {} : { reasons }) },
          ...putAsideJson(aside),
        })
      } else {
        const what = `${quotedName(file.basename)} (${file.sha256.slice(0, 12)}) in place of ${quotedName(old.name)} (${old.sha256.toString('hex').slice(0, 12)})`
        const word = outcome === 'applied' ? 'counted' : (outcome ?? 'not yet counted')
        await print(`${word}: ${what}\n`)
        if (aside !== undefined) await print(`  ${putAsideText(aside)}\n`)
        for (const line of reasons) await print(`  ${printable(line)}\n`)
      }
      if (outcome === undefined) {
        sayAside(`${await whereItStands(paths)}; it is done once it can be`)
      } else status = outcome === 'applied' ? EXIT.ok : EXIT.no
    })
    return status
  },
})

async function isFile(path: string): Promise<boolean> {
  const stats = await stat(path).catch(error => {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ENAMETOOLONG')) return undefined
    throw error
  })
  return stats?.isFile() === true
}
