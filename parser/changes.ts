import type { BigIntStats } from 'node:fs'
import type { FileIdentity } from '../shared/file-identity.ts'
import type { DigestFacts, QueueEntry } from './facts.ts'

/**
 * What is read is what was claimed, and what is counted is what was read: how a file differs from
 * that, in words; undefined if it does not. Nothing that differs is ever counted as something else.
 */

/** A file as it was read to its end, against what the journal says of it. */
export function changeSinceClaim(
  entry: QueueEntry,
  digest: Pick<DigestFacts, 'sha256' | 'sizeBytes'> & {
    /** A beginning that was read before a restart is not there any more. */
    readonly changedPrefixBytes?: number | undefined
  },
  identity: FileIdentity,
): string | undefined {
  const { expected, digest: known, identity: claimed } = entry
  const found = Buffer.from(digest.sha256).toString('hex')
  // Its maker says that this is it.
  if (expected?.sha256 === found && expected.sizeBytes === digest.sizeBytes) return undefined
  if (digest.sizeBytes !== entry.sizeBytes) {
    return `${entry.sizeBytes} bytes were claimed, now it has ${digest.sizeBytes}`
  }
  if (known !== undefined) {
    const before = Buffer.from(known.sha256).toString('hex')
    return before === found ? undefined : `its sha256 was ${before}, now it is ${found}`
  }
  if (digest.changedPrefixBytes !== undefined) {
    return `its first ${digest.changedPrefixBytes} bytes are not those that were read before a restart`
  }
  if (claimed !== undefined && !isSameTime(claimed.mtimeNs, identity.mtimeNs)) {
    return `when it was claimed its last modification was at ${timeText(claimed.mtimeNs)}, now it is at ${timeText(identity.mtimeNs)}`
  }
  return undefined
}

/** A file as it stands somewhere now, against what was read. */
export function changeSinceRead(
  { identity }: Pick<QueueEntry, 'identity'>,
  { sizeBytes }: Pick<DigestFacts, 'sizeBytes'>,
  now: BigIntStats,
): string | undefined {
  if (now.size !== BigInt(sizeBytes)) return `${sizeBytes} bytes were read, now it has ${now.size}`
  // Entries of older programs do not tell.
  if (identity === undefined) return undefined
  if (now.ino !== identity.ino) return 'another file has taken its place'
  if (now.mtimeNs === identity.mtimeNs) return undefined
  return `it was written to at ${timeText(now.mtimeNs)}, after it was read`
}

const NS_PER_SECOND = 1_000_000_000n

/** Archives and some filesystems keep whole seconds only: a directory may have come back from one. */
function isSameTime(beforeNs: bigint, nowNs: bigint): boolean {
  return nowNs === beforeNs || nowNs === beforeNs - (beforeNs % NS_PER_SECOND)
}

function timeText(ns: bigint): string {
  const ms = Number(ns / 1_000_000n)
  // Beyond what a date can be.
  return Math.abs(ms) > 8.64e15 ? `${ns} ns` : new Date(ms).toISOString()
}
