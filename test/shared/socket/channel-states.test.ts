import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { CountersinkError } from '../../../shared/errors.ts'
import { Channel } from '../../../shared/socket/channel.ts'
import { CHANNEL_STATES, type ChannelState } from '../../../shared/socket/channel-states.ts'
import { checkTable, type Scene, walkCells } from '../../helpers/state-cells.ts'
import { eventually, HELLO, RawPeer, tempDir } from '../helpers.ts'

// Every cell of the table, over a real socket; the peer says what it is told to.

const PARSER_HELLO = { ...HELLO, role: 'parser' }
const WHY = { type: 'error', code: 'STOPPED', message: 'no more' }
const UNASKED = { type: 'answer', id: 99, body: {} }
const PLACE_NEEDED = new CountersinkError('GAVE_WAY', 'another peer has its place')

class Line {
  readonly channel: Channel
  readonly socket: Socket
  readonly peer: RawPeer
  /** The states it was seen in, each change once. */
  readonly way: ChannelState[] = []
  readonly closings: (Error | undefined)[] = []

  constructor(socket: Socket, peer: RawPeer) {
    this.socket = socket
    this.peer = peer
    this.channel = new Channel(socket, 'client', {
      onClose: (_channel, error) => this.closings.push(error),
    })
    // Behind the channel's own listeners: what an event has led to.
    for (const event of ['data', 'error', 'close']) socket.on(event, () => this.look())
    this.look()
  }

  /** The peer keeps its side open until it is told otherwise. */
  static async make(t: Test): Promise<Line> {
    const path = `${tempDir(t)}/s`
    const server = createServer({ allowHalfOpen: true }).listen(path)
    await once(server, 'listening')
    const socket = connect(path)
    const [accepted] = (await once(server, 'connection')) as [Socket]
    if (socket.connecting) await once(socket, 'connect')
    const line = new Line(socket, new RawPeer(accepted))
    t.teardown(() => {
      server.close()
      socket.destroy()
      accepted.destroy()
    })
    return line
  }

  look(): ChannelState {
    const { state } = this.channel
    if (this.way.at(-1) !== state) this.way.push(state)
    return state
  }

  async becomes(state: ChannelState): Promise<this> {
    await eventually(`it is ${state}`, () => this.look() === state)
    return this
  }

  /** The state that follows the one it is in. */
  async next(): Promise<ChannelState> {
    const seen = this.way.length
    return eventually('another state', () => this.look() && this.way[seen])
  }
}

const IN = {
  greeting: (t: Test) => Line.make(t),
  open: async (t: Test) => {
    const line = await IN.greeting(t)
    line.peer.send(PARSER_HELLO)
    return line.becomes('open')
  },
  ending: async (t: Test) => {
    const line = await IN.open(t)
    line.channel.close()
    return line.becomes('ending')
  },
  /** Until the socket is closed, which it is not before Node has had a turn. */
  broken: async (t: Test) => {
    const line = await IN.open(t)
    line.channel.giveWay(PLACE_NEEDED)
    return line.becomes('broken')
  },
  closed: async (t: Test) => (await IN.broken(t)).becomes('closed'),
}

function scene(
  from: keyof typeof IN,
  event: (line: Line) => ChannelState | Promise<ChannelState>,
): Scene<ChannelState> {
  return async t => {
    const line = await IN[from](t)
    t.equal(line.look(), from)
    return event(line)
  }
}

const says = (message: object) => (line: Line) => {
  line.peer.send(message)
  return line.next()
}
const closeAsked = (line: Line) => {
  line.channel.close()
  return line.look()
}
const placeNeeded = (line: Line) => {
  line.channel.giveWay(PLACE_NEEDED)
  return line.look()
}
const socketFailed = (line: Line) => {
  line.socket.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }))
  return line.next()
}
const readsNothing = (line: Line) => {
  line.peer.socket.pause()
  const frame = { type: 'answer', id: 1, body: { text: 'x'.repeat(60_000) } } as const
  for (let n = 0; n < 100 && line.channel.isOpen; n += 1) line.channel.send(frame)
  return line.look()
}
const peerEnds = (line: Line) => {
  line.peer.socket.end()
  return line.next()
}

t.test('the table', async t => checkTable(t, CHANNEL_STATES, 'greeting', ['closed']))

t.test('every cell', t =>
  walkCells(t, CHANNEL_STATES, {
    greeting: {
      greeted: scene('greeting', says(PARSER_HELLO)),
      'told why': scene('greeting', says(WHY)),
      'close asked': scene('greeting', closeAsked),
      offended: scene('greeting', says(UNASKED)),
      'place needed': scene('greeting', placeNeeded),
      'not reading': 'its hello is due long before that',
      'socket failed': scene('greeting', socketFailed),
      'socket closed': scene('greeting', peerEnds),
    },
    open: {
      'told why': scene('open', says(WHY)),
      'close asked': scene('open', closeAsked),
      offended: scene('open', says(UNASKED)),
      'place needed': scene('open', placeNeeded),
      'not reading': scene('open', readsNothing),
      'socket failed': scene('open', socketFailed),
      'socket closed': scene('open', peerEnds),
    },
    ending: {
      'close asked': scene('ending', closeAsked),
      offended: async t => {
        const line = await IN.greeting(t)
        line.channel.close()
        t.equal(line.look(), 'ending')
        const next = await line.next()
        await line.becomes('closed')
        t.match(line.closings, [{ code: 'FRAME_TOO_SLOW' }], 'the hello did not come')
        return next
      },
      'place needed': scene('ending', placeNeeded),
      'not reading': 'it takes ten seconds',
      'socket failed': scene('ending', socketFailed),
      'socket closed': scene('ending', peerEnds),
    },
    broken: {
      'close asked': scene('broken', closeAsked),
      offended: 'a deadline has to pass in the moment in which the peer is told why',
      'place needed': scene('broken', placeNeeded),
      'not reading': 'the same',
      'socket failed': async t => {
        const line = await IN.open(t)
        const failed = once(line.socket, 'error').then(() => line.look())
        line.peer.send(UNASKED)
        // So that it cannot be told why.
        line.peer.socket.destroy()
        const state = await failed
        await line.becomes('closed')
        t.same(line.way, ['greeting', 'open', 'broken', 'closed'])
        t.match(line.closings, [{ code: 'MESSAGE_INVALID' }], 'the first reason is told')
        return state
      },
      'socket closed': scene('broken', line => line.next()),
    },
    closed: {
      'close asked': scene('closed', closeAsked),
      'place needed': scene('closed', placeNeeded),
      'socket failed': scene('closed', line => {
        line.socket.emit('error', new Error('late'))
        return line.look()
      }),
      'socket closed': scene('closed', line => {
        line.socket.emit('close')
        return line.look()
      }),
    },
  }),
)

t.test('its end is told once, with the first reason, whatever follows', async t => {
  const ends: readonly [name: string, (line: Line) => unknown, why?: RegExp][] = [
    ['we close it', closeAsked],
    ['the peer ends it', peerEnds],
    ['the peer says why', says(WHY), /no more/],
    ['the peer offends', says(UNASKED), /a hello must come first|unasked/],
    ['its place is needed', placeNeeded, /another peer/],
    ['the socket fails', socketFailed, /ECONNRESET/],
    ['the peer reads nothing', readsNothing, /does not read/],
  ]
  for (const from of ['greeting', 'open'] as const) {
    for (const [name, end, why] of ends) {
      if (from === 'greeting' && end === readsNothing) continue
      const line = await IN[from](t)
      await end(line)
      line.peer.socket.end()
      await line.becomes('closed')
      line.channel.close()
      line.channel.giveWay(PLACE_NEEDED)
      line.socket.emit('error', new Error('late'))
      line.socket.emit('close')
      t.equal(line.closings.length, 1, `${from}: ${name}`)
      if (why === undefined) t.same(line.closings, [undefined])
      else t.match(line.closings[0]?.message, why)
    }
  }
})

t.test('what comes once it is ending or broken is not looked at', async t => {
  const ending = await IN.greeting(t)
  ending.channel.close()
  ending.peer.send(PARSER_HELLO, WHY, UNASKED)
  ending.peer.socket.end()
  await ending.becomes('closed')
  t.same(ending.way.slice(1), ['ending', 'closed'])
  t.same(ending.closings, [undefined])
  const broken = await IN.greeting(t)
  broken.peer.send(UNASKED, PARSER_HELLO, WHY)
  await broken.becomes('closed')
  t.same(broken.way.slice(1), ['broken', 'closed'])
  t.match(broken.closings, [{ code: 'PROTOCOL_MISMATCH' }])
})
