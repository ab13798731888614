import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Progress } from '../../generator/progress.ts'
import { readGeneratorState, readPublished, runNames } from '../../generator/state.ts'
import type { PendingFile } from '../../generator/state-shape.ts'
import { stateDirectory } from './helpers.ts'

function pendingFile(name: string): PendingFile {
  return {
    tmp: `${name}.1.1.tmp`,
    name,
    sizeBytes: 10,
    sha256: 'ab'.repeat(32),
    lines: 2,
    amount: 2n ** 70n,
  }
}

async function publishOne(progress: Progress): Promise<void> {
  await progress.prepared(pendingFile(`usage-${progress.state.stream}-000000.txt`))
  await progress.counted()
}

t.test('nothing is there before the first start', async t => {
  const paths = stateDirectory(t)
  t.equal(await readGeneratorState(paths.generatorState), undefined)
  t.equal(await readPublished(paths), undefined)
})

t.test('what is written is what is read', async t => {
  const { generatorState } = stateDirectory(t)
  const progress = await Progress.open(generatorState)
  await progress.begin('random', 'run-1')
  await publishOne(progress)
  await progress.prepared(pendingFile('usage-00000000-000002.txt'))
  t.same(await readGeneratorState(generatorState), progress.state)
  t.match(progress.state, {
    stream: /^[0-9a-f]{8}$/,
    nextNumber: 3,
    control: { files: 1, bytes: 10, lines: 2, amount: 2n ** 70n },
    pending: { sizeBytes: 10 },
    run: { id: 'run-1', firstNumber: 1, published: 1 },
  })
})

t.test('a pending file that has left the tmp directory was published', async t => {
  const paths = stateDirectory(t)
  const progress = await Progress.open(paths.generatorState)
  await progress.begin(1n, 'run')
  const pending = pendingFile('usage-00000000-000001.txt')
  await progress.prepared(pending)
  writeFileSync(join(paths.generatorTmp, pending.tmp), '')
  t.equal((await readPublished(paths))?.control.files, 0)
  const elsewhere = stateDirectory(t)
  writeFileSync(elsewhere.generatorState, readFileSync(paths.generatorState))
  const published = await readPublished(elsewhere)
  t.match(published, { control: { files: 1, amount: 2n ** 70n }, run: { published: 1 } })
  const names = published?.run ? [...runNames(published.stream, published.run)] : []
  t.same(names, [`usage-${progress.state.stream}-000001.txt`])
})

t.test('a run goes on under its id, and another begins where it ended', async t => {
  const { generatorState } = stateDirectory(t)
  const open = async (runId: string): Promise<Progress> => {
    const progress = await Progress.open(generatorState)
    await progress.begin('random', runId)
    return progress
  }
  await publishOne(await open('a'))
  await publishOne(await open('a'))
  t.match((await open('a')).state.run, { firstNumber: 1, published: 2 })
  await publishOne(await open('b'))
  t.match((await open('b')).state.run, { firstNumber: 3, published: 1 })
})

t.test('another seed begins another stream; coming back, a seed goes on', async t => {
  const { generatorState } = stateDirectory(t)
  const open = async (seed: bigint | 'random') => {
    const progress = await Progress.open(generatorState)
    await progress.begin(seed, 'run')
    return progress
  }
  const first = await open(5n)
  await publishOne(first)
  const { stream } = first.state
  t.equal((await open('random')).state.stream, stream, 'random keeps what there is')
  const second = await open(6n)
  t.not(second.state.stream, stream)
  t.match(second.state, { nextNumber: 1, control: { files: 0, amount: 0n }, run: { published: 0 } })
  await publishOne(second)
  const again = await open(5n)
  t.match(again.state, { stream, nextNumber: 2, control: { files: 1 }, run: { firstNumber: 2 } })
  t.match(again.state.earlier, [{ seed: 6n, nextNumber: 2, control: { files: 1 } }])
})

t.test('a state that no generator wrote is refused, and stays', async t => {
  const { generatorState } = stateDirectory(t)
  const progress = await Progress.open(generatorState)
  await progress.begin(5n, 'run')
  const good = readFileSync(generatorState, 'utf8')
  const spoilt = [
    '',
    'null',
    '{',
    good.replace('"version": 1', '"version": 2'),
    good.replace('"nextNumber": 1', '"nextNumber": 7'),
    good.replace('"seed": "5"', '"seed": 5'),
    good.replace('"earlier": []', '"earlier": [3]'),
  ]
  for (const text of spoilt) {
    t.not(text, good)
    writeFileSync(generatorState, text)
    await t.rejects(Progress.open(generatorState), { code: 'STATE_DIRECTORY_UNFIT' }, text)
    t.equal(readFileSync(generatorState, 'utf8'), text)
  }
})
