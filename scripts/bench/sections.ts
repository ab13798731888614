import type { Section } from './bench-context.ts'
import { apply } from './sections/apply.ts'
import { backlog } from './sections/backlog.ts'
import { before } from './sections/before.ts'
import { corrections } from './sections/corrections.ts'
import { digest } from './sections/digest.ts'
import { generator } from './sections/generator.ts'
import { history } from './sections/history.ts'
import { latency } from './sections/latency.ts'
import { manyConsumers } from './sections/many-consumers.ts'
import { memory } from './sections/memory.ts'
import { oneCounter } from './sections/one-counter.ts'
import { packing } from './sections/packing.ts'
import { prune } from './sections/prune.ts'
import { record } from './sections/record.ts'
import { restart } from './sections/restart.ts'
import { scaling } from './sections/scaling.ts'
import { serving } from './sections/serving.ts'
import { smallFiles } from './sections/small-files.ts'
import { sustained } from './sections/sustained.ts'
import { usage } from './sections/usage.ts'
import { usageIngest } from './sections/usage-ingest.ts'
import { usageQueries } from './sections/usage-queries.ts'
import { wholeWay } from './sections/whole-way.ts'

/** All there is to measure, in the order in which it is measured: what shares files stands together. */
export const SECTIONS: readonly Section[] = [
  digest,
  memory,
  packing,
  apply,
  corrections,
  backlog,
  smallFiles,
  latency,
  serving,
  wholeWay,
  generator,
  restart,
  history,
  scaling,
  ...before,
  oneCounter,
  record,
  prune,
  usageQueries,
  usage,
  usageIngest,
  manyConsumers,
  sustained,
]
