import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Session } from '../../parser/ledger/connection.ts'
import { ledgerNames } from '../../parser/ledger/schema/tables.ts'
import { U64_MAX } from '../../shared/limits.ts'
import { givenName } from '../../shared/paths.ts'
import { sha256Of } from '../helpers/files.ts'
import { list } from '../helpers/invariants.ts'
import { pingParser } from '../helpers/parser.ts'
import {
  CANNOT,
  CorrectionsModel,
  DECLINED,
  DONE,
  FOREIGN,
  type Standing,
} from './corrections-model.ts'
import type { CorrectedFile, CorrectionsPlan, Step } from './corrections-plan.ts'
import { areInPlace, assertAsModelled, statesOf } from './corrections-proof.ts'
import { HistoryFailed } from './life.ts'
import { type Lived, liveThrough } from './live-through.ts'
import { Parsers } from './parsers.ts'
import type { HistorySite, Server } from './site.ts'

const STEP_MS = 60_000
/** Lets it happen. After each step the totals, and each single one of them, are what the model says. */
export function liveThroughCorrections(server: Server, plan: CorrectionsPlan) {
  return liveThrough(server, plan, (...parts) => new Corrections(...parts))
}

class Corrections implements Lived {
  readonly #plan: CorrectionsPlan
  readonly #sites: readonly HistorySite[]
  readonly #session: Session
  readonly #model: CorrectionsModel
  readonly #parsers: Parsers
  #log = ''

  constructor(plan: CorrectionsPlan, sites: readonly HistorySite[], session: Session) {
    this.#plan = plan
    this.#sites = sites
    this.#session = session
    this.#model = new CorrectionsModel(plan.files, plan.policy)
    this.#parsers = new Parsers(sites, plan.kills, { stepMs: STEP_MS })
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
      this.#log += `--- step ${i}: ${JSON.stringify(step, (_key, value) => (typeof value === 'bigint' ? `${value}` : value))}\n`
      await this.#take(step, i)
      await assertAsModelled(this.#session, this.#sites[0]!.config, this.#plan.files, this.#model)
    }
    const places = this.#sites.map(({ paths }) => paths)
    await this.#parsers.until('each file is where it belongs', async () => {
      return areInPlace(places, this.#plan.files, this.#model)
    })
    const code = this.#model.added === 0n ? DONE : DECLINED
    await this.#ask(0, code, 'verify', '--full', '--json')
  }

  async #take(step: Step, number: number): Promise<void> {
    const model = this.#model
    switch (step.do) {
      case 'publish':
        this.#place(step.file, step.host)
        model.publish(step.file)
        return this.#untilSettled(step.file, step.host)
      case 'undo':
      case 'redo':
      case 'release':
      case 'refuse': {
        // It would wait for a decision.
        if (step.do === 'undo' && model.standing(step.file) === 'held') return
        const code = model[step.do](step.file)
        await this.#ask(step.host, code, step.do, this.#hash(step.file))
        return
      }
      case 'supersede':
        return this.#supersede(step.file, step.by, step.host)
      case 'requeue':
        return this.#requeue(step.file, undefined)
      case 'mend':
        return this.#requeue(step.file, step.by)
      case 'add':
        await this.#setTotal(FOREIGN, (model.totals.get(FOREIGN) ?? 0n) + step.amount)
        return model.add(step.amount)
      case 'lower':
        return this.#lower(step.file, step.host)
      case 'raise':
        return this.#raise(step.file, step.host)
      case 'reset':
        await this.#ask(step.host, DONE, 'reset', '--to-zero', '--reason', `step ${number}`)
        return model.reset()
      case 'prune':
        await this.#ask(step.host, DONE, 'prune', '--before', new Date().toISOString())
        return model.prune()
      case 'undo reset': {
        const code = model.undoReset()
        if (code !== undefined) await this.#ask(step.host, code, 'undo', await this.#lastReset())
        return
      }
      case 'kill':
        return this.#parsers.kill(step.host)
    }
  }

  #place(number: number, host: number): void {
    const { name, content } = this.#file(number)
    const { inbox } = this.#sites[host]!.paths
    const hidden = join(inbox, `.${name}`)
    writeFileSync(hidden, content)
    renameSync(hidden, join(inbox, name))
  }

  /** A content that came to a host has become there what the model says. */
  async #untilSettled(
    number: number,
    host: number,
    standing = this.#model.standing(number)!,
  ): Promise<void> {
    const { paths } = this.#sites[host]!
    await this.#parsers.until(`${this.#hash(number)} is ${standing}`, async () => {
      if (list(paths.inbox).some(name => !name.startsWith('.'))) return false
      const health = await pingParser(paths)
      if (health?.state !== 'running' || health.queue.files > 0) return false
      const { said } = await this.#parsers.run(host, 'check', this.#hash(number))
      return SAID[standing].test(said)
    })
  }

  async #supersede(old: number, by: number, host: number): Promise<void> {
    // It would wait for a decision.
    if (this.#model.standing(old) === 'held') return
    const name = `replacement-${by}`
    const path = join(this.#sites[host]!.paths.dir, name)
    writeFileSync(path, this.#file(by).content)
    const code = this.#model.supersede(old, by, name)
    await this.#ask(host, code, 'supersede', this.#hash(old), path)
  }

  /** Comes back from quarantine on the host that has it there; mended: as another content. */
  async #requeue(number: number, by: number | undefined): Promise<void> {
    const standing = this.#model.standing(number)
    const must = standing === 'refused' || standing === 'spoilt'
    const found = must
      ? await this.#parsers.until('it is in quarantine', async () => this.#findQuarantined(number))
      : this.#findQuarantined(number)
    if (found === undefined || by === number) return
    const { host, path, name } = found
    if (by === undefined) await this.#ask(host, DONE, 'requeue', path)
    else {
      const mended = join(this.#sites[host]!.paths.dir, `mended-${by}`)
      writeFileSync(mended, this.#file(by).content)
      await this.#ask(host, DONE, 'requeue', path, '--with', mended)
    }
    this.#model.publish(by ?? number, { name, isExplained: by !== undefined })
    await this.#untilSettled(by ?? number, host)
  }

  #findQuarantined(number: number) {
    const hash = this.#hash(number)
    for (const [host, { paths }] of this.#sites.entries()) {
      for (const name of list(paths.quarantine)) {
        const path = join(paths.quarantine, name)
        if (name.endsWith(SIDECAR) || sha256Of(readFileSync(path)) !== hash) continue
        const told = JSON.parse(readFileSync(`${path}${SIDECAR}`, 'utf8'))
        return { host, path, name: givenName(told.name, hash) }
      }
    }
    return undefined
  }

  /** Somebody takes from a total what a file has added, and puts it back when that was noticed. */
  async #lower(number: number, host: number): Promise<void> {
    if (!this.#model.canBeUndone(number)) return
    const [id, sum] = this.#oneOf(number)
    await this.#setTotal(id, sum - 1n)
    const { said } = await this.#ask(host, DECLINED, 'undo', this.#hash(number))
    if (!said.includes(`consumer ${id} stands at ${sum - 1n}`))
      fail(`it does not say why:\n${said}`)
    await this.#setTotal(id, this.#model.totals.get(id))
  }

  /** A total has no room for what comes; it has again when that was noticed. */
  async #raise(number: number, host: number): Promise<void> {
    if (!this.#model.wouldBeCounted(number)) return
    const [id, sum] = this.#oneOf(number)
    await this.#setTotal(id, U64_MAX - sum + 1n)
    this.#place(number, host)
    await this.#untilSettled(number, host, 'refused')
    // Who would have counted it in one transaction has written nothing of it.
    const recorded = await statesOf(this.#session, this.#names.file)
    this.#model.refuseFor(number, recorded.has(this.#hash(number)) ? 'refused' : 'spoilt')
    await this.#setTotal(id, this.#model.totals.get(id))
  }

  /** A consumer of a file that has something there. */
  #oneOf(number: number): [id: bigint, sum: bigint] {
    return [...this.#model.sumsOf(number)].find(([, amount]) => amount > 0n)!
  }

  async #setTotal(consumer: bigint, total: bigint | undefined): Promise<void> {
    const { totals, id, amount } = this.#names
    await this.#session.execute(
      total === undefined
        ? `DELETE FROM ${totals} WHERE ${id} = ${consumer}`
        : `INSERT INTO ${totals} (${id}, ${amount}) VALUES (${consumer}, ${total})
             ON DUPLICATE KEY UPDATE ${amount} = ${total}`,
    )
  }

  async #lastReset(): Promise<string> {
    const [row] = await this.#session.query<{ sha256: Buffer }>(
      `SELECT sha256 FROM ${this.#names.file} WHERE sign = -1 ORDER BY sequence DESC LIMIT 1`,
    )
    return row!.sha256.toString('hex')
  }

  /** Asked until it is answered: parsers may be dead for a while. */
  async #ask(host: number, code: number, ...args: [string, ...string[]]) {
    const [command] = args
    const waits = command !== 'requeue' && command !== 'verify'
    let isRepeated = false
    return this.#parsers.until(`${command} ends with ${code}`, async () => {
      const ended = await this.#parsers.run(host, ...args, ...(waits ? ['--timeout', '40'] : []))
      this.#log += ended.said
      if (ended.code === code) return ended
      // It was done after all, and is not done again for the same reason.
      if (isRepeated && command === 'reset' && ended.said.includes('emptied before')) return ended
      // Its parser has died, and what was asked for, or published, is on its way.
      const isLater = ended.code === CANNOT && command !== 'requeue'
      if (!isLater) fail(`${args.join(' ')} ended with ${ended.code}, not ${code}`)
      isRepeated = true
      return command === 'supersede' && (await this.#isSuperseded(args, code)) ? ended : undefined
    })
  }

  async #isSuperseded([, old = '', path = '']: readonly string[], code: number): Promise<boolean> {
    const states = await statesOf(this.#session, this.#names.file)
    const by = states.get(sha256Of(readFileSync(path)))
    if (code === DECLINED) return by === 'refused'
    return code === DONE && by === 'applied' && states.get(old) === 'reverted'
  }

  get #names() {
    return ledgerNames(this.#sites[0]!.config)
  }

  #file(number: number): CorrectedFile {
    return this.#plan.files[number]!
  }

  #hash(number: number): string {
    return sha256Of(this.#file(number).content)
  }
}

/** As `check` says it. */
const SAID: Readonly<Record<Standing, RegExp>> = {
  counted: / {2}counted /,
  reverted: /not counted: reverted/,
  held: /held since/,
  refused: /not counted: quarantined/,
  spoilt: /not counted: quarantined/,
}

const SIDECAR = '.reason.json'

function fail(what: string): never {
  throw new HistoryFailed(what)
}
