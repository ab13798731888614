import { hasCode } from '../../../shared/errors.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { hexOf, type Reason, reasonText } from '../../facts.ts'
import { startPacking } from '../../sums/index.ts'
import { TotalsWriter } from '../adding/totals-writer.ts'
import type { Batch } from '../batch.ts'
import type { Session } from '../connection.ts'
import { fileColumns, type LedgerFile } from '../file-rows.ts'
import type { LedgerConnection } from '../ledger-connection.ts'
import { databaseUnavailable } from '../sql-errors.ts'
import { transaction } from '../transaction.ts'
import { changeBatch, findBatch } from './batch-row.ts'
import { advanceStaged, beginStaged, type StagedBatch, sumsOf } from './count-staged.ts'
import { countWhole, type LongCountOptions, largestSumOf, type WholeResult } from './count-whole.ts'
import { Lease } from './lease.ts'
import { findOverflow, type Overflow, tightenBound } from './overflow.ts'
import { findRefusedConsumer } from './refused-row.ts'
import { replan } from './replan.ts'
import {
  beginRetreat,
  endRetreat,
  type Guilty,
  takeBackApplied,
  takeOffTheList,
} from './retreat.ts'

export type CountResult =
  | Exclude<WholeResult, { kind: 'unproven' | 'refused' }>
  /** The server refuses a row of it: nothing was written. */
  | { readonly kind: 'refused'; readonly reason: Reason }
  /** This file would make a total overflow: nothing was written. */
  | ({ readonly kind: 'overflow' } & Overflow)
  /** Somebody else counts now: nothing was written. */
  | { readonly kind: 'recorder' }

export type StagedResult =
  | { readonly kind: 'applied' }
  /** Its files are staged again, or refused, or were not as they were thought to be. */
  | {
      readonly kind: 'given back'
      /** Those whose blocks cannot be read: they are to be recorded anew. */
      readonly unreadable: readonly LedgerFile[]
    }
  | { readonly kind: 'blocked'; readonly reason: string }
  | { readonly kind: 'recorder' }

/**
 * Moves the totals, as long as this parser holds the lease. Each call goes on through lost connections
 * and restarts of the server until it has succeeded, is known to have succeeded before, or fails for
 * good.
 */
export class Counter {
  readonly #connection: LedgerConnection
  readonly #lease: Lease
  readonly #writer: TotalsWriter
  readonly #kernel = startPacking()

  constructor(connection: LedgerConnection) {
    this.#connection = connection
    const { names, instance, config } = connection
    this.#lease = new Lease({ names, instance, lengthMs: () => config.takeoverMs })
    this.#writer = new TotalsWriter(names)
  }

  /** As far as is known here. */
  get isCounter(): boolean {
    return this.#lease.isHeld
  }

  /** Takes the lease, or keeps it. @returns whether this parser counts. */
  async takeLease(): Promise<boolean> {
    return this.isCounter || this.#connection.write(session => this.#lease.take(session))
  }

  /** Lets somebody else count at once. */
  async releaseLease(session: Session): Promise<void> {
    await this.#lease.release(session)
  }

  /** A batch of one chunk: claimed, recorded and counted in one transaction. */
  async countWhole(batch: Batch): Promise<CountResult> {
    const { names, events } = this.#connection
    let mayBeKnown = false
    const startedAtMs = performance.now()
    const { pairs } = batch.sums
    const told = { batch: batch.id.toString('hex'), files: batch.files.length, pairs }
    const result = await this.#counting(async session => {
      for (let checked = false; ; checked = true) {
        const known = mayBeKnown ? await findBatch(session, batch.id, names) : undefined
        mayBeKnown = true
        const result: WholeResult =
          known === undefined
            ? await countWhole(session, batch, checked, this.#optionsOn(session))
            : { kind: 'applied', sequences: await sequencesOf(session, batch, names.file) }
        if (result.kind === 'refused')
          return await this.#namingTheRow(session, batch, result.reason)
        if (result.kind !== 'unproven') return result
        const overflow = await this.#findOverflow(session, batch.files, largestSumOf(batch))
        if (overflow !== undefined) return { kind: 'overflow', ...overflow } as const
        // All fit, and still the server refused one: the table is not what it was looked at as.
        if (checked)
          throw databaseUnavailable('the table of totals has changed; it is looked at anew')
      }
    })
    if (result.kind === 'applied') {
      events.emit('begun', told)
      events.emit('chunk', { batch: told.batch, pairs })
      events.emit('applied', { ...told, countMs: Math.round(performance.now() - startedAtMs) })
      for (const { sha256 } of batch.files) {
        this.#connection.counted(sha256, result.sequences.get(hexOf(sha256)))
      }
    }
    return result
  }

  /** Recorded contents that wait to be counted, in no order that means anything. */
  waiting(limit: number): Promise<LedgerFile[]> {
    const { names } = this.#connection
    return this.#connection.read(session =>
      session.query<LedgerFile>(
        `SELECT ${fileColumns(names)} FROM ${names.file}
          WHERE state = 'staged' AND sequence IN (SELECT file_sequence FROM
            (SELECT file_sequence FROM ${names.todo} WHERE kind = 'count' LIMIT ?) AS t)`,
        [limit],
      ),
    )
  }

  /**
   * A batch of recorded contents, new or begun by whomever, to its end: applied, or taken back.
   *
   * @throws the signal's reason between two chunks; CountersinkError BLOCK_UNREADABLE when what is
   *   applied of it cannot be taken back.
   */
  async countStaged(batch: StagedBatch): Promise<StagedResult> {
    const { names, events } = this.#connection
    const id = batch.id.toString('hex')
    const pairs = batch.files.reduce((sum, file) => sum + Number(file.pairs ?? 0n), 0)
    const told = { batch: id, files: batch.files.length, pairs }
    const startedAtMs = performance.now()
    const result = await this.#counting(async (session): Promise<StagedResult> => {
      for (let checked = false; ; ) {
        const position = await findBatch(session, batch.id, names)
        const options = this.#optionsOn(session)
        if (position === undefined) {
          const begun = await beginStaged(session, batch, checked, options)
          if (begun === 'changed') return givenBack(batch, [])
          if (begun === 'unproven') {
            const guilty = await this.#takeOffGuilty(session, batch)
            if (guilty.length > 0) return givenBack(batch, guilty)
            checked = true
            continue
          }
          events.emit('begun', told)
          continue
        }
        if (position.state === 'applied') return { kind: 'applied' }
        if (position.state === 'unrecorded') {
          const isPlanned = await replan(session, batch, position, options)
          if (!isPlanned) return { kind: 'blocked', reason: NOT_ITS_SUMS }
          continue
        }
        if (position.state === 'applying') {
          const onChunk = (pairs: number): void => {
            events.emit('chunk', { batch: id, pairs })
          }
          const advancing = advanceStaged(session, batch, position, { ...options, onChunk })
          const advanced = await unlessUnreadable(advancing)
          if (advanced?.kind === 'applied') return advanced
          await beginRetreat(session, batch.id, options)
          continue
        }
        if (position.state === 'blocked') {
          await this.#unblock(session, batch.id)
          continue
        }
        const isTaken = await takeBackApplied(session, batch, position, options)
        if (!isTaken) return { kind: 'blocked', reason: LOWERED }
        const guilty = await this.#blame(session, batch)
        await endRetreat(session, batch, guilty, options)
        return givenBack(batch, guilty)
      }
    })
    if (result.kind === 'applied') {
      events.emit('applied', { ...told, countMs: Math.round(performance.now() - startedAtMs) })
      for (const { sha256, sequence } of batch.files) this.#connection.counted(sha256, sequence)
    }
    return result
  }

  async #unblock(session: Session, id: Uint8Array): Promise<void> {
    const { names } = this.#connection
    await transaction(session, async () => {
      await this.#lease.fence(session)
      await changeBatch(session, id, names, 'unblock')
    })
  }

  /** Runs what counts; a lease that is lost is a result and no error. */
  async #counting<T>(action: (session: Session) => Promise<T>): Promise<T | { kind: 'recorder' }> {
    return this.#connection.write(async session => {
      try {
        return await action(session)
      } catch (error) {
        if (hasCode(error, 'LEASE_LOST')) return { kind: 'recorder' } as const
        throw error
      }
    })
  }

  #optionsOn(session: Session): LongCountOptions {
    const { names, instance, config, identity } = this.#connection
    return {
      between: async () => {
        await this.#connection.between()
        await this.#lease.keep(session)
      },
      ...{ names, instance, lease: this.#lease, kernel: this.#kernel, writer: this.#writer },
      ...{ uuid: identity.uuid, range: identity.range, readsBack: !identity.seesTriggers },
      chunkPairsMax: config.chunkPairsMax,
    }
  }

  /** Of a single file: whose row it is. A larger batch is tried in parts by the caller. */
  async #namingTheRow(session: Session, { files }: Batch, reason: string): Promise<CountResult> {
    const [file, another] = files
    const found =
      file === undefined || another !== undefined
        ? undefined
        : await findRefusedConsumer(session, file.sums, this.#optionsOn(session))
    return { kind: 'refused', reason: refusal(found ?? { reason }) }
  }

  async #findOverflow(
    session: Session,
    files: Parameters<typeof findOverflow>[1],
    largestSum: bigint,
  ): Promise<Overflow | undefined> {
    const limits = this.#optionsOn(session)
    const fits = await tightenBound(session, largestSum, limits)
    const idsAlwaysFit = limits.range.idMax >= U64_MAX
    return fits && idsAlwaysFit ? undefined : findOverflow(session, files, limits)
  }

  /** The first file that would make a total too large is refused before anything has begun. */
  async #takeOffGuilty(session: Session, batch: StagedBatch): Promise<Guilty[]> {
    const overflow = await unlessUnreadable(this.#overflowOf(session, batch))
    const guilty = overflow ?? (await this.#unreadable(session, batch))
    for (const one of guilty) await takeOffTheList(session, one, this.#optionsOn(session))
    return guilty
  }

  async #overflowOf(session: Session, { files }: StagedBatch): Promise<Guilty[]> {
    const sums = sumsOf(session, this.#connection.names, files)
    const members = files.map(({ largestSum }, i) => ({ largestSum, sums: sums[i]! }))
    const largest = files.reduce((sum, file) => sum + file.largestSum, 0n)
    const overflow = await this.#findOverflow(session, members, largest)
    if (overflow === undefined) return []
    const { sequence } = files[overflow.fileIndex]!
    return [{ sequence, reason: reasonText(overflow.reason) }]
  }

  async #unreadable(session: Session, { files }: StagedBatch): Promise<Guilty[]> {
    const { names, between } = this.#optionsOn(session)
    const guilty: Guilty[] = []
    for (const [i, sums] of sumsOf(session, names, files).entries()) {
      if (!(await sums.isWhole(between))) guilty.push({ ...files[i]!, reason: undefined })
    }
    return guilty
  }

  /** Which of the files of a batch that was taken back cannot be counted. */
  async #blame(session: Session, batch: StagedBatch): Promise<Guilty[]> {
    const unreadable = await this.#unreadable(session, batch)
    if (unreadable.length > 0) return unreadable
    const overflow = await this.#overflowOf(session, batch)
    if (overflow.length > 0) return overflow
    const options = this.#optionsOn(session)
    const guilty: Guilty[] = []
    for (const [i, sums] of sumsOf(session, options.names, batch.files).entries()) {
      const found = await findRefusedConsumer(session, sums, options)
      if (found === undefined) continue
      const reason = reasonText(refusal(found))
      guilty.push({ sequence: batch.files[i]!.sequence, reason })
    }
    return guilty
  }
}

/** undefined: some block is not what was recorded. */
async function unlessUnreadable<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (hasCode(error, 'BLOCK_UNREADABLE')) return undefined
    throw error
  }
}

function givenBack({ files }: StagedBatch, guilty: readonly Guilty[]): StagedResult {
  const lost = new Set(guilty.flatMap(({ sequence, reason }) => (reason ? [] : sequence)))
  return { kind: 'given back', unreadable: files.filter(({ sequence }) => lost.has(sequence)) }
}

/** In the server's words; undefined: it is not known which row it is. */
function refusal({ consumer, reason }: { consumer?: bigint; reason: string }): Reason {
  const which = consumer === undefined ? 'a row of it' : `the row of consumer ${consumer}`
  return { code: 'TOTAL_REFUSED', text: `MariaDB refuses ${which}: ${reason}` }
}

const LOWERED =
  'it cannot be finished, and not be taken back: a total has less than was added to it, so somebody else has lowered it'

const NOT_ITS_SUMS =
  'an earlier version has begun it, and what that has applied is not what the recorded sums of its files are'

async function sequencesOf(
  session: Session,
  { files }: Batch,
  table: string,
): Promise<ReadonlyMap<string, bigint>> {
  const rows = await session.query<{ sha256: Buffer; sequence: bigint }>(
    `SELECT sha256, sequence FROM ${table} WHERE sha256 IN (${files.map(() => '?').join(', ')})`,
    files.map(({ sha256 }) => Buffer.from(sha256)),
  )
  return new Map(rows.map(row => [row.sha256.toString('hex'), row.sequence]))
}
