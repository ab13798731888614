import { happen } from './history.ts'
import { describePlan, planOf } from './plan.ts'
import { startServer } from './site.ts'

const server = await startServer()
const seeds = process.argv.slice(2).flatMap(a => {
  const [x, y = x] = a.split('..').map(Number)
  return Array.from({ length: y! - x! + 1 }, (_, i) => x! + i)
})
for (const seed of seeds) {
  const plan = planOf(Number(seed))
  const t0 = performance.now()
  const o = await happen(server, plan)
  if (process.env.SHOW_LOGS) console.log(describePlan(plan))
  console.log(seed, o.points, (performance.now() - t0) | 0, 'ms', o.fault)
}
await server.stop()
