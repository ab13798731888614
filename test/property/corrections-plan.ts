import { CRASH_POINTS } from '../../shared/crash-points.ts'
import { type DataFile, dataFile, seeded } from '../helpers/files.ts'
import { type Beginning, planLimits } from './plan.ts'
import { type Below, pick } from './random.ts'

/**
 * A history of corrections: contents are published, taken back, counted again and replaced, one after the
 * other, while parsers of one or two hosts are killed and somebody else writes to the totals. In some the
 * totals are emptied and books closed as well, files are held for their names, and bad lines put aside.
 */
export interface CorrectionsPlan extends Beginning {
  readonly kind: 'corrections'
  readonly hosts: number
  readonly files: readonly CorrectedFile[]
  readonly policy: Policy
  readonly steps: readonly Step[]
  /** Where one parser after the other is killed; from then on none is. */
  readonly kills: readonly string[]
}

export interface CorrectedFile extends DataFile {
  /** Its good lines alone. */
  readonly good: Buffer
  readonly badLines: number
}

export interface Policy {
  /** Whether a name that comes again with other content is held. */
  readonly holds: boolean
  readonly badLinesMax: number
}

export type Step =
  | {
      readonly do: 'publish' | 'undo' | 'redo' | 'release' | 'refuse' | 'requeue'
      readonly file: number
      readonly host: number
    }
  | { readonly do: 'supersede'; readonly file: number; readonly by: number; readonly host: number }
  /** A file comes back from quarantine mended: its good lines alone. */
  | { readonly do: 'mend'; readonly file: number; readonly by: number; readonly host: number }
  /** Somebody else adds to a total of his own, or lowers one so that this file cannot be taken back. */
  | { readonly do: 'add'; readonly amount: bigint }
  | { readonly do: 'lower'; readonly file: number; readonly host: number }
  /** Or raises one while this file is published, so that it cannot be counted. */
  | { readonly do: 'raise'; readonly file: number; readonly host: number }
  /** `kill`: a parser, wherever it is; the next one is killed at another point. */
  | { readonly do: 'reset' | 'prune' | 'undo reset' | 'kill'; readonly host: number }

const FILES_MAX = 5
const STEPS_MAX = 8
const KILLS_MAX = 6
const POINTS = CRASH_POINTS.filter(name => /^[SPBF]/.test(name))

export function correctionsPlanOf(seed: number): CorrectionsPlan {
  const below = seeded(seed)
  const limits = planLimits(below)
  const count = 2 + below(FILES_MAX - 1)
  const consumers = 1 + below(4 * limits.chunkPairsMax)
  const files = Array.from({ length: count }, (_, i) => planFile(below, `file-${i}`, i, consumers))
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
  const kills = planKills(below, POINTS)
  return {
    ...{ kind: 'corrections', seed, limits, hosts, files, kills },
    policy: { holds: false, badLinesMax: 0 },
    steps: [{ do: 'publish', file: 0, host: 0 }, ...steps],
  }
}

const BOOK_STEPS_MAX = 12
const BAD_LINES_MAX = 3
const BOOK_POINTS = CRASH_POINTS.filter(name => /^[SPBFEC]/.test(name))

/** With everything else that can happen to totals, names and lines. */
export function booksPlanOf(seed: number): CorrectionsPlan {
  const below = seeded(seed)
  const limits = planLimits(below)
  const policy = { holds: below(2) === 0, badLinesMax: below(2) * (1 + below(BAD_LINES_MAX)) }
  const consumers = 1 + below(4 * limits.chunkPairsMax)
  const files: CorrectedFile[] = []
  /** By the number of a file with bad lines, that of the same without. */
  const mended = new Map<number, number>()
  for (let made = 3 + below(FILES_MAX); made > 0; made -= 1) {
    const number = files.length
    const file = planFile(below, `day-${below(policy.holds ? 1 + below(2) : 3)}`, number, consumers)
    const isBad = below(3) === 0
    files.push(isBad ? spoilt(below, file, policy.badLinesMax) : file)
    if (!isBad) continue
    mended.set(number, files.length)
    files.push({ ...file, name: `mended-${number}` })
  }
  const hosts = 1 + below(2)
  // Most of what is asked for is about what came before.
  const seen = new Set([0])
  const aside = new Set<number>()
  const held = new Set<number>()
  let wasReset = false
  const any = (): number => below(files.length)
  const known = (): number => (below(8) === 0 ? any() : pick(below, [...seen]))
  const fresh = (): number => {
    const unseen = [...files.keys()].filter(number => !seen.has(number))
    return unseen.length === 0 ? any() : pick(below, unseen)
  }
  const put = (number: number): number => {
    const { name } = files[number]!
    if ([...seen].some(other => other !== number && files[other]!.name === name)) held.add(number)
    seen.add(number)
    if (files[number]!.badLines > policy.badLinesMax) aside.add(number)
    return number
  }
  const planStep = (): Step => {
    const host = below(hosts)
    const what = below(34)
    if (what < 4) return { do: 'publish', file: put(fresh()), host }
    if (what < 7) return { do: 'publish', file: put(known()), host }
    if (what < 11) return { do: 'undo', file: known(), host }
    if (what < 14) return { do: 'redo', file: known(), host }
    if (what < 16) return { do: 'supersede', file: known(), by: put(fresh()), host }
    if (what < 17) return { do: 'lower', file: known(), host }
    if (what < 19) {
      const file = fresh()
      seen.add(file)
      aside.add(file)
      return { do: 'raise', file, host }
    }
    if (what < 20) return { do: 'add', amount: BigInt(below(1_000)) }
    if (what < 23) {
      const file = policy.holds && held.size > 0 ? pick(below, [...held]) : known()
      const decision = pick(below, ['release', 'refuse'] as const)
      if (decision === 'refuse') aside.add(file)
      return { do: decision, file, host }
    }
    if (what < 25)
      return { do: 'requeue', file: aside.size === 0 ? any() : pick(below, [...aside]), host }
    if (what < 27) {
      const some = [...mended].filter(([number]) => aside.has(number))
      if (some.length === 0) return { do: 'publish', file: put(fresh()), host }
      const [file, by] = pick(below, some)
      return { do: 'mend', file, by: put(by), host }
    }
    if (what < 30) {
      const isUndo = wasReset && below(2) === 0
      wasReset = true
      return { do: isUndo ? 'undo reset' : 'reset', host }
    }
    return { do: what < 32 ? 'prune' : 'kill', host }
  }
  const steps = Array.from({ length: 6 + below(BOOK_STEPS_MAX) }, planStep)
  const kills = planKills(below, BOOK_POINTS, 2 * KILLS_MAX)
  return {
    ...{ kind: 'corrections', seed, limits, hosts, files, policy, kills },
    settings: {
      COUNTERSINK_SAME_NAME: policy.holds ? 'hold' : 'warn',
      COUNTERSINK_REJECT_LINES: String(policy.badLinesMax),
    },
    steps: [{ do: 'publish', file: 0, host: 0 }, ...steps],
  }
}

function planKills(below: Below, points: readonly string[], max = KILLS_MAX): string[] {
  return Array.from({ length: below(max) }, () => `${pick(below, points)}:${1 + below(3)}`)
}

/** Files share consumers, and many sums are the same in several. */
function planFile(below: Below, name: string, number: number, consumers: number): CorrectedFile {
  const lines = [`${below(consumers)} ${below(1_000)}`]
  for (let id = 0; id < consumers; id += 1) {
    if (below(4) > 0) lines.push(`${id * 7} ${below(3) === 0 ? below(1_000_000) : id}`)
  }
  if (below(3) === 0) lines.push(`18446744073709551615 ${2n ** 60n + BigInt(below(9))}`)
  // Two files of the same sums are two contents.
  const file = dataFile(name, `${lines.join('\n')}\n${number + 6} ${below(2 ** 31)}\n`)
  return { ...file, good: file.content, badLines: 0 }
}

const BAD_LINES = ['what', '1', '1  2', '1 -2', '\0', '18446744073709551616 1']

/** As many bad lines as may be, or one more, anywhere. */
function spoilt(below: Below, { name, good }: CorrectedFile, badLinesMax: number): CorrectedFile {
  const lines = good.toString('latin1').trimEnd().split('\n')
  const badLines = Math.max(1, badLinesMax + below(2))
  for (let left = badLines; left > 0; left -= 1) {
    lines.splice(below(lines.length + 1), 0, pick(below, BAD_LINES))
  }
  return { ...dataFile(name, `${lines.join('\n')}\n`), good, badLines }
}
