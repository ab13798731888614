import { faultsOf } from './check.ts'
import { liveThroughCorrections } from './corrections.ts'
import { booksPlanOf, type CorrectionsPlan, correctionsPlanOf } from './corrections-plan.ts'
import { liveInHouse } from './house.ts'
import { type HousePlan, housePlanOf } from './house-plan.ts'
import { HistoryFailed, live } from './life.ts'
import { runCommand } from './parser-process.ts'
import { type Host, type HostsPlan, hostsPlanOf, type Life, type Plan, planOf } from './plan.ts'
import { saidFaults } from './proof.ts'
import { Publisher } from './publisher.ts'
import { refusedIn } from './refused-in.ts'
import { type HistorySite, makeHistorySite, makeNeighbour, type Server } from './site.ts'
import { liveThroughUsage } from './usage.ts'
import { type UsagePlan, usagePlanOf } from './usage-plan.ts'

export interface Outcome {
  /** What is wrong, in words; undefined when all is well. */
  readonly fault: string | undefined
  /** How many lives there were, and how many of them ended at a crash point. */
  readonly lives: number
  readonly points: number
  /** How often the database was found to be an older or another one. */
  readonly recoveries: number
  /** How many files were refused because a total would not take a row of theirs. */
  readonly refusals: number
}

/**
 * A history of any kind: each eighth is one of the whole house, one of usage over time, one of corrections,
 * and one of corrections with all that can happen to totals, names and lines; each third of the others of
 * several hosts.
 */
export type History = Plan | HousePlan | HostsPlan | CorrectionsPlan | UsagePlan

export function historyOf(seed: number): History {
  if (seed % 8 === 0) return housePlanOf(seed)
  if (seed % 8 === 4) return correctionsPlanOf(seed)
  if (seed % 8 === 2) return usagePlanOf(seed)
  if (seed % 8 === 6) return booksPlanOf(seed)
  return seed % 3 === 0 ? hostsPlanOf(seed) : planOf(seed)
}

/** Lets a history happen and looks at its end. */
export async function happen(server: Server, plan: History): Promise<Outcome> {
  if (plan.kind === 'house') {
    return { lives: 1, points: 0, recoveries: 0, refusals: 0, fault: await liveInHouse(plan) }
  }
  if (plan.kind === 'usage') {
    const { fault, points } = await liveThroughUsage(server, plan)
    return { lives: plan.kills.length + 1, points, recoveries: 0, refusals: 0, fault }
  }
  if (plan.kind === 'corrections') {
    const { fault, points } = await liveThroughCorrections(server, plan)
    return { lives: plan.kills.length + 1, points, recoveries: 0, refusals: 0, fault }
  }
  return happenToHosts(server, plan, plan.kind === 'hosts' ? plan.hosts : [plan])
}

/** A single host, or several that count into one database, each through its lives. */
async function happenToHosts(
  server: Server,
  plan: Plan | HostsPlan,
  hosts: readonly Host[],
): Promise<Outcome> {
  const first = await makeHistorySite(server, plan)
  const sites = hosts.map((_, i) => (i === 0 ? first : makeNeighbour(first)))
  try {
    const lives = hosts.map((host, i) => new HostLives(sites[i]!, host, hosts.length > 1))
    await Promise.all(lives.map(host => host.liveThrough()))
    // Some may have ended before the database became another one.
    await Promise.all(lives.map(host => host.liveAgain()))
    const sum = (of: 'lives' | 'points' | 'recoveries'): number =>
      lives.reduce((all, host) => all + host[of], 0)
    const counts = {
      ...{ lives: sum('lives'), points: sum('points'), recoveries: sum('recoveries') },
      refusals: refusedIn(sites.map(({ paths }) => paths)).size,
    }
    const failures = lives.flatMap(({ failure }) => failure ?? [])
    const faults = failures.length > 0 ? failures : await faultsAfter(plan, hosts, sites)
    const logs = lives.flatMap(({ logs }, i) => [`===== host ${i}`, ...logs])
    return { ...counts, fault: faults.length === 0 ? undefined : [...faults, ...logs].join('\n') }
  } finally {
    // The first takes the database with it.
    for (const site of [...sites].reverse()) await site.remove()
  }
}

async function faultsAfter(
  { seed }: Plan | HostsPlan,
  hosts: readonly Host[],
  sites: readonly HistorySite[],
): Promise<string[]> {
  const [first] = sites
  const directories = sites.map(({ paths }) => paths)
  const files = hosts.flatMap(host => host.files)
  const faults = await faultsOf({ ...first!, directories }, files, seed)
  if (faults.length > 0) return faults
  const which = seed % hosts.length
  return saidFaults(sites[which]!, directories, { seed, files, own: hosts[which]!.files })
}

/** One host's way through its lives. */
class HostLives {
  readonly #site: HistorySite
  readonly #publisher: Publisher
  readonly #lives: readonly (Life | undefined)[]
  readonly #isBesideOthers: boolean
  readonly logs: string[] = []
  points = 0
  recoveries = 0
  failure: string | undefined
  /** As often as the database had changed when the last life began. */
  #changes = 0

  constructor(site: HistorySite, { lives, files }: Host, isBesideOthers: boolean) {
    this.#site = site
    this.#isBesideOthers = isBesideOthers
    const planned = files.map(file => ({ ...file, life: Math.min(file.life, lives.length) }))
    this.#publisher = new Publisher(site.paths, planned)
    // The last is the one that comes to an end with everything.
    this.#lives = [...lives, undefined]
  }

  get lives(): number {
    return this.logs.length
  }

  liveThrough(): Promise<void> {
    return this.#liveFrom(0)
  }

  /** The last life once more, if the database has changed since it began. */
  async liveAgain(): Promise<void> {
    const isOver = this.failure !== undefined || this.#changes === this.#site.database.changes
    if (!isOver) await this.#liveFrom(this.#lives.length - 1)
  }

  async #liveFrom(from: number): Promise<void> {
    try {
      for (let number = from; number < this.#lives.length; ) {
        const life = this.#lives[number]
        this.#changes = this.#site.database.changes
        const lived = await live(this.#site, this.#publisher, number, life)
        this.logs.push(`--- life ${number}:\n${lived.log}`)
        if (lived.reachedPoint) this.points += 1
        if (lived.isBehind) {
          this.recoveries += 1
          this.logs.push(`--- recover:\n${await recover(this.#site, this.#isBesideOthers)}`)
        }
        const isUnfinished = lived.isBehind || lived.isHindered
        if (!isUnfinished || life !== undefined) number += 1
      }
    } catch (error) {
      if (!(error instanceof HistoryFailed)) throw error
      this.failure = error.message
    }
  }
}

/**
 * As a person would whom the parser has told to. What is lost here another host may have, where there
 * are several: the totals will tell.
 *
 * @returns what it said
 */
async function recover(site: HistorySite, isBesideOthers: boolean): Promise<string> {
  let { code, said } = await runCommand(site, 'recover')
  // Another host was recovered first, and its parser has begun a new ledger.
  if (code === 3 && isBesideOthers && said.includes('run it with --other-database')) {
    ;({ code, said } = await runCommand(site, 'recover', '--other-database'))
  }
  const isDone = code === 0 || (code === 1 && isBesideOthers && said.includes('LOST HERE'))
  if (!isDone) throw new HistoryFailed(`recover ended with ${code}:\n${said}`)
  return said
}

/** How often a smaller history may go well before it counts as one that does. */
const TRIES = 2
const SHRINKING_MS = 60_000

/**
 * The smallest history found that still fails: without one life or one file after the other. As
 * processes race, it is found with some luck only.
 */
export async function shrink(server: Server, failing: History): Promise<History> {
  const deadline = performance.now() + SHRINKING_MS
  let smallest = failing
  for (let found = true; found; ) {
    found = false
    for (const smaller of smallerPlans(smallest)) {
      if (performance.now() > deadline) return smallest
      if (!(await fails(server, smaller))) continue
      smallest = smaller
      found = true
      break
    }
  }
  return smallest
}

function* smallerPlans(plan: History): Generator<History> {
  if (plan.kind === 'corrections' || plan.kind === 'usage') {
    for (const one of plan.kills) yield { ...plan, kills: plan.kills.filter(two => two !== one) }
    if (plan.kind === 'usage') {
      for (const one of plan.steps) yield { ...plan, steps: plan.steps.filter(two => two !== one) }
    } else {
      // The first publishes: without it there is nothing to look at.
      const [begin, ...steps] = plan.steps
      for (const one of steps)
        yield { ...plan, steps: [begin!, ...steps.filter(two => two !== one)] }
    }
  } else if (plan.kind === 'house') {
    const { troubles, files } = plan
    for (const one of troubles) yield { ...plan, troubles: troubles.filter(two => two !== one) }
    for (const file of files) yield { ...plan, files: files.filter(one => one !== file) }
  } else if (plan.kind === 'hosts') {
    const { hosts } = plan
    for (const [i, host] of hosts.entries()) {
      for (const smaller of smallerHosts(host))
        yield { ...plan, hosts: replaced(hosts, i, smaller) }
    }
  } else {
    for (const smaller of smallerHosts(plan)) yield { ...plan, ...smaller }
  }
  if (plan.kind === 'parsers' || plan.kind === 'hosts') {
    const { totals, ...without } = plan
    if (totals !== undefined) yield without
  }
}

function* smallerHosts({ lives, files }: Host): Generator<Host> {
  for (const life of lives) yield { files, lives: lives.filter(one => one !== life) }
  for (const file of files) yield { lives, files: files.filter(one => one !== file) }
  for (const [i, life] of lives.entries()) {
    for (const event of ['twin', 'pause', 'raise', 'rule', 'database'] as const) {
      const { [event]: planned, ...without } = life
      if (planned !== undefined) yield { files, lives: replaced(lives, i, without) }
    }
    if (life.lost.length > 0) yield { files, lives: replaced(lives, i, { ...life, lost: [] }) }
  }
}

function replaced<T>(items: readonly T[], index: number, item: T): T[] {
  return items.map((one, i) => (i === index ? item : one))
}

async function fails(server: Server, plan: History): Promise<boolean> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    if ((await happen(server, plan)).fault !== undefined) return true
  }
  return false
}
