import { statSync } from 'node:fs'
import { connect } from 'node:net'
import t from 'tap'
import { PROTOCOL_NAME, PROTOCOL_VERSION } from '../../shared/protocol.ts'
import { encodeFrame } from '../../shared/socket/frames.ts'
import { connectAnnouncer, sendRaw } from '../helpers/client.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { dataFile, drop, seeded, seededFile, sha256Of } from '../helpers/files.ts'
import { assertEverythingAddsUp, type Fate } from '../helpers/invariants.ts'
import { pingParser, spawnParser, startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite } from '../helpers/state-dir.ts'

const server = await startDatabaseServer(t)
const HELLO = encodeFrame({
  type: 'hello',
  protocol: PROTOCOL_NAME,
  version: PROTOCOL_VERSION,
  role: 'client',
  pid: 1,
})

t.test('garbage on the socket harms nobody but who sends it', async t => {
  const site = await makeSite(t, server)
  const parser = await startParser(t, site)
  const path = site.paths.parserSocket
  const announcer = await connectAnnouncer(t, site.paths)
  const files = Array.from({ length: 8 }, (_, i) => seededFile(`file-${i}`, i, { lines: 20_000 }))
  const random = seeded(99)
  const bytes = (length: number) => Buffer.from(Array.from({ length }, () => random(256)))
  const frame = (payload: Buffer, length = payload.length): Buffer => {
    const head = Buffer.alloc(4)
    head.writeUInt32BE(length)
    return Buffer.concat([head, payload])
  }
  const after = (message: object) => Buffer.concat([HELLO, encodeFrame(message)])
  const garbage: Record<string, [bytes: Buffer, code: RegExp]> = {
    'random bytes': [Buffer.concat([Buffer.from([0xff]), bytes(500)]), /FRAME_TOO_LARGE/],
    'an endless frame': [frame(bytes(100), 0xffff_ffff), /FRAME_TOO_LARGE/],
    'an empty frame': [frame(Buffer.alloc(0)), /FRAME_EMPTY/],
    'no msgpack': [frame(Buffer.from([0xc1, 0xc1])), /FRAME_UNREADABLE|MESSAGE_INVALID/],
    'no hello': [encodeFrame({ type: 'ping', id: 1 }), /PROTOCOL_MISMATCH/],
    'a later version': [
      encodeFrame({ type: 'hello', protocol: PROTOCOL_NAME, version: 99, role: 'client', pid: 1 }),
      /PROTOCOL_MISMATCH/,
    ],
    'an HTTP request': [Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), /FRAME_TOO_LARGE/],
    'an unknown type': [after({ type: 'shutdown', id: 1 }), /MESSAGE_INVALID/],
    'a list': [after(['ping']), /MESSAGE_INVALID/],
    'a prototype': [after({ ['__proto__']: { type: 'ping', id: 1 } }), /MESSAGE_INVALID/],
    'a reply nobody asked for': [after({ type: 'ack', id: 7, outcome: 'accepted' }), /INVALID/],
    'a settlement': [
      after({ type: 'settled', name: 'x', sha256: 'ab'.repeat(32), outcome: 'applied' }),
      /MESSAGE_INVALID/,
    ],
    'an announcement with a bad hash': [
      after({ type: 'announce', id: 1, name: 'file-0', sizeBytes: 1, sha256: 'x' }),
      /MESSAGE_INVALID/,
    ],
  }
  const attacks = Object.entries(garbage).map(async ([name, [sent, code]]) => {
    const said = await sendRaw(path, sent)
    t.match(said.toString('latin1'), code, `${name} is told why, and cut off`)
  })
  // This one hangs in the middle of a frame for as long as it is let.
  const hanging = connect(path)
  t.teardown(() => hanging.destroy())
  hanging.on('error', () => {
    // It is cut off, in the end.
  })
  hanging.write(Buffer.concat([HELLO, frame(bytes(10), 1_000)]))
  for (const file of files) {
    drop(site.paths, [file])
    // Known: a look into the inbox was faster, and it is counted already.
    t.match(await announcer.announce(file), { outcome: /^(accepted|known)$/ })
    t.ok(await pingParser(site.paths), 'pings are answered')
  }
  await Promise.all(attacks)
  const { pid } = await parser.untilSettled(files.length)
  t.equal(pid, parser.pid, 'it is still the same process')
  await stopProgram(parser)
  t.notMatch(parser.output(), /ERROR/)
  await assertEverythingAddsUp(
    t,
    site,
    files.map(file => [file, 'applied']),
  )
})

t.test('what an announcer is told', async t => {
  const site = await makeSite(t, server)
  const parser = await startParser(t, site)
  t.equal(statSync(site.paths.parserSocket).mode & 0o777, 0o600)
  t.equal(statSync(site.paths.run).mode & 0o777, 0o700)
  const announcer = await connectAnnouncer(t, site.paths)
  const file = seededFile('file', 1)
  const refused = async (name: string, reason: RegExp): Promise<void> =>
    void t.match(await announcer.announce(file, { name }), { outcome: 'refused', reason }, name)
  await refused('file', /no file file stands in the inbox/)
  for (const name of ['../file', '/etc/passwd', 'a/b', '.hidden', 'a.tmp', '', 'x'.repeat(300)]) {
    await refused(name, /cannot be a name in the inbox/)
  }
  await refused('file.manifest.json', /cannot be a name/)

  drop(site.paths, [file])
  t.match(await announcer.announce(file), { outcome: 'accepted' })
  t.match(await announcer.outcomeOf('file'), { sha256: sha256Of(file.content), outcome: 'applied' })
  t.match(await announcer.announce(file), { outcome: 'known' }, 'again, when it is gone')
  t.equal(await eventually('told again', () => announcer.settled.length === 2), true)

  // The same name and content once more, found by the scan before it is announced.
  drop(site.paths, [file])
  await parser.untilSettled(2)
  t.match(await announcer.announce(file), { outcome: 'known' })
  const third = await eventually('told of this one', () => announcer.settled[2])
  t.match(third, { name: 'file', outcome: 'duplicate' }, 'not of the one that was counted')

  const again = { ...file, name: 'again' }
  drop(site.paths, [again])
  t.match(await announcer.announce(again), { outcome: 'known' }, 'a hint')
  t.match(await announcer.outcomeOf('again'), { outcome: 'duplicate' })

  // An announced hash never decides: it is taken, read, and found to be something else.
  const liar = seededFile('liar', 2)
  drop(site.paths, [liar], { manifest: false })
  const { outcome } = await announcer.announce(liar, { sha256: sha256Of(file.content) })
  t.equal(outcome, 'known')
  t.match(await announcer.outcomeOf('liar'), {
    sha256: sha256Of(liar.content),
    outcome: 'quarantined',
    reason: /^MANIFEST_MISMATCH: sha256/,
  })
  await stopProgram(parser)
  const fates: Fate[] = [
    [file, 'applied'],
    [file, 'duplicate'],
    [again, 'duplicate'],
    [liar, 'quarantined'],
  ]
  await assertEverythingAddsUp(t, site, fates)
})

t.test('an ack survives the death of the parser, an unacknowledged file too', async t => {
  const site = await makeSite(t, server)
  // No database yet as far as this parser knows: what is acked is only in its journal.
  const nowhere = { COUNTERSINK_DATABASE_URL: 'mariadb://x@localhost/x?socketPath=/nowhere' }
  const parser = spawnParser(t, site, { ...nowhere, COUNTERSINK_SCAN_INTERVAL_MS: '3600000' })
  await eventually('it answers', () => pingParser(site.paths))
  const announcer = await connectAnnouncer(t, site.paths)
  const files = Array.from({ length: 20 }, (_, i) => seededFile(`file-${i}`, i, { lines: 20 }))
  const silent = seededFile('nobody-announced-me', 77)
  drop(site.paths, [...files, silent])
  const acks = await Promise.all(files.map(file => announcer.announce(file)))
  parser.signal('SIGKILL')
  t.ok(acks.every(({ outcome }) => outcome === 'accepted'))
  t.match(await parser.ended, { signal: 'SIGKILL' })

  const next = await startParser(t, site)
  await next.untilSettled(files.length + 1)
  await stopProgram(next)
  t.notMatch(next.output(), /adopted/, 'the journal knew them all')
  await assertEverythingAddsUp(
    t,
    site,
    [...files, silent].map(file => [file, 'applied']),
  )
})

t.test('a full queue says: later', async t => {
  const site = await makeSite(t, server, { COUNTERSINK_QUEUE_FILES_MAX: '2' })
  const nowhere = { COUNTERSINK_DATABASE_URL: 'mariadb://x@localhost/x?socketPath=/nowhere' }
  const parser = spawnParser(t, site, { ...nowhere, COUNTERSINK_SCAN_INTERVAL_MS: '3600000' })
  await eventually('it answers', () => pingParser(site.paths))
  const files = [1, 2, 3].map(i => seededFile(`file-${i}`, i))
  const announcer = await connectAnnouncer(t, site.paths)
  // Between these two answers it has looked into the inbox, which it does not do again.
  for (const nothing of [dataFile('x', ''), dataFile('y', '')]) {
    t.match(await announcer.announce(nothing), { outcome: 'refused' })
  }
  drop(site.paths, files)
  const outcomes: string[] = []
  for (const file of files) outcomes.push((await announcer.announce(file)).outcome)
  t.same(outcomes, ['accepted', 'accepted', 'later'])
  t.match(await announcer.announce(files[0]!), { outcome: 'accepted' }, 'it is on its way')
  t.match(await pingParser(site.paths), { queue: { files: 2 }, database: 'unavailable' })
  await stopProgram(parser)
  const next = await startParser(t, site)
  await next.untilSettled(3)
  await stopProgram(next)
  await assertEverythingAddsUp(
    t,
    site,
    files.map(file => [file, 'applied']),
  )
})
