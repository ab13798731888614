/**
 * Whole histories, made at random: files of all kinds come at any moment, parsers are killed at any
 * moment or stopped past their lease, two work on one directory, several hosts count into one database,
 * journals and runs are deleted, the database is put back to what it was or an empty one takes its place;
 * the table of totals has rows before, or too little room, a total is raised by somebody else, rows of a
 * consumer are refused for a while; or a whole house lives through deaths of its parts, full disks, logs
 * and sockets that go; or contents are taken back, counted again and replaced. In the end every number must be exact and every file in its place, whatever
 * happened; postings, proof and explanation agree with a model that knows nothing of them.
 *
 * 12 histories happen, from seed 1 on: what is made is the same each time, when it happens is not.
 * `COUNTERSINK_HISTORIES=n` lets n happen, `COUNTERSINK_FIRST_SEED=random` (or a number) begins
 * elsewhere, `COUNTERSINK_SEED_HISTORY=s` lets the one of seed s happen.
 */

import { randomInt } from 'node:crypto'
import t from 'tap'
import { type History, happen, historyOf, shrink } from './history.ts'
import { describePlan } from './plan.ts'
import { startServer } from './site.ts'

const COMMAND = 'npx tap dist/test/property/histories.test.js'
/** They wait for processes half of the time. */
const AT_ONCE = 4
const FAILURES_MAX = 3
/** Characters. */
const FAULT_SHOWN = 3_000

const only = process.env.COUNTERSINK_SEED_HISTORY
const count = only === undefined ? Number(process.env.COUNTERSINK_HISTORIES ?? 12) : 1
const first = process.env.COUNTERSINK_FIRST_SEED ?? '1'
const firstSeed = Number(only ?? (first === 'random' ? randomInt(2 ** 31) : first))
t.setTimeout(600_000 + count * 5_000)

t.test(`histories of the seeds ${firstSeed} to ${firstSeed + count - 1}`, async t => {
  t.setTimeout(0)
  const server = await startServer()
  t.teardown(() => server.stop())

  const startedAtMs = performance.now()
  const failed: number[] = []
  let [next, done, files, lives, points, recoveries, refusals] = [0, 0, 0, 0, 0, 0, 0]

  async function takeTurns(): Promise<void> {
    while (next < count && failed.length < FAILURES_MAX) {
      const seed = firstSeed + next
      next += 1
      const plan = historyOf(seed)
      const outcome = await happen(server, plan)
      done += 1
      lives += outcome.lives
      points += outcome.points
      recoveries += outcome.recoveries
      refusals += outcome.refusals
      files += filesOf(plan)
      if (outcome.fault === undefined) t.pass(`history ${seed}`)
      else {
        failed.push(seed)
        const replay = `COUNTERSINK_SEED_HISTORY=${seed} ${COMMAND}`
        t.comment(`history ${seed} failed; to see it again: ${replay}\n${outcome.fault}`)
        const smallest = describePlan(await shrink(server, plan))
        t.fail(`history ${seed}`, { fault: outcome.fault.slice(0, FAULT_SHOWN), replay, smallest })
      }
    }
  }

  await Promise.all(Array.from({ length: AT_ONCE }, takeTurns))
  const seconds = Math.round((performance.now() - startedAtMs) / 1_000)
  t.comment(
    `${done} histories, ${files} files, ${lives} lives, ${points} ended at crash points, ${recoveries} recoveries, ${refusals} files refused, ${failed.length} failures, ${seconds} s`,
  )
})

function filesOf(plan: History): number {
  const hosts = plan.kind === 'hosts' ? plan.hosts : [plan]
  return hosts.reduce((sum, { files }) => sum + files.length, 0)
}
