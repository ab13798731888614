import { Packr, Unpackr } from 'msgpackr'
import { CountersinkError, toError } from '../errors.ts'
import { FRAME_BYTES_MAX } from '../limits.ts'
import { assertPlainValue } from './frame-shape.ts'

/**
 * Frames on the wire: `u32 big-endian length | msgpack payload`, length 1…65,536.
 *
 * msgpackr's own stream has no bound that fits and resynchronises on garbage, so the framing is
 * ours: the length is checked before a byte of the payload is kept. Shared record structures are
 * off (they are state between messages, and a peer may restart).
 */
const LENGTH_BYTES = 4

// A field that is undefined is left out: msgpackr would make an extension of it.
const packr = new Packr({ useRecords: false, ...{ skipValues: [undefined] } })
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, structuredClone: false })

/** @throws CountersinkError FRAME_TOO_LARGE: our own message is beyond what a peer would take. */
export function encodeFrame(message: object): Buffer {
  const payload = packr.pack(message)
  if (payload.length > FRAME_BYTES_MAX) throw tooLarge(payload.length)
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + payload.length)
  frame.writeUInt32BE(payload.length, 0)
  payload.copy(frame, LENGTH_BYTES)
  return frame
}

/**
 * Takes time and memory in proportion to the payload's length: see `frame-shape.ts`.
 *
 * @throws CountersinkError FRAME_UNREADABLE when the payload is not one plain msgpack value.
 */
export function decodePayload(payload: Uint8Array): unknown {
  assertPlainValue(payload)
  try {
    return unpackr.unpack(payload)
  } catch (thrown) {
    const why = toError(thrown).message.slice(0, 80)
    throw new CountersinkError('FRAME_UNREADABLE', `the frame cannot be decoded: ${why}`)
  }
}

/**
 * Cuts a byte stream into payloads. Holds at most one incomplete frame, and copies each byte of it a
 * few times at most, however small the pieces are that it comes in.
 */
export class FrameSplitter {
  #held: Buffer = Buffer.alloc(0)
  #heldBytes = 0

  /** Whether the stream stands inside a frame: its first byte came, its last did not. */
  get insideFrame(): boolean {
    return this.#heldBytes > 0
  }

  /**
   * The payloads completed by this chunk, in order. They alias the chunk's memory: decode each before
   * the next, and take all before the next chunk.
   *
   * @throws CountersinkError FRAME_EMPTY or FRAME_TOO_LARGE; the stream is useless from then on.
   */
  *push(chunk: Buffer): Generator<Buffer> {
    let rest = chunk
    while (this.#heldBytes > 0 && rest.length > 0) {
      const missing = this.#wantedBytes() - this.#heldBytes
      this.#hold(rest.subarray(0, missing))
      rest = rest.subarray(missing)
      if (this.#heldBytes < this.#wantedBytes()) continue
      const payload = this.#held.subarray(LENGTH_BYTES, this.#heldBytes)
      this.#forget()
      yield payload
    }
    while (rest.length >= LENGTH_BYTES) {
      const end = LENGTH_BYTES + payloadLength(rest)
      if (rest.length < end) break
      const payload = rest.subarray(LENGTH_BYTES, end)
      rest = rest.subarray(end)
      yield payload
    }
    // A copy: what stays must not pin the socket's whole read buffer.
    this.#hold(rest)
  }

  /** Up to the end of what is held: of the length, until that is known. */
  #wantedBytes(): number {
    if (this.#heldBytes < LENGTH_BYTES) return LENGTH_BYTES
    try {
      return LENGTH_BYTES + payloadLength(this.#held)
    } catch (error) {
      this.#forget()
      throw error
    }
  }

  #hold(bytes: Buffer): void {
    const needed = this.#heldBytes + bytes.length
    if (needed > this.#held.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#held.length))
      this.#held.copy(larger, 0, 0, this.#heldBytes)
      this.#held = larger
    }
    bytes.copy(this.#held, this.#heldBytes)
    this.#heldBytes = needed
  }

  #forget(): void {
    this.#held = Buffer.alloc(0)
    this.#heldBytes = 0
  }
}

function payloadLength(frame: Buffer): number {
  const length = frame.readUInt32BE(0)
  if (length === 0) throw new CountersinkError('FRAME_EMPTY', 'a frame of 0 bytes came')
  if (length > FRAME_BYTES_MAX) throw tooLarge(length)
  return length
}

function tooLarge(bytes: number): CountersinkError {
  return new CountersinkError(
    'FRAME_TOO_LARGE',
    `a frame of ${bytes} bytes; 1 to ${FRAME_BYTES_MAX} are allowed`,
  )
}
