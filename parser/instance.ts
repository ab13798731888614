import { randomUUID } from 'node:crypto'
import { link, readFile, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { replaceFile, syncDirectory } from '../shared/durable.ts'
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
    // Two may start at the same moment: the first link wins, both go by what stands there then.
    const own = `${path}.${process.pid}`
    await replaceFile(own, `${JSON.stringify({ version: 1, instance: randomUUID() })}\n`)
    await link(own, path).catch(error => {
      if (!hasCode(error, 'EEXIST')) throw error
    })
    await rm(own, { force: true })
    await syncDirectory(dirname(path))
    text = await readFile(path, 'utf8')
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
