import { join } from 'node:path'
import { describeError } from '../../shared/errors.ts'
import { formatBytes, formatCountOf } from '../../shared/numbers.ts'
import { type StatePaths, settledName } from '../../shared/paths.ts'
import type { ContentAnswer, ParserHealth } from '../../shared/protocol.ts'
import { askOnce } from '../../shared/socket/index.ts'
import { reach, whyNotReady } from '../terminal/index.ts'
import type { PublishedFile } from './publication.ts'
import { findRejects, readRejects } from './reject-files.ts'

// What `publish --wait` says beside the outcomes. Whoever cannot be asked changes no outcome.

/** Why it is quarantined or held, and where it is now. */
export async function whyPutAside(
  paths: StatePaths,
  { name, sha256 }: PublishedFile,
  outcome: 'quarantined' | 'held',
): Promise<string[]> {
  const directory = outcome === 'held' ? paths.held : paths.quarantine
  const place = join(directory, settledName(name, Buffer.from(sha256, 'hex')))
  const where = `it is in ${place}, with ….reason.json beside it`
  try {
    const reason = await askOnce(paths.parserSocket, async channel => {
      const question = { kind: 'content', prefix: sha256 } as const
      const { body } = await channel.request<'answer'>({ type: 'query', question })
      return (body as ContentAnswer).matches.find(match => match.sha256 === sha256)?.last?.reason
    })
    return reason === undefined ? [where] : [reason, where]
  } catch (error) {
    return [`why cannot be asked now: ${describeError(error)}`, where]
  }
}

/** Bad lines of a file that was counted without them, and where they are. */
export interface PutAside {
  readonly lines: number
  readonly path: string
}

/** undefined: all of its lines are counted. */
export async function whatWasPutAside(
  paths: StatePaths,
  { sha256 }: PublishedFile,
): Promise<PutAside | undefined> {
  const [file] = await findRejects(paths, sha256)
  if (file === undefined) return undefined
  let lines = 0
  for await (const fact of readRejects(file.path)) if (fact.kind === 'end') lines = fact.lines
  return { lines, path: file.path }
}

/** What keeps files from being settled. */
export async function whereItStands(paths: StatePaths): Promise<string> {
  const reached = await reach(paths, 'parser')
  if (!('channel' in reached)) {
    const { silentBecause, isThere } = reached
    return isThere ? silentBecause : `${silentBecause}; it takes them at its next start`
  }
  reached.channel.close()
  const health = reached.health as ParserHealth
  const { files, bytes } = health.queue
  const queue = `${formatCountOf(files, 'file')} in the queue, ${formatBytes(bytes)}`
  return `the parser is ${whyNotReady(health) ?? 'at work'}; ${queue}`
}
