/**
 * Usage that is in the totals and not in its periods yet: of postings that no roll-up has, and of those of
 * the one that is under way what lies beyond its cursor. Of a batch that is being counted, what it has moved.
 */

import { CountersinkError } from '../../../shared/errors.ts'
import { BlockDecoder } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import { isBack } from '../file-rows.ts'
import { opening } from '../periods/file-blocks.ts'
import { BLOCK_COLUMNS, type BlockRow, blockOf } from '../recording/blocks.ts'
import { type Granularity, type LedgerNames, sqlTime } from '../schema/tables.ts'

/** The roll-up that is under way. */
export interface OpenRollup {
  readonly n: bigint
  /** null: no period has anything of it yet. */
  readonly cursorId: bigint | null
}

export interface RestQuestion {
  readonly names: LedgerNames
  readonly by: Granularity
  readonly open: OpenRollup | undefined
  readonly fromMs: number
  readonly toMs: number
  /** The start of the period of usage at this time. @param day undefined: not decided yet. */
  readonly startOf: (usedAtMs: number, day: string | undefined) => string
}

export interface PeriodRest {
  readonly amount: bigint
  readonly files: number
}

/** Of all consumers, by the start of the period. */
export async function restsOfAll(
  session: Session,
  question: RestQuestion,
): Promise<ReadonlyMap<string, PeriodRest>> {
  const { names: n, startOf } = question
  const rests = new Map<string, PeriodRest>()
  const add = ({ slot, day }: SlotRow, amount: bigint, files: number): void => {
    const start = startOf(Number(slot) * SLOT_MS, day?.slice(0, 10))
    const found = rests.get(start) ?? { amount: 0n, files: 0 }
    rests.set(start, { amount: found.amount + amount, files: found.files + files })
  }
  const whole = session.stream<SlotRow & { amount: string; files: bigint }>(
    `SELECT ${SLOT} AS slot, NULL AS day, COUNT(DISTINCT f.sequence) AS files,
            SUM(IF(p.n % 2 = 1, 1, -1) * f.amount) AS amount
       ${restOf(question, 'none')} AND b.state = 'applied'
      GROUP BY slot`,
  )
  for await (const row of whole) add(row, BigInt(row.amount), Number(row.files))
  let decoder: BlockDecoder | undefined
  for (const part of parts(question)) {
    const { within, blocks } = part
    const sums = session.stream<SlotRow & { amount: string | null; files: bigint }>(
      `SELECT ${SLOT} AS slot, p.day, COUNT(DISTINCT f.sequence) AS files,
              SUM(IF(p.n % 2 = 1, 1, -1) * s.amount) AS amount
         ${within} JOIN ${n.sums} s ON s.file_sequence = f.sequence AND ${blocks.inside}
        WHERE ${part.where} GROUP BY slot, p.day`,
    )
    for await (const row of sums) add(row, BigInt(row.amount ?? 0), Number(row.files))
    // The block in which a part begins or ends.
    const cut = session.stream<SlotRow & PartRow>(
      `SELECT ${SLOT} AS slot, p.day, p.n, f.sign, f.name, f.sha256, b.state, b.from_id AS fromId,
              b.cursor_id AS cursorId, ${BLOCK_COLUMNS}
         ${within} JOIN ${n.sums} s ON s.file_sequence = f.sequence AND ${blocks.cut}
        WHERE ${part.where}`,
    )
    for await (const row of cut) {
      const { after, to } = part.range(row)
      decoder ??= BlockDecoder.alone()
      const unpack = decoder.unpack.bind(decoder, row.sha256, blockOf(row))
      const { ids, amounts } = opening(row, unpack)
      let amount = 0n
      for (let i = 0; i < ids.length; i += 1) {
        if (ids[i]! > after && (to === undefined || ids[i]! <= to)) amount += amounts[i]!
      }
      add(row, isBack(row) ? -amount : amount, 0)
    }
  }
  return rests
}

/** The same of one consumer. */
export async function restsOfOne(
  session: Session,
  question: RestQuestion,
  id: bigint,
): Promise<ReadonlyMap<string, bigint>> {
  const { names: n, open, startOf } = question
  const rests = new Map<string, bigint>()
  let decoder: BlockDecoder | undefined
  const isOpenToo = open !== undefined && (open.cursorId === null || open.cursorId < id)
  for (const which of isOpenToo ? (['none', 'open'] as const) : (['none'] as const)) {
    const rows = session.stream<OneRow>(
      `SELECT STRAIGHT_JOIN f.used_at AS usedAt, p.day, p.n, f.sign, f.name, f.sha256, ${BLOCK_COLUMNS}
         ${restOf(
           question,
           which,
           `JOIN ${n.sums} s ON s.file_sequence = f.sequence
          AND s.first_id = (SELECT d.first_id FROM ${n.sums} d
                             WHERE d.file_sequence = p.file_sequence AND d.first_id <= ${id}
                             ORDER BY d.first_id DESC LIMIT 1)`,
         )}
          AND s.last_id >= ${id}
          AND (b.state = 'applied'
               OR (b.cursor_id >= ${id} AND (b.from_id IS NULL OR b.from_id < ${id})))`,
    )
    for await (const row of rows) {
      decoder ??= BlockDecoder.alone()
      const find = decoder.find.bind(decoder, row.sha256, blockOf(row), id)
      const amount = opening(row, find)
      if (amount === undefined) continue
      const start = startOf(Date.parse(`${row.usedAt.replace(' ', 'T')}Z`), row.day?.slice(0, 10))
      rests.set(start, (rests.get(start) ?? 0n) + (isBack(row) ? -amount : amount))
    }
  }
  return rests
}

/**
 * A file of the rest some of whose blocks are gone: of its consumers not all can be told.
 *
 * @throws CountersinkError BLOCK_UNREADABLE, which names it.
 */
export async function assertRestThere(session: Session, question: RestQuestion): Promise<void> {
  const { names: n, open } = question
  for (const which of open === undefined ? (['none'] as const) : (['none', 'open'] as const)) {
    const [file] = await session.query<{ name: string; missing: string }>(
      `SELECT f.name, f.pairs - COALESCE(SUM(s.pairs), 0) AS missing
         FROM (SELECT DISTINCT f.sequence, f.name, f.pairs ${restOf(question, which)}) f
         LEFT JOIN ${n.sums} s ON s.file_sequence = f.sequence
        GROUP BY f.sequence, f.name, f.pairs HAVING missing <> 0 LIMIT 1`,
    )
    if (file === undefined) continue
    throw new CountersinkError(
      'BLOCK_UNREADABLE',
      `${file.name}: ${file.missing} pairs are missing`,
      {
        advice: 'Something else has removed them from the ledger: have its rows restored.',
      },
    )
  }
}

/** A condition for postings `p` of files `f` that are the rest of a time: none of a roll-up, or of the open one. */
export function isRest(
  { open, fromMs, toMs }: Pick<RestQuestion, 'open' | 'fromMs' | 'toMs'>,
  which: 'none' | 'open',
): string {
  const rolled = which === 'none' ? 'p.rolled IS NULL' : `p.rolled = ${open?.n ?? 0n}`
  return `${rolled} AND f.sign = 1 AND f.used_at >= '${sqlTime(fromMs)}' AND f.used_at < '${sqlTime(toMs)}'`
}

function restOf(question: RestQuestion, which: 'none' | 'open', join = ''): string {
  const { posting, file, batch } = question.names
  return `FROM ${posting} p JOIN ${file} f ON f.sequence = p.file_sequence
       JOIN ${batch} b ON b.id = p.batch_id ${join}
      WHERE p.folded = 0 AND ${isRest(question, which)}`
}

interface Part {
  readonly within: string
  readonly where: string
  /** Conditions for blocks `s`: the whole of them belongs to it, or some. */
  readonly blocks: { readonly inside: string; readonly cut: string }
  range(row: PartRow): { readonly after: bigint; readonly to: bigint | undefined }
}

/** Of postings of which only some consumers are the rest. */
function parts(question: RestQuestion): Part[] {
  const { open, names } = question
  const { posting, file, batch } = names
  const within = `FROM ${posting} p JOIN ${file} f ON f.sequence = p.file_sequence
       JOIN ${batch} b ON b.id = p.batch_id`
  const begin = 's.first_id > COALESCE(b.from_id, -1)'
  const counting: Part = {
    within,
    where: `p.folded = 0 AND ${isRest(question, 'none')} AND b.state <> 'applied'`,
    blocks: {
      inside: `${begin} AND s.last_id <= b.cursor_id`,
      cut: `NOT (${begin} AND s.last_id <= b.cursor_id)
            AND s.first_id <= b.cursor_id AND s.last_id > COALESCE(b.from_id, -1)`,
    },
    range: ({ fromId, cursorId }) => ({ after: fromId ?? -1n, to: cursorId ?? -1n }),
  }
  if (open === undefined) return [counting]
  const { cursorId } = open
  const after = cursorId ?? -1n
  const rolling: Part = {
    within,
    where: `p.folded = 0 AND ${isRest(question, 'open')}`,
    blocks: {
      inside: cursorId === null ? 'TRUE' : `s.first_id > ${cursorId}`,
      cut: cursorId === null ? 'FALSE' : `s.first_id <= ${cursorId} AND s.last_id > ${cursorId}`,
    },
    range: () => ({ after, to: undefined }),
  }
  return [counting, rolling]
}

/** All time zones of today are whole quarters of an hour from UTC, so none divides one. */
const SLOT_MS = 900_000
const SLOT = 'UNIX_TIMESTAMP(f.used_at) DIV 900'

interface SlotRow {
  readonly slot: bigint | number | string
  readonly day: string | null
}

interface PartRow extends BlockRow {
  readonly n: bigint | number
  readonly sign: number
  readonly name: string
  readonly sha256: Buffer
  readonly fromId: bigint | null
  readonly cursorId: bigint | null
}

interface OneRow extends BlockRow {
  readonly usedAt: string
  readonly day: string | null
  readonly n: bigint | number
  readonly sign: number
  readonly name: string
  readonly sha256: Buffer
}
