import { open } from 'node:fs/promises'
import { closeQuietly, orIoFailed } from '../../shared/durable.ts'
import { PARENT_AT_BYTES } from '../../shared/reject-file.ts'

/**
 * Lets a draft, whose rows are all there and durable, say whose it is: durable on return. A crash before
 * leaves zeros, and the file is read on from its last checkpoint.
 */
export async function sealDraft(path: string, sha256: Uint8Array): Promise<void> {
  await orIoFailed(`write of ${path}`, async () => {
    const file = await open(path, 'r+')
    try {
      await file.write(Buffer.from(sha256).toString('hex'), PARENT_AT_BYTES)
      await file.sync()
    } finally {
      await closeQuietly(file)
    }
  })
}
