import { givenName, PUBLISHED_SUFFIX_BYTES, parsePublishedName } from '../../../shared/paths.ts'
import type {
  LedgerTrail,
  OrderTrail,
  OtherContent,
  PostingTrail,
  SightingTrail,
  TrailQuestion,
} from '../../../shared/protocol.ts'
import type { Session } from '../connection.ts'
import { fileColumns, type LedgerFile, rejectedOf } from '../file-rows.ts'
import { fromSqlTime, type LedgerNames } from '../schema/tables.ts'
import { escaped } from './like.ts'

/** What the ledger has kept of the files of a name, or of a content; in short. */
export interface LedgerTrails {
  readonly rows: readonly LedgerFile[]
  /** Newest first. */
  readonly sightings: readonly SightingTrail[]
  /** There are more of either. */
  readonly hasMore: boolean
}

/** All of one content. */
export interface WholeLedgerTrail {
  readonly ledger: LedgerTrail | undefined
  /** Contents that mend it, the newest last; a few. */
  readonly mendedBy: readonly OtherContent[]
  readonly sightings: readonly SightingTrail[]
  readonly sightingsCount: number
}

/** Which files and contents are meant. */
export async function findTrails(
  session: Session,
  n: LedgerNames,
  { prefix, name }: TrailQuestion,
): Promise<LedgerTrails> {
  const { where, values } = prefix === undefined ? ofName(name ?? '') : ofPrefix(prefix)
  const rows = await session.query<LedgerFile>(
    `SELECT ${fileColumns(n)} FROM ${n.file} WHERE ${where} ORDER BY sequence DESC LIMIT ${FILES_MAX + 1}`,
    values,
  )
  const sightings = await sightingsOf(session, n, where, values, FILES_MAX + 1)
  const isMeant = (file: { name: string }, sha256: string | undefined): boolean =>
    prefix !== undefined ||
    [givenName(file.name, sha256 ?? ''), file.name].includes(givenName(name ?? '', sha256 ?? ''))
  return {
    rows: rows.slice(0, FILES_MAX).filter(row => isMeant(row, row.sha256.toString('hex'))),
    sightings: sightings.slice(0, FILES_MAX).filter(one => isMeant(one, one.sha256)),
    hasMore: rows.length > FILES_MAX || sightings.length > FILES_MAX,
  }
}

/** @param sha256 in hex. */
export async function wholeTrail(
  session: Session,
  n: LedgerNames,
  sha256: string,
): Promise<WholeLedgerTrail> {
  const content = [Buffer.from(sha256, 'hex')]
  const [row] = await session.query<LedgerFile & { postings: number }>(
    `SELECT ${fileColumns(n)} FROM ${n.file} WHERE sha256 = ?`,
    content,
  )
  const [count] = await session.query<{ count: bigint }>(
    `SELECT COUNT(*) AS count FROM ${n.sighting} WHERE sha256 = ?`,
    content,
  )
  return {
    ledger: row && {
      ...trailOf(row, await postingsOf(session, n, row.sequence)),
      ...(await orderedOf(session, n, row)),
      ...(await mendsOf(session, n, row)),
    },
    mendedBy: await mendersOf(session, n, content),
    sightings: await sightingsOf(session, n, 'sha256 = ?', content, SIGHTINGS_MAX),
    sightingsCount: Number(count?.count ?? 0n),
  }
}

/** Of contents whose hash begins with these hex digits. */
export function ofPrefix(prefix: string) {
  const [from, to] = [prefix.padEnd(64, '0'), prefix.padEnd(64, 'f')]
  return {
    where: 'sha256 BETWEEN ? AND ?',
    values: [Buffer.from(from, 'hex'), Buffer.from(to, 'hex')],
  }
}

/**
 * A name as it is, or with the digits of its hash that `publish` puts behind it: in the question, or in the
 * rows of earlier versions. Other names that look like that, as those with a date, do not count among the
 * few that are read.
 */
function ofName(name: string) {
  const digits = PUBLISHED_SUFFIX_BYTES - 1
  const pattern = `${escaped(name)}-${'_'.repeat(digits)}`
  const isHash = `RIGHT(name, ${digits}) = LEFT(LOWER(HEX(sha256)), ${digits})`
  const { stem, hashPrefix } = parsePublishedName(name) ?? { stem: name, hashPrefix: '' }
  return {
    where: `(name = ? OR (name LIKE ? AND ${isHash}) OR (name = ? AND LOWER(HEX(sha256)) LIKE ?))`,
    values: [name, pattern, stem, `${hashPrefix}%`],
  }
}

/** Newest first. */
export async function sightingsOf(
  session: Session,
  n: LedgerNames,
  where: string,
  values: readonly unknown[],
  limit: number,
): Promise<SightingTrail[]> {
  const rows = await session.query<SightingRow>(
    `SELECT instance, work_sequence AS workSequence, sha256, name, outcome, reason, seen_at AS seenAt
       FROM ${n.sighting} WHERE ${where} ORDER BY seen_at DESC LIMIT ${limit}`,
    values,
  )
  return rows.map(({ instance, workSequence, sha256, seenAt, name, outcome, reason }) => ({
    ...{ parser: instance.toString('hex'), workSequence: `${workSequence}`, name, outcome, reason },
    // A file that was not read to its end has none, or zeros for one.
    ...(sha256?.some(byte => byte !== 0) ? { sha256: sha256.toString('hex') } : {}),
    atMs: fromSqlTime(seenAt),
  }))
}

interface SightingRow {
  readonly instance: Buffer
  readonly workSequence: bigint
  readonly sha256: Buffer | null
  readonly name: string
  readonly outcome: SightingTrail['outcome']
  readonly reason: string
  readonly seenAt: string
}

async function postingsOf(
  session: Session,
  n: LedgerNames,
  sequence: bigint,
): Promise<PostingTrail[]> {
  const rows = await session.query<PostingRow>(
    `SELECT p.n, p.folded, p.batch_id AS batchId, b.state, b.instance, b.begun_at AS begunAt,
            b.ended_at AS endedAt,
            (SELECT COUNT(*) FROM ${n.posting} m WHERE m.batch_id = p.batch_id) AS files, o.reason
       FROM ${n.posting} p LEFT JOIN ${n.batch} b ON b.id = p.batch_id
       LEFT JOIN ${n.order} o ON o.batch_id = p.batch_id
      WHERE p.file_sequence = ? ORDER BY p.n DESC LIMIT ${POSTINGS_MAX}`,
    [sequence],
  )
  return rows.reverse().map(row => ({
    ...{ n: Number(row.n), isFolded: Number(row.folded) === 1, batch: row.batchId.toString('hex') },
    ...(row.state === null ? {} : { state: row.state }),
    ...(row.instance === null ? {} : { parser: row.instance.toString('hex') }),
    files: Number(row.files),
    ...(row.reason ? { reason: row.reason } : {}),
    ...time('begunAtMs', row.begunAt),
    ...time('endedAtMs', row.endedAt),
  }))
}

interface PostingRow {
  readonly n: bigint | number
  readonly folded: bigint | number
  readonly batchId: Buffer
  readonly state: NonNullable<PostingTrail['state']> | null
  readonly instance: Buffer | null
  readonly begunAt: string | null
  readonly endedAt: string | null
  readonly files: bigint
  readonly reason: string | null
}

/** The content that it mends: counted in part, or not at all. */
async function mendsOf(
  session: Session,
  n: LedgerNames,
  { parent }: LedgerFile,
): Promise<Pick<LedgerTrail, 'mends'>> {
  if (parent === null) return {}
  const [known] = await session.query<{ name: string | null }>(
    `SELECT COALESCE((SELECT name FROM ${n.file} WHERE sha256 = ?),
                     (SELECT name FROM ${n.sighting} WHERE sha256 = ? ORDER BY seen_at DESC LIMIT 1)) AS name`,
    [parent, parent],
  )
  const name = known?.name ?? undefined
  return { mends: { sha256: parent.toString('hex'), ...(name === undefined ? {} : { name }) } }
}

async function mendersOf(
  session: Session,
  n: LedgerNames,
  parent: readonly Buffer[],
): Promise<OtherContent[]> {
  const rows = await session.query<{ name: string; sha256: Buffer }>(
    `SELECT name, sha256 FROM ${n.file} WHERE parent = ? ORDER BY sequence DESC LIMIT ${MENDERS_MAX}`,
    parent,
  )
  return rows.reverse().map(({ name, sha256 }) => ({ sha256: sha256.toString('hex'), name }))
}

const MENDERS_MAX = 5

/** What was asked for a content, and what that has to do with others. */
async function orderedOf(
  session: Session,
  n: LedgerNames,
  { sequence, supersedes }: LedgerFile,
): Promise<Pick<LedgerTrail, 'orders' | 'supersedes' | 'supersededBy'>> {
  const rows = await session.query<OrderRow>(
    `SELECT o.kind, o.state, o.reason, o.answer, o.asked_at AS askedAt, o.ended_at AS endedAt,
            f.name, f.sha256
       FROM ${n.order} o LEFT JOIN ${n.file} f ON f.sequence = o.new
      WHERE o.old = ? ORDER BY o.asked_at DESC LIMIT ${ORDERS_MAX}`,
    [sequence],
  )
  const successor = rows.find(({ kind, state }) => kind === 'supersede' && state === 'done')
  const [old] =
    supersedes === null
      ? []
      : await session.query<{ name: string }>(`SELECT name FROM ${n.file} WHERE sha256 = ?`, [
          supersedes,
        ])
  return {
    orders: rows.reverse().map(({ kind, state, reason, answer, askedAt, endedAt }) => ({
      ...{ kind, state, reason },
      ...(answer === null ? {} : { answer }),
      askedAtMs: fromSqlTime(askedAt),
      ...time('endedAtMs', endedAt),
    })),
    ...(supersedes === null
      ? {}
      : { supersedes: { sha256: supersedes.toString('hex'), ...(old && { name: old.name }) } }),
    ...(successor?.sha256 && successor.name !== null
      ? { supersededBy: { sha256: successor.sha256.toString('hex'), name: successor.name } }
      : {}),
  }
}

interface OrderRow {
  readonly kind: string
  readonly state: OrderTrail['state']
  readonly reason: string
  readonly answer: string | null
  readonly askedAt: string
  readonly endedAt: string | null
  readonly name: string | null
  readonly sha256: Buffer | null
}

const ORDERS_MAX = 5

function trailOf(
  row: LedgerFile,
  postings: readonly PostingTrail[],
): Omit<LedgerTrail, 'orders' | 'mends' | 'supersedes' | 'supersededBy'> {
  const { sequence, name, lines, amount, state, reason, pairs } = row
  return {
    ...{ sequence: `${sequence}`, origin: row.origin.toString('hex') },
    ...{ parser: row.instance.toString('hex'), workSequence: `${row.workSequence}` },
    ...{ name, sizeBytes: Number(row.sizeBytes), lines: Number(lines) },
    ...rejectedOf(row),
    ...{ amount, state },
    ...(pairs === null ? {} : { pairs: Number(pairs) }),
    ...(reason === null ? {} : { reason }),
    attempts: Number(row.attempt),
    ...time('publishedAtMs', row.publishedAt),
    ...time('usedAtMs', row.usedAt === row.claimedAt ? null : row.usedAt),
    claimedAtMs: fromSqlTime(row.claimedAt),
    digestedAtMs: fromSqlTime(row.digestedAt),
    ...time('recordedAtMs', row.recordedAt),
    ...time('countedAtMs', row.countedAt),
    ...time('revertedAtMs', row.revertedAt),
    postings,
  }
}

function time<K extends string>(key: K, text: string | null): { [key in K]?: number } {
  return text === null ? {} : ({ [key]: fromSqlTime(text) } as { [key in K]?: number })
}

/** Told of at once where several are meant. */
const FILES_MAX = 20
const SIGHTINGS_MAX = 5
const POSTINGS_MAX = 10
