import type { Config } from '../../shared/config.ts'
import type { FileIdentity } from '../../shared/file-identity.ts'
import { changeSinceClaim } from '../changes.ts'
import { type BadLine, type Digest, describeBadLine } from '../digest/index.ts'
import type { DigestFacts, Evidence, QueueEntry } from '../facts.ts'
import { hintOn } from './format-hints.ts'

/** What speaks against counting a file, in words and for the sidecar. */
export interface Objection {
  readonly reason: string
  readonly evidence: Evidence
  readonly whatNow?: string
}

/** Why a file cannot be counted, most basic first; undefined when nothing speaks against it. */
export function objectionTo(
  entry: QueueEntry,
  { digest, identity }: { readonly digest: Digest; readonly identity: FileIdentity },
  facts: DigestFacts,
  config: Pick<Config, 'unterminated'>,
): Objection | undefined {
  const change = changeSinceClaim(entry, digest, identity)
  if (change !== undefined) return changedAfterClaim(change)
  if (entry.manifestProblem !== undefined) {
    return { reason: `MANIFEST_INVALID: ${entry.manifestProblem}`, evidence: {} }
  }
  const mismatch = mismatchWith(entry, facts, digest.verdict.ok)
  if (mismatch !== undefined) return { reason: `MANIFEST_MISMATCH: ${mismatch}`, evidence: {} }
  if (!digest.verdict.ok) return badLineObjection(digest.verdict.bad, facts.sizeBytes)
  const isVouched = entry.expected !== undefined || config.unterminated === 'accept'
  return isVouched ? undefined : cutObjection(digest)
}

/** It is not what was claimed, or not what was read any more. */
export function changedAfterClaim(change: string): Objection {
  return {
    reason: `CHANGED_AFTER_CLAIM: ${change}`,
    evidence: {},
    whatNow:
      'Nothing of this file was counted: it was changed after it had been taken out of the inbox. Find out who still writes to it, or whether the power failed; then put the whole file into the inbox again, best with "countersink publish".',
  }
}

function cutObjection({ sizeBytes, endsWithLineEnd, lines }: Digest): Objection | undefined {
  if (sizeBytes > 0 && endsWithLineEnd) return undefined
  const what = sizeBytes === 0 ? 'it is empty' : 'the last line has no line end'
  return {
    reason: `UNTERMINATED: ${what} and no manifest vouches for it: it may be a cut copy (COUNTERSINK_UNTERMINATED=accept counts such files)`,
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
  if (expected.lines !== undefined && expected.lines !== facts.lines) {
    return `lines are ${facts.lines}, announced were ${expected.lines}`
  }
  if (expected.amount !== undefined && expected.amount !== facts.amount) {
    return `amount is ${facts.amount}, announced was ${expected.amount}`
  }
  return undefined
}

function badLineObjection(bad: BadLine, fileBytes: number): Objection {
  const hint = hintOn(bad, fileBytes)
  const bytes = Buffer.from(bad.firstBytes)
  const shown = bytes.toString('latin1').replace(/[^ -~]/g, '·')
  return {
    reason: `${describeBadLine(bad)}: "${shown}"${hint === undefined ? '' : `; ${hint}`}`,
    ...(hint === undefined
      ? {}
      : {
          whatNow: `Nothing of this file was counted. It ${hint}. Then put it into the inbox again under any name.`,
        }),
    evidence: {
      code: bad.reason,
      line: bad.line,
      lineOffset: bad.offset,
      byteInLine: bad.column + 1,
      ...(bad.consumer === undefined ? {} : { consumer: bad.consumer.toString() }),
      firstBytes: shown,
      firstBytesHex: bytes.toString('hex'),
    },
  }
}
