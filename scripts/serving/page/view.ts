import type { Route } from './route.ts'
import type { Section } from './section.ts'

/** What stands at one place of this page. */
export interface View {
  readonly title: string
  /** Stands still while what is below it is asked for again: a form to search by. */
  readonly head: readonly Node[]
  readonly sections: readonly Section[]
}

export type MakeView = (route: Route) => View
