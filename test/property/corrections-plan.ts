import { CRASH_POINTS } from '../../shared/crash-points.ts'
import { type DataFile, dataFile, seeded } from '../helpers/files.ts'
import { type Beginning, planLimits } from './plan.ts'
import { type Below, pick } from './random.ts'

/**
 * A history of corrections: contents are published, taken back, counted again and replaced, one after the
 * other, while parsers of one or two hosts are killed and somebody else writes to the totals.
 */
export interface CorrectionsPlan extends Beginning {
  readonly kind: 'corrections'
  readonly hosts: number
  readonly files: readonly DataFile[]
  readonly steps: readonly Step[]
  /** Where one parser after the other is killed; from then on none is. */
  readonly kills: readonly string[]
}

export type Step =
  | { readonly do: 'publish' | 'undo' | 'redo'; readonly file: number; readonly host: number }
  | { readonly do: 'supersede'; readonly file: number; readonly by: number; readonly host: number }
  /** Somebody else adds to a total of his own, or lowers one so that this file cannot be taken back. */
  | { readonly do: 'add'; readonly amount: bigint }
  | { readonly do: 'lower'; readonly file: number; readonly host: number }

const FILES_MAX = 5
const STEPS_MAX = 8
const KILLS_MAX = 6
const POINTS = CRASH_POINTS.filter(name => /^[SPBF]/.test(name))

export function correctionsPlanOf(seed: number): CorrectionsPlan {
  const below = seeded(seed)
  const limits = planLimits(below)
  const count = 2 + below(FILES_MAX - 1)
  const consumers = 1 + below(4 * limits.chunkPairsMax)
  const files = Array.from({ length: count }, (_, i) => planFile(below, `file-${i}`, consumers))
  const hosts = 1 + below(2)
  const file = (): number => below(count)
  const host = (): number => below(hosts)
  const steps = Array.from({ length: 3 + below(STEPS_MAX) }, (): Step => {
    switch (below(8)) {
      case 0:
      case 1:
        return { do: 'publish', file: file(), host: host() }
      case 2:
      case 3:
        return { do: 'undo', file: file(), host: host() }
      case 4:
        return { do: 'redo', file: file(), host: host() }
      case 5:
        return { do: 'supersede', file: file(), by: file(), host: host() }
      case 6:
        return { do: 'lower', file: file(), host: host() }
      default:
        return { do: 'add', amount: BigInt(below(1_000)) }
    }
  })
  const kills = Array.from({ length: below(KILLS_MAX) }, () => {
    return `${pick(below, POINTS)}:${1 + below(3)}`
  })
  return {
    ...{ kind: 'corrections', seed, limits, hosts, files, kills },
    steps: [{ do: 'publish', file: 0, host: 0 }, ...steps],
  }
}

/** Files share consumers, and many sums are the same in several. */
function planFile(below: Below, name: string, consumers: number): DataFile {
  const lines = [`${below(consumers)} ${below(1_000)}`]
  for (let id = 0; id < consumers; id += 1) {
    if (below(4) > 0) lines.push(`${id * 7} ${below(3) === 0 ? below(1_000_000) : id}`)
  }
  if (below(3) === 0) lines.push(`18446744073709551615 ${2n ** 60n + BigInt(below(9))}`)
  // Two files of the same sums are two contents.
  return dataFile(name, `${lines.join('\n')}\n${name.length} ${below(2 ** 31)}\n`)
}
