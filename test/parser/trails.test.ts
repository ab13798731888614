import t from 'tap'
import type { JournalTrails } from '../../parser/journal/index.ts'
import { trailAnswer } from '../../parser/trails.ts'
import { CountersinkError } from '../../shared/errors.ts'
import type { ProcessedFile } from '../../shared/protocol.ts'

// What journal and ledger have kept of a file, put together.

const away = async (): Promise<never> => {
  throw new CountersinkError('DATABASE_UNAVAILABLE', 'nobody answers')
}

function counted(sha256: string, number: number): ProcessedFile {
  const times = { claimedAtMs: 1, digestStartedAtMs: 2, digestedAtMs: 3, settledAtMs: 3 + number }
  const facts = { name: `file-${number}`, sizeBytes: 9, lines: 1, amount: '1' } as const
  return { ...facts, ...times, number, sha256, outcome: 'applied' }
}

t.test('a beginning that fits two contents of the journal, while MariaDB is away', async t => {
  const [a, b] = [`${'ab'.repeat(16)}${'0'.repeat(32)}`, 'ab'.repeat(32)]
  const kept: JournalTrails = {
    queued: [],
    settled: new Map([
      [a, [counted(a, 1)]],
      [b, [counted(b, 2), { ...counted(b, 3), outcome: 'duplicate' }]],
    ]),
    named: [],
  }
  const ledger = { findTrails: away, wholeTrail: away }
  const question = { kind: 'trail', prefix: 'abababab' } as const
  const answer = await trailAnswer(question, ledger, async () => kept)
  const expected = [
    { sha256: b, name: 'file-3', state: 'duplicate', atMs: 6 },
    { sha256: b, name: 'file-2', state: 'applied', atMs: 5 },
    { sha256: a, name: 'file-1', state: 'applied', atMs: 4 },
  ]
  t.match(answer, { several: expected, ledgerSilentBecause: /nobody answers/ })
  t.equal(answer.several?.length, 3)
})
