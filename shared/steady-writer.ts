/**
 * What a service prints, on a stream whose reader may pause for as long as it likes: a terminal after
 * Ctrl-S, a pager, a full pipe. Node writes to a terminal and waits there, with everything else that
 * the process should do; so that is switched off. What is then not read waits in memory, up to a bound,
 * and beyond it is left out, and said to be once the reader goes on.
 */
export interface SlowStream {
  readonly writableLength: number
  write(text: string): unknown
}

const WAITING_CHARACTERS_MAX = 2 ** 18

/**
 * @param remark what is written where something was left out.
 * @returns a `write` that never waits.
 */
export function steadyWriter(
  stream: SlowStream,
  remark = (leftOut: number): string => `-- ${leftOut} messages were not read, and left out --`,
): (text: string) => void {
  neverBlock(stream)
  let leftOut = 0
  return text => {
    if (stream.writableLength > WAITING_CHARACTERS_MAX) {
      leftOut += 1
      return
    }
    stream.write(leftOut === 0 ? text : `${remark(leftOut)}\n${text}`)
    leftOut = 0
  }
}

/** Node has no other way to say so; of a file there is nothing to say. */
function neverBlock(stream: SlowStream & { readonly isTTY?: boolean }): void {
  if (!stream.isTTY) return
  const { _handle } = stream as { _handle?: { setBlocking?(blocking: boolean): void } }
  _handle?.setBlocking?.(false)
}
