import { hasCode } from '../../../shared/errors.ts'
import { hexOf, type Reason } from '../../facts.ts'
import { startPacking } from '../../sums/index.ts'
import { TotalsWriter } from '../adding/totals-writer.ts'
import type { Batch } from '../batch.ts'
import type { Session } from '../connection.ts'
import { fileColumns, type LedgerFile } from '../file-rows.ts'
import type { LedgerConnection } from '../ledger-connection.ts'
import type { UsageKeeper } from '../periods/usage-keeper.ts'
import { databaseUnavailable } from '../sql-errors.ts'
import { findBatch } from './batch-row.ts'
import { overflowAmong, refusal, takeOffGuilty } from './blame.ts'
import type { FileOrder } from './carry-out.ts'
import { type BeginResult, beginStaged } from './count-staged.ts'
import { countWhole, type LongCountOptions, largestSumOf, type WholeResult } from './count-whole.ts'
import { bringToEnd, type StagedResult as CourseResult } from './course.ts'
import type { Lease } from './lease.ts'
import { type CarriedOut, OrderCarrier } from './order-carrier.ts'
import { type Order, waitingOrders } from './order-row.ts'
import type { Overflow } from './overflow.ts'
import { findRefusedConsumer } from './refused-row.ts'
import { asStaged, type CountBatch, type StagedBatch } from './signed-chunks.ts'

export type CountResult =
  | Exclude<WholeResult, { kind: 'unproven' | 'refused' }>
  /** The server refuses a row of it: nothing was written. */
  | { readonly kind: 'refused'; readonly reason: Reason }
  /** This file would make a total overflow: nothing was written. */
  | ({ readonly kind: 'overflow' } & Overflow)
  /** Somebody else counts now: nothing was written. */
  | { readonly kind: 'recorder' }

export type StagedResult = CourseResult | { readonly kind: 'recorder' }

export type OrderResult = CarriedOut | { readonly kind: 'recorder' }

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
  readonly #orders: OrderCarrier
  readonly #usage: UsageKeeper

  /** @param usage what is brought into its periods before the books are closed. */
  constructor(connection: LedgerConnection, lease: Lease, usage: UsageKeeper) {
    this.#connection = connection
    this.#lease = lease
    this.#usage = usage
    this.#writer = new TotalsWriter(connection.names)
    this.#orders = new OrderCarrier(this.#lease, {
      optionsOn: session => this.#optionsOn(session),
      bringToEnd: (session, batch, begin) => this.#bringToEnd(session, batch, begin),
    })
  }

  /** As far as is known here. */
  get isCounter(): boolean {
    return this.#lease.isHeld
  }

  /** Takes the lease, or keeps it. @returns whether this parser counts. */
  async takeLease(): Promise<boolean> {
    return this.isCounter || this.#connection.counting.write(session => this.#lease.take(session))
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
        const options = this.#optionsOn(session)
        const largest = largestSumOf(batch)
        const overflow = await overflowAmong(session, batch.files, largest, options)
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
    return this.#connection.counting.read(session =>
      session.query<LedgerFile>(
        `SELECT ${fileColumns(names)} FROM ${names.file}
          WHERE state = 'staged' AND sequence IN (SELECT file_sequence FROM
            (SELECT file_sequence FROM ${names.todo} WHERE kind = 'count' LIMIT ?) AS t)`,
        [limit],
      ),
    )
  }

  /** Counts recorded contents as one batch, new or begun by whomever; see `goOn`. */
  countStaged(batch: CountBatch): Promise<StagedResult> {
    return this.goOn(asStaged(batch))
  }

  /**
   * A batch of recorded contents, from wherever it stands to its end: applied, or taken back.
   *
   * @throws the signal's reason between two chunks; CountersinkError BLOCK_UNREADABLE when what is
   *   applied of it cannot be taken back.
   */
  goOn(batch: StagedBatch): Promise<StagedResult> {
    return this.#counting(session => {
      const options = this.#optionsOn(session)
      return this.#bringToEnd(session, batch, checked =>
        beginStaged(session, batch, checked, options),
      )
    })
  }

  /** What people have asked for and nobody has begun to carry out, oldest first. */
  waitingOrders(limit: number, behind?: Order): Promise<Order[]> {
    const { names } = this.#connection
    return this.#connection.counting.read(session => waitingOrders(session, names, limit, behind))
  }

  /**
   * Carries out an order, or says why not. Where that takes a batch, what stands in its way is looked for
   * before it begins.
   *
   * @throws as `countStaged`
   */
  carryOut(order: Order): Promise<OrderResult> {
    return this.#counting(session => this.#orders.carryOut(session, order))
  }

  /** An order that has failed too often without a reason. */
  decline(order: FileOrder, why: string): Promise<OrderResult> {
    return this.#counting(session => this.#orders.decline(session, order, why))
  }

  async #bringToEnd(
    session: Session,
    batch: StagedBatch,
    begin: (checked: boolean) => Promise<BeginResult>,
  ): Promise<CourseResult> {
    const { events } = this.#connection
    const id = batch.id.toString('hex')
    const pairs = batch.files.reduce((sum, file) => sum + Number(file.pairs ?? 0n), 0)
    const told = { batch: id, files: batch.files.length, pairs }
    const startedAtMs = performance.now()
    const options = {
      ...this.#optionsOn(session),
      onBegun: () => void events.emit('begun', told),
      onChunk: (pairs: number) => void events.emit('chunk', { batch: id, pairs }),
    }
    const takeOff = () => takeOffGuilty(session, batch, options)
    const result = await bringToEnd(session, batch, begin, takeOff, options)
    if (result.kind === 'applied') {
      events.emit('applied', { ...told, countMs: Math.round(performance.now() - startedAtMs) })
      for (const { sha256, sequence, isBack, sign } of batch.files) {
        if (!isBack && Number(sign) === 1) this.#connection.counted(sha256, sequence)
      }
    }
    return result
  }

  /** Runs what counts; a lease that is lost is a result and no error. */
  async #counting<T>(action: (session: Session) => Promise<T>): Promise<T | { kind: 'recorder' }> {
    return this.#connection.counting.write(async session => {
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
    const between = async (): Promise<void> => {
      await this.#connection.counting.between()
      await this.#lease.keep(session)
    }
    const periods = this.#usage.isKept ? { bringIntoPeriods: () => this.#usage.all(session) } : {}
    return {
      ...{ between, ...periods },
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
}

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
