import { createReadStream } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { CountersinkError, hasCode } from '../../shared/errors.ts'
import { hashInRejectsName, type StatePaths } from '../../shared/paths.ts'
import { parseRejectRow, type RejectFact, rejectHead } from '../../shared/reject-file.ts'

/** The reject file of a counted file. */
export interface RejectFile {
  readonly path: string
  /** The content whose lines these are. */
  readonly sha256: string
}

/** Of the contents whose hash begins with these at least 8 digits; each once. */
export async function findRejects(
  { rejects }: Pick<StatePaths, 'rejects'>,
  prefix: string,
): Promise<RejectFile[]> {
  const names = await readdir(rejects).catch(error => {
    if (hasCode(error, 'ENOENT')) return []
    throw error
  })
  const found = new Map<string, RejectFile>()
  for (const name of names.sort()) {
    const hash = hashInRejectsName(name)
    if (hash === undefined || !(hash.startsWith(prefix) || prefix.startsWith(hash))) continue
    const path = join(rejects, name)
    const sha256 = await parentOf(path)
    if (sha256?.startsWith(prefix) && !found.has(sha256)) found.set(sha256, { path, sha256 })
  }
  return [...found.values()]
}

/** The content whose rejects this file has; undefined: it is no reject file. */
export async function parentOf(path: string): Promise<string | undefined> {
  const head = rejectHead('')
  const file = await open(path)
  try {
    const buffer = Buffer.alloc(head.length)
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0)
    const [first, parent] = buffer.toString('latin1', 0, bytesRead).split('\n')
    if (first !== head.split('\n')[0] || parent === undefined) return undefined
    const fact = parseRejectRow(parent)
    return fact?.kind === 'parent' ? fact.sha256 : undefined
  } finally {
    await file.close()
  }
}

/** What its rows say, in order. @throws CountersinkError FILE_UNFIT: it is not whole, or is none. */
export async function* readRejects(path: string): AsyncGenerator<RejectFact> {
  const input = createReadStream(path, { encoding: 'latin1', highWaterMark: 2 ** 20 })
  let lines = 0
  let hasEnd = false
  for await (const row of createInterface({ input, crlfDelay: 0 })) {
    const fact = row === '' ? undefined : parseRejectRow(row)
    if (fact === undefined) continue
    if (fact.kind === 'line') lines += 1
    if (fact.kind === 'end') hasEnd = fact.lines === lines
    yield fact
  }
  if (hasEnd) return
  throw new CountersinkError('FILE_UNFIT', `${path} is not whole: it has ${lines} lines and no end`)
}
