import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { countersink } from '../helpers/cli.ts'
import { makeSite } from '../helpers/state-dir.ts'
import { startServe } from './http.ts'

// Who may ask, and how: strangers' names, passwords, methods, and what a connection may hold.

const TOKEN = 'correct-horse-battery-staple'
const site = await makeSite(t)
const { dir, run } = site.paths
mkdirSync(run)
const tokenFile = join(dir, 'token')
writeFileSync(tokenFile, `${TOKEN}\n`, { mode: 0o600 })

t.test('a stranger that lets its name point here is not answered', async t => {
  const web = await startServe(t, site)
  for (const host of ['localhost', 'LocalHost:99', '127.0.0.1', '127.0.0.1:8321', '[::1]:1']) {
    t.match(await web.ask('/api/v1/status', { headers: { host } }), { status: 200 }, host)
  }
  const strangers = ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '0.0.0.0']
  for (const host of [...strangers, '127.0.0.1@evil', '192.0.2.7', 'a b', 'localhost:x']) {
    for (const path of ['/', '/livez', '/metrics', '/api/v1/status', '/nothing']) {
      const answer = await web.ask(path, { headers: { host } })
      t.match(answer, { status: 421 }, `${host} ${path}`)
      t.notMatch(answer.text, /supervisor/)
    }
  }
  t.match(await raw(web, 'GET /livez HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 421 /, 'no name at all')
  t.match(await raw(web, 'GET /livez HTTP/1.1\r\nHost:\r\n\r\n'), /^HTTP\/1\.1 421 /)
  for (const [one, other] of [
    ['localhost', 'evil.example'],
    ['evil.example', 'localhost'],
    ['localhost', 'localhost'],
  ]) {
    const text = `GET /livez HTTP/1.1\r\nHost: ${one}\r\nHost: ${other}\r\n\r\n`
    t.match(await raw(web, text), /^HTTP\/1\.1 421 /, `${one} and ${other}`)
  }
  t.match(await raw(web, `GET http://x/livez HTTP/1.1\r\nHost: localhost\r\n\r\n`), / 400 /)
})

t.test('everything is read', async t => {
  const web = await startServe(t, site)
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE']) {
    for (const path of ['/', '/metrics', '/api/v1/status', '/nothing']) {
      const answer = await web.ask(path, { method, ...(method === 'POST' ? { body: 'x' } : {}) })
      t.match(answer, { status: 405, headers: { allow: 'GET, HEAD' } }, `${method} ${path}`)
    }
  }
  const page = await web.ask('/')
  t.match(page.headers, {
    'content-security-policy': /^default-src 'none'; .*frame-ancestors 'none'/,
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  })
  t.notHas(page.headers, 'access-control-allow-origin')
  t.match(await web.ask('/favicon.ico'), { status: 204, text: '' })
})

t.test('with a password', async t => {
  const web = await startServe(t, site, '--token-file', tokenFile)
  const open = ['/', '/livez', '/favicon.ico']
  for (const path of open) t.ok((await web.ask(path)).status < 300, path)
  const closed = ['/metrics', '/readyz', '/api/v1/status', '/api/v1/openapi.json', '/nothing']
  for (const path of closed) {
    t.match(await web.ask(path), { status: 401, headers: { 'www-authenticate': /^Bearer/ } }, path)
    for (const given of ['', TOKEN, `Basic ${TOKEN}`, `Bearer ${TOKEN}x`, 'Bearer x', 'Bearer']) {
      t.match(await web.ask(path, { headers: { authorization: given } }), { status: 401 }, given)
    }
    const { status } = await web.ask(path, { headers: { authorization: `Bearer ${TOKEN}` } })
    t.not(status, 401, path)
  }
  writeFileSync(tokenFile, 'another-password-of-some-length')
  web.signal('SIGHUP')
  const headers = { authorization: 'Bearer another-password-of-some-length' }
  while ((await web.ask('/metrics', { headers })).status === 401);
  t.match(await web.ask('/metrics', { headers: { authorization: `Bearer ${TOKEN}` } }), {
    status: 401,
  })
  writeFileSync(tokenFile, TOKEN)
})

t.test('an open door is refused', async t => {
  const serve = async (t: Test, ...args: string[]) => {
    const { code, stderr } = await countersink(t, site, 'serve', ...args)
    return { code, stderr }
  }
  const everywhere = ['--listen', '0.0.0.0:0']
  t.match(await serve(t, ...everywhere), { code: 2, stderr: /COUNTERSINK_SERVE_TOKEN_FILE/ })
  t.match(await serve(t, '--listen', '[::]:0'), { code: 2 })
  t.match(await serve(t, '--listen', 'nonsense'), { code: 2, stderr: /--listen must be/ })
  const nowhere = ['--dir', join(dir, 'nowhere')]
  const both = await serve(t, '--listen', 'nonsense', ...nowhere)
  t.match(both, { code: 2, stderr: /--listen must be/ }, 'what is mistyped is told first')
  t.match(await serve(t, ...nowhere), { code: 3, stderr: /no state directory/ })
  const loose = join(dir, 'loose')
  writeFileSync(loose, TOKEN)
  chmodSync(loose, 0o644)
  const withLoose = [...everywhere, '--token-file', loose]
  t.match(await serve(t, ...withLoose), { code: 2, stderr: /has mode 644.*chmod o=/s })
  chmodSync(loose, 0o600)
  writeFileSync(loose, 'short')
  t.match(await serve(t, ...withLoose), { code: 2, stderr: /16 to 1024 printable/ })
  t.match(await serve(t, ...everywhere, '--token-file', join(dir, 'none')), { code: 2 })
  const web = await startServe(t, site, ...everywhere, '--token-file', tokenFile)
  t.match(await web.ask('/metrics'), { status: 401 })
  t.match(await web.ask('/', { headers: { host: 'evil.example' } }), { status: 421 })
})

t.test('a place that is taken is refused, one that a crash has left is not', async t => {
  const path = join(run, 'web.sock')
  const listen = `unix:${path}`
  const web = await startServe(t, site, '--listen', listen)
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.match(await web.ask('/livez', { headers: { host: 'whatever' } }), { status: 200 })
  const again = await countersink(t, site, 'serve', '--listen', listen)
  t.match(again, { code: 3, stderr: /is in use: somebody listens there/ })
  web.signal('SIGKILL')
  await web.ended
  t.ok(existsSync(path))
  const next = await startServe(t, site, '--listen', listen)
  t.match(await next.ask('/livez'), { status: 200 })
  next.signal('SIGTERM')
  t.match(await next.ended, { code: 0 })
  t.notOk(existsSync(path), 'it takes its socket with it')
  const earlier = await startServe(t, site, '--listen', listen)
  rmSync(path)
  const later = await startServe(t, site, '--listen', listen)
  earlier.signal('SIGTERM')
  t.match(await earlier.ended, { code: 0 })
  t.match(await later.ask('/livez'), { status: 200 }, "and nobody else's")
  later.signal('SIGTERM')
  await later.ended
  writeFileSync(path, 'precious')
  t.match(await countersink(t, site, 'serve', '--listen', listen), { code: 2, stderr: /no socket/ })
  const taken = createServer().listen(0, '127.0.0.1')
  t.teardown(() => taken.close())
  await new Promise(resolve => taken.once('listening', resolve))
  const { port } = taken.address() as { port: number }
  const inUse = await countersink(t, site, 'serve', '--listen', `127.0.0.1:${port}`)
  t.match(inUse, { code: 3, stderr: /in use/ })
})

t.test('who sends too much loses the connection, and the others are answered', async t => {
  const web = await startServe(t, site)
  const head = `GET /livez HTTP/1.1\r\nHost: localhost\r\n`
  t.match(await raw(web, `${head}x: ${'x'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1\.1 431 /)
  t.match(await raw(web, `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`), / 431 /)
  t.match(await raw(web, 'what is this\r\n\r\n'), /^HTTP\/1\.1 400 /)
  const held = Array.from({ length: 200 }, () => hold(t, web, head))
  await Promise.all(held)
  t.match(await web.ask('/livez'), { status: 200 })
  const many = Array.from({ length: 100 }, () => web.ask('/api/v1/quarantine'))
  const statuses = (await Promise.all(many)).map(({ status }) => status)
  t.same(
    [...new Set(statuses)].filter(status => status !== 200 && status !== 503),
    [],
  )
  t.match(await web.ask('/api/v1/quarantine'), { status: 200 })
  web.signal('SIGTERM')
  t.match(await web.ended, { code: 0 }, 'it ends in spite of who holds connections')
})

t.test('who holds all places, and asks nothing or takes no answer, makes room', async t => {
  const web = await startServe(t, site)
  const { pid } = web
  const head = `GET /livez HTTP/1.1\r\nHost: localhost\r\n`
  await Promise.all(Array.from({ length: 300 }, () => hold(t, web, head)))
  t.match(await web.ask('/livez'), { status: 200 }, 'beside requests that never end')
  await Promise.all(Array.from({ length: 300 }, () => hold(t, web, `${head}\r\n`)))
  t.match(await web.ask('/livez'), { status: 200 }, 'beside connections that are kept')
  const memoryMb = (): number => {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024
  }
  const beforeMb = memoryMb()
  const asked = `GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(5_000)
  for (let n = 0; n < 20; n += 1) {
    const socket = connect(portOf(web), '127.0.0.1', () => socket.write(asked))
    const closed = new Promise(resolve => socket.once('close', resolve))
    socket.on('error', () => {}).pause()
    t.teardown(() => void socket.destroy())
    if (n % 10 === 0) t.match(await web.ask('/livez'), { status: 200 })
    socket.resume()
    await closed
  }
  t.ok(memoryMb() < beforeMb + 150, `100,000 requests at once: ${beforeMb} to ${memoryMb()} MB`)
  const two = `${head}\r\nGET /favicon.ico HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`
  t.match(await raw(web, two, Number.POSITIVE_INFINITY), /"alive":true.*HTTP\/1\.1 204/s)
  web.signal('SIGTERM')
  t.match(await web.ended, { code: 0 })
})

function portOf({ output }: { output(): string }): number {
  return Number(/serving at=\S+:(\d+)/.exec(output())?.[1])
}

/** What comes back of bytes that no client would send. */
function raw(web: { output(): string }, text: string, heads = 1): Promise<string> {
  return new Promise((resolve, reject) => {
    let found = ''
    const socket = connect(portOf(web), '127.0.0.1', () => socket.write(text))
    socket.setEncoding('utf8').on('data', part => {
      found += part
      if (found.split('\r\n\r\n').length > heads) socket.destroy()
    })
    socket.once('error', error => (found === '' ? reject(error) : resolve(found)))
    socket.once('close', () => resolve(found))
  })
}

/** A connection that never comes to an end of what it asks. */
function hold(t: Test, web: { output(): string }, head: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(portOf(web), '127.0.0.1', () => socket.write(head, () => resolve()))
    socket.once('error', reject)
    socket.on('error', () => {})
    t.teardown(() => void socket.destroy())
  })
}
