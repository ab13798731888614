import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { countersink, jsonLines } from '../helpers/cli.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { drop, seededFile } from '../helpers/files.ts'
import { stopProgram, untilSettled } from '../helpers/parser.ts'
import { killProcess } from '../helpers/processes.ts'
import { makeSite } from '../helpers/state-dir.ts'
import { startUp } from '../helpers/up.ts'
import { served } from './http.ts'

// As a child of `up`: kept alive like the others, and nothing that is counted depends on it.

const server = await startDatabaseServer(t)

t.test('with the service', async t => {
  const site = await makeSite(t, server)
  const { dir } = site.paths
  const path = join(dir, 'web.sock')
  const metricsFile = join(dir, 'metrics', 'countersink.prom')
  const env = { ...site.env, COUNTERSINK_METRICS_FILE: metricsFile }
  const withFile = { ...site, env }
  const up = await startUp(t, withFile, `--serve=unix:${path}`)
  t.ok(up.output().includes(`; page, API and metrics at unix:${path}\n`), up.output())
  const web = served(`unix:${path}`)
  await eventually('it serves', () => existsSync(path))
  drop(site.paths, [seededFile('a.txt', 1)])
  await untilSettled(site, 1)
  const picture = await web.get<{ serving: { state: string; address: string } }>('/api/v1/status')
  t.match(picture.serving, { state: 'serving', address: `unix:${path}`, restarts: 0 })
  const reason = (await web.get<{ serving: { reason?: string } }>('/api/v1/status')).serving.reason
  t.match(reason, /metrics cannot be written/, 'there is no such directory')
  mkdirSync(join(dir, 'metrics'))
  const pid = up.status()?.serving?.pid
  killProcess(pid ?? 0)
  await eventually('another one serves', async () => {
    const { serving } = up.status() ?? {}
    return serving?.state === 'running' && serving.pid !== pid && serving.restarts === 1
  })
  t.equal((await web.ask('/readyz')).status, 200)
  const text = await eventually('the metrics are written', () => {
    return existsSync(metricsFile) && readFileSync(metricsFile, 'utf8')
  })
  t.match(text, /^countersink_files_total\{outcome="applied"\} 1$/m)
  t.equal(statSync(metricsFile).mode & 0o777, 0o644, 'a collector is somebody else')
  const [told] = jsonLines(await countersink(t, site, 'status', '--json'))
  t.match(told, { serving: { state: 'serving', restarts: 1 }, parser: { restarts: 0 } })
  const ended = await stopProgram(up)
  t.match(ended, { code: 0 })
  t.notOk(existsSync(path))
  t.notOk(existsSync(metricsFile), 'what it says would be true no longer')
})

t.test('an address that is taken is waited for, and files are counted meanwhile', async t => {
  const site = await makeSite(t, server)
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => taken.once('listening', resolve))
  const { port } = taken.address() as { port: number }
  const up = await startUp(t, site, `--serve=127.0.0.1:${port}`)
  drop(site.paths, [seededFile('b.txt', 2)])
  await untilSettled(site, 1)
  const [told] = jsonLines(await countersink(t, site, 'status', '--json'))
  t.match(told, { serving: { state: 'starting', reason: /is in use/, restarts: 0 } })
  await new Promise(resolve => taken.close(resolve))
  const web = served(`127.0.0.1:${port}`)
  await eventually('it serves', async () => {
    return (await web.ask('/readyz').catch(() => undefined))?.status === 200
  })
  t.match(await stopProgram(up), { code: 0 })
})

t.test('metrics without HTTP', async t => {
  const site = await makeSite(t, server)
  const metricsFile = join(site.paths.dir, 'm.prom')
  const env = { ...site.env, COUNTERSINK_METRICS_FILE: metricsFile }
  const up = await startUp(t, { ...site, env })
  await eventually('the metrics are written', () => existsSync(metricsFile))
  t.match(readFileSync(metricsFile, 'utf8'), /^countersink_info/m)
  const [told] = jsonLines(await countersink(t, site, 'status', '--json'))
  t.match(told, { serving: { state: 'serving' } })
  t.notHas(told?.serving, 'address')
  t.match(await stopProgram(up), { code: 0 })
})
