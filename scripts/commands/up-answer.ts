/** What `up --json` prints when it ends. */

import {
  count,
  digits,
  FILE_SHAPE,
  fields,
  fileJson,
  flag,
  list,
  one,
  oneOf,
  orNull,
  text,
} from '../command-table/index.ts'
import type { ClosingReport } from '../reports/index.ts'

export const UP_ANSWER = one(
  fields({
    exit: count('the exit status'),
    outcome: oneOf('adds-up', 'does-not-add-up', 'stopped', 'interrupted', 'cannot'),
    reason: orNull(text(), 'what stopped it'),
    report: orNull(
      fields({
        ...{ addsUp: flag(), filesWanted: count(), filesSettled: count() },
        files: list(FILE_SHAPE, 'the newest two hundred, oldest first'),
        balance: orNull(
          fields({
            ...{ totals: digits(), opening: digits('what stood there at first contact') },
            ledger: digits('all that is counted'),
            generated: fields({ files: count(), amount: digits() }),
            batchesOpen: count(),
          }),
          'null: there is no ledger',
        ),
        control: fields({ files: count(), amount: digits() }),
      }),
      'with --files; "control" is what the generator says it made',
    ),
  }),
)

export function reportJson(report: ClosingReport) {
  const { addsUp, files, filesWanted, filesSettled, balance, control } = report
  return {
    ...{ addsUp, filesWanted, filesSettled, files: files.map(fileJson) },
    balance: balance === undefined ? null : balanceJson(balance),
    control: { files: control.files, amount: `${control.amount}` },
  }
}

function balanceJson(balance: NonNullable<ClosingReport['balance']>) {
  const { totalsAmount, openingAmount, ledgerAmount, namedFiles, namedAmount } = balance
  return {
    ...{ totals: `${totalsAmount}`, opening: `${openingAmount}`, ledger: `${ledgerAmount}` },
    generated: { files: namedFiles, amount: `${namedAmount}` },
    batchesOpen: balance.batchesOpen,
  }
}
