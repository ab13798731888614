import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import t, { type Test } from 'tap'
import { eventually } from '../helpers/eventually.ts'
import { LOGGING, logsIn } from '../scripts/log-scene.ts'
import { tempDir } from '../shared/helpers.ts'

// Others put logs aside in their ways, and no line is lost to that.

function scene(t: Test, logBytesMax = 0) {
  const directory = tempDir(t)
  const notices: string[] = []
  const config = { ...LOGGING, logBytesMax }
  const logs = logsIn(directory, { config, onNotice: text => notices.push(text) })
  const child = logs.ofChild('parser')
  let written = 0
  t.teardown(() => logs.close())
  return {
    ...{ logs, notices, path: `${directory}/parser.log` },
    write(lines: number): void {
      for (const end = written + lines; written < end; written += 1) child.said(`line ${written}`)
    },
    /** In whatever file they are. */
    kept(): number[] {
      const texts = readdirSync(directory).map(name => readFileSync(`${directory}/${name}`, 'utf8'))
      const numbers = texts.flatMap(text => [...text.matchAll(/^line (\d+)$/gm)])
      return numbers.map(([, number]) => Number(number)).sort((a, b) => a - b)
    },
    all: () => Array.from({ length: written }, (_, i) => i),
  }
}

t.test('moved away, and told so', async t => {
  const { path, logs, write, kept, all } = scene(t)
  for (let round = 1; round < 4; round += 1) {
    write(10)
    renameSync(path, `${path}.${round}`)
    write(10)
    logs.reopen()
    write(10)
  }
  t.same(kept(), all())
  t.ok(existsSync(path))
})

t.test('moved away without a word, with another in its place or none', async t => {
  for (const makesAnother of [false, true]) {
    const { path, write, kept, all } = scene(t)
    write(10)
    renameSync(path, `${path}.1`)
    if (makesAnother) writeFileSync(path, '')
    await eventually('it is noticed', () => {
      write(1)
      return existsSync(path) && readFileSync(path, 'utf8').includes('line')
    })
    t.same(kept(), all())
  }
})

t.test('copied and cut to nothing', async t => {
  const { path, write, kept, all } = scene(t, 2_000)
  for (let round = 1; round < 4; round += 1) {
    write(100)
    copyFileSync(path, `${path}.${round}`)
    truncateSync(path)
    write(5)
    copyFileSync(path, `${path}.${round}b`)
    truncateSync(path)
  }
  t.notOk(existsSync(`${path}.old`), 'what was cut is not full')
  t.notMatch(readFileSync(`${path}.1b`), /\0/, 'what follows begins at the beginning')
  t.same(kept(), all())
})

t.test('nothing that has another name is touched when it is put aside', async t => {
  const { path, write, notices } = scene(t, 1_000)
  for (const name of ['1', '1.gz', '2', '-20991231']) writeFileSync(`${path}.${name}`, name)
  write(1_000)
  for (const name of ['1', '1.gz', '2', '-20991231']) {
    t.equal(readFileSync(`${path}.${name}`, 'utf8'), name)
  }
  t.ok(existsSync(`${path}.old`))
  t.same(notices, [])
})

t.test('one that was moved away is not put aside in the place of what is kept', async t => {
  const { path, write, kept, all } = scene(t, 1_000)
  write(150)
  t.ok(existsSync(`${path}.old`))
  renameSync(path, `${path}.1`)
  writeFileSync(path, '')
  write(100)
  t.same(kept(), all())
})

t.test('a file in the place of their directory is said once, until it is gone', async t => {
  const { path, write, notices } = scene(t)
  const directory = dirname(path)
  t.teardown(() => rmSync(`${directory}-away`, { recursive: true }))
  write(1)
  renameSync(directory, `${directory}-away`)
  writeFileSync(directory, '')
  await eventually('it is noticed, and stays so', () => {
    write(1)
    return notices.length > 0
  })
  write(10)
  t.match(notices, [/parser\.log cannot be written, .*(EEXIST|ENOTDIR)/])
  rmSync(directory)
  await eventually('it is written again', () => {
    write(1)
    return notices.length > 1
  })
  t.match(notices[1], /parser\.log is written again/)
  t.match(readFileSync(path, 'utf8'), /\d+ lines are missing here/)
})

t.test('where it cannot be put aside it is said once', async t => {
  const { path, write, notices } = scene(t, 1_000)
  mkdirSync(`${path}.old/full`, { recursive: true })
  write(1_000)
  t.equal(notices.length, 1)
  t.match(notices[0], /parser\.log cannot be written, .*(EISDIR|ENOTEMPTY|EEXIST)/)
})
