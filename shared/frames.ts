import { Packr, Unpackr } from 'msgpackr'
import { CountersinkError, toError } from './errors.ts'
import { FRAME_BYTES_MAX } from './limits.ts'

/**
 * Frames on the wire: `u32 big-endian length | msgpack payload`, length 1…65,536.
 *
 * msgpackr's own stream has no bound that fits and resynchronises on garbage, so the framing is
 * ours: the length is checked before a byte of the payload is kept. Shared record structures are
 * off (they are state between messages, and a peer may restart).
 */
const LENGTH_BYTES = 4

const packr = new Packr({ useRecords: false })
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true })

/** @throws CountersinkError FRAME_TOO_LARGE: our own message is beyond what a peer would take. */
export function encodeFrame(message: object): Buffer {
  const payload = packr.pack(message)
  if (payload.length > FRAME_BYTES_MAX) throw tooLarge(payload.length)
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + payload.length)
  frame.writeUInt32BE(payload.length, 0)
  payload.copy(frame, LENGTH_BYTES)
  return frame
}

/** @throws CountersinkError FRAME_UNREADABLE when the payload is not one msgpack value. */
export function decodePayload(payload: Uint8Array): unknown {
  try {
    return unpackr.unpack(payload)
  } catch (thrown) {
    // The library's message may carry a dump of the peer's bytes: keep it short.
    const why = toError(thrown).message.slice(0, 80)
    throw new CountersinkError('FRAME_UNREADABLE', `the frame is not one msgpack value: ${why}`)
  }
}

/** Cuts a byte stream into payloads. Holds at most one incomplete frame. */
export class FrameSplitter {
  #pending: Buffer = Buffer.alloc(0)

  /** Whether the stream stands inside a frame: its first byte came, its last did not. */
  get insideFrame(): boolean {
    return this.#pending.length > 0
  }

  /**
   * The payloads completed by this chunk, in order. They alias the chunk's memory: decode before
   * the next call.
   *
   * @throws CountersinkError FRAME_EMPTY or FRAME_TOO_LARGE; the stream is useless from then on.
   */
  *push(chunk: Buffer): Generator<Buffer> {
    let rest = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    while (rest.length >= LENGTH_BYTES) {
      const length = rest.readUInt32BE(0)
      if (length === 0) throw new CountersinkError('FRAME_EMPTY', 'a frame of 0 bytes came')
      if (length > FRAME_BYTES_MAX) throw tooLarge(length)
      const end = LENGTH_BYTES + length
      if (rest.length < end) break
      const payload = rest.subarray(LENGTH_BYTES, end)
      rest = rest.subarray(end)
      this.#pending = rest
      yield payload
    }
    // A copy: what stays must not pin the socket's whole read buffer.
    this.#pending = Buffer.from(rest)
  }
}

function tooLarge(bytes: number): CountersinkError {
  return new CountersinkError(
    'FRAME_TOO_LARGE',
    `a frame of ${bytes} bytes; 1 to ${FRAME_BYTES_MAX} are allowed`,
  )
}
