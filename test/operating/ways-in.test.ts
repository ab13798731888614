import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { userInfo } from 'node:os'
import t, { type Test } from 'tap'
import { Session } from '../../parser/ledger/connection.ts'
import { describeError } from '../../shared/errors.ts'
import { addressOf, startServer } from '../parser/ledger/helpers.ts'
import { failureOf } from '../shared/helpers.ts'

// Who is at the other end of a socket: an account without a password, or another server than MariaDB.

const server = await startServer(t)
const { admin } = server

t.test('an account that is known by its UNIX socket needs no password', async t => {
  const { username } = userInfo()
  await admin.execute('CREATE DATABASE by_socket')
  const name = `${username}@localhost`
  await admin.execute(`CREATE USER IF NOT EXISTS ${name}`)
  await admin.execute(`ALTER USER ${name} IDENTIFIED VIA unix_socket`)
  await admin.execute(`GRANT ALL ON by_socket.* TO ${name}`)
  const { url } = addressOf(server.socketPath, 'by_socket')
  const session = await Session.open({ url: url.replace('root@', `${username}@`) })
  t.match(await session.query('SELECT CURRENT_USER() AS user'), [{ user: name }])
  await session.close()
  await admin.execute('CREATE USER somebody@localhost IDENTIFIED VIA unix_socket')
  const error = await failureOf(Session.open({ url: url.replace('root@', 'somebody@') }))
  t.match(error, { code: 'DATABASE_UNFIT', message: /1698/ })
  const again = await failureOf(Session.open({ url: url.replace('root@', 'somebody@') }))
  t.equal(describeError(again), describeError(error), 'what is the same is told of once')
})

t.test('no such socket is waited for', async t => {
  const error = await failureOf(Session.open(addressOf(`${server.dir}/none`, 'd')))
  t.match(error, { code: 'DATABASE_UNAVAILABLE', message: /none/ })
})

t.test('MySQL is refused by name', async t => {
  const port = await listen(t, client => {
    const upstream = connect(server.socketPath)
    client.pipe(upstream)
    upstream.on('data', data => {
      client.write(Buffer.from(data.toString('latin1').replaceAll('MariaDB', 'MySQL 8'), 'latin1'))
    })
    client.on('close', () => upstream.destroy())
  })
  const error = await failureOf(Session.open({ url: `mariadb://root@127.0.0.1:${port}/mysql` }))
  t.match(error, { code: 'DATABASE_UNFIT', message: /it is MySQL, not MariaDB \(.*MySQL 8/ })
})

t.test('so is one that wants the password as only MySQL does', async t => {
  const port = await listen(t, client => {
    client.write(packet(0, mysqlGreeting()))
    // To this way of passwords; then: in clear over TLS, or encrypted with a key that it sends.
    const answers = [Buffer.from(`\xfe${SHA2}${'A'.repeat(20)}\0`, 'latin1'), Buffer.from([1, 4])]
    client.on('data', data => {
      const answer = answers.shift()
      if (answer !== undefined) client.write(packet((data[3] ?? 0) + 1, answer))
    })
  })
  const url = `mariadb://app:secret@127.0.0.1:${port}/d`
  const error = await failureOf(Session.open({ url }))
  t.match(error, { code: 'DATABASE_UNFIT', message: /MySQL/ })
})

/** @returns the port. */
async function listen(t: Test, serve: (client: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const listener = createServer(client => {
    sockets.add(client)
    client.on('error', () => {})
    serve(client)
  })
  await new Promise<void>(resolve => listener.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    listener.close()
  })
  return (listener.address() as AddressInfo).port
}

function packet(number: number, payload: Buffer): Buffer {
  const header = Buffer.from([payload.length, 0, 0, number])
  return Buffer.concat([header, payload])
}

const SHA2 = 'caching_sha2_password\0'

/** Of protocol 10: transactions, 4.1, plugins for passwords. */
function mysqlGreeting(): Buffer {
  const salt = Buffer.alloc(20, 0x41)
  return Buffer.concat([
    Buffer.from('\x0a8.0.36\0\x01\0\0\0'),
    salt.subarray(0, 8),
    Buffer.from([0, 0x09, 0xa2, 45, 2, 0, 0x08, 0, 21, ...Buffer.alloc(10)]),
    salt.subarray(8),
    Buffer.from(`\0${SHA2}`),
  ])
}
