import { once } from 'node:events'
import { BUILT, spawnNode } from '../helpers/processes.ts'
import { faultsOf } from './check.ts'
import { liveInHouse } from './house.ts'
import { type HousePlan, housePlanOf } from './house-plan.ts'
import { HistoryFailed, live } from './life.ts'
import { expectedOf } from './model.ts'
import { type Plan, planOf } from './plan.ts'
import { Publisher } from './publisher.ts'
import { type HistorySite, makeHistorySite, type Server } from './site.ts'

export interface Outcome {
  /** What is wrong, in words; undefined when all is well. */
  readonly fault: string | undefined
  /** How many lives there were, and how many of them ended at a crash point. */
  readonly lives: number
  readonly points: number
  /** How often the database was found to be an older or another one. */
  readonly recoveries: number
}

/** A history of either kind: each eighth is one of the whole house. */
export type History = Plan | HousePlan

export function historyOf(seed: number): History {
  return seed % 8 === 0 ? housePlanOf(seed) : planOf(seed)
}

/** Lets a history happen and looks at its end. */
export async function happen(server: Server, plan: History): Promise<Outcome> {
  if (plan.kind === 'parsers') return happenToParsers(server, plan)
  return { lives: 1, points: 0, recoveries: 0, fault: await liveInHouse(plan) }
}

async function happenToParsers(server: Server, plan: Plan): Promise<Outcome> {
  const site = await makeHistorySite(server, plan.limits)
  const logs: string[] = []
  let points = 0
  let recoveries = 0
  try {
    const publisher = new Publisher(
      site.paths,
      plan.files.map(file => ({ ...file, life: Math.min(file.life, plan.lives.length) })),
    )
    const lives = [...plan.lives, undefined]
    for (let number = 0; number < lives.length; ) {
      const { log, isBehind, reachedPoint } = await live(site, publisher, number, lives[number])
      logs.push(`--- life ${number}:\n${log}`)
      if (reachedPoint) points += 1
      if (isBehind) {
        recoveries += 1
        logs.push(`--- recover:\n${await recover(site)}`)
      }
      // The last is the one that comes to an end with everything.
      if (!isBehind || lives[number] !== undefined) number += 1
    }
    const faults = await faultsOf(site, expectedOf(plan.files))
    const fault = faults.length === 0 ? undefined : [...faults, ...logs].join('\n')
    return { lives: logs.length, points, recoveries, fault }
  } catch (error) {
    if (!(error instanceof HistoryFailed)) throw error
    return { lives: logs.length, points, recoveries, fault: [error.message, ...logs].join('\n') }
  } finally {
    await site.remove()
  }
}

/** As a person would whom the parser has told to. @returns what it said */
async function recover(site: HistorySite): Promise<string> {
  const child = spawnNode([`${BUILT}scripts/countersink.js`, 'recover', '--dir', site.paths.dir], {
    env: { PATH: process.env.PATH, HOME: site.paths.dir, ...site.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', text => {
      said += text
    })
  }
  const [code] = await once(child, 'close')
  if (code !== 0) throw new HistoryFailed(`recover ended with ${code}:\n${said}`)
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
  const { files } = plan
  if (plan.kind === 'house') {
    const { troubles } = plan
    for (const one of troubles) yield { ...plan, troubles: troubles.filter(two => two !== one) }
    for (const file of files) yield { ...plan, files: files.filter(one => one !== file) }
    return
  }
  const { lives } = plan
  for (const life of lives) yield { ...plan, lives: lives.filter(one => one !== life) }
  for (const file of files) yield { ...plan, files: files.filter(one => one !== file) }
  for (const [i, life] of lives.entries()) {
    for (const event of ['twin', 'pause', 'database'] as const) {
      const { [event]: planned, ...without } = life
      if (planned !== undefined) yield { ...plan, lives: replaced(lives, i, without) }
    }
    if (life.lost.length > 0) yield { ...plan, lives: replaced(lives, i, { ...life, lost: [] }) }
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
