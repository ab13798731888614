import { readdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Session } from '../../parser/ledger/connection.ts'
import { prove } from '../../parser/ledger/index.ts'
import { ledgerNames } from '../../parser/ledger/schema/tables.ts'
import { type DataFile, sha256Of, totalsOf } from '../helpers/files.ts'
import { pingParser } from '../helpers/parser.ts'
import type { CorrectionsPlan, Step } from './corrections-plan.ts'
import { HistoryFailed } from './life.ts'
import { runCommand, type SpawnedProgram, spawnParser } from './parser-process.ts'
import { type HistorySite, makeHistorySite, makeNeighbour, type Server } from './site.ts'

const STEP_MS = 60_000
const POLL_MS = 20
/** Nobody else counts for this consumer. */
const FOREIGN = 4_999_999_999n

/** Lets it happen. After each step the totals, and each single one of them, are what the model says. */
export async function liveThroughCorrections(
  server: Server,
  plan: CorrectionsPlan,
): Promise<{ readonly fault: string | undefined; readonly points: number }> {
  const first = await makeHistorySite(server, plan)
  const sites = [first, ...Array.from({ length: plan.hosts - 1 }, () => makeNeighbour(first))]
  const session = await Session.open(first.address)
  const history = new Corrections(plan, sites, session)
  try {
    await history.live()
    return { fault: undefined, points: history.points }
  } catch (error) {
    const why = error instanceof HistoryFailed ? error.message : String((error as Error).stack)
    return { fault: `${why}\n${history.log}`, points: history.points }
  } finally {
    await history.end()
    await session.close()
    for (const site of [...sites].reverse()) await site.remove()
  }
}

type Standing = 'counted' | 'reverted'

class Corrections {
  readonly #plan: CorrectionsPlan
  readonly #sites: readonly HistorySite[]
  readonly #session: Session
  readonly #parsers: SpawnedProgram[]
  readonly #kills: string[]
  /** Of contents that were published, by the number of their file. */
  readonly #stands = new Map<number, Standing>()
  readonly #rows = new Set<bigint>()
  #added = 0n
  #isOver = false
  points = 0
  log = ''

  constructor(plan: CorrectionsPlan, sites: readonly HistorySite[], session: Session) {
    this.#plan = plan
    this.#sites = sites
    this.#session = session
    this.#kills = [...plan.kills]
    this.#parsers = sites.map(site => this.#spawn(site))
  }

  async live(): Promise<void> {
    for (const [i, step] of this.#plan.steps.entries()) {
      this.log += `--- step ${i}: ${JSON.stringify(step, (_key, value) => (typeof value === 'bigint' ? `${value}` : value))}\n`
      await this.#take(step)
      await this.#prove()
    }
    const { code, said } = await this.#run(0, 'verify', '--full', '--json')
    if (code !== (this.#added === 0n ? 0 : 1)) fail(`verify ended with ${code}:\n${said}`)
  }

  async end(): Promise<void> {
    this.#isOver = true
    for (const parser of this.#parsers) if (!parser.ended()) parser.signal('SIGKILL')
    while (this.#parsers.some(parser => parser.ended() === undefined)) await sleep(POLL_MS)
    for (const parser of this.#parsers) this.log += `--- parser:\n${parser.log()}`
  }

  async #take(step: Step): Promise<void> {
    switch (step.do) {
      case 'publish':
        return this.#publish(step.file, step.host)
      case 'undo':
      case 'redo': {
        const was = this.#stands.get(step.file)
        const to = step.do === 'undo' ? 'reverted' : 'counted'
        await this.#ask(step.host, was === undefined ? 2 : 0, step.do, this.#hash(step.file))
        if (was !== undefined) this.#stands.set(step.file, to)
        return
      }
      case 'supersede':
        return this.#supersede(step.file, step.by, step.host)
      case 'add': {
        const { totals, id, amount } = this.#names
        await this.#write(
          `INSERT INTO ${totals} (${id}, ${amount}) VALUES (${FOREIGN}, ${step.amount})
           ON DUPLICATE KEY UPDATE ${amount} = ${amount} + ${step.amount}`,
        )
        this.#added += step.amount
        this.#rows.add(FOREIGN)
        return
      }
      case 'lower':
        return this.#lower(step.file, step.host)
    }
  }

  async #publish(number: number, host: number): Promise<void> {
    const file = this.#file(number)
    const { inbox } = this.#sites[host]!.paths
    const hidden = join(inbox, `.${file.name}`)
    writeFileSync(hidden, file.content)
    renameSync(hidden, join(inbox, file.name))
    const was = this.#stands.get(number)
    if (was === undefined) this.#counts(number)
    await this.#until(`${file.name} is settled`, async () => {
      const health = await pingParser(this.#sites[host]!.paths)
      const waits = readdirSync(inbox).includes(file.name)
      if (waits || health?.state !== 'running' || health.queue.files > 0) return false
      const { said } = await this.#run(host, 'check', this.#hash(number))
      return was === 'reverted' ? said.includes('not counted: reverted') : / {2}counted /.test(said)
    })
  }

  async #supersede(old: number, by: number, host: number): Promise<void> {
    const path = join(this.#sites[host]!.paths.dir, `replacement-${by}`)
    writeFileSync(path, this.#file(by).content)
    const was = this.#stands.get(old)
    const may = was === 'counted' && !this.#stands.has(by) && old !== by
    const isUsage = was === undefined || old === by
    await this.#ask(host, may ? 0 : isUsage ? 2 : 3, 'supersede', this.#hash(old), path)
    if (!may) return
    this.#stands.set(old, 'reverted')
    this.#counts(by)
  }

  /** Somebody takes from a total what a file has added, and puts it back when that was noticed. */
  async #lower(number: number, host: number): Promise<void> {
    if (this.#stands.get(number) !== 'counted') return
    const sums = [...totalsOf([this.#file(number)])]
    const [id, sum] = sums.find(([, amount]) => amount > 0n) ?? [0n, 0n]
    const standing = this.#expected().get(id) ?? 0n
    const { totals, id: column, amount } = this.#names
    await this.#write(`UPDATE ${totals} SET ${amount} = ${sum - 1n} WHERE ${column} = ${id}`)
    const { said } = await this.#ask(host, 1, 'undo', this.#hash(number))
    if (!said.includes(`consumer ${id} stands at ${sum - 1n}`))
      fail(`it does not say why:\n${said}`)
    await this.#write(`UPDATE ${totals} SET ${amount} = ${standing} WHERE ${column} = ${id}`)
  }

  async #prove(): Promise<void> {
    const expected = this.#expected()
    const { totals, id, amount } = this.#names
    const rows = await this.#session.query<{ id: bigint; amount: bigint | string }>(
      `SELECT CAST(${id} AS UNSIGNED) AS id, ${amount} AS amount FROM ${totals}`,
    )
    const found = new Map(rows.map(row => [BigInt(row.id), BigInt(row.amount)]))
    for (const one of new Set([...found.keys(), ...this.#rows])) {
      if (found.get(one) !== (expected.get(one) ?? 0n)) {
        fail(`consumer ${one} stands at ${found.get(one)}, not ${expected.get(one) ?? 0n}`)
      }
    }
    const { findings, consumers } = await prove(this.#session, this.#sites[0]!.config, {
      journal: [],
      consumers: { differencesMax: 10 },
    })
    const faults = findings.filter(({ check }) => check !== 'totals' || this.#added === 0n)
    if (faults.length > 0) fail(`verify: ${JSON.stringify(faults)}`)
    const differences = consumers && 'differences' in consumers ? consumers.differences : []
    const told = differences.map(({ id, total, expected }) => `${id} ${(total ?? 0n) - expected}`)
    const wanted = this.#added === 0n ? [] : [`${FOREIGN} ${this.#added}`]
    if (told.join() !== wanted.join()) fail(`verify: ${told}, not ${wanted}`)
  }

  #expected(): Map<bigint, bigint> {
    const counted = [...this.#stands].filter(([, standing]) => standing === 'counted')
    const totals = new Map(totalsOf(counted.map(([number]) => this.#file(number))))
    if (this.#added > 0n) totals.set(FOREIGN, (totals.get(FOREIGN) ?? 0n) + this.#added)
    return totals
  }

  #counts(number: number): void {
    this.#stands.set(number, 'counted')
    for (const id of totalsOf([this.#file(number)]).keys()) this.#rows.add(id)
  }

  /** Asked until it is answered: parsers may be dead for a while. */
  async #ask(host: number, code: number, ...args: [string, ...string[]]) {
    return this.#until(`${args[0]} ends with ${code}`, async () => {
      const ended = await this.#run(
        host,
        ...args,
        ...(args[0] === 'verify' ? [] : ['--timeout', '40']),
      )
      this.log += ended.said
      const isLater = ended.code === 3 && code !== 3
      if (ended.code === code) return ended
      // Its parser has died, and what was published is on its way.
      if (isLater || (args[0] === 'supersede' && / already, as /.test(ended.said))) {
        return (await this.#isSuperseded(args)) ? ended : undefined
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

  #run(host: number, command: string, ...args: string[]) {
    return runCommand(this.#sites[host]!, command, ...args)
  }

  async #until<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
    const deadline = performance.now() + STEP_MS
    for (;;) {
      const found = await look()
      if (found !== undefined && found !== false) return found
      if (performance.now() > deadline) fail(`not within ${STEP_MS} ms: ${what}`)
      await sleep(POLL_MS)
    }
  }

  /** One that dies is followed by another one at once. */
  #spawn(site: HistorySite): SpawnedProgram {
    const parser: SpawnedProgram = spawnParser(site, this.#kills.shift(), () => {
      const ended = parser?.ended()
      if (ended === undefined || this.#isOver) return
      const at = this.#parsers.indexOf(parser)
      if (at === -1) return
      if (ended.signal === 'SIGKILL') this.points += 1
      else this.log += `--- a parser ended with ${ended.code}\n`
      this.log += `--- parser:\n${parser.log()}`
      this.#parsers[at] = this.#spawn(site)
    })
    return parser
  }

  async #write(sql: string): Promise<void> {
    await this.#session.execute(sql)
  }

  get #names() {
    return ledgerNames(this.#sites[0]!.config)
  }

  #file(number: number): DataFile {
    return this.#plan.files[number]!
  }

  #hash(number: number): string {
    return sha256Of(this.#file(number).content)
  }
}

function fail(what: string): never {
  throw new HistoryFailed(what)
}
