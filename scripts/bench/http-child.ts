/**
 * A process of its own that asks over HTTP, at an even rate, and says how long each answer took: what is
 * measured beside it in another process is not held up by reading answers.
 *
 *     http-child SOCKET SECONDS REQUESTS_PER_SECOND PATH…
 *
 * It prints one JSON object, `HttpAnswers`. An answer that is neither 200 nor 503: status 1 and the reason.
 */
import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { describeError } from '../../shared/errors.ts'

export interface HttpAnswers {
  readonly tookMs: readonly number[]
  /** How many were told to come again later (503). */
  readonly busy: number
}

const [socketPath = '', seconds = '', perSecond = '', ...paths] = process.argv.slice(2)
/** As browsers and Prometheus, which keep their connections. */
const agent = new Agent({ keepAlive: true, maxSockets: 16 })

try {
  process.stdout.write(JSON.stringify(await askAllTheTime()))
} catch (error) {
  process.stderr.write(describeError(error))
  process.exitCode = 1
}
agent.destroy()

async function askAllTheTime(): Promise<HttpAnswers> {
  const tookMs: number[] = []
  let busy = 0
  const underWay = new Set<Promise<void>>()
  const startedMs = performance.now()
  const endsMs = startedMs + Number(seconds) * 1_000
  for (let n = 0; performance.now() < endsMs; n += 1) {
    const askedMs = performance.now()
    const one = ask(paths[n % paths.length]!).then(status => {
      if (status === 503) busy += 1
      else if (status !== 200) throw new Error(`a request was answered with ${status}`)
      tookMs.push(performance.now() - askedMs)
      underWay.delete(one)
    })
    one.catch(() => {
      // Told at the end, with the others.
    })
    underWay.add(one)
    const dueMs = startedMs + ((n + 1) * 1_000) / Number(perSecond)
    await sleep(Math.max(0, dueMs - performance.now()))
  }
  await Promise.all(underWay)
  return { tookMs, busy }
}

/** @returns the status of the answer, which is read to its end. */
function ask(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, agent }, response => {
      response.once('end', () => resolve(response.statusCode ?? 0)).resume()
    })
    asked.once('error', reject).end()
  })
}
