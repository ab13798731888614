import type { BigIntStats } from 'node:fs'

/**
 * What a look at a file tells without reading it. Where two looks tell the same, nobody has written
 * to it in between (unless its time was set back on purpose), and no other file has taken its name.
 */
export interface FileIdentity {
  readonly dev: bigint
  readonly ino: bigint
  readonly size: bigint
  /** Of its last modification. A move changes the time of change (ctime), but not this one. */
  readonly mtimeNs: bigint
}

export function identityOf({ dev, ino, size, mtimeNs }: BigIntStats): FileIdentity {
  return { dev, ino, size, mtimeNs }
}

export function isSameFile(a: FileIdentity, b: FileIdentity): boolean {
  return a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs
}
