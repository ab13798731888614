import { CRASH_POINTS } from '../../shared/crash-points.ts'
import { type DataFile, dataFile, seeded } from '../helpers/files.ts'
import { type Beginning, planLimits } from './plan.ts'
import { type Below, pick } from './random.ts'

/**
 * A history of usage over time: contents of all times are counted, taken back, counted again and replaced,
 * early and late, while they are rolled up; parsers of one or two hosts are killed at every step of that,
 * the time zone becomes another one, and what is older than a while is dropped.
 */
export interface UsagePlan extends Beginning {
  readonly kind: 'usage'
  readonly hosts: number
  readonly files: readonly UsedFile[]
  readonly steps: readonly UsageStep[]
  /** Where one parser after the other is killed; from then on none is. */
  readonly kills: readonly string[]
  readonly timeZone: string
}

export interface UsedFile extends DataFile {
  /** Milliseconds since 1970. */
  readonly usedAtMs: number
}

export type UsageStep =
  | { readonly do: 'publish' | 'undo' | 'redo'; readonly file: number; readonly host: number }
  | { readonly do: 'supersede'; readonly file: number; readonly by: number; readonly host: number }
  /** From now on all parsers have this setting. */
  | { readonly do: 'zone'; readonly timeZone: string }
  | { readonly do: 'keep'; readonly hours: string; readonly days: string; readonly months: string }
  /** Everything is rolled up, and looked at where it stands. */
  | { readonly do: 'settle' }

const FILES_MAX = 7
const STEPS_MAX = 9
const KILLS_MAX = 8
const POINTS = CRASH_POINTS.filter(name => /^[UBF]/.test(name))
/** With summer time of an hour and of half an hour, half hours beside the others, and the ends of the world. */
const TIME_ZONES = [
  ...['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe'],
  ...['Asia/Kolkata', 'Pacific/Kiritimati', 'Pacific/Pago_Pago'],
]

export function usagePlanOf(seed: number): UsagePlan {
  const below = seeded(seed)
  const limits = planLimits(below)
  const count = 2 + below(FILES_MAX - 1)
  const consumers = 1 + below(4 * limits.chunkPairsMax)
  const files = Array.from({ length: count }, (_, i) => planFile(below, i, consumers))
  const hosts = 1 + below(2)
  const file = (): number => below(count)
  const host = (): number => below(hosts)
  const steps = Array.from({ length: 4 + below(STEPS_MAX) }, (): UsageStep => {
    switch (below(10)) {
      case 0:
      case 1:
      case 2:
        return { do: 'publish', file: file(), host: host() }
      case 3:
      case 4:
        return { do: 'undo', file: file(), host: host() }
      case 5:
        return { do: 'redo', file: file(), host: host() }
      case 6:
        return { do: 'supersede', file: file(), by: file(), host: host() }
      case 7:
        return { do: 'zone', timeZone: pick(below, TIME_ZONES) }
      case 8:
        return planKeep(below)
      default:
        return { do: 'settle' }
    }
  })
  const kills = Array.from({ length: below(KILLS_MAX) }, () => {
    return `${pick(below, POINTS)}:${1 + below(3)}`
  })
  return {
    ...{ kind: 'usage', seed, limits, hosts, files, kills, timeZone: pick(below, TIME_ZONES) },
    steps: [{ do: 'publish', file: 0, host: 0 }, ...steps],
  }
}

function planKeep(below: Below): UsageStep {
  const days = (max: number): string => (below(2) === 0 ? 'forever' : `${1 + below(max)}d`)
  return { do: 'keep', hours: days(400), days: days(800), months: days(3_000) }
}

/** Near the ends of hours, days and months, of summer and winter time, and at any other moment. */
function planFile(below: Below, i: number, consumers: number): UsedFile {
  const lines = [`${below(consumers)} ${below(1_000)}`]
  for (let id = 0; id < consumers; id += 1) {
    if (below(4) > 0) lines.push(`${id * (1 + (below(2) === 0 ? 6 : 0))} ${below(1_000_000)}`)
  }
  if (below(3) === 0) lines.push(`18446744073709551615 ${2n ** 60n + BigInt(below(9))}`)
  const content = `${lines.join('\n')}\n${i} ${below(2 ** 31)}\n`
  return { ...dataFile(`file-${i}`, content), usedAtMs: planTime(below) }
}

const MOMENTS = [
  ...[
    '2026-03-29T01:00:00Z',
    '2026-10-25T01:00:00Z',
    '2026-10-24T22:00:00Z',
    '2026-04-04T15:00:00Z',
  ],
  ...[
    '2026-03-08T07:00:00Z',
    '2026-11-01T06:00:00Z',
    '2026-01-01T00:00:00Z',
    '2024-02-29T23:59:59Z',
  ],
]

function planTime(below: Below): number {
  const around = Date.parse(pick(below, MOMENTS))
  const minutes = below(2) === 0 ? below(2_000) - 1_000 : below(200_000) - 100_000
  return around + minutes * 60_000 + below(2) * below(60_000)
}
