import { readdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Session } from '../../parser/ledger/connection.ts'
import { prove } from '../../parser/ledger/index.ts'
import { ledgerNames } from '../../parser/ledger/schema/tables.ts'
import { sha256Of } from '../helpers/files.ts'
import { pingParser } from '../helpers/parser.ts'
import { HistoryFailed } from './life.ts'
import { type Lived, liveThrough } from './live-through.ts'
import { Parsers } from './parsers.ts'
import type { HistorySite, Server } from './site.ts'
import { keptFrom, standingFaults } from './usage-faults.ts'
import { type Granularity, linesOf, type Used, usageOf } from './usage-model.ts'
import type { UsagePlan, UsageStep } from './usage-plan.ts'

const STEP_MS = 60_000
const GRANULARITIES: readonly Granularity[] = ['hour', 'day', 'month']

/** Lets it happen. After each step the proof holds and every period is what the model says. */
export function liveThroughUsage(server: Server, plan: UsagePlan) {
  return liveThrough(server, plan, (...parts) => new UsageHistory(...parts))
}

class UsageHistory implements Lived {
  readonly #plan: UsagePlan
  readonly #sites: readonly HistorySite[]
  readonly #session: Session
  readonly #parsers: Parsers
  /** Of contents that were published, by the number of their file: whether they are counted. */
  readonly #isCounted = new Map<number, boolean>()
  /** What stands in the place of another has its time. */
  readonly #usedAtMs: number[]
  #timeZone: string
  #log = ''

  constructor(plan: UsagePlan, sites: readonly HistorySite[], session: Session) {
    this.#plan = plan
    this.#sites = sites
    this.#session = session
    this.#timeZone = plan.timeZone
    this.#usedAtMs = plan.files.map(({ usedAtMs }) => usedAtMs)
    const env = {
      ...{ COUNTERSINK_USAGE: 'on', COUNTERSINK_TIME_ZONE: plan.timeZone },
      ...{ COUNTERSINK_ROLL_UP_MS: '100', COUNTERSINK_KEEP_HOURS: 'forever' },
      ...{ COUNTERSINK_KEEP_DAYS: 'forever', COUNTERSINK_KEEP_MONTHS: 'forever' },
    }
    this.#parsers = new Parsers(sites, plan.kills, { stepMs: STEP_MS, env })
  }

  get points(): number {
    return this.#parsers.points
  }

  get log(): string {
    return this.#log + this.#parsers.log
  }

  end(): Promise<void> {
    return this.#parsers.end()
  }

  async live(): Promise<void> {
    for (const [i, step] of this.#plan.steps.entries()) {
      this.#log += `--- step ${i}: ${JSON.stringify(step)}\n`
      await this.#take(step)
      await this.#prove()
      // Each starts a process.
      await this.#compare(GRANULARITIES[i % GRANULARITIES.length]!)
    }
    await this.#take({ do: 'settle' })
    for (const granularity of GRANULARITIES) await this.#compare(granularity)
    const { code, said } = await this.#parsers.run(0, 'verify', '--full', '--json')
    if (code !== 0) throw new HistoryFailed(`verify ended with ${code}:\n${said}`)
  }

  async #take(step: UsageStep): Promise<void> {
    switch (step.do) {
      case 'publish':
        return this.#publish(step.file, step.host)
      case 'undo':
      case 'redo': {
        const was = this.#isCounted.get(step.file)
        await this.#ask(step.host, was === undefined ? 2 : 0, step.do, this.#hash(step.file))
        if (was !== undefined) this.#isCounted.set(step.file, step.do === 'redo')
        return
      }
      case 'supersede':
        return this.#supersede(step.file, step.by, step.host)
      case 'zone':
        this.#timeZone = step.timeZone
        await this.#parsers.restart({ COUNTERSINK_TIME_ZONE: step.timeZone })
        return this.#untilRezoned()
      case 'keep':
        return this.#parsers.restart({
          COUNTERSINK_KEEP_HOURS: step.hours,
          COUNTERSINK_KEEP_DAYS: step.days,
          COUNTERSINK_KEEP_MONTHS: step.months,
        })
      case 'settle':
        return this.#settle()
    }
  }

  async #publish(number: number, host: number): Promise<void> {
    const { name, content } = this.#plan.files[number]!
    const { inbox } = this.#sites[host]!.paths
    const was = this.#isCounted.get(number)
    const usedAt = new Date(this.#plan.files[number]!.usedAtMs).toISOString()
    const manifest = { version: 1, size: content.length, sha256: this.#hash(number), usedAt }
    this.#put(inbox, `${name}.manifest.json`, JSON.stringify(manifest))
    this.#put(inbox, name, content)
    if (was === undefined) this.#isCounted.set(number, true)
    await this.#parsers.until(`${name} is settled`, async () => {
      const health = await pingParser(this.#sites[host]!.paths)
      const waits = readdirSync(inbox).includes(name)
      if (waits || health?.state !== 'running' || health.queue.files > 0) return false
      const { said } = await this.#parsers.run(host, 'check', this.#hash(number))
      return was === false ? said.includes('not counted: reverted') : / {2}counted /.test(said)
    })
  }

  #put(directory: string, name: string, content: string | Buffer): void {
    const hidden = join(directory, `.${name}`)
    writeFileSync(hidden, content)
    renameSync(hidden, join(directory, name))
  }

  async #supersede(old: number, by: number, host: number): Promise<void> {
    const path = join(this.#sites[host]!.paths.dir, `replacement-${by}`)
    writeFileSync(path, this.#plan.files[by]!.content)
    const was = this.#isCounted.get(old)
    const may = was === true && !this.#isCounted.has(by) && old !== by
    const isUsage = was === undefined || old === by
    await this.#ask(host, may ? 0 : isUsage ? 2 : 3, 'supersede', this.#hash(old), path)
    if (!may) return
    this.#isCounted.set(old, false)
    this.#isCounted.set(by, true)
    this.#usedAtMs[by] = this.#usedAtMs[old]!
  }

  /** All days and months are those of the time zone. */
  async #untilRezoned(): Promise<void> {
    await this.#parsers.until(`days are those of ${this.#timeZone}`, async () => {
      const [row] = await this.#session.query<{ zone: string; to: bigint | null }>(
        `SELECT time_zone AS zone, rezoned_to AS \`to\` FROM ${this.#names.meta}`,
      )
      return row?.zone === this.#timeZone && row.to === null
    })
  }

  async #settle(): Promise<void> {
    const { posting, rollup } = this.#names
    await this.#untilRezoned()
    await this.#parsers.until('everything is rolled up', async () => {
      const [row] = await this.#session.query<{ left: bigint; open: bigint }>(
        `SELECT (SELECT COUNT(*) FROM ${posting} WHERE rolled IS NULL) AS \`left\`,
                (SELECT COUNT(*) FROM ${rollup} WHERE state <> 'applied') AS open`,
      )
      return Number(row?.left) === 0 && Number(row?.open) === 0
    })
    const faults = await standingFaults(this.#session, this.#names, this.#counted(), this.#timeZone)
    if (faults.length > 0) throw new HistoryFailed(faults.join('\n'))
  }

  async #prove(): Promise<void> {
    const { findings } = await prove(this.#session, this.#sites[0]!.config, {
      journal: [],
      consumers: { differencesMax: 10 },
    })
    if (findings.length > 0) throw new HistoryFailed(`verify: ${JSON.stringify(findings)}`)
  }

  /** What the command says, whatever is rolled up by now. */
  async #compare(granularity: Granularity): Promise<void> {
    const kept = await keptFrom(this.#session, this.#names, granularity)
    const from = kept === undefined ? '2020-01-01' : kept.replace(' ', 'T').replace(/00$/, '00Z')
    const { code, said } = await this.#parsers.run(
      ...([0, 'usage', '--all', '--by', granularity, '--from', from] as const),
      ...['--to', '2029-01-01', '--csv'],
    )
    const wanted = linesOf(usageOf(this.#counted(), granularity, this.#timeZone, kept))
    if (code !== 0) throw new HistoryFailed(`usage by ${granularity} ended with ${code}:\n${said}`)
    const lines = said.trim().split('\n').slice(1)
    const told = lines.map(line => {
      const [period = '', ...others] = line.split(',')
      return [granularity === 'hour' ? hourOf(period) : dateOf(period), ...others].join(' ')
    })
    if (told.join('\n') === wanted.join('\n')) return
    // What is old may have been dropped meanwhile.
    if ((await keptFrom(this.#session, this.#names, granularity)) !== kept) {
      return this.#compare(granularity)
    }
    throw new HistoryFailed(
      `usage by ${granularity} is:\n${said}\nand by the model:\n${wanted.join('\n')}`,
    )
  }

  #counted(): Used[] {
    return [...this.#isCounted].flatMap(([number, isCounted]) => {
      const file = this.#plan.files[number]!
      return isCounted ? [{ ...file, usedAtMs: this.#usedAtMs[number]! }] : []
    })
  }

  /** Asked until it is answered: parsers may be dead for a while. */
  async #ask(host: number, code: number, ...args: [string, ...string[]]): Promise<void> {
    await this.#parsers.until(`${args[0]} ends with ${code}`, async () => {
      const ended = await this.#parsers.run(host, ...args, '--timeout', '40')
      this.#log += ended.said
      if (ended.code === code) return true
      const isLater = ended.code === 3 && code !== 3
      // Its parser has died, and what was published is on its way.
      if (isLater || (args[0] === 'supersede' && / already, as /.test(ended.said))) {
        return this.#isSuperseded(args)
      }
      throw new HistoryFailed(`${args.join(' ')} ended with ${ended.code}, not ${code}`)
    })
  }

  async #isSuperseded([command, old]: readonly string[]): Promise<boolean> {
    if (command !== 'supersede') return false
    const [row] = await this.#session.query<{ state: string }>(
      `SELECT state FROM ${this.#names.file} WHERE sha256 = x'${old}'`,
    )
    return row?.state === 'reverted'
  }

  get #names() {
    return ledgerNames(this.#sites[0]!.config)
  }

  #hash(number: number): string {
    return sha256Of(this.#plan.files[number]!.content)
  }
}

/** `2026-10-24T20:00+02:00`, as the model has it. */
function hourOf(period: string): string {
  return new Date(period).toISOString().slice(0, 19).replace('T', ' ')
}

function dateOf(period: string): string {
  return period.length === 7 ? `${period}-01` : period
}
