import { setTimeout as sleep } from 'node:timers/promises'

/** Generous: the machine that runs the tests may be busy with something else. */
const WITHIN_MS = 30_000
const POLL_MS = 20

/**
 * The value of `probe` once it is neither undefined nor false. Tests wait for conditions, never for
 * a time. What the probe throws counts as not yet, and is told if it never comes true.
 */
export async function eventually<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  { withinMs = WITHIN_MS, pollMs = POLL_MS }: { withinMs?: number; pollMs?: number } = {},
): Promise<T> {
  const deadline = performance.now() + withinMs
  for (;;) {
    let cause: unknown
    try {
      const value = await probe()
      if (value !== undefined && value !== false) return value
    } catch (error) {
      cause = error
    }
    if (performance.now() > deadline)
      throw new Error(`not within ${withinMs} ms: ${what}`, { cause })
    await sleep(pollMs)
  }
}
