/**
 * Watches until what stands in an inbox now, and what is queued, is settled, or is known to be left
 * there. It only asks, through the parser's socket, and does not mind which parser answers: one may
 * end in the middle and another go on. Nothing here is durable.
 *
 * - **names**: each that stood there at the beginning has gone, or the parser says why it stays. What
 *   comes later, under the same names too, is not waited for.
 * - **queue**: then everything claimed until then is settled.
 *
 * So it comes to an end however much is added meanwhile. An inbox of more names than are remembered is
 * gone through in rounds.
 */

import { opendirSync } from 'node:fs'
import { join } from 'node:path'
import { hasCode } from '../../shared/errors.ts'
import { exactStatsOf } from '../../shared/looks.ts'
import { classifyName, type StatePaths } from '../../shared/paths.ts'
import {
  type AnswerTo,
  type Outcome,
  type ParserHealth,
  type ProcessedFile,
  type ProcessedPage,
  processedPage,
  type Question,
  type QueuedFile,
  type QueuePage,
} from '../../shared/protocol.ts'
import { type Channel, isOfThePeer } from '../../shared/socket/index.ts'
import { reach, whyNotReady } from '../terminal/index.ts'

/** Something that stays in the inbox. */
export interface LeftFile {
  readonly name: string
  readonly why: string
}

export class InboxDrain {
  readonly #paths: StatePaths
  /** By their inodes: another file of the same name came later. */
  #names = new Map<string, bigint>()
  #isRoundOver = false
  /** By name. */
  readonly #left = new Map<string, { readonly inode: bigint; readonly why: string }>()
  #waits: LeftFile[] = []
  /** The newest claim that is waited for. */
  #until: number | undefined
  #number: number | undefined
  readonly #counts = { applied: 0, duplicate: 0, quarantined: 0, reverted: 0, held: 0 }
  readonly #quarantined: ProcessedFile[] = []
  #rejectedLines = 0
  #cannotBecause: string | undefined = 'nothing was asked yet'

  constructor(paths: StatePaths) {
    this.#paths = paths
    this.#beginRound()
  }

  /** What was settled since the beginning. */
  get counts(): Readonly<Record<Outcome, number>> {
    return this.#counts
  }

  /** Bad lines of what was counted, that were put aside. */
  get rejectedLines(): number {
    return this.#rejectedLines
  }

  /** The first of these; `counts` knows how many there are. */
  get quarantined(): readonly ProcessedFile[] {
    return this.#quarantined
  }

  /** How many stay, and the first of them, with the reasons. */
  get left(): { readonly files: number; readonly first: readonly LeftFile[] } {
    const all = [...this.#left].slice(0, NAMED_MAX)
    return { files: this.#left.size, first: all.map(([name, { why }]) => ({ name, why })) }
  }

  /** Why it is not at its end, unless only for files that are still written to; as of the last look. */
  get cannotBecause(): string | undefined {
    return this.#cannotBecause
  }

  /** @returns whether it has come to its end. @throws what is no fault of the peer's */
  async look(isOwn: (pid: number) => boolean): Promise<boolean> {
    const reached = await reach(this.#paths, 'parser')
    if ('silentBecause' in reached) {
      this.#cannotBecause = reached.silentBecause
      return false
    }
    const { channel } = reached
    try {
      return await this.#lookThrough(
        channel,
        reached.health as ParserHealth,
        isOwn(reached.health.pid),
      )
    } catch (error) {
      if (!isOfThePeer(error)) throw error
      this.#cannotBecause = 'the parser has gone while it was asked'
      return false
    } finally {
      channel.close()
    }
  }

  /** What was settled since the last look, from the journal that nobody has open any more. */
  noteSettled({ files }: ProcessedPage): void {
    for (const file of files) {
      this.#number = file.number
      this.#counts[file.outcome] += 1
      if (file.outcome === 'applied') this.#rejectedLines += file.rejectedLines ?? 0
      if (file.outcome === 'quarantined' && this.#quarantined.length < NAMED_MAX) {
        this.#quarantined.push(file)
      }
    }
  }

  /** The last record that was noted; undefined: no parser has answered yet. */
  get number(): number | undefined {
    return this.#number
  }

  /** Patience has ended: what is still written to stays as well. */
  giveUp(): void {
    for (const { name, why } of this.#waits) this.#left.set(name, { inode: 0n, why })
  }

  #beginRound(): void {
    this.#names = new Map()
    this.#until = undefined
    this.#isRoundOver = true
    if (this.#left.size >= NAMES_MAX) return
    for (const name of namesIn(this.#paths.inbox)) {
      const kind = classifyName(name)
      if ((kind !== 'data' && kind !== 'unfit') || this.#left.has(name)) continue
      if (this.#names.size === NAMES_MAX) {
        this.#isRoundOver = false
        return
      }
      const inode = this.#inodeOf(name)
      if (inode !== undefined) this.#names.set(name, inode)
    }
  }

  /** undefined: it has gone. */
  #inodeOf(name: string): bigint | undefined {
    try {
      return exactStatsOf(join(this.#paths.inbox, name))?.ino
    } catch (error) {
      if (hasCode(error, 'ENAMETOOLONG', 'ENOTDIR')) return undefined
      throw error
    }
  }

  async #lookThrough(channel: Channel, health: ParserHealth, isOwn: boolean): Promise<boolean> {
    const ask = async <T extends Question>(question: T): Promise<AnswerTo<T>> => {
      const { body } = await channel.request<'answer'>({ type: 'query', question })
      return body as AnswerTo<T>
    }
    this.#number = this.#goOnFrom(health, isOwn)
    await this.#readSettled(channel)
    // Until the journal agrees with the ledger, and where nothing can be written, nothing is known.
    const notReady = whyNotReady(health) ?? health.inboxAway
    if (notReady !== undefined) {
      this.#cannotBecause = `the parser is ${notReady}`
      return false
    }
    const areNamesDone = await this.#areNamesDone(ask)
    const { files } = health.queue
    const isQueueDone = areNamesDone ? await this.#isQueueDone(ask) : files === 0
    await this.#readSettled(channel)
    const why = health.reason === undefined ? '' : ` (${health.reason})`
    this.#cannotBecause = isQueueDone ? undefined : `${files} files are not settled yet${why}`
    if (!areNamesDone || !isQueueDone || this.#hasSomeGone()) return false
    if (this.#isRoundOver) return true
    this.#beginRound()
    return false
  }

  async #areNamesDone(ask: Ask): Promise<boolean> {
    this.#waits = []
    for (const [name, inode] of this.#names) {
      if (this.#inodeOf(name) === inode) {
        const { left, waits } = await ask({ kind: 'inbox', name })
        if (left === undefined) {
          const why = waits ?? 'nobody has come to look at it yet'
          if (this.#waits.push({ name, why }) === NAMED_MAX) return false
          continue
        }
        this.#left.set(name, { inode, why: left })
      }
      this.#names.delete(name)
      this.#until = undefined
    }
    return this.#waits.length === 0
  }

  /** What was left may have been taken later after all: then it is in the queue. */
  #hasSomeGone(): boolean {
    const before = this.#left.size
    for (const [name, { inode }] of this.#left) {
      if (this.#inodeOf(name) !== inode) this.#left.delete(name)
    }
    if (this.#left.size === before) return false
    this.#until = undefined
    return true
  }

  /** All names are done: what is claimed now is all that there is to wait for. */
  async #isQueueDone(ask: Ask): Promise<boolean> {
    if (this.#until === undefined) {
      this.#until = 0
      for await (const { sequence } of queuedFiles(ask)) this.#until = sequence
    }
    for await (const { stage, sequence } of queuedFiles(ask)) {
      if (stage !== 'settling') return sequence > this.#until
    }
    return true
  }

  /** @param health of just now: what is older knows of fewer records than were read since. */
  #goOnFrom({ processed, sinceStart }: ParserHealth, isOwn: boolean): number {
    const { applied, duplicate, quarantined, reverted, held } = sinceStart
    // What a parser of ours has settled before it was first asked is of this run as well.
    const settled = applied + duplicate + quarantined + reverted + held
    const first = processed - (isOwn ? settled : 0)
    // Fewer than before: another journal took the place of the one that was begun with.
    return Math.min(this.#number ?? first, processed)
  }

  async #readSettled(channel: Channel): Promise<void> {
    for (;;) {
      const question = { kind: 'after', number: this.#number }
      const page = processedPage(await channel.request<'answer'>({ type: 'query', question }))
      this.noteSettled(page)
      if (page.next === undefined) return
    }
  }
}

/** What is claimed, in this order. */
async function* queuedFiles(ask: Ask): AsyncGenerator<QueuedFile> {
  for (let after: number | undefined = 0; after !== undefined; ) {
    const page: QueuePage = await ask({ kind: 'queue', after })
    yield* page.queued
    after = page.next
  }
}

type Ask = <T extends Question>(question: T) => Promise<AnswerTo<T>>

function* namesIn(directory: string): Generator<string> {
  let entries: ReturnType<typeof opendirSync>
  try {
    entries = opendirSync(directory)
  } catch (error) {
    // The parser makes it.
    if (hasCode(error, 'ENOENT')) return
    throw error
  }
  try {
    for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) {
      yield entry.name
    }
  } finally {
    entries.closeSync()
  }
}

/** Remembered at a time. */
const NAMES_MAX = 100_000
/** Told of one by one; and looked at in one look, as long as they wait. */
const NAMED_MAX = 100
