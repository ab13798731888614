import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { replaceFile } from '../shared/durable.ts'
import { CountersinkError, hasCode } from '../shared/errors.ts'

/**
 * Who this parser is, for the ledger: 16 bytes that stay the same for a state directory, also when
 * its journal is deleted. With a file's sequence in work/ they tell "counted by us before a crash"
 * from "counted by somebody else".
 */
export async function loadInstance(path: string): Promise<Buffer> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
    const uuid = randomUUID()
    await replaceFile(path, `${JSON.stringify({ version: 1, instance: uuid })}\n`)
    return uuidBytes(uuid)
  }
  let uuid: unknown
  try {
    uuid = JSON.parse(text)?.instance
  } catch {
    // It is refused below.
  }
  if (typeof uuid === 'string' && /^[0-9a-f-]{36}$/.test(uuid)) return uuidBytes(uuid)
  throw new CountersinkError('STATE_DIRECTORY_UNFIT', `${path} does not name an instance`, {
    advice: 'Restore it, or delete it: then files in work/ count as those of a new parser.',
  })
}

function uuidBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex')
}
