/**
 * What the commands have in common that correct what was counted: their options, and how an order's end is
 * told.
 */

import type { LedgerFile, OrderStanding } from '../../parser/ledger/index.ts'
import { formatCount, formatCountOf } from '../../shared/numbers.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { printable, quotedName } from '../../shared/printable.ts'
import { digits, fields, flag, oneOf, orNull, sha256, text } from '../command-table/index.ts'
import type { Patience } from '../mariadb/index.ts'
import { EXIT, print, sayAside } from '../terminal/index.ts'

export const REASON = {
  kind: 'text',
  value: 'TEXT',
  default: '',
  help: 'why; it is kept, and told by explain',
} as const

export const DRY_RUN = {
  kind: 'switch',
  help: 'say what would be done, and whether it can be; nothing is changed',
} as const

export const TIMEOUT = {
  ...({ kind: 'number', value: 'S', min: 0, max: 1_000_000_000 } as const),
  help: 'wait at most S seconds; without it, as long as a service runs that may do it',
} as const

export const CORRECTION_EXITS = {
  0: 'it is done; with --dry-run: it can be',
  1: 'it cannot be done, for the reason that is told; nothing was changed',
  3: 'it is not done yet, and will be once it can; or it cannot be known',
} as const

/** Of those that are not tried before. */
export const DECISION_EXITS = { ...CORRECTION_EXITS, 0: 'it is done' } as const

export const CORRECTION_SHAPE = fields({
  ...{ do: oneOf('undo', 'redo', 'release', 'refuse'), sha256, name: text() },
  ...{ amount: digits(), pairs: orNull(digits(), 'null: counted before sums were kept') },
  state: oneOf('done', 'refused', 'waiting', 'possible'),
  answer: orNull(text('why it waits or is refused, or what came of it')),
  ...{ order: orNull(text('its id; null: none was made')), isDryRun: flag() },
})

export function patience(paths: StatePaths, timeoutSeconds: number | undefined): Patience {
  const waitMs = timeoutSeconds === undefined ? Number.POSITIVE_INFINITY : timeoutSeconds * 1_000
  return {
    ...{ paths, untilMs: performance.now() + waitMs },
    onWaiting: why => sayAside(`it waits: ${why}`),
  }
}

/** An answer to a request about a file. */
export interface Told {
  readonly do: 'undo' | 'redo' | 'release' | 'refuse'
  readonly row: LedgerFile
  readonly state: OrderStanding['state'] | 'possible'
  readonly answer: string | null
  readonly order: string | null
  readonly isDryRun: boolean
}

/** @returns the exit status. */
export async function tellCorrection(
  told: Told,
  say: ((fields: object) => Promise<void>) | undefined,
  words: { readonly done: string; readonly possible: string; readonly cannot: string },
): Promise<number> {
  const { row, state, answer, order, isDryRun } = told
  if (say !== undefined) {
    await say({
      ...{ do: told.do, sha256: row.sha256.toString('hex'), name: row.name, amount: row.amount },
      pairs: row.pairs?.toString() ?? null,
      ...{ state: state === 'working' ? 'waiting' : state, answer, order, isDryRun },
    })
  } else {
    const what = `${quotedName(row.name)} (${row.sha256.toString('hex').slice(0, 12)})`
    const holds =
      row.pairs === null
        ? `amount ${formatCount(BigInt(row.amount))}`
        : `${formatCountOf(Number(row.pairs), 'consumer')}, amount ${formatCount(BigInt(row.amount))}`
    switch (state) {
      case 'done':
        await print(`${words.done}: ${what}: ${holds}\n`)
        break
      case 'possible':
        await print(`${words.possible}: ${what}: ${holds}\n`)
        break
      case 'refused':
        await print(`${words.cannot}: ${what}: ${printable(answer ?? '')}\n`)
        break
      default:
        await print(
          `not yet: ${what}: ${printable(answer ?? 'it waits for a service that counts')}. It is done once it can be; "countersink explain" tells.\n`,
        )
    }
  }
  if (state === 'done' || state === 'possible') return EXIT.ok
  return state === 'refused' ? EXIT.no : EXIT.cannot
}
