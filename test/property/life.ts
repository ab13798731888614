import { type FSWatcher, readdirSync, rmSync, watch } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { classifyName } from '../../shared/paths.ts'
import { pingParser } from '../helpers/parser.ts'
import { type SpawnedProgram, spawnParser } from './parser-process.ts'
import type { End, Life } from './plan.ts'
import type { Publisher } from './publisher.ts'
import type { Moment } from './random.ts'
import type { HistorySite } from './site.ts'

/** What must not happen; the history has failed. */
export class HistoryFailed extends Error {}

/** Generous: a machine may be busy with something else. */
const LIFE_MS = 90_000
const POLL_MS = 20

/** What it says when the database is an older or another one: while it runs, and at its start. */
const BEHIND = /ERROR parser (nothing is counted: )?LEDGER_BEHIND/
/** What it says of a new connection while there is a rule. */
const HINDERED = /ERROR parser .*DATABASE_UNFIT.*it has a (CHECK constraint|trigger)/
const HELP_NEEDED = / ERROR parser (?!(nothing is counted: )?LEDGER_BEHIND)/

/** How a process ends that a restart cannot help. */
const UNFIT_STATUS = 78

export interface Lived {
  readonly log: string
  /** The database is an older or another one: the next life needs `recover` before it. */
  readonly isBehind: boolean
  /** It would not begin, because of a rule that is gone now. */
  readonly isHindered: boolean
  /** It ended at its crash point. */
  readonly reachedPoint: boolean
}

const LAST: Life = { end: { signal: 'SIGTERM', at: { of: 'log', after: Infinity } }, lost: [] }

/**
 * Runs parsers from a start to their end, publishing files meanwhile. A life ends as planned, or,
 * if its plan never comes true, once all files of its time are settled.
 *
 * @param number counts from 0.
 * @param life undefined for the last, which ends when everything is settled.
 */
export async function live(
  site: HistorySite,
  publisher: Publisher,
  number: number,
  life: Life | undefined,
): Promise<Lived> {
  const running = new RunningLife(site, publisher, number, life ?? LAST, life === undefined)
  try {
    await running.untilEnded()
  } catch (error) {
    const stands = `inbox: ${readdirSync(site.paths.inbox)}\nwork: ${readdirSync(site.paths.work)}`
    const why = error instanceof Error ? error.message : String(error)
    throw new HistoryFailed(`life ${number}: ${why}\n${stands}\n${running.log()}`)
  } finally {
    await running.close()
  }
  // Who loses the journal and has the database put back at once has lost what there is to compare.
  const isAllThereIs = site.database.wasChanged || life?.database?.at === 'afterwards'
  if (life?.lost.includes('journal') && !isAllThereIs)
    rmSync(site.paths.journal, { recursive: true, force: true })
  if (life?.lost.includes('runs')) {
    for (const name of readdirSync(site.paths.runs)) rmSync(`${site.paths.runs}/${name}`)
  }
  if (life?.rule !== undefined) await site.database.dropRule()
  if (life?.database?.at === 'afterwards') await running.changeDatabase()
  const { isBehind, isHindered } = running
  return { log: running.log(), isBehind, isHindered, reachedPoint: running.reachedPoint() }
}

class RunningLife {
  readonly #site: HistorySite
  readonly #publisher: Publisher
  readonly #number: number
  readonly #life: Life
  readonly #isLast: boolean
  readonly #watchers: FSWatcher[]
  readonly #parsers: SpawnedProgram[] = []
  #nameChanges = 0
  #failure: unknown
  #isPaused = false
  #isRaised = false
  #isRuled = false
  #isSaved = false
  #isChanged = false

  constructor(
    site: HistorySite,
    publisher: Publisher,
    number: number,
    life: Life,
    isLast: boolean,
  ) {
    this.#site = site
    this.#publisher = publisher
    this.#number = number
    this.#life = life
    this.#isLast = isLast
    this.#watchers = [site.paths.work, site.paths.runs].map(path =>
      watch(path, () => {
        this.#nameChanges += 1
        this.#step()
      }),
    )
    this.#step()
    this.#parsers.push(this.#spawn(crashPointOf(life.end)))
  }

  log(): string {
    return this.#parsers.map(parser => parser.log()).join('--- the second:\n')
  }

  get isBehind(): boolean {
    return this.#site.database.wasChanged && BEHIND.test(this.log())
  }

  get isHindered(): boolean {
    return this.#parsers.some(
      parser => parser.ended()?.code === UNFIT_STATUS && HINDERED.test(parser.log()),
    )
  }

  async changeDatabase(): Promise<void> {
    const { database } = this.#site
    this.#isChanged = true
    await (this.#life.database?.what === 'replaced' ? database.replace() : database.putBack())
  }

  reachedPoint(): boolean {
    const [first] = this.#parsers
    return first?.ended()?.signal === 'SIGKILL' && !first.wasSignalled()
  }

  async untilEnded(): Promise<void> {
    const deadline = performance.now() + LIFE_MS
    while (this.#parsers.some(parser => parser.ended() === undefined)) {
      if (performance.now() > deadline) throw new Error(`it does not end within ${LIFE_MS} ms`)
      await sleep(POLL_MS)
      await this.#mindDatabase()
      this.#step()
      if (this.#failure !== undefined) throw this.#failure
      if (this.#parsers.length === 1 && needsHelp(this.log()))
        throw new Error('a parser needs help')
      if (HINDERED.test(this.log())) await this.#site.database.dropRule()
      if (!this.#site.database.wasChanged && BEHIND.test(this.log()))
        throw new Error('a parser finds fault with a database that nobody has changed')
      // It counts nothing any more, whatever was planned for it.
      if (this.isBehind) this.#end(signalOf(this.#life.end))
      if (this.#isIdle() && (await this.#isThrough())) this.#end(signalOf(this.#life.end))
    }
    for (const parser of this.#parsers) this.#judge(parser)
  }

  async #mindDatabase(): Promise<void> {
    const { raise } = this.#life
    if (raise !== undefined && !this.#isRaised && this.#isReached(raise.at)) {
      this.#isRaised = true
      await this.#site.database.raiseTotal(raise.id)
    }
    await this.#mindRule()
    const event = this.#life.database
    if (event === undefined || this.#isChanged) return
    if (!this.#isSaved && this.#isReached(event.saved)) {
      this.#isSaved = true
      await this.#site.database.save()
    }
    if (event.at !== 'afterwards' && this.#isReached(event.at)) await this.changeDatabase()
  }

  async #mindRule(): Promise<void> {
    const { rule } = this.#life
    if (rule === undefined) return
    if (!this.#isRuled && this.#isReached(rule.at)) {
      this.#isRuled = true
      await this.#site.database.makeRule(rule)
    }
    if (this.#isRuled && this.#isReached(rule.until)) await this.#site.database.dropRule()
  }

  async close(): Promise<void> {
    for (const watcher of this.#watchers) watcher.close()
    for (const parser of this.#parsers) {
      if (parser.ended() === undefined) parser.signal('SIGKILL')
    }
    while (this.#parsers.some(parser => parser.ended() === undefined)) await sleep(POLL_MS)
    await this.#publisher.settled()
  }

  /** Called at each sign of life: does what is due by now. */
  #step(): void {
    try {
      const { end, twin, pause } = this.#life
      if (!this.#isPaused && pause !== undefined && this.#isReached(pause.at)) {
        this.#isPaused = true
        this.#parsers[0]?.pause(pause.ms)
      }
      this.#publisher.publish(file => file.life < this.#number || this.#isDueNow(file))
      if (this.#parsers.length === 1 && twin !== undefined && this.#isReached(twin)) {
        this.#parsers.push(this.#spawn(undefined))
      }
      if ('signal' in end && this.#isReached(end.at)) this.#end(end.signal)
    } catch (error) {
      this.#failure ??= error
    }
  }

  #isDueNow({ life, at }: { life: number; at: Moment }): boolean {
    return life === this.#number && (this.#isReached(at) || this.#isSettled())
  }

  #isReached({ of, after }: Moment): boolean {
    return (of === 'log' ? this.log().length : this.#nameChanges) >= after
  }

  #isIdle(): boolean {
    return this.#isSettled() && !this.#publisher.hasFor(this.#number)
  }

  /**
   * Nothing stands in the inbox or in work/, and the parsers that run have come far enough to see it.
   * (One may have been replaced before it was ready.)
   */
  #isSettled(): boolean {
    const { inbox, work } = this.#site.paths
    const running = this.#parsers.filter(parser => parser.ended() === undefined)
    if (!running.every(parser => parser.log().includes('MariaDB is ready'))) return false
    const waiting = readdirSync(inbox).filter(name => classifyName(name) === 'data')
    // One that was replaced may leave a file that is found after a while, or by the next start.
    const isReplaced = this.#parsers.some(parser => parser.ended() !== undefined)
    return waiting.length === 0 && (isReplaced || readdirSync(work).length === 0)
  }

  /**
   * The last parser must have looked after everything that was begun before its start, also by others
   * whose lives may be over.
   */
  async #isThrough(): Promise<boolean> {
    if (!this.#isLast) return true
    const { paths, database } = this.#site
    return (await pingParser(paths))?.state === 'running' && (await database.isAtRest())
  }

  #spawn(crashAt: string | undefined): SpawnedProgram {
    return spawnParser(this.#site, crashAt, () => this.#step())
  }

  #end(signal: NodeJS.Signals): void {
    for (const parser of this.#parsers) {
      if (parser.ended() === undefined && !parser.wasSignalled()) parser.signal(signal)
    }
  }

  #judge(parser: SpawnedProgram): void {
    const { code, signal } = parser.ended()!
    const isPlanned = 'point' in this.#life.end && signal === 'SIGKILL'
    // Asked to end, or killed because it did not react, by the one after it; or, where the second was
    // quicker at its start, asked by the first.
    const isReplaced =
      parser !== this.#parsers.at(-1)
        ? signal === 'SIGKILL' || code !== null
        : this.#parsers.length > 1 &&
          code === UNFIT_STATUS &&
          parser.log().includes('OWNERSHIP_LOST')
    const isRefused = code === UNFIT_STATUS && (this.isBehind || this.isHindered)
    if (code === 0 || isPlanned || isReplaced || isRefused) return
    if (parser.wasSignalled() && signal === signalOf(this.#life.end)) return
    throw new Error(`a parser ended by itself (${signal ?? code})`)
  }
}

function needsHelp(log: string): boolean {
  if (!HELP_NEEDED.test(log)) return false
  return log.split('\n').some(line => HELP_NEEDED.test(line) && !HINDERED.test(line))
}

function crashPointOf(end: End): string | undefined {
  return 'point' in end ? end.point : undefined
}

function signalOf(end: End): 'SIGKILL' | 'SIGTERM' {
  return 'signal' in end ? end.signal : 'SIGKILL'
}
