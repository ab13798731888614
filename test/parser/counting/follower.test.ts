import { linkSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import t, { type Test } from 'tap'
import { Follower } from '../../../parser/counting/follower.ts'
import type { LedgerFile } from '../../../parser/ledger/file-rows.ts'
import { archiveDay, archivedName } from '../../../shared/archive.ts'
import { publishedName, settledName, workName } from '../../../shared/paths.ts'
import { eventually } from '../../shared/helpers.ts'
import { openScene } from '../helpers.ts'
import { digestOf, digestOne, entryOf, hashOf, settlementOf } from '../journal/helpers.ts'

// Where a settled file stands after its row in the ledger has moved on.

const SHA256 = hashOf('x')
const SEQUENCE = 7
const NAME = publishedName('f.txt', SHA256.toString('hex'))
/** As `settlementOf` settles: long ago. */
const DAY = archiveDay(1_700_000_000_003)
const ARCHIVED = join('archive', DAY, archivedName('f.txt', SHA256))
const REVERTED = join('reverted', settledName(NAME, SHA256))

function scene(t: Test) {
  const { paths, journal, log } = openScene(t)
  const entry = entryOf(SEQUENCE, { name: NAME })
  const rows: LedgerFile[] = []
  let looks = 0
  const stop = new AbortController()
  const ledger = {
    toBeMoved: async () => {
      looks += 1
      return [...rows]
    },
    moved: async (row: LedgerFile) => void rows.splice(rows.indexOf(row), 1),
  }
  return {
    ...{ paths, journal, log },
    /** Claimed and read; its file stands in work/. */
    digested: () => {
      journal.claim([entry])
      digestOne(journal, entry, digestOf('x'), undefined)
      put(join('work', workName(SEQUENCE, NAME)))
    },
    settle: () => journal.settle([settlementOf({ ...entry, digest: digestOf('x') }, 'applied')]),
    put,
    rename: (from: string, to: string) => renameSync(join(paths.dir, from), join(paths.dir, to)),
    remove: (path: string) => rmSync(join(paths.dir, path)),
    /** The ledger has moved the row on. */
    say(state: LedgerFile['state']): void {
      const row = { sequence: 1n, sha256: SHA256, workSequence: BigInt(SEQUENCE), name: 'f.txt' }
      rows.push({ ...row, state, reason: null } as LedgerFile)
    },
    start(): void {
      const running = new Follower({ paths, journal, ledger, log, lookIntervalMs: 20 }).run(
        stop.signal,
      )
      t.teardown(async () => {
        stop.abort(new Error('stopped'))
        await running
      })
    },
    stands: () => [...filesIn('archive'), ...filesIn('reverted'), ...filesIn('quarantine')],
    someLooks: () => {
      const from = looks
      return eventually('it has looked', () => looks > from + 1)
    },
    isDone: () => eventually('nothing is left to be moved', () => rows.length === 0),
  }

  function put(path: string, text = '1 2\n'): void {
    const to = join(paths.dir, path)
    mkdirSync(dirname(to), { recursive: true })
    writeFileSync(to, text)
  }

  function filesIn(directory: string): string[] {
    const path = join(paths.dir, directory)
    return readdirSync(path, { recursive: true, withFileTypes: true })
      .filter(one => one.isFile())
      .map(one => relative(paths.dir, join(one.parentPath, one.name)))
      .sort()
  }
}

t.test('from its day in the archive and back to that day', async t => {
  const { journal, digested, settle, put, remove, say, start, stands, isDone } = scene(t)
  digested()
  settle()
  remove(join('work', workName(SEQUENCE, NAME)))
  put(ARCHIVED)
  say('reverted')
  start()
  await isDone()
  t.same(stands(), [REVERTED], 'under the name that it had in the inbox, as others there')
  t.equal(journal.processed(1)?.outcome, 'reverted')
  say('applied')
  await isDone()
  t.same(stands(), [ARCHIVED])
  t.equal(journal.processed(1)?.outcome, 'applied')
  say('refused')
  await isDone()
  const quarantined = join('quarantine', settledName(NAME, SHA256))
  t.same(stands(), [quarantined, `${quarantined}.reason.json`])
})

t.test('wherever it is in the archive', async t => {
  const places = [
    join('archive', settledName('f.txt', SHA256)),
    join('archive', settledName('f.txt', SHA256, SEQUENCE)),
    join('archive', 'disposable', DAY, archivedName('f.txt', SHA256)),
    join('archive', '2001', '02', '03', archivedName('f.txt', SHA256, SEQUENCE)),
  ]
  const { put, say, start, stands, isDone, remove } = scene(t)
  start()
  for (const place of places) {
    put(place)
    say('reverted')
    await isDone()
    const [path, ...others] = stands()
    // Its journal knows nothing of it: only the ledger has its name.
    t.same([path, others], [join('reverted', settledName('f.txt', SHA256)), []], place)
    remove(path!)
  }
  put(join('reverted', settledName('f.txt', SHA256)))
  say('applied')
  await isDone()
  const today = join('archive', archiveDay(Date.now()), archivedName('f.txt', SHA256))
  t.same(stands(), [today], 'nobody knows on which day it was settled')
})

t.test('a second name that a crash has left is removed', async t => {
  const { paths, digested, settle, remove, put, say, start, stands, isDone } = scene(t)
  digested()
  settle()
  remove(join('work', workName(SEQUENCE, NAME)))
  put(ARCHIVED)
  start()
  for (const [state, place] of [
    ['reverted', REVERTED],
    ['applied', ARCHIVED],
  ] as const) {
    linkSync(join(paths.dir, stands()[0]!), join(paths.dir, place))
    say(state)
    await isDone()
    t.same(stands(), [place])
  }
})

t.test('another copy, published while its content was taken back, is left alone', async t => {
  const { digested, settle, remove, put, say, start, stands, isDone } = scene(t)
  digested()
  settle()
  remove(join('work', workName(SEQUENCE, NAME)))
  put(ARCHIVED)
  put(REVERTED)
  say('reverted')
  start()
  await isDone()
  const own = join('reverted', settledName(NAME, SHA256, SEQUENCE))
  t.same(stands(), [REVERTED, own])
  say('applied')
  await isDone()
  t.equal(stands().length, 2)
  t.ok(stands().includes(ARCHIVED))
  say('applied')
  await isDone()
  t.equal(stands().length, 2, 'asked again, it stands where it must')
})

t.test('while it stands in work/ it is not touched', async t => {
  const { paths, digested, settle, rename, say, start, stands, isDone, someLooks } = scene(t)
  digested()
  say('reverted')
  start()
  await someLooks()
  settle()
  await someLooks()
  t.same(readdirSync(paths.work), [workName(SEQUENCE, NAME)])
  mkdirSync(dirname(join(paths.dir, ARCHIVED)), { recursive: true })
  rename(join('work', workName(SEQUENCE, NAME)), ARCHIVED)
  await isDone()
  t.same(stands(), [REVERTED])
})
