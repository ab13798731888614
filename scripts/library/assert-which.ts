import { usage } from '../terminal/index.ts'

/** @throws CountersinkError USAGE when these are no consumers that can be asked for. */
export function assertWhich({
  id,
  top,
}: {
  readonly id?: bigint | undefined
  readonly top?: number | undefined
}): void {
  if (id !== undefined && (typeof id !== 'bigint' || id < 0n || id >= 2n ** 64n)) {
    throw usage(`id must be a bigint from 0n to 18446744073709551615n, got ${id}`)
  }
  if (top !== undefined && !(Number.isSafeInteger(top) && top >= 1)) {
    throw usage(`top must be a whole number from 1 on, got ${top}`)
  }
  if (id !== undefined && top !== undefined) throw usage('either id or top can be given')
}
