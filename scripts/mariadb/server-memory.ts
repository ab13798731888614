import { stat } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { freeRoom } from '../../shared/room.ts'

/** Sizes in bytes of the private server's buffer pool and redo log. */
export interface ServerMemory {
  readonly pool: number
  readonly log: number
}

const MIB = 2 ** 20
const LEAST_BYTES = 256 * MIB
const MOST_BYTES = 1024 * MIB
/** The server's share of the machine's memory: one in so many. */
const SHARE = 8
/** The log takes its place on the disk at once: at most one part in so many of what is free. */
const DISK_SHARE = 16

/**
 * As much memory as helps and leaves room for others: an eighth of what the machine, or the container,
 * has, from 256 MiB to 1 GiB. When the totals exceed the pool, a pool and a log of 1 GiB take a
 * quarter off the time to change them; beyond that nothing was gained.
 *
 * The log grows only where the disk has plenty of room, and never becomes smaller.
 *
 * @param poolBytes the pool's size where somebody has chosen it; 0: as fits the machine.
 */
export async function serverMemory(dataDir: string, poolBytes: number): Promise<ServerMemory> {
  const pool = poolBytes > 0 ? poolBytes : within(machineBytes() / SHARE)
  const now = await stat(join(dataDir, 'ib_logfile0')).then(
    ({ size }) => size,
    // Nothing was ever made there.
    () => 0,
  )
  const { freeBytes } = await freeRoom(dirname(dataDir))
  return { pool, log: Math.max(now, Math.min(within(pool), within(freeBytes / DISK_SHARE))) }
}

function machineBytes(): number {
  // 0 or a number beyond all measure when nothing constrains it.
  const constrained = process.constrainedMemory()
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
}

function within(bytes: number): number {
  return Math.floor(Math.min(MOST_BYTES, Math.max(LEAST_BYTES, bytes)) / MIB) * MIB
}
