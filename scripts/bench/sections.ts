import type { Section } from './bench-context.ts'
import { apply } from './sections/apply.ts'
import { backlog } from './sections/backlog.ts'
import { digest } from './sections/digest.ts'
import { latency } from './sections/latency.ts'
import { smallFiles } from './sections/small-files.ts'
import { wholeWay } from './sections/whole-way.ts'

/** All there is to measure, in the order in which it is measured: what shares files stands together. */
export const SECTIONS: readonly Section[] = [digest, apply, backlog, smallFiles, latency, wholeWay]
