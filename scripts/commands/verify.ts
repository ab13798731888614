import { LEDGER_CHECKS, type Proof, type ProofOptions } from '../../parser/ledger/index.ts'
import { proveTotals } from '../asking/index.ts'
import { command, count, fields, flag, lines, oneOf, orNull, text } from '../command-table/index.ts'
import { addsUp, proofLines } from '../reports/index.ts'
import { columnsOf, EXIT, environment, print } from '../terminal/index.ts'

const signedAmount = {
  ...text('decimal, below zero where too little is there'),
  pattern: String.raw`^-?\d{1,39}$`,
}

export const verify = command({
  name: 'verify',
  summary: 'prove that the totals are what the files have made them',
  about: `Proves, as of one moment and beside whatever runs: the totals are the opening balance and all that was
counted; each batch is its files, each file its blocks and its postings; what waits is there; tables and
columns are those of the beginning; and what the journal knows to be counted stands in the ledger.

With --full every single consumer: its total is what stood there at first contact and the sums of all
files that have moved it. Each that differs is named, and by how much.`,
  options: {
    full: { kind: 'switch', help: 'consumer by consumer, from the sums of every file' },
  },
  exits: { 0: 'it adds up', 1: 'it does not; what is wrong is named', 3: 'it cannot be said now' },
  examples: [
    { line: 'countersink verify', what: 'whether all of it adds up, in a moment' },
    {
      line: 'countersink verify --full --json',
      what: 'each total that is not what the files have made it',
    },
  ],
  answer: lines(
    fields({ kind: oneOf('finding'), check: oneOf(...LEDGER_CHECKS), text: text() }),
    fields({
      ...{ kind: oneOf('difference'), id: { ...text(), pattern: String.raw`^-?\d{1,20}$` } },
      total: orNull(signedAmount, 'null: it has none'),
      ...{ expected: signedAmount, difference: signedAmount },
    }),
    fields({
      ...{ kind: oneOf('end'), full: flag(), addsUp: orNull(flag(), 'null: it cannot be said') },
      totals: orNull(signedAmount),
      ...{ opening: orNull(signedAmount), counted: orNull(signedAmount) },
      ...{ files: orNull(count('that are counted')), batchesOpen: orNull(count()) },
      ...{
        findings: count(
          'that are told: of a kind a hundred, and that there are more; each block that cannot be read',
        ),
      },
      differences: orNull(count('of which ten thousand are named'), 'null: not looked at'),
      unknownBecause: orNull(text('why nothing can be said of single consumers')),
    }),
  ),
  async run({ values, answer }) {
    const { paths } = environment(values.dir)
    const progress = new Progress()
    const consumers: ProofOptions['consumers'] = values.full
      ? {
          differencesMax: values.json ? NAMED_MAX.json : NAMED_MAX.people,
          onProgress: share => progress.show(share),
        }
      : undefined
    const proof = await proveTotals(paths, consumers).finally(() => progress.end())
    if (values.json) await tell(proof, values.full, answer)
    else {
      const told = proofLines(proof, columnsOf(process.stdout)).join('\n')
      await print(`${told}\n`)
    }
    const verdict = addsUp(proof)
    return verdict === undefined ? EXIT.cannot : verdict ? EXIT.ok : EXIT.no
  },
})

const NAMED_MAX = { people: 100, json: 10_000 }

async function tell(
  { sums, files, findings, consumers }: Proof,
  full: boolean,
  answer: (fields: object) => Promise<void>,
): Promise<void> {
  for (const one of findings) await answer({ kind: 'finding', ...one })
  const looked = consumers !== undefined && 'differences' in consumers ? consumers : undefined
  for (const text of looked?.unreadable ?? []) {
    await answer({ kind: 'finding', check: 'blocks', text })
  }
  for (const { id, total, expected } of looked?.differences ?? []) {
    await answer({
      ...{ kind: 'difference', id: `${id}`, total: total?.toString() ?? null },
      ...{ expected: `${expected}`, difference: `${(total ?? 0n) - expected}` },
    })
  }
  await answer({
    ...{ kind: 'end', full, addsUp: addsUp({ findings, consumers }) ?? null },
    totals: sums?.totals.toString() ?? null,
    opening: sums?.opening.toString() ?? null,
    counted: sums?.counted.toString() ?? null,
    ...{ files: files ?? null, batchesOpen: sums?.batchesOpen ?? null },
    findings: findings.length + (looked?.unreadableCount ?? 0),
    differences: looked?.differencesCount ?? null,
    unknownBecause:
      consumers !== undefined && 'unknownBecause' in consumers ? consumers.unknownBecause : null,
  })
}

/** A line on a terminal that is written anew, and goes away. */
class Progress {
  #shown = ''

  show(share: number): void {
    const text = `${Math.floor(share * 100)} %`
    if (!process.stderr.isTTY || text === this.#shown) return
    this.#shown = text
    process.stderr.write(`\r${text.padStart(5)} of all totals looked at`)
  }

  end(): void {
    if (this.#shown !== '') process.stderr.write('\r\u001b[K')
  }
}
