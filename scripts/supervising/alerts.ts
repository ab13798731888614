/**
 * Tells a command of somebody's what needs a person: one JSON object on its standard input for each
 * event. What is told of, and how it is known, is the table `KINDS`.
 *
 * - A **condition** (a blocked batch, an unfit ledger, a full disk) is told of when it begins, and again
 *   while it lasts; what **happened** (files quarantined, a child given up) once. Of each kind no more
 *   than once in `ALERT_AGAIN_MS`; what is quarantined meanwhile is in the next one.
 * - The command gets `ALERT_TIMEOUT_MS`, then it is killed with all that it started.
 *
 * Nothing waits for it but the end of the service, and nothing depends on it: what fails is said in the
 * log, once until it succeeds. A crash loses what was not told yet; a condition that lasts is
 * told of by the next start.
 */

import { hostname } from 'node:os'
import { describeError } from '../../shared/errors.ts'
import { type ParserHealth, processedPage } from '../../shared/protocol.ts'
import { SETTINGS } from '../../shared/settings.ts'
import { type Channel, isOfThePeer } from '../../shared/socket/index.ts'
import { runCommand } from './alert-command.ts'

/** What the command reads. Fields may be added; a change of these raises the version. */
export interface AlertEvent {
  readonly version: 1
  readonly kind: AlertKind
  /** What is so, for people. */
  readonly what: string
  readonly reason: string
  /** UTC, ISO-8601: when it was first seen. */
  readonly since: string
  readonly at: string
  readonly stateDirectory: string
  readonly host: string
}

export type AlertKind =
  | 'batch-blocked'
  | 'ledger-behind'
  | 'ledger-unfit'
  | 'low-disk'
  | 'quarantine'
  | 'child-given-up'
  | 'service-failed'

const KINDS: Readonly<Record<AlertKind, Kind>> = {
  'batch-blocked': {
    what: 'a batch cannot be finished until somebody helps',
    reasonIn: health => health.blockedBatch,
  },
  'ledger-behind': {
    what: 'the database lacks what was counted, and nothing is written to it',
    reasonIn: health => (isBehind(health) ? whyUnfit(health) : undefined),
  },
  'ledger-unfit': {
    what: 'the database is not as it must be, and nothing is written to it',
    reasonIn: health => (isBehind(health) ? undefined : whyUnfit(health)),
  },
  'low-disk': {
    what: 'a disk is nearly full, and nothing new is begun',
    reasonIn: health => health.noRoom,
  },
  quarantine: { what: 'files were quarantined' },
  'child-given-up': {
    what: 'a process is not started again; if it is not the one that serves, the service ends',
  },
  'service-failed': { what: 'the service has ended abnormally' },
}

interface Kind {
  readonly what: string
  /** Of a condition: why it is so; undefined: it is not. */
  readonly reasonIn?: (health: ParserHealth) => string | undefined
}

function whyUnfit({ database, databaseReason }: ParserHealth): string | undefined {
  return database === 'unfit' ? (databaseReason ?? 'it is not said why') : undefined
}

function isBehind(health: ParserHealth): boolean {
  return whyUnfit(health)?.startsWith('LEDGER_BEHIND') ?? false
}

/**
 * What a service cannot tell of itself any more.
 *
 * @returns why the command was not told; undefined: it was.
 */
export function tellOfFailure(
  command: string,
  stateDirectory: string,
  reason: string,
): Promise<string | undefined> {
  const nowMs = Date.now()
  return tell(command, alertEvent('service-failed', reason, nowMs, nowMs, stateDirectory))
}

function alertEvent(
  kind: AlertKind,
  reason: string,
  sinceMs: number,
  atMs: number,
  stateDirectory: string,
): AlertEvent {
  const [since, at] = [sinceMs, atMs].map(ms => new Date(ms).toISOString()) as [string, string]
  const { what } = KINDS[kind]
  return { version: 1, kind, what, reason, since, at, stateDirectory, host: hostname() }
}

function tell(command: string, event: AlertEvent): Promise<string | undefined> {
  return runCommand(command, `${JSON.stringify(event)}\n`, ALERT_TIMEOUT_MS).catch(describeError)
}

/** Of one kind. */
export const ALERT_AGAIN_MS = 15 * 60_000
export const ALERT_TIMEOUT_MS = 10_000
/** The service's end may wait for this. */
const ASKED_FOR_MS = 2_000

export class Alerts {
  readonly #command: string
  readonly #stateDirectory: string
  readonly #note: (text: string) => void
  readonly #parserChannel: () => Channel | undefined
  readonly #sinceMs = new Map<AlertKind, number>()
  readonly #toldMs = new Map<AlertKind, number>()
  /** At most one of each kind. */
  readonly #running = new Map<AlertKind, Promise<void>>()
  /** Of the parser, for an event. */
  #asking: Promise<unknown> = Promise.resolve()
  #quarantined: number | undefined
  #isFailureTold = false

  constructor(options: {
    /** For /bin/sh; empty: nobody is told. */
    command: string
    stateDirectory: string
    /** For the log. */
    note: (text: string) => void
    /** The way to ask the parser; undefined: it does not answer now. */
    parserChannel: () => Channel | undefined
  }) {
    this.#command = options.command
    this.#stateDirectory = options.stateDirectory
    this.#note = options.note
    this.#parserChannel = options.parserChannel
  }

  /** What the parser says of itself now. */
  heard(health: ParserHealth): void {
    if (this.#command === '') return
    for (const [name, { reasonIn }] of Object.entries(KINDS)) {
      if (reasonIn === undefined) continue
      const kind = name as AlertKind
      this.#noted(kind, reasonIn(health))
    }
    this.#heardOfQuarantine(health)
  }

  /** Before the parser is stopped: what came after its last pong would be told of by nobody. */
  async hearOnceMore(): Promise<void> {
    if (this.#command === '') return
    await this.#askParser(async channel => {
      const { health } = await channel.request<'pong'>({ type: 'ping' }, ASKED_FOR_MS)
      if (health.role === 'parser') this.heard(health)
    })
    // What is asked of it for an event that is on its way needs it as well.
    await this.#asking
  }

  /** What no pong tells of. */
  happened(kind: 'child-given-up' | 'low-disk', reason: string): void {
    this.#noted(kind, reason)
  }

  /** Until every command that was started has ended. */
  async close(): Promise<void> {
    await Promise.all(this.#running.values())
  }

  #noted(kind: AlertKind, reason: string | undefined): void {
    if (reason === undefined) {
      this.#sinceMs.delete(kind)
      return
    }
    this.#begin(kind)
    if (this.#isDue(kind)) this.#tell(kind, async () => reason)
  }

  #heardOfQuarantine({ ever, sinceStart }: ParserHealth): void {
    // Before the first pong of a service, only what its own parser did is news.
    const before = this.#quarantined ?? ever.quarantined - sinceStart.quarantined
    // Another journal knows of fewer.
    this.#quarantined = Math.min(before, ever.quarantined)
    const files = ever.quarantined - this.#quarantined
    if (files === 0) return
    this.#begin('quarantine')
    if (!this.#isDue('quarantine')) return
    this.#quarantined = ever.quarantined
    this.#tell('quarantine', async () => {
      const newest = (await this.#newestQuarantined()) ?? 'see "countersink hashes"'
      return files === 1 ? newest : `${files} files; the newest: ${newest}`
    })
    this.#sinceMs.delete('quarantine')
  }

  async #newestQuarantined(): Promise<string | undefined> {
    return this.#askParser(async channel => {
      const question = { kind: 'newest', outcome: 'quarantined' }
      const answer = await channel.request<'answer'>({ type: 'query', question }, ASKED_FOR_MS)
      const [newest] = processedPage(answer).files
      return newest && `${newest.name}: ${newest.reason ?? 'it is not said why'}`
    })
  }

  async #askParser<R>(ask: (channel: Channel) => Promise<R>): Promise<R | undefined> {
    const channel = this.#parserChannel()
    try {
      return channel === undefined ? undefined : await ask(channel)
    } catch (error) {
      if (!isOfThePeer(error)) throw error
      return undefined
    }
  }

  #begin(kind: AlertKind): void {
    if (!this.#sinceMs.has(kind)) this.#sinceMs.set(kind, Date.now())
  }

  #isDue(kind: AlertKind): boolean {
    const toldMs = this.#toldMs.get(kind) ?? Number.NEGATIVE_INFINITY
    return performance.now() - toldMs >= ALERT_AGAIN_MS
  }

  #tell(kind: AlertKind, reasonOf: () => Promise<string>): void {
    if (this.#command === '') return
    this.#toldMs.set(kind, performance.now())
    const nowMs = Date.now()
    const sinceMs = this.#sinceMs.get(kind) ?? nowMs
    const asking = reasonOf()
    this.#asking = Promise.all([this.#asking, asking]).then(() => {})
    const told = asking.then(reason =>
      this.#run(alertEvent(kind, reason, sinceMs, nowMs, this.#stateDirectory)),
    )
    this.#running.set(kind, told)
    void told.finally(() => this.#running.delete(kind))
  }

  async #run(event: AlertEvent): Promise<void> {
    const why = await tell(this.#command, event)
    if (why !== undefined && !this.#isFailureTold) {
      this.#note(`${SETTINGS.alertCommand.variable} was not told of ${event.kind}: ${why}`)
    }
    this.#isFailureTold = why !== undefined
  }
}
