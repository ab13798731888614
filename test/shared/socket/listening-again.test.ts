import {
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { createLog } from '../../../shared/log.ts'
import { ChannelServer } from '../../../shared/socket/channel-server.ts'
import { askOnce, openChannel } from '../../../shared/socket/connecting.ts'
import { eventually, failureOf, tempDir } from '../helpers.ts'

async function listening(t: Test) {
  const directory = `${tempDir(t)}/run`
  mkdirSync(directory)
  const path = `${directory}/s`
  const lines: string[] = []
  const log = createLog('test', line => lines.push(line))
  const server = await ChannelServer.listen(
    path,
    'parser',
    {
      onMessage(message, channel) {
        if (message.type !== 'query') return
        channel.send({ type: 'answer', id: message.id, body: { from: 'us' } })
      },
    },
    log,
  )
  t.teardown(() => server.close())
  const ask = { type: 'query', question: { kind: 'after', number: 0 } } as const
  const answered = () =>
    eventually('it answers', () => askOnce(path, channel => channel.request<'answer'>(ask)))
  return { directory, path, lines, server, ask, answered }
}

/** Lets everybody in. */
const silent = createServer()
t.teardown(() => silent.close())

const DAMAGE: Readonly<Record<string, (path: string, directory: string) => void>> = {
  removed: path => unlinkSync(path),
  'moved away': path => renameSync(path, `${path}.old`),
  'replaced by a file': path => {
    unlinkSync(path)
    writeFileSync(path, '')
  },
  'replaced by a directory': path => {
    unlinkSync(path)
    mkdirSync(path)
  },
  'replaced by a link that leads nowhere': path => {
    unlinkSync(path)
    symlinkSync('/nowhere', path)
  },
  'replaced by a socket that says nothing': path => {
    unlinkSync(path)
    silent.listen(path)
  },
  'removed with its directory': (_path, directory) => rmSync(directory, { recursive: true }),
}

for (const [name, damage] of Object.entries(DAMAGE)) {
  t.test(`a socket that was ${name} is listened at again`, async t => {
    const { directory, path, lines, server, ask, answered } = await listening(t)
    const old = await openChannel(path, 'client')
    damage(path, directory)
    await eventually('it is said', () => lines.some(line => line.includes('listening again')))
    t.match(await answered(), { body: { from: 'us' } })
    t.equal(lstatSync(path).mode & 0o777, 0o600)
    t.match(await old.request<'answer'>(ask), { body: { from: 'us' } }, 'who was there stays')
    t.equal(lines.filter(line => line.includes('listening again')).length, 1, lines.join(''))
    old.close()
    await server.close()
    t.equal(lstatSync(path, { throwIfNoEntry: false }), undefined, 'and goes with the server')
  })
}

t.test('a socket at which somebody else answers is left to them, until they are gone', async t => {
  const { path, lines, answered } = await listening(t)
  unlinkSync(path)
  const other = createServer(socket => socket.end('hello'))
  await new Promise<void>(resolve => other.listen(path, resolve))
  const { ino } = lstatSync(path)
  await eventually('it is said', () => lines.some(line => line.includes('another process listens')))
  t.equal(lstatSync(path).ino, ino)
  other.close()
  t.match(await answered(), { body: { from: 'us' } })
  t.equal(lines.filter(line => line.includes('another process')).length, 1, 'said once')
})

t.test('a directory with something in it is not replaced, and no start would help', async t => {
  const { path, lines, answered } = await listening(t)
  unlinkSync(path)
  mkdirSync(path)
  writeFileSync(`${path}/yours`, '')
  t.match(await failureOf(ChannelServer.listen(path, 'parser', {})), {
    ...{ code: 'STATE_DIRECTORY_UNFIT', message: /is a directory, with something in it/ },
  })
  await eventually('it is said', () => lines.some(line => line.includes('nobody can reach')))
  rmSync(path, { recursive: true })
  t.match(await answered(), { body: { from: 'us' } })
})
