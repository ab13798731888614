import type { Section } from './bench-context.ts'
import { digest } from './sections/digest.ts'

/** All there is to measure, in the order in which it is measured: what shares files stands together. */
export const SECTIONS: readonly Section[] = [digest]
