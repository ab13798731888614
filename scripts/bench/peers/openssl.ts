import type { KnownFile } from '../data/make-file.ts'
import { runProgram } from '../programs.ts'
import { mustEqual } from '../row.ts'
import type { Workspace } from '../workspace.ts'

/** Seconds of `openssl dgst -sha256 FILE`, start to end; undefined when it is not installed. */
export async function opensslSeconds(
  workspace: Workspace,
  file: KnownFile,
): Promise<number | undefined> {
  const ended = await runProgram(workspace, 'openssl', ['dgst', '-sha256', '-r', file.path])
  if (ended === undefined) return undefined
  if (ended.code !== 0) throw new Error(`openssl ended with ${ended.code}: ${ended.stderr}`)
  mustEqual("openssl's hash", ended.stdout.slice(0, 64), file.sha256)
  return ended.seconds
}
