/** A processed file, as `--json` shows it in all commands. */

import { OUTCOMES, type ProcessedFile } from '../../shared/protocol.ts'
import { count, digits, fields, oneOf, sha256, text, time } from './json-shape.ts'

export function fileJson(file: ProcessedFile) {
  const iso = (ms: number): string => new Date(ms).toISOString()
  return {
    sha256: file.sha256,
    size: file.sizeBytes,
    lines: file.lines,
    amount: file.amount,
    outcome: file.outcome,
    name: file.name,
    time: iso(file.settledAtMs),
    ...(file.reason === undefined ? {} : { reason: file.reason }),
    ...(file.origin === undefined ? {} : { publication: file.origin }),
    ...(file.publishedAtMs === undefined ? {} : { publishedAt: iso(file.publishedAtMs) }),
    ...(file.announcedAtMs === undefined ? {} : { announcedAt: iso(file.announcedAtMs) }),
    claimedAt: iso(file.claimedAtMs),
    digestStartedAt: iso(file.digestStartedAtMs),
    digestedAt: iso(file.digestedAtMs),
    settledAt: iso(file.settledAtMs),
  }
}

export const FILE_SHAPE = fields(
  {
    ...{
      sha256,
      size: count('bytes'),
      lines: count(),
      amount: digits(),
      outcome: oneOf(...OUTCOMES),
    },
    name: text('as it came into the inbox; where it went to, its hash is in its name'),
    time: time('when it was settled'),
    ...{ claimedAt: time(), digestStartedAt: time(), digestedAt: time(), settledAt: time() },
  },
  {
    reason: text('why, of one that is not counted'),
    publication: text('the name of the publication that it came with, hex'),
    publishedAt: time(),
    announcedAt: time('when it was announced, if it ever was'),
  },
)
