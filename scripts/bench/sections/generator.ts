import { rm } from 'node:fs/promises'
import { makeOneFile } from '../../../generator/make-one-file.ts'
import type { Section } from '../bench-context.ts'
import { digestFile } from '../digest-file.ts'
import { plainWriteSeconds } from '../plain-write.ts'
import { judge, megabytesPerSecond, mustEqual, sizeText } from '../row.ts'
import { medianOf, spreadOf } from '../statistics.ts'

const CONSUMERS = 1_000_000
const AIMS = { uniform: 600, zipf: undefined } as const

/** One file formatted, hashed, written and synced, against writing and syncing as many zeros. */
export const generator: Section = {
  name: 'generator',
  summary: 'one file formatted, hashed, written, synced',
  diskBytes: scale => 2 * scale.generatorBytes,
  async run(bench) {
    const { workspace, scale } = bench
    for (const distribution of ['uniform', 'zipf'] as const) {
      const seconds: number[] = []
      const plain: number[] = []
      for (let turn = 0; turn < scale.repetitions; turn += 1) {
        bench.say(`generator, ${distribution}: ${turn + 1} of ${scale.repetitions}`)
        const path = workspace.path('generated.txt')
        const made = await makeOneFile({
          ...{ path, distribution, consumers: CONSUMERS, seed: 1n, number: turn + 1 },
          sizeBytes: scale.generatorBytes,
        })
        seconds.push(made.seconds)
        if (turn === 0) {
          const found = await digestFile(workspace, path)
          for (const key of ['lines', 'amount', 'sha256'] as const) {
            mustEqual(`${key} of the generated file`, made[key], found[key])
          }
          mustEqual('its size', found.bytes, scale.generatorBytes)
        }
        await rm(path)
        plain.push(plainWriteSeconds(workspace.path('zeros'), scale.generatorBytes))
      }
      const rate = scale.generatorBytes / 1e6 / medianOf(seconds)
      const aim = AIMS[distribution]
      bench.row({
        section: 'generator',
        name: `generator-${distribution}`,
        what: `generator: ${sizeText(scale.generatorBytes)} of ${distribution} lines formatted, hashed, written, synced`,
        ...(aim === undefined
          ? { reached: megabytesPerSecond(rate), wanted: '–', verdict: 'reported' as const }
          : judge(rate, { side: 'at least', bound: aim, write: megabytesPerSecond })),
        figures: {
          secondsMedian: medianOf(seconds),
          secondsMin: Math.min(...seconds),
          noise: spreadOf(seconds).noise,
          plainWriteSecondsMedian: medianOf(plain),
        },
      })
    }
  },
}
