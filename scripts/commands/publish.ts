import { type CountersinkError, explainError } from '../../shared/errors.ts'
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
  problem,
  sha256,
  text,
} from '../command-table/index.ts'
import { publishFiles, termsAsked, whereItStands } from '../publishing/index.ts'
import { EXIT, environment, print, whySilent } from '../terminal/index.ts'
import { PUT_ASIDE_SHAPE, putAsideJson, putAsideText } from './put-aside.ts'

export const publish = command({
  name: 'publish',
  summary: 'bring existing files into the inbox',
  about: `Copies each file (the source is never touched), writes its manifest, renames it into the inbox and
announces it. Prints a line per file: OUTCOME SHA256 BASENAME, where OUTCOME is applied, duplicate,
quarantined, reverted, held or queued.
Works while the parser is down: the files are then taken at its next start.

A file that was written to less than COUNTERSINK_QUIET_MS ago is waited for until it has not changed
for so long; one that does not come to rest is refused. So is one that ends in the middle of
a line: it may be a cut copy. COUNTERSINK_UNTERMINATED=accept takes it as it is.`,
  words: {
    ...{ kind: 'file', value: 'FILE', min: 1, max: Number.POSITIVE_INFINITY },
    missing: 'a file to publish',
  },
  options: {
    wait: {
      kind: 'switch',
      help: 'wait until each file is settled, also while the service starts or restarts, and say how; why one was quarantined stands below its line, on standard error',
    },
    'reject-lines': {
      ...{ kind: 'text', value: 'N|P%' },
      help: 'count the files though so many of their lines are bad, or such a share: these are put aside (countersink rejects); without it COUNTERSINK_REJECT_LINES says so',
    },
    parent: {
      ...{ kind: 'text', value: 'SHA256' },
      help: 'the content that could not be counted, or not all of it, and that the file mends',
    },
    'used-at': {
      ...{ kind: 'text', value: 'T' },
      help: 'when what the files tell of was used, as 2026-01-31T23:59:59Z or with an offset: its hour, day and month; without it, when they come',
    },
    timeout: {
      ...{ kind: 'number', value: 'S', min: 0, max: 1_000_000_000, onlyWith: 'wait' },
      help: 'wait at most S seconds; without it, as long as a service runs in the directory',
    },
  },
  exits: {
    0: 'all are in the inbox, or settled',
    1: 'a file was quarantined',
    3: 'a file could not be brought in, or is not settled when --wait ends',
  },
  examples: [
    { line: 'countersink publish usage-*.txt', what: 'bring these in' },
    { line: 'countersink publish usage.txt --wait --json', what: 'and tell what became of it' },
    {
      line: 'countersink publish usage.txt --reject-lines 0.5% --wait',
      what: 'this one though some of its lines may be bad; "countersink rejects" shows them',
    },
  ],
  answer: lines(
    fields(
      {
        file: text('as it was named'),
        outcome: oneOf(...OUTCOMES, 'queued'),
        ...{ sha256, name: text('in the inbox'), size: count('bytes') },
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
    const timeoutMs =
      values.timeout === undefined ? Number.POSITIVE_INFINITY : values.timeout * 1_000
    const terms = termsAsked(
      {
        ...{ rejectLines: values['reject-lines'], parent: values.parent },
        usedAt: values['used-at'],
      },
      { rejectLines: '--reject-lines', parent: '--parent', usedAt: '--used-at' },
    )
    let status: number = EXIT.ok
    let published = 0
    let unsettled = 0
    const options = {
      ...{ paths, config, timeoutMs: values.wait ? timeoutMs : undefined },
      ...(terms && { terms }),
      onRefused: async (path: string, error: CountersinkError) => {
        process.stderr.write(`countersink publish: ${printable(explainError(error))}\n`)
        if (values.json) await answer({ file: path, ...errorFields(error) })
        status = EXIT.cannot
      },
      meanwhile: (text: string) => void process.stderr.write(`countersink publish: ${text}\n`),
    }
    const trouble = await publishFiles(
      positionals,
      options,
      async ({ path, file, outcome, reasons, aside }) => {
        const told = outcome ?? 'queued'
        if (values.json) {
          const { sha256, name, sizeBytes } = file
          const why = reasons === undefined ? {} : { reasons }
          await answer({
            file: path,
            outcome: told,
            sha256,
            name,
            size: sizeBytes,
            ...why,
            ...putAsideJson(aside),
          })
        } else await print(`${told} ${file.sha256} ${quotedName(file.basename)}\n`)
        if (file.sizeBytes === 0) process.stderr.write('  it is empty: nothing of it is counted\n')
        if (aside !== undefined) process.stderr.write(`  ${putAsideText(aside)}\n`)
        for (const line of reasons ?? []) process.stderr.write(`  ${printable(line)}\n`)
        if (outcome === 'quarantined' && status === EXIT.ok) status = EXIT.no
        published += 1
        if (outcome === undefined) unsettled += 1
      },
    )
    if (values.wait && unsettled > 0) {
      status = EXIT.cannot
      const files = `${unsettled} of ${published} not settled`
      process.stderr.write(`countersink publish: ${files}: ${await whereItStands(paths)}\n`)
    } else if (trouble !== undefined) {
      const { silentBecause, isThere } = await whySilent(paths, 'parser', trouble)
      const when = isThere ? 'when it looks into the inbox' : 'at its next start'
      process.stderr.write(`(${silentBecause}; it takes the files ${when})\n`)
    }
    return status
  },
})
