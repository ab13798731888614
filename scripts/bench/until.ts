import { setTimeout as sleep } from 'node:timers/promises'

/**
 * The value of `probe` once it is not undefined.
 *
 * @throws Error that names `what` when it does not come within `withinMs`; what `probe` throws.
 */
export async function until<T>(
  what: string,
  probe: () => T | undefined | Promise<T | undefined>,
  { withinMs = 120_000, pollMs = 20 }: { withinMs?: number; pollMs?: number } = {},
): Promise<T> {
  const deadlineMs = performance.now() + withinMs
  for (;;) {
    const value = await probe()
    if (value !== undefined) return value
    if (performance.now() > deadlineMs) {
      throw new Error(`not within ${Math.round(withinMs / 1_000)} s: ${what}`)
    }
    await sleep(pollMs)
  }
}
