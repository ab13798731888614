import { createHash } from 'node:crypto'
import type { DigestFacts, QueueEntry } from '../../../parser/facts.ts'
import { Journal } from '../../../parser/journal/journal.ts'
import type { Settlement } from '../../../parser/journal/settlement.ts'
import type { Outcome } from '../../../shared/protocol.ts'
import { type Teardown, tempDir } from '../../shared/helpers.ts'

export function openJournal(t: Teardown, path = `${tempDir(t)}/j`, nowMs?: number): Journal {
  const journal = Journal.open(path, nowMs)
  t.teardown(() => journal.close().catch(() => {}))
  return journal
}

export function entryOf(sequence: number, facts: Partial<QueueEntry> = {}): QueueEntry {
  return {
    sequence,
    name: `f${sequence}`,
    sizeBytes: 10,
    claimedAtMs: 1_700_000_000_000,
    expected: undefined,
    manifestProblem: undefined,
    disposable: false,
    isPlain: true,
    identity: undefined,
    stage: 'claimed',
    digest: undefined,
    outcome: undefined,
    checkpoint: undefined,
    runName: undefined,
    ...facts,
  }
}

export const hashOf = (text: string): Buffer => createHash('sha256').update(text).digest()

export function digestOf(text: string, facts: Partial<DigestFacts> = {}): DigestFacts {
  return {
    sha256: hashOf(text),
    sizeBytes: 10,
    lines: 2,
    amount: 5n,
    startedAtMs: 1_700_000_000_001,
    endedAtMs: 1_700_000_000_002,
    ...facts,
  }
}

/** P3 of one entry. */
export function digestOne(
  journal: Journal,
  entry: QueueEntry,
  digest: DigestFacts,
  runName: string | undefined,
): QueueEntry {
  return journal.digested([{ entry, digest, runName }])[0]!
}

/** Brings an entry from the claim to its end. */
export function process(
  journal: Journal,
  sequence: number,
  text: string,
  outcome: Outcome = 'applied',
  reason?: string,
) {
  const digest = digestOf(text)
  journal.claim([entryOf(sequence)])
  const entry = digestOne(journal, entryOf(sequence), digest, undefined)
  const [file] = journal.settle([settlementOf(entry, outcome, { reason })])
  journal.moved(sequence)
  return file!
}

/** The end of an entry that is digested. */
export function settlementOf(
  entry: QueueEntry,
  outcome: Outcome,
  more: { reason?: string | undefined; ledgerSequence?: string } = {},
): Settlement {
  const digest = entry.digest ?? digestOf('x')
  return {
    entry: { ...entry, digest },
    outcome,
    facts: {
      sha256: Buffer.from(digest.sha256).toString('hex'),
      sizeBytes: digest.sizeBytes,
      lines: digest.lines,
      amount: String(digest.amount),
      ...(more.reason === undefined ? {} : { reason: more.reason }),
      ...(more.ledgerSequence === undefined ? {} : { ledgerSequence: more.ledgerSequence }),
      digestStartedAtMs: digest.startedAtMs,
      digestedAtMs: digest.endedAtMs,
      settledAtMs: 1_700_000_000_003,
    },
  }
}
