import { startRelay } from '../../helpers/relay.ts'
import type { Teardown } from '../../shared/helpers.ts'

/** The packet that carries this statement as text. */
function holds(chunk: Buffer, statement: string): boolean {
  return chunk.length === statement.length + 5 && chunk.subarray(5).toString('latin1') === statement
}

/**
 * A byte pipe to the server that cuts the next connection which sends COMMIT, around that; the
 * first `spare` of them pass.
 */
export async function commitCutter(t: Teardown, listenAt: string, serverSocket: string) {
  const state = { cut: 'never' as 'never' | 'before' | 'after', spare: 0, cuts: 0 }
  await startRelay(t, listenAt, serverSocket, (client, upstream) => {
    let answersHeld = false
    client.on('data', chunk => {
      if (state.cut === 'never' || !holds(chunk, 'COMMIT')) {
        upstream.write(chunk)
        return
      }
      if (state.spare > 0) {
        state.spare -= 1
        upstream.write(chunk)
        return
      }
      const { cut } = state
      state.cut = 'never'
      state.cuts += 1
      if (cut === 'before') {
        client.destroy()
        return
      }
      answersHeld = true
      upstream.write(chunk)
    })
    upstream.on('data', chunk => {
      // The COMMIT's answer is the proof that it has happened; nobody else hears of it.
      if (answersHeld) client.destroy()
      else client.write(chunk)
    })
  })
  return state
}
