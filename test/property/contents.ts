import { U64_MAX } from '../../shared/limits.ts'
import { type DataFile, manifestOf, type Totals } from '../helpers/files.ts'
import type { Limits } from './plan.ts'
import { type Below, type Moment, pick, planMoment, random64 } from './random.ts'

/** A file, how it comes into the inbox, and what must become of it. */
export interface PlannedFile extends DataFile {
  /** Beside it, and renamed in before it. */
  readonly manifest?: string
  readonly isAnnounced: boolean
  /** Why it must be quarantined; without a reason its content must be counted once. */
  readonly fault?: string
  /** In which life it is published, the last if there are fewer, and when. */
  readonly life: number
  readonly at: Moment
}

/** What can be wrong with a content is the content's, whatever its name and manifest. */
interface Content {
  readonly bytes: Buffer
  readonly fault?: string
  readonly endsWithLineEnd: boolean
}

const FILES_MAX = 6
const FILE_BYTES_MAX = 150 * 1_024
/** Each of these costs some syncs or a transaction: few enough of them for a quick history. */
const CHECKPOINTS_MAX = 25
const RUNS_MAX = 45
const CHUNKS_MAX = 30

export function planFiles(
  below: Below,
  limits: Limits,
  lastLife: number,
  {
    namesRepeat,
    opening = new Map(),
    times = 1,
  }: {
    /** Whether a name may come again with another content. */
    readonly namesRepeat: boolean
    /** What stands in the totals before. */
    readonly opening?: Totals
    /** As many files as usual. */
    readonly times?: number
  },
): PlannedFile[] {
  const room = new Map([...opening].map(([id, amount]) => [id, roomBeside(amount)]))
  const contents: Content[] = []
  const files: PlannedFile[] = []
  const count = times * (2 + below(FILES_MAX - 1))
  while (files.length < count) {
    const isCopy = contents.length > 0 && below(4) === 0
    const content = isCopy ? pick(below, contents) : planContent(below, limits, room)
    contents.push(content)
    const mayRepeat = namesRepeat && !isCopy
    const named = mayRepeat ? nameComesAgain(below, files, content) : undefined
    const fresh = `file-${files.length}`
    files.push({
      name: named ?? fresh,
      content: content.bytes,
      ...planControl(below, content, named !== undefined),
      // More of them early: what ends a life needs something to do.
      life: files.length === 0 ? 0 : below(1 + below(lastLife + 1)),
      at: planMoment(below),
    })
  }
  return files
}

function roomBeside(amount: bigint): bigint {
  return amount < 0n || amount > U64_MAX ? U64_MAX : U64_MAX - amount
}

/** A name may come again with another content once the inbox does not have it any more. */
function nameComesAgain(below: Below, files: readonly PlannedFile[], content: Content) {
  if (files.length === 0 || below(8) > 0) return undefined
  const { name } = pick(below, files)
  const same = files.some(file => file.name === name && file.content.equals(content.bytes))
  return same ? undefined : name
}

function planControl(
  below: Below,
  content: Content,
  needsManifest: boolean,
): Pick<PlannedFile, 'manifest' | 'isAnnounced' | 'fault'> {
  const isAnnounced = below(3) === 0
  const fault = content.fault === undefined ? {} : { fault: content.fault }
  const way = needsManifest ? 1 + below(6) : below(7)
  if (way === 1) {
    const [why, manifest] = wrongManifest(below, content)
    return { manifest, isAnnounced, fault: `wrong manifest: ${why}` }
  }
  if (way > 1) return { manifest: rightManifest(content), isAnnounced, ...fault }
  if (content.endsWithLineEnd) return { isAnnounced, ...fault }
  // An announcement would vouch for it, and may be lost with the journal: the scan alone finds it.
  return { isAnnounced: false, fault: 'may be a cut copy' }
}

function rightManifest({ bytes, fault }: Content): string {
  return manifestOf(bytes, fault === undefined ? {} : { lines: 1, amount: '1' })
}

function wrongManifest(below: Below, content: Content): [why: string, text: string] {
  const right = JSON.parse(rightManifest(content))
  const changes = {
    size: right.size + 1,
    sha256: '0'.repeat(64),
    lines: right.lines + 1,
    amount: String(BigInt(right.amount) + 1n),
    version: 2,
  }
  const why = pick(below, Object.keys(changes) as (keyof typeof changes)[])
  return [why, JSON.stringify({ ...right, [why]: changes[why] })]
}

/** `room`: what may still be added to a consumer, so that no total passes 2^64 in any order. */
function planContent(below: Below, limits: Limits, room: Map<bigint, bigint>): Content {
  // Its last line end is missing as that of any cut copy is.
  if (below(15) === 0) return { bytes: Buffer.alloc(0), endsWithLineEnd: false }
  const consumers = planConsumers(below, limits)
  const lineEnd = below(6) === 0 ? '\r\n' : '\n'
  const bytesMax = below(Math.min(FILE_BYTES_MAX, CHECKPOINTS_MAX * limits.checkpointBytes))
  // With more consumers than the table holds, each line may be one more step towards a run.
  const linesMax = consumers.length <= limits.pairsMax ? FILE_BYTES_MAX : RUNS_MAX * limits.pairsMax
  const lines: string[] = []
  for (let bytes = 0; lines.length === 0 || (bytes < bytesMax && lines.length < linesMax); ) {
    const id = pick(below, consumers)
    const left = room.get(id) ?? U64_MAX
    const wanted = below(12) === 0 ? random64(below) : BigInt(below(1_000_000))
    const amount = wanted < left ? wanted : left
    room.set(id, left - amount)
    const line = `${padded(below, id)} ${padded(below, amount)}`
    lines.push(line)
    bytes += line.length + lineEnd.length
  }
  const fault = below(8) === 0 ? spoil(below, lines) : undefined
  const endsWithLineEnd = below(6) > 0
  const text = lines.join(lineEnd) + (endsWithLineEnd ? lineEnd : '')
  return {
    bytes: Buffer.from(text, 'latin1'),
    ...(fault === undefined ? {} : { fault }),
    endsWithLineEnd,
  }
}

function planConsumers(below: Below, limits: Limits): bigint[] {
  const count = 1 + below(below(2) === 0 ? limits.pairsMax : CHUNKS_MAX * limits.chunkPairsMax)
  const isWide = below(2) === 0
  const ids = Array.from({ length: count }, () =>
    isWide ? random64(below) : BigInt(below(2 * count)),
  )
  if (below(4) === 0) ids.push(U64_MAX, 0n)
  return ids
}

const BAD_LINES = [
  ...['what', '1', '1  2', '1 2 3', '1 -2', '+1 2', ' 1 2', '1 2 ', '1 2\r\r', '1\t2', '1 2.0'],
  ...['18446744073709551616 1', '1 18446744073709551616', '000000000000000000001 1'],
]

/** Makes a file of good lines bad, and says how. */
function spoil(below: Below, lines: string[]): string {
  if (below(5) === 0) {
    lines.push(`7 ${U64_MAX}`, '7 1')
    return 'a sum passes 2^64'
  }
  const bad = pick(below, BAD_LINES)
  lines.splice(below(lines.length), 0, bad)
  return `bad line ${JSON.stringify(bad)}`
}

function padded(below: Below, value: bigint): string {
  const text = value.toString()
  return below(20) === 0 ? text.padStart(20, '0') : text
}
