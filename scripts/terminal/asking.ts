import { sayAside } from './output.ts'

/** In whose name a service is asked: what of its settings they have, and where they hear what is no answer. */
export interface Asking {
  readonly env: NodeJS.ProcessEnv
  /** What stands beside an answer: who has given it, and why another has not. */
  readonly aside: (text: string) => void
  /** What is waited for, as long as it is. */
  readonly meanwhile: (text: string) => void
  /** Gives up. */
  readonly signal?: AbortSignal | undefined
}

/** A person, or a script, who has typed a command. */
export const AT_TERMINAL: Asking = {
  env: process.env,
  aside: sayAside,
  meanwhile: text => void process.stderr.write(`(${text})\n`),
}
