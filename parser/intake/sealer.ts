/**
 * Syncs files for which no manifest vouches, before they are claimed. Whoever only copied a file has
 * synced nothing: after a power cut an acknowledged, even a counted one would be an empty one.
 *
 * It happens in the background, because gigabytes of unwritten pages take seconds: a few at a time,
 * few enough to leave the thread pool to others, and of large files one at a time, so that small
 * ones pass them by. Those that were announced go before all that a look has found, which leave
 * room for them: somebody waits for an ack. Nothing here is durable but what is asked for; a crash leaves the file in the
 * inbox, where it is found again.
 *
 * A failure is that file's alone. It is final: after a failed sync the kernel may have dropped the
 * pages, and a further one would report success.
 */

import { closeSync, constants, fstatSync, fsync, openSync, read as readFd } from 'node:fs'
import { promisify } from 'node:util'
import { hasCode, systemReason } from '../../shared/errors.ts'
import { type FileIdentity, identityOf, isSameFile } from '../../shared/file-identity.ts'
import { exactStatsOf } from '../../shared/looks.ts'

/** What became of the wish to have a file's bytes on the disk. */
export type Seal =
  /** They are there, and the file is still what was asked about. */
  | { readonly kind: 'sealed'; readonly identity: FileIdentity; readonly mayBeCut: boolean }
  /** It may not be read: it cannot be synced, and never counted either. */
  | { readonly kind: 'unreadable'; readonly identity: FileIdentity }
  /** It is not what was asked about any more, or could not be opened just now. */
  | { readonly kind: 'again' }
  /** They may be lost, and a second sync would not tell: the file must be copied anew. */
  | { readonly kind: 'failed'; readonly why: string }

export class Sealer {
  readonly #announced: Wish[] = []
  readonly #found: Wish[] = []
  /** Why these cannot be sealed any more, whoever asks. */
  readonly #failed = new Map<string, string>()
  #going = 0
  #foundGoing = 0
  #largeGoing = 0

  /**
   * undefined: too many wait already.
   *
   * @param isAnnounced it is not looked at whether it may be cut.
   */
  seal(path: string, identity: FileIdentity, isAnnounced = false): Promise<Seal> | undefined {
    const why = this.#failed.get(keyOf(identity))
    if (why !== undefined) return Promise.resolve({ kind: 'failed', why })
    const waiting = isAnnounced ? this.#announced : this.#found
    if (waiting.length >= WAITING_MAX) return undefined
    return new Promise(resolve => {
      waiting.push({ path, identity, isAnnounced, resolve })
      this.#beginMore()
    })
  }

  get isIdle(): boolean {
    return this.#going + this.#announced.length + this.#found.length === 0
  }

  #beginMore(): void {
    while (this.#going < AT_ONCE_MAX) {
      const wish = this.#takeNext()
      if (wish === undefined) return
      void this.#fulfil(wish)
    }
  }

  #takeNext(): Wish | undefined {
    const queues =
      this.#foundGoing < FOUND_AT_ONCE_MAX ? [this.#announced, this.#found] : [this.#announced]
    for (const queue of queues) {
      const next = queue.findIndex(wish => !isLarge(wish) || this.#largeGoing < LARGE_AT_ONCE_MAX)
      if (next !== -1) return queue.splice(next, 1)[0]
    }
    return undefined
  }

  async #fulfil(wish: Wish): Promise<void> {
    const large = isLarge(wish) ? 1 : 0
    const found = wish.isAnnounced ? 0 : 1
    this.#going += 1
    this.#foundGoing += found
    this.#largeGoing += large
    const seal = await sealFile(wish)
    this.#going -= 1
    this.#foundGoing -= found
    this.#largeGoing -= large
    if (seal.kind === 'failed') this.#remember(wish.identity, seal.why)
    this.#beginMore()
    wish.resolve(seal)
  }

  #remember(identity: FileIdentity, why: string): void {
    const [oldest] = this.#failed.keys()
    if (this.#failed.size === FAILED_MAX && oldest !== undefined) this.#failed.delete(oldest)
    this.#failed.set(keyOf(identity), why)
  }
}

interface Wish {
  readonly path: string
  readonly identity: FileIdentity
  readonly isAnnounced: boolean
  readonly resolve: (seal: Seal) => void
}

/** One thread of the pool's four is left to everybody else. */
const AT_ONCE_MAX = 3
const FOUND_AT_ONCE_MAX = 2
const LARGE_AT_ONCE_MAX = 1
const LARGE_BYTES = 64n * 2n ** 20n
const WAITING_MAX = 1_024
const FAILED_MAX = 1_000

function isLarge({ identity }: Wish): boolean {
  return identity.size > LARGE_BYTES
}

function keyOf({ dev, ino, size, mtimeNs }: FileIdentity): string {
  return `${dev} ${ino} ${size} ${mtimeNs}`
}

/**
 * Never rejects: whatever goes wrong is the file's. Only what may take long goes through the thread
 * pool, where each step waits for a thread and a processor: an announcer may wait for this.
 */
export async function sealFile({
  path,
  identity,
  isAnnounced,
}: Omit<Wish, 'resolve'>): Promise<Seal> {
  let fd: number
  try {
    // Never through a link, never waiting for somebody at the other end of a pipe.
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (hasCode(error, 'EACCES', 'EPERM')) return { kind: 'unreadable', identity }
    if (hasCode(error, ...PASSING)) return { kind: 'again' }
    return { kind: 'failed', why: systemReason(error) }
  }
  try {
    const stats = fstatSync(fd, { bigint: true })
    if (!stats.isFile() || !isSameFile(identity, identityOf(stats))) return { kind: 'again' }
    await sync(fd)
    const now = exactStatsOf(path)
    if (now === undefined || !isSameFile(identity, identityOf(now))) return { kind: 'again' }
    const mayBeCut = !isAnnounced && !(await hasLastLineEnd(fd, Number(identity.size)))
    return { kind: 'sealed', identity, mayBeCut }
  } catch (error) {
    return { kind: 'failed', why: systemReason(error) }
  } finally {
    closeQuietlyNow(fd)
  }
}

function closeQuietlyNow(fd: number): void {
  try {
    closeSync(fd)
  } catch {
    // Nothing was written through it, and the number is released either way.
  }
}

const [sync, read] = [promisify(fsync), promisify(readFd)]

/** It has gone, is another kind of thing by now, or too much is open. */
const PASSING = ['ENOENT', 'ELOOP', 'ENXIO', 'EMFILE', 'ENFILE', 'ENOMEM']
const LINE_END = 0x0a

/** false for an empty file: a copy may have been cut before its first byte. */
async function hasLastLineEnd(fd: number, sizeBytes: number): Promise<boolean> {
  if (sizeBytes === 0) return false
  const { buffer } = await read(fd, { buffer: Buffer.alloc(1), position: sizeBytes - 1 })
  return buffer[0] === LINE_END
}
