import type { Config } from '../../shared/config.ts'
import type { FileIdentity } from '../../shared/file-identity.ts'
import { rejectLimitText } from '../../shared/reject-limit.ts'
import { changeSinceClaim } from '../changes.ts'
import { type BadLine, type Digest, placeOfBadLine } from '../digest/index.ts'
import type { DigestFacts, Evidence, QueueEntry, Reason } from '../facts.ts'
import { hintOn } from './format-hints.ts'
import { rejectLimitOf } from './reject-limit-of.ts'

/** What speaks against counting a file, in words and for the sidecar. */
export interface Objection {
  readonly reason: Reason
  readonly evidence: Evidence
  readonly whatNow?: string
  readonly isForItsLines?: boolean
}

/** Why a file cannot be counted, most basic first; undefined when nothing speaks against it. */
export function objectionTo(
  entry: QueueEntry,
  { digest, identity }: { readonly digest: Digest; readonly identity: FileIdentity },
  facts: DigestFacts,
  config: Pick<Config, 'unterminated' | 'rejectLines'>,
): Objection | undefined {
  const change = changeSinceClaim(entry, digest, identity)
  if (change !== undefined) return changedAfterClaim(change)
  if (entry.manifestProblem !== undefined) {
    return objection('MANIFEST_INVALID', entry.manifestProblem)
  }
  const mismatch = mismatchWith(entry, facts, digest.verdict.ok)
  if (mismatch !== undefined) return objection('MANIFEST_MISMATCH', mismatch)
  if (!digest.verdict.ok) {
    const { bad, isOverLimit } = digest.verdict
    const found = { ...badLineObjection(bad, facts.sizeBytes), isForItsLines: true }
    return isOverLimit ? overLimit(found, rejectLimitText(rejectLimitOf(entry, config))) : found
  }
  const isVouched = entry.expected !== undefined || config.unterminated === 'accept'
  return isVouched ? undefined : cutObjection(digest)
}

function objection(code: string, text: string): Objection {
  return { reason: { code, text }, evidence: {} }
}

/** It is not what was claimed, or not what was read any more. */
export function changedAfterClaim(change: string): Objection {
  return {
    ...objection('CHANGED_AFTER_CLAIM', change),
    whatNow:
      'Nothing of this file was counted: it was changed after it had been taken out of the inbox. Find out who still writes to it, or whether the power failed; then put the whole file into the inbox again, best with "countersink publish".',
  }
}

function cutObjection({ sizeBytes, endsWithLineEnd, lines }: Digest): Objection | undefined {
  if (sizeBytes > 0 && endsWithLineEnd) return undefined
  const what = sizeBytes === 0 ? 'it is empty' : 'the last line has no line end'
  return {
    reason: {
      code: 'UNTERMINATED',
      text: `${what} and no manifest vouches for it: it may be a cut copy (COUNTERSINK_UNTERMINATED=accept counts such files)`,
    },
    evidence: { lines },
  }
}

function mismatchWith(entry: QueueEntry, facts: DigestFacts, isValid: boolean): string | undefined {
  const { expected } = entry
  if (expected === undefined) return undefined
  const found = Buffer.from(facts.sha256).toString('hex')
  if (expected.sizeBytes !== facts.sizeBytes) {
    return `size is ${facts.sizeBytes}, announced were ${expected.sizeBytes}`
  }
  if (expected.sha256 !== found) return `sha256 is ${found}, announced was ${expected.sha256}`
  // Lines and amount of a file with a bad line mean nothing; the bad line is the better reason.
  if (!isValid) return undefined
  const { rejectedLines = 0 } = facts
  const lines = facts.lines + rejectedLines
  const aside = rejectedLines === 0 ? '' : ` (${rejectedLines} of the lines are bad)`
  if (expected.lines !== undefined && expected.lines !== lines) {
    return `lines are ${lines}, announced were ${expected.lines}${aside}`
  }
  if (expected.amount !== undefined && expected.amount !== facts.amount) {
    return `amount is ${facts.amount}, announced was ${expected.amount}${aside}`
  }
  return undefined
}

/** The first bad line, of a file that has more of them than may be put aside. */
function overLimit({ reason, evidence, ...others }: Objection, limit: string): Objection {
  const text = `more lines are bad than may be put aside (${limit}), the first is ${reason.code}: ${reason.text}`
  return {
    ...others,
    reason: { code: 'TOO_MANY_REJECTED', text },
    evidence: { ...evidence, rejectLines: limit, firstDefect: reason.code },
  }
}

function badLineObjection(bad: BadLine, fileBytes: number): Objection {
  const hint = hintOn(bad, fileBytes)
  const bytes = Buffer.from(bad.firstBytes)
  const shown = bytes.toString('latin1').replace(/[^ -~]/g, '·')
  return {
    reason: {
      code: bad.reason,
      text: `${placeOfBadLine(bad)}: "${shown}"${hint === undefined ? '' : `; ${hint}`}`,
    },
    ...(hint === undefined
      ? {}
      : {
          whatNow: `Nothing of this file was counted. It ${hint}. Then put it into the inbox again under any name.`,
        }),
    evidence: {
      line: bad.line,
      lineOffset: bad.offset,
      byteInLine: bad.column + 1,
      ...(bad.consumer === undefined ? {} : { consumer: bad.consumer.toString() }),
      firstBytes: shown,
      firstBytesHex: bytes.toString('hex'),
    },
  }
}
