import t from 'tap'
import { readJournal } from '../../../parser/journal/reading.ts'
import type { JournalView } from '../../../parser/journal/views.ts'
import { RECORDS_PER_ANSWER_MAX } from '../../../shared/limits.ts'
import type { ContentAnswer, Outcome, ProcessedPage, Question } from '../../../shared/protocol.ts'
import { eventually, runModule, tempDir } from '../../shared/helpers.ts'
import { process as bring, digestOf, digestOne, entryOf, hashOf, openJournal } from './helpers.ts'

/** The numbers of all pages, from the first on. */
function allPages(view: JournalView, first: Question & { kind: 'newest' | 'after' }): number[][] {
  const pages: number[][] = []
  let question: typeof first | undefined = first
  while (question !== undefined) {
    const page = view.answer(question) as ProcessedPage
    pages.push(page.files.map(file => file.number))
    if (page.next === undefined) question = undefined
    else if (question.kind === 'after') question = { kind: 'after', number: page.next }
    else question = { ...question, before: page.next }
  }
  return pages
}

const range = (from: number, to: number): number[] =>
  Array.from({ length: Math.abs(to - from) + 1 }, (_, i) => (from < to ? from + i : from - i))

t.test('pages of what was processed', async t => {
  const journal = openJournal(t)
  t.same(allPages(journal, { kind: 'newest' }), [[]])
  t.same(allPages(journal, { kind: 'after', number: 0 }), [[]])
  const outcomes: Outcome[] = ['applied', 'duplicate', 'applied', 'quarantined']
  for (let i = 1; i <= 95; i += 1) bring(journal, 1_000 + i, `text ${i}`, outcomes[i % 4])
  const newest = allPages(journal, { kind: 'newest' })
  t.same(newest.flat(), range(95, 1))
  t.ok(newest.every(page => page.length <= RECORDS_PER_ANSWER_MAX))
  t.same(allPages(journal, { kind: 'after', number: 0 }).flat(), range(1, 95))
  t.same(allPages(journal, { kind: 'after', number: 90 }).flat(), range(91, 95))
  t.same(allPages(journal, { kind: 'after', number: 95 }).flat(), [])
  t.same(allPages(journal, { kind: 'newest', before: 3 }).flat(), [2, 1])
  t.same(allPages(journal, { kind: 'newest', before: 1 }).flat(), [])
  t.same(allPages(journal, { kind: 'newest', before: 0 }).flat(), [])
  t.same(
    allPages(journal, { kind: 'newest', outcome: 'quarantined' }).flat(),
    range(95, 1).filter(i => i % 4 === 3),
  )
  t.same(allPages(journal, { kind: 'newest', before: 9, outcome: 'duplicate' }).flat(), [5, 1])
})

t.test('any number that a peer may send has an answer', async t => {
  const journal = openJournal(t)
  bring(journal, 1, 'x')
  for (const number of [2, 2 ** 32, 2 ** 48 - 1, 2 ** 48, 2 ** 53 - 1]) {
    t.same(journal.answer({ kind: 'after', number }), { files: [] }, `after ${number}`)
    const page = journal.answer({ kind: 'newest', before: number }) as ProcessedPage
    t.equal(page.files.length, 1, `before ${number}`)
  }
})

/** Texts whose hashes begin alike. */
const [one, two] = ((): [string, string] => {
  const seen = new Map<string, string>()
  for (let i = 0; ; i += 1) {
    const prefix = hashOf(`t${i}`).toString('hex').slice(0, 8)
    const other = seen.get(prefix)
    if (other !== undefined) return [other, `t${i}`]
    seen.set(prefix, `t${i}`)
  }
})()

t.test('contents by the beginning of their hash: none, one, two', async t => {
  const journal = openJournal(t)
  const hex = (text: string): string => hashOf(text).toString('hex')
  const ask = (prefix: string) =>
    (journal.answer({ kind: 'content', prefix }) as ContentAnswer).matches
  const shared = hex(one).slice(0, 8)
  t.same(ask(shared), [])
  const expected = { sha256: hex(one), sizeBytes: 10, lines: undefined, amount: undefined }
  journal.claim([entryOf(10, { expected })])
  t.same(ask(shared), [{ sha256: hex(one), waiting: true }], 'announced and not yet read')
  digestOne(journal, entryOf(10), digestOf(one), undefined)
  t.same(ask(shared), [{ sha256: hex(one), waiting: true }], 'read and not yet counted')
  const applied = bring(journal, 10, one)
  t.same(ask(shared), [{ sha256: hex(one), applied, last: applied }])
  const last = bring(journal, 11, one, 'duplicate', 'counted before')
  t.same(ask(hex(one)), [{ sha256: hex(one), applied, last }], 'the whole hash')
  const bad = bring(journal, 12, two, 'quarantined', 'bad')
  t.same(
    ask(shared).map(match => match.sha256),
    [hex(one), hex(two)].sort(),
  )
  t.same(ask(hex(two)), [{ sha256: hex(two), last: bad }], 'never counted')
  t.same(ask(hex(one).slice(0, 63)).length, 1)
  t.same(ask('ffffffff'), [])
  t.same(ask('0'.repeat(64)), [])
})

t.test('a journal is read while its owner writes it', async t => {
  const path = `${tempDir(t)}/j`
  t.equal(await readJournal(path, () => 1), undefined, 'there is none')
  const child = runModule(
    t,
    `import { Journal } from '@/parser/journal/journal.ts'
     const journal = Journal.open('${path}', 1000)
     process.stdin.once('close', () => process.exit(0))
     for (;;) {
       journal.claim([{ sequence: journal.nextSequence, name: 'n', sizeBytes: 1, claimedAtMs: 1,
         disposable: false, stage: 'claimed' }])
       if (journal.nextSequence === 1010) console.log('writing')
       await new Promise(setImmediate)
     }`,
  )
  await child.says('writing')
  let before = 0
  for (let reads = 0; reads < 20; reads += 1) {
    const found = await readJournal(path, (view, state) => ({
      next: state.nextSequence,
      last: [...view.queuedFrom(0, 1_000_000)].length,
      epoch: state.epoch,
    }))
    t.ok(found !== undefined && found.next >= before && found.last >= 10, JSON.stringify(found))
    t.equal(found?.epoch, 1, 'reading takes nothing over')
    before = found?.next ?? 0
  }
  await eventually('it goes on', async () => {
    const next = await readJournal(path, (_view, state) => state.nextSequence)
    return (next ?? 0) > before
  })
})
