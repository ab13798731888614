/**
 * How several threads share the segments of one file. A few words of shared memory:
 *
 * - The thread that answers for the file (the *leader*) opens one span of the file after the other,
 *   from checkpoint to checkpoint. It and its helpers claim the span's segments, in order, each one
 *   once. Claims are numbered through all spans, so that none can be mistaken for an older one.
 * - A helper *enters* before it claims and *leaves* when it has handed over what it has summed. Once
 *   nothing can be claimed any more and nobody is inside, the leader has all there is.
 * - Whoever finds anything that it cannot add up *spoils* the span: the leader then sums it again
 *   alone and in order, so that what is said of a bad file does not depend on who read what.
 *
 * Nobody waits longer than POLL_MS without looking whether the job was given up.
 */

import assert from 'node:assert/strict'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { Span } from './threads/segment.ts'

/** The leader's place in the team; helpers have 1, 2, … */
export const LEADER = 0
const POLL_MS = 50

/** What a leader is given: the board, and a port to each helper. */
export interface Team {
  readonly shared: SharedArrayBuffer
  readonly ports: readonly MessagePort[]
}

/** What a helper is given. */
export interface Help {
  readonly shared: SharedArrayBuffer
  readonly port: MessagePort
  /** Its place in the team. */
  readonly member: number
}

/** What a helper has made of its segments of one span. */
export interface HelpedSums {
  readonly lines: number
  readonly amount: bigint
  /** By ascending id. */
  readonly ids: BigUint64Array<ArrayBuffer>
  readonly amounts: BigUint64Array<ArrayBuffer>
  /** There was no room for these lines: they begin here, and the last ends in the segment. */
  readonly left: Span | undefined
}

// Shared words: the number of the segment that is claimed next, and of the first that cannot be.
const NEXT = 0
const LIMIT = 1
/** Helpers that are inside. */
const INSIDE = 2
const SPOILED = 3
const ENDED = 4
/** Whether any helper has claimed a segment of this span. */
const HELPED = 5
/** The number of the span's first segment. */
const FIRST = 6
/** For each member the number of a segment before which it has finished all of its own. */
const AT = 8
const NUMBER_MAX = 2 ** 31 - 1
/** The span: two doubles, before the words. */
const SPAN_BYTES = 16

export interface NewTeam {
  readonly lead: Team
  /** One for each helper. Ports are to be transferred. */
  readonly helps: readonly Help[]
}

/** For one file. The leader closes the ports. */
export function newTeam(helpers: number): NewTeam {
  const words = AT + helpers + 1
  const shared = new SharedArrayBuffer(SPAN_BYTES + words * Int32Array.BYTES_PER_ELEMENT)
  const channels = Array.from({ length: helpers }, () => new MessageChannel())
  return {
    lead: { shared, ports: channels.map(channel => channel.port1) },
    helps: channels.map(({ port2: port }, i) => ({ shared, port, member: i + 1 })),
  }
}

/** Whether there are numbers enough for the segments of so many bytes. */
export function canNumberSegments(bytes: number, segmentBytes: number, spanBytes: number): boolean {
  return bytes / segmentBytes + bytes / spanBytes < NUMBER_MAX / 2
}

export class SegmentBoard {
  readonly #span: Float64Array
  readonly #words: Int32Array
  readonly #segmentBytes: number

  constructor(shared: SharedArrayBuffer, segmentBytes: number) {
    this.#span = new Float64Array(shared, 0, 2)
    this.#words = new Int32Array(shared, SPAN_BYTES)
    this.#segmentBytes = segmentBytes
  }

  // The leader's.

  /** Lets the segments of a span be claimed. The one before must be over. */
  open({ startBytes, endBytes }: Span): void {
    const words = this.#words
    const first = Atomics.load(words, LIMIT)
    assert.equal(Atomics.load(words, NEXT), first, 'the span before is over')
    this.#span[0] = startBytes
    this.#span[1] = endBytes
    Atomics.store(words, FIRST, first)
    Atomics.store(words, SPOILED, 0)
    Atomics.store(words, HELPED, 0)
    for (let at = AT; at < words.length; at++) Atomics.store(words, at, NUMBER_MAX)
    // Everything above is seen by whoever sees this.
    const segments = Math.ceil((endBytes - startBytes) / this.#segmentBytes)
    Atomics.store(words, LIMIT, first + segments)
    Atomics.notify(words, LIMIT)
  }

  /** No segment of the span can be claimed any more. */
  close(): void {
    Atomics.store(this.#words, NEXT, Atomics.load(this.#words, LIMIT))
  }

  /** Waits until no helper is inside. The span must be closed, or all of it claimed. */
  waitUntilAlone(throwIfCancelled: () => void): void {
    for (;;) {
      const inside = Atomics.load(this.#words, INSIDE)
      if (inside === 0) return
      throwIfCancelled()
      Atomics.wait(this.#words, INSIDE, inside, POLL_MS)
    }
  }

  /** The leader needs no help any more. */
  end(): void {
    this.close()
    Atomics.store(this.#words, ENDED, 1)
    Atomics.add(this.#words, LIMIT, 1) // wakes also whoever is just about to wait
    Atomics.add(this.#words, NEXT, 1)
    Atomics.notify(this.#words, LIMIT)
  }

  get wasHelped(): boolean {
    return Atomics.load(this.#words, HELPED) !== 0
  }

  /** Up to where all segments have been summed, while the span is open. */
  get reachedBytes(): number {
    let number = Atomics.load(this.#words, NEXT)
    for (let at = AT; at < this.#words.length; at++) {
      number = Math.min(number, Atomics.load(this.#words, at))
    }
    return Math.min(this.#startOf(number), this.#span[1]!)
  }

  // A helper's.

  enter(): void {
    Atomics.add(this.#words, INSIDE, 1)
  }

  leave(): void {
    Atomics.sub(this.#words, INSIDE, 1)
    Atomics.notify(this.#words, INSIDE)
  }

  get isEnded(): boolean {
    return Atomics.load(this.#words, ENDED) !== 0
  }

  /** What `waitForSpan` is given: to be taken before looking for segments. */
  get spansSeen(): number {
    return Atomics.load(this.#words, LIMIT)
  }

  /** Returns when there is another span or the end, or a little later without. */
  waitForSpan(seen: number): void {
    Atomics.wait(this.#words, LIMIT, seen, POLL_MS)
  }

  // Everybody's.

  /** The next segment, for this member alone; undefined if there is none. */
  claim(member: number): Span | undefined {
    const words = this.#words
    for (;;) {
      const number = Atomics.load(words, NEXT)
      // Before it is claimed: until then nobody may think it summed.
      Atomics.store(words, AT + member, number)
      if (number >= Atomics.load(words, LIMIT) || this.isEnded) break
      if (Atomics.compareExchange(words, NEXT, number, number + 1) !== number) continue
      if (member !== LEADER) Atomics.store(words, HELPED, 1)
      const startBytes = this.#startOf(number)
      return { startBytes, endBytes: Math.min(startBytes + this.#segmentBytes, this.#span[1]!) }
    }
    Atomics.store(words, AT + member, NUMBER_MAX)
    return undefined
  }

  /** The span has to be summed again, by the leader alone. */
  spoil(): void {
    Atomics.store(this.#words, SPOILED, 1)
  }

  get isSpoiled(): boolean {
    return Atomics.load(this.#words, SPOILED) !== 0
  }

  #startOf(number: number): number {
    return this.#span[0]! + (number - Atomics.load(this.#words, FIRST)) * this.#segmentBytes
  }
}
