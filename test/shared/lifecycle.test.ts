import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { isAlive, processActivity, processIdentity } from '../../shared/lifecycle.ts'
import { eventually, runModule, within } from './helpers.ts'

/** A service in a process of its own; `start` and `stop` are bodies of functions. */
function service(t: Test, parts: { start?: string; stop?: string; supervised?: boolean }) {
  return runModule(
    t,
    `
    import { runService } from '@/shared/lifecycle.ts'
    import { createLog } from '@/shared/log.ts'
    import { CountersinkError } from '@/shared/errors.ts'
    let settle
    const finished = new Promise((resolve, reject) => { settle = { resolve, reject } })
    finished.catch(() => {})
    const alive = setInterval(() => {}, 1000)
    await runService(createLog('x'), ${parts.supervised === true}, async () => {
      ${parts.start ?? ''}
      console.log('started')
      return { finished, stop: async () => { console.log('stopping'); ${parts.stop ?? 'settle.resolve()'} } }
    })`,
  )
}

t.test('a signal drains and ends well', async t => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const child = service(t, {})
    await child.says('started')
    child.process.kill(signal)
    t.match(await within(signal, child.ended), { code: 0, signal: null }, signal)
    t.match(child.out(), /stopping/)
    t.match(child.err(), / NOTICE x stopped\n/)
  }
})

t.test('exit statuses tell whether a restart can help', async t => {
  const refusal = `throw new CountersinkError('CONFIG_INVALID', 'no', { advice: 'Do this.' })`
  const cases = [
    { code: 78, parts: { start: refusal } },
    { code: 70, parts: { start: `throw new CountersinkError('IO_FAILED', 'disk')` } },
    { code: 70, parts: { start: `throw new TypeError('a mistake')` } },
    {
      code: 78,
      parts: {
        start: `setImmediate(() => settle.reject(new CountersinkError('OWNERSHIP_LOST', 'x')))`,
      },
    },
    { code: 70, parts: { start: `setImmediate(() => { throw new Error('uncaught') })` } },
    { code: 70, parts: { start: `setImmediate(() => void Promise.reject(new Error('alone')))` } },
    { code: 0, parts: { start: `setImmediate(() => settle.resolve())` } },
    {
      code: 0,
      parts: {
        start: `setImmediate(() => process.kill(process.pid, 'SIGTERM')); await new Promise(() => {})`,
      },
    },
  ]
  const children = cases.map(({ parts }) => service(t, parts))
  for (const [i, { code, parts }] of cases.entries()) {
    t.match(await within(parts.start, children[i]!.ended), { code, signal: null }, parts.start)
    if (code !== 0) t.match(children[i]!.err(), / ERROR x /, 'it says why')
  }
  t.match(children[0]!.err(), /CONFIG_INVALID: [^\n]*Do this\.\n$/, 'without a stack')
  t.match(children[2]!.err(), /\n +at /, 'a mistake shows its stack')
})

t.test('with --supervised, the end of standard input stops it', async t => {
  const child = service(t, { supervised: true })
  await child.says('started')
  child.process.stdin?.write('anything')
  child.process.stdin?.end()
  t.match(await within('the end', child.ended), { code: 0 })
  t.match(child.out(), /stopping/)
  const alone = service(t, {})
  alone.process.stdin?.end()
  await alone.says('started')
  t.equal(alone.process.exitCode, null, 'otherwise it does not matter')
})

t.test('a second signal ends at once, but not within a second', async t => {
  const child = service(t, { stop: 'await new Promise(() => {})' })
  await child.says('started')
  const begunMs = performance.now()
  await eventually('it ends', () => {
    if (child.process.exitCode !== null) return true
    child.process.kill('SIGINT')
    return false
  })
  t.ok(performance.now() - begunMs > 1_000, 'a repeated Ctrl-C of one moment is one')
  t.match(await child.ended, { code: 130 })
})

t.test('identities of processes', async t => {
  const own = processIdentity(process.pid)
  t.ok(own && isAlive(own))
  t.notOk(isAlive({ pid: process.pid, startTime: '1' }), 'the same pid at another time')
  t.equal(processIdentity(4_194_304), undefined)
  t.match(processActivity(process.pid), { waitsForDisk: Boolean, cpuTicks: Number })
  const child = spawn('sleep', ['600'])
  await once(child, 'spawn')
  const identity = await eventually('it is there', () => processIdentity(child.pid ?? 0))
  t.ok(isAlive(identity))
  child.kill('SIGKILL')
  await once(child, 'exit')
  t.notOk(isAlive(identity))
})

t.test('a zombie counts as dead; a name may hold anything', async t => {
  // The shell's child dies, and nobody waits for it: exec keeps the parent, without its wait.
  const parent = spawn('sh', ['-c', 'exec 4<&0; (read -r _ <&4) & echo $!; exec sleep 600'])
  t.teardown(() => parent.kill('SIGKILL'))
  const pid = Number(String((await once(parent.stdout, 'data'))[0]))
  // The shell itself would wait for it, so it may only end once there is no shell any more.
  await eventually('the shell is gone', () =>
    readFileSync(`/proc/${parent.pid}/comm`, 'utf8').startsWith('sleep'),
  )
  parent.stdin.end()
  const state = (): string | undefined =>
    readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.[0]
  await eventually('it is a zombie', () => state() === 'Z')
  t.equal(processIdentity(pid), undefined)
  const odd = runModule(
    t,
    `process.title = 'a) Z 1 (b'; console.log('named'); setInterval(() => {}, 1000)`,
  )
  await odd.says('named')
  const identity = processIdentity(odd.process.pid ?? 0)
  t.match(identity?.startTime, /^\d+$/)
  t.ok(identity && isAlive(identity))
})
