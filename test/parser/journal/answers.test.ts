import t from 'tap'
import { readerLock } from '../../../parser/journal/journal-lock.ts'
import { readJournal } from '../../../parser/journal/reading.ts'
import type { JournalView } from '../../../parser/journal/views.ts'
import { RECORDS_PER_ANSWER_MAX } from '../../../shared/limits.ts'
import type { ContentAnswer, Outcome, ProcessedPage, Question } from '../../../shared/protocol.ts'
import { failureOf, runModule, type Teardown, tempDir } from '../../shared/helpers.ts'
import {
  process as bring,
  digestOf,
  digestOne,
  entryOf,
  hashOf,
  openJournal,
  settlementOf,
} from './helpers.ts'

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
    t.same(journal.answer({ kind: 'queue', after: number }), { queued: [] }, `queue ${number}`)
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
  const entry = digestOne(journal, entryOf(10), digestOf(one), undefined)
  t.same(ask(shared), [{ sha256: hex(one), waiting: true }], 'read and not yet counted')
  const [applied] = journal.settle([settlementOf(entry, 'applied')])
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

t.test('a journal is its owner’s alone while that lives', async t => {
  const path = `${tempDir(t)}/j`
  t.equal(await readJournal(path, () => 1), undefined, 'there is none')
  const owner = startOwner(t, path)
  await owner.says('it owns the journal')
  t.match(await failureOf(readJournal(path, () => 1)), { code: 'JOURNAL_IN_USE' })
  owner.process.kill('SIGKILL')
  await owner.ended
  const readers = [1, 2, 3].map(() => readJournal(path, (_view, state) => state.epoch))
  t.same(await Promise.all(readers), [1, 1, 1], 'readers do not disturb each other')
})

t.test('a later owner waits for a reader, and ends an earlier owner', async t => {
  const path = `${tempDir(t)}/j`
  const lock = await readerLock(path)
  const first = startOwner(t, path)
  await first.says('it waits')
  lock?.release()
  await first.says('it owns the journal')
  const second = startOwner(t, path)
  t.match(await first.ended, { signal: 'SIGTERM' })
  await second.says('it owns the journal')

  second.process.kill('SIGSTOP')
  const third = startOwner(t, path)
  t.match(await second.ended, { signal: 'SIGKILL' }, 'one that does not react is killed')
  await third.says('it owns the journal')
  third.process.kill('SIGKILL')
  await third.ended
})

function startOwner(t: Teardown, path: string) {
  return runModule(
    t,
    `import { Journal } from '@/parser/journal/journal.ts'
     import { ownJournal } from '@/parser/journal/journal-lock.ts'
     import { createLog } from '@/shared/log.ts'
     console.log('it waits')
     await ownJournal('${path}', createLog('parser'))
     Journal.open('${path}', 1000)
     console.log('it owns the journal')
     setInterval(() => {}, 1_000)`,
  )
}
