import type { ProofOptions } from '../../parser/ledger/index.ts'
import { systemReason } from '../../shared/errors.ts'
import { keepProof, proofJson, VERIFY_ANSWER } from '../answers/index.ts'
import { proveTotals } from '../asking/index.ts'
import { command } from '../command-table/index.ts'
import { addsUp, proofLines } from '../reports/index.ts'
import { columnsOf, EXIT, environment, print, sayAside } from '../terminal/index.ts'

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
  answer: VERIFY_ANSWER,
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
    const told = proofJson(proof, values.full)
    await keepProof(paths, told).catch(error => {
      sayAside(`what was proved cannot be kept: ${systemReason(error)}`)
    })
    if (values.json) {
      for (const one of [...told.findings, ...told.differences, told.end]) await answer(one)
    } else {
      const lines = proofLines(proof, columnsOf(process.stdout)).join('\n')
      await print(`${lines}\n`)
    }
    const verdict = addsUp(proof)
    return verdict === undefined ? EXIT.cannot : verdict ? EXIT.ok : EXIT.no
  },
})

const NAMED_MAX = { people: 100, json: 10_000 }

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
