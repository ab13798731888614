/**
 * The reject files of counted files, and of those that are held, beside the archive:
 *
 * - a **draft**, which has grown while the file was read, whole and durable since P3;
 * - **published** under the name of its file and its hash, durable before the file is settled (P7). A
 *   crash in between leaves it published, or under both names: the next settlement finds that;
 * - **dropped**, if there is one, before its file is settled as anything else.
 *
 * What stands under a name already is never written over: it is the same, or the sequence makes another
 * name. A crash in mid-file leaves a draft that its file goes on with; one that nobody needs is swept by
 * the next start, unless it is whole.
 */

import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { crashPoint } from '../../shared/crash-points.ts'
import { syncDirectory } from '../../shared/durable.ts'
import type { Log } from '../../shared/log.ts'
import { parseRejectDraftName, rejectDraftName, rejectsName } from '../../shared/paths.ts'
import { PARENT_AT_BYTES } from '../../shared/reject-file.ts'
import { type DigestFacts, hexOf, loggedFile, type QueueEntry } from '../facts.ts'
import { moveToFree, removeIfThere } from '../moves.ts'

export interface Rejecting {
  readonly entry: QueueEntry
  readonly digest: DigestFacts
}

export class RejectFiles {
  readonly #directory: string
  readonly #log: Log

  constructor(directory: string, log: Log) {
    this.#directory = directory
    this.#log = log
  }

  /** Those of files that are counted, or held. Durable on return. @throws CountersinkError IO_FAILED */
  async publish(recorded: readonly Rejecting[]): Promise<void> {
    const files = recorded.filter(hasRejects)
    if (files.length === 0) return
    for (const file of files) {
      const why = this.#publishOne(file)
      if (why === undefined) continue
      this.#log.warn('the bad lines of a file are not where they are looked for', {
        ...loggedFile(file.entry, file.digest),
        ...{ code: 'REJECTS_LOST', because: why },
      })
    }
    await syncDirectory(this.#directory)
    crashPoint('P7-rejects-published')
  }

  /** Those of all others. */
  drop(files: readonly Pick<Rejecting, 'entry'>[]): void {
    for (const { entry } of files) removeIfThere(this.#draft(entry.sequence))
  }

  /** Drafts of files that are not on their way any more, and were not read to their ends. */
  sweep(onTheirWay: ReadonlySet<number>): void {
    for (const name of readdirSync(this.#directory)) {
      const sequence = parseRejectDraftName(name)
      if (sequence === undefined || onTheirWay.has(sequence)) continue
      if (!/[1-9a-f]/.test(parentIn(join(this.#directory, name)) ?? '')) {
        removeIfThere(join(this.#directory, name))
      }
    }
  }

  /** @returns why it is not there under its name; undefined: it is. */
  #publishOne({ entry: { sequence, name }, digest: { sha256 } }: Rejecting): string | undefined {
    const draft = this.#draft(sequence)
    let why = ''
    // The last is for where the file's own is too long.
    for (const base of [name, name, 'file']) {
      const own = why === '' ? undefined : sequence
      const to = join(this.#directory, rejectsName(base, sha256, own))
      const failure = moveToFree(draft, to)
      if (failure === undefined) return undefined
      if (failure.isGone) return parentIn(to) === hexOf(sha256) ? undefined : 'they are gone'
      if (failure.isTaken && isSame(draft, to)) {
        removeIfThere(draft)
        return undefined
      }
      why = failure.why
    }
    return `${draft}: ${why}`
  }

  #draft(sequence: number): string {
    return join(this.#directory, rejectDraftName(sequence))
  }
}

function hasRejects({ digest }: Rejecting): boolean {
  return (digest.rejectedLines ?? 0) > 0
}

/** Whose rejects these are, as they say; undefined: they do not say, or cannot be read. */
function parentIn(path: string): string | undefined {
  try {
    const fd = openSync(path, 'r')
    try {
      const bytes = Buffer.alloc(64)
      readSync(fd, bytes, 0, 64, PARENT_AT_BYTES)
      return bytes.toString('latin1')
    } finally {
      closeSync(fd)
    }
  } catch {
    return undefined // then it is nobody's that we know of
  }
}

function isSame(one: string, other: string): boolean {
  try {
    return readFileSync(one).equals(readFileSync(other))
  } catch {
    // What cannot be compared is another's.
    return false
  }
}
