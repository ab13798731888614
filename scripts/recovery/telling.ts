const { stdout } = process
let isHeard = true

/**
 * From now on a reader who has seen enough (`countersink recover | head`) does not end the command, as
 * it does others: what was begun is brought to its end, and the exit status says how it ended.
 */
export function outliveReaders(): void {
  stdout.removeAllListeners('error')
  stdout.on('error', () => {
    isHeard = false
  })
}

/** Prints, with backpressure, as long as somebody reads. */
export async function tell(text: string): Promise<void> {
  if (!isHeard || stdout.write(text)) return
  await new Promise<void>(resolve => {
    const goOn = (): void => {
      stdout.off('drain', goOn)
      stdout.off('error', goOn)
      resolve()
    }
    stdout.on('drain', goOn)
    stdout.on('error', goOn)
  })
}
