import t from 'tap'
import { mergedChunks } from '../../../parser/ledger/counting/merged-chunks.ts'
import { pairSource } from './helpers.ts'

t.test('the memory of a merge is that of its sources, and at most that of a chunk', async t => {
  const sources = [
    [1n, 2n, 4n],
    [2n, 3n],
  ].map(ids => pairSource(ids.map(id => [id, id])))
  for (const [pairsMax, room, chunks] of [
    [250_000, 5, [[1n, 2n, 3n, 4n]]],
    [3, 3, [[1n, 2n, 3n], [4n]]],
  ] as const) {
    const found: bigint[][] = []
    for await (const { ids } of mergedChunks(sources, pairsMax, null)) {
      t.equal(ids.buffer.byteLength, room * 8)
      found.push([...ids])
    }
    t.same(found, chunks)
  }
})

t.test('of contents without pairs there is nothing', async t => {
  const sources = [pairSource([]), pairSource([])]
  for await (const _none of mergedChunks(sources, 10, null)) t.fail('a chunk')
})
