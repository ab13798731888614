import { CRASH_POINTS } from '../../shared/crash-points.ts'
import { seeded, totalsOf } from '../helpers/files.ts'
import { type PlannedFile, planFiles } from './contents.ts'
import type { CorrectionsPlan } from './corrections-plan.ts'
import type { HousePlan } from './house-plan.ts'
import { type Below, type Moment, pick, planMoment } from './random.ts'
import { openingOf, planTotals, type TotalsPlan } from './totals-plan.ts'
import type { UsagePlan } from './usage-plan.ts'

/** What a history begins with. */
export interface Beginning {
  readonly seed: number
  readonly limits: Limits
  readonly totals?: TotalsPlan | undefined
  /** What else is configured, as the environment has it. */
  readonly settings?: Readonly<Record<string, string>>
}

/** A history as data: made from a seed alone, so that it can be told, cut down and run again. */
export interface Plan extends Beginning {
  readonly kind: 'parsers'
  readonly files: readonly PlannedFile[]
  /** Those that come to a planned end; one more follows, which finishes everything. */
  readonly lives: readonly Life[]
}

/** Much smaller than anybody would set them, so that small files come to all of them. */
export interface Limits {
  readonly pairsMax: number
  readonly memoryPairsMax: number
  readonly checkpointBytes: number
  readonly chunkPairsMax: number
  readonly batchFilesMax: number
  /** Files read side by side. */
  readonly readers: number
  /** How long whoever counts may be away. */
  readonly takeoverMs: number
}

/** Several hosts, each with a state directory and lives of its own, that count into one database. */
export interface HostsPlan extends Beginning {
  readonly kind: 'hosts'
  readonly hosts: readonly Host[]
}

export interface Host {
  readonly files: readonly PlannedFile[]
  readonly lives: readonly Life[]
}

/** What ends a life: a crash point at its n-th passing, or a signal at a moment. */
export type End =
  | { readonly point: string }
  | { readonly signal: 'SIGKILL' | 'SIGTERM'; readonly at: Moment }

export interface Life {
  readonly end: End
  /** A second parser is started on the same directory then. */
  readonly twin?: Moment
  /** It is stopped then, for a while. */
  readonly pause?: { readonly at: Moment; readonly ms: number }
  /** Somebody else makes a total then as large as it can be. */
  readonly raise?: { readonly at: Moment; readonly id: bigint }
  /** From then on, for a while, each row of a consumer is refused. */
  readonly rule?: PlannedRule
  /** What happens to the database under it, or after it. */
  readonly database?: DatabaseEvent
  /** What is deleted after it. */
  readonly lost: readonly ('journal' | 'runs')[]
}

/** Connections that are there go on; with a new one a parser waits, or does not begin, until it is gone. */
export interface PlannedRule {
  readonly kind: 'CHECK' | 'trigger'
  readonly id: bigint
  readonly at: Moment
  /** At the latest when this life has ended. */
  readonly until: Moment
}

/** The database is put back to what it was at a moment of this life, or is an empty one from then on. */
export interface DatabaseEvent {
  readonly what: 'restored' | 'replaced'
  readonly saved: Moment
  readonly at: Moment | 'afterwards'
}

const KILLS_MAX = 3
const PASSINGS_MAX = 6
const POINTS = CRASH_POINTS.filter(name => /^[PSB]/.test(name))
const RETREAT_POINTS = POINTS.filter(name => name.startsWith('B'))
const HOSTS_MAX = 3
/** A stopped parser goes on after so long, and after as long more as it may be away. */
const PAUSE_MS = 300
/** What came to histories later has numbers of its own: those of before stay what they are. */
const BESIDE = 2 ** 31

export function planOf(seed: number): Plan {
  const below = seeded(seed)
  const beside = seeded(seed + BESIDE)
  const limits = planLimits(below)
  const lives = Array.from({ length: below(KILLS_MAX + 1) }, () => planLife(below, limits))
  const hasEvents = lives.some(({ database }) => database !== undefined)
  const totals = planTotals(beside)
  const opening = openingOf(totals)
  const files = planFiles(below, limits, lives.length, { namesRepeat: !hasEvents, opening })
  return {
    ...{ kind: 'parsers', seed, limits, totals, files },
    lives: withRefusal(below, beside, lives, files),
  }
}

/** Equal contents may come to several hosts. */
export function hostsPlanOf(seed: number): HostsPlan {
  const below = seeded(seed)
  const beside = seeded(seed + BESIDE)
  const limits = planLimits(below)
  const count = 2 + below(HOSTS_MAX - 1)
  const totals = planTotals(beside)
  const shape = { namesRepeat: false, opening: openingOf(totals), times: count }
  const files = planFiles(below, limits, KILLS_MAX, shape)
  const hasEvents = beside(3) === 0
  const hosts = Array.from({ length: count }, (): Host => {
    const lives = Array.from({ length: below(KILLS_MAX) }, () => planLife(below, limits))
    return { files: [], lives: lives.map(life => livesBesideOthers(life, hasEvents)) }
  })
  const whose = files.map(() => below(count))
  const [first] = hosts
  const firstLives = withRefusal(below, beside, first!.lives, files)
  return {
    ...{ kind: 'hosts', seed, limits, totals },
    hosts: hosts.map(({ lives }, i) => ({
      files: files.filter((_, at) => whose[at] === i),
      lives: i === 0 ? firstLives : lives,
    })),
  }
}

/** Where the database is put back nobody loses a journal: it is all there is to tell what it lacks. */
function livesBesideOthers({ database, ...life }: Life, hasEvents: boolean): Life {
  if (!hasEvents) return life
  const lost = life.lost.filter(what => what !== 'journal')
  return { ...life, lost, ...(database === undefined ? {} : { database }) }
}

/**
 * In some histories rows of a consumer of one of the files are refused: somebody raises its total, or
 * makes a rule for a while.
 */
function withRefusal(
  below: Below,
  beside: Below,
  lives: readonly Life[],
  files: readonly PlannedFile[],
): readonly Life[] {
  const good = files.filter(({ fault, content }) => fault === undefined && content.length > 0)
  if (lives.length === 0 || good.length === 0) return lives
  const id = pick(beside, [...totalsOf([pick(beside, good)]).keys()])
  const which = below(lives.length)
  const change = (some: Partial<Life>): readonly Life[] =>
    lives.map((life, i) => (i === which ? { ...life, ...some } : life))
  // What is taken back then is begun rarely otherwise.
  const end = beside(3) === 0 ? { end: { point: `${pick(beside, RETREAT_POINTS)}:1` } } : {}
  if (below(4) === 0) return change({ ...end, raise: { at: planMoment(below), id } })
  if (beside(4) > 0) return lives
  const kind = beside(2) === 0 ? 'CHECK' : 'trigger'
  const [at, until] = [planMoment(beside), planMoment(beside)]
  return change({ ...end, rule: { kind, id, at, until } })
}

export function planLimits(below: Below): Limits {
  return {
    pairsMax: 1 + below(64),
    memoryPairsMax: below(33),
    checkpointBytes: 1_024 * (1 + below(64)),
    chunkPairsMax: 1 + below(32),
    batchFilesMax: 1 + below(5),
    readers: 1 + below(3),
    takeoverMs: 200 + below(1_000),
  }
}

function planLife(below: Below, limits: Limits): Life {
  const lost = (['journal', 'runs'] as const).filter(() => below(6) === 0)
  return {
    end: planEnd(below),
    ...(below(8) === 0 ? { twin: planMoment(below) } : {}),
    ...(below(6) === 0 ? { pause: planPause(below, limits) } : {}),
    ...(below(5) === 0 ? { database: planDatabaseEvent(below) } : {}),
    lost,
  }
}

function planPause(below: Below, { takeoverMs }: Limits) {
  return { at: planMoment(below), ms: PAUSE_MS + (below(2) === 0 ? takeoverMs : 0) }
}

function planDatabaseEvent(below: Below): DatabaseEvent {
  return {
    what: below(4) === 0 ? 'replaced' : 'restored',
    saved: planMoment(below),
    at: below(3) === 0 ? 'afterwards' : planMoment(below),
  }
}

function planEnd(below: Below): End {
  if (below(3) > 0) {
    // The first passings are the most different from each other.
    const passing = 1 + below(1 + below(PASSINGS_MAX))
    return { point: `${POINTS[below(POINTS.length)]}:${passing}` }
  }
  return { signal: below(3) === 0 ? 'SIGTERM' : 'SIGKILL', at: planMoment(below) }
}

/** In a few lines, for the report of a failure. */
export function describePlan(
  plan: Plan | HousePlan | HostsPlan | CorrectionsPlan | UsagePlan,
): string {
  const { seed, limits } = plan
  if (plan.kind === 'corrections' || plan.kind === 'usage') {
    const { hosts, kills, steps } = plan
    const files = plan.files.map(({ content, ...file }) => ({ ...file, bytes: content.length }))
    const policy = plan.kind === 'corrections' ? { policy: plan.policy } : {}
    return `seed ${seed}, limits ${JSON.stringify(limits)}${told([{ hosts, kills, ...policy }, ...files, ...steps])}`
  }
  const what =
    plan.kind === 'hosts'
      ? plan.hosts.map(({ files, lives }, i) => `\nhost ${i}${toldFiles(files)}${toldLives(lives)}`)
      : [toldFiles(plan.files), plan.kind === 'house' ? told(plan.troubles) : toldLives(plan.lives)]
  return `seed ${seed}, limits ${JSON.stringify(limits)}${toldTotals(plan)}${what.join('')}`
}

function toldTotals({ totals }: Partial<Beginning>): string {
  if (totals === undefined) return ''
  const rows = [...totals.rows].map(([id, amount]) => `${id} ${amount}`)
  return told([{ ...totals, rows }])
}

function toldFiles(files: readonly PlannedFile[]): string {
  return `\nfiles:${told(files.map(({ content, ...file }) => ({ ...file, bytes: content.length })))}`
}

function toldLives(lives: readonly Life[]): string {
  return `\nlives:${told(lives)}`
}

function told(items: readonly unknown[]): string {
  const plain = (_key: string, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value
  return items.map(item => `\n  ${JSON.stringify(item, plain)}`).join('')
}
