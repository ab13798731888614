import type { Test } from 'tap'
import { countersink, jsonLines } from '../helpers/cli.ts'
import { assertDocumented } from '../helpers/json-shape.ts'
import type { Site } from '../helpers/state-dir.ts'

export type Fields = Readonly<Record<string, unknown>>

/** What `explain` says with `--json`; the last line of several. */
export async function explained(t: Test, site: Site, ...args: string[]) {
  const ended = await countersink(t, site, 'explain', ...args, '--json')
  await assertDocumented('explain', ended)
  const lines = jsonLines(ended)
  return { code: ended.code, stderr: ended.stderr, lines, last: lines.at(-1) ?? {} }
}
