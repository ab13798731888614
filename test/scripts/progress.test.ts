import t from 'tap'
import { type Picture, ProgressDisplay } from '../../scripts/terminal/progress-display.ts'
import type { GeneratorHealth, ParserHealth, ProcessedFile } from '../../shared/protocol.ts'

const ESCAPE = '\u001b'

function screen(isTTY: boolean, columns = 80) {
  let text = ''
  return {
    isTTY,
    columns,
    write(more: string) {
      text += more
    },
    get text() {
      return text
    },
    /** What stands on a terminal that does as it is told: lines up, clear below. */
    get lines() {
      const lines: string[] = ['']
      // biome-ignore lint/suspicious/noControlCharactersInRegex: escape codes are what is read
      for (const [piece] of text.matchAll(/\u001b\[\d*[A-Za-z]|\n|[^\n\u001b]+/g)) {
        const up = /\[(\d+)A$/.exec(piece)
        if (piece === '\n') lines.push('')
        else if (up) lines.length -= Number(up[1])
        else if (piece.endsWith('[0J')) lines[lines.length - 1] = ''
        else if (!piece.startsWith(ESCAPE)) lines[lines.length - 1] += piece
      }
      return lines
    },
  }
}

const counts = {
  applied: 2,
  duplicate: 1,
  quarantined: 0,
  reverted: 0,
  held: 0,
  bytes: 3 * 2 ** 20,
  lines: 12_345,
}
const common = { pid: 1, uptimeSeconds: 5, lastProgressAtMs: 0, eventLoopDelayMs: 1 }
const parser: ParserHealth = {
  ...{ ...common, role: 'parser', state: 'running', database: 'ready', processed: 3 },
  ...{ queue: { files: 4, bytes: 5_000 }, sinceStart: counts, ever: counts },
  reading: { name: 'reading.txt', positionBytes: 50, sizeBytes: 100, resumedFromBytes: 0 },
}
const generator: GeneratorHealth = {
  ...{ ...common, role: 'generator', state: 'writing', connected: true, unsettled: 1 },
  sinceStart: { files: 7, bytes: 100 },
}
const picture = (elapsedMs: number, more: Partial<Picture> = {}): Picture => ({
  ...{ parser, generator, filesWanted: 9, elapsedMs },
  ...more,
})
const file: ProcessedFile = {
  ...{ number: 1, name: 'a.txt', sha256: 'ab'.repeat(32), sizeBytes: 2_048, lines: 1_000 },
  ...{ amount: String(2n ** 70n), outcome: 'applied', claimedAtMs: 0, digestStartedAtMs: 1 },
  ...{ digestedAtMs: 2, settledAtMs: 1_500 },
}

t.test('on a terminal: a block that is redrawn below the lines that stay', async t => {
  const term = screen(true, 100)
  const display = new ProgressDisplay(term)
  for (let i = 0; i < 5; i += 1) display.draw(picture(i * 500))
  t.equal(term.lines.length, 5, 'four lines, once')
  t.match(term.lines.join('\n'), /reading\.txt/)
  t.match(term.lines.join('\n'), /2 applied of 9 wanted, 1 duplicate, 0 quarantined/)
  display.settled(file)
  display.say('a notice')
  display.draw(picture(3_000))
  t.match(term.lines[0], /^applied +a\.txt .*1 000 lines.*1 180 591 620 717 411 303 424.*1\.5 s/)
  t.equal(term.lines[1], 'a notice')
  t.equal(term.lines.length, 7)
  display.end()
  display.end()
  t.equal(term.lines.length, 3, 'the block is taken away')
})

t.test('no line of the block is wider than the terminal', async t => {
  for (const columns of [1, 10, 20, 40, 200]) {
    const term = screen(true, columns)
    const display = new ProgressDisplay(term)
    const name = 'n'.repeat(200)
    const reading = { name, positionBytes: 1, sizeBytes: 3, resumedFromBytes: 0 }
    display.draw(picture(1_000, { parser: { ...parser, reading, databaseReason: name } }))
    const widest = Math.max(...term.lines.map(line => line.length))
    t.ok(widest <= Math.max(columns, 12), `${widest} of ${columns}`)
  }
})

t.test('readable on narrow terminals: no number is cut, reasons are told', async t => {
  const amount = 18_446_744_073_709_551_615n
  const databaseReason =
    'DATABASE_UNAVAILABLE: connect ECONNREFUSED 127.0.0.1:3306, 1 234 567 of 18 446 744 rows are written'
  const reading = { name: 'usage-e14ae8d3-000001.txt', positionBytes: 1, sizeBytes: 2_000_000 }
  const busy = { ...parser, databaseReason, reading: { ...reading, resumedFromBytes: 0 } }
  for (const columns of [50, 80]) {
    const term = screen(true, columns)
    const display = new ProgressDisplay(term)
    display.settled({ ...file, name: reading.name, amount: String(amount), lines: 12_345_678 })
    display.settled({
      ...file,
      outcome: 'quarantined',
      reason: `${databaseReason}; ${databaseReason}`,
    })
    display.draw(picture(1_000, { parser: busy }))
    const { lines } = term
    t.ok(Math.max(...lines.map(line => line.length)) <= columns, `within ${columns}`)
    for (const whole of [
      '18 446 744 073 709 551 615',
      '12 345 678 lines',
      '1 234 567',
      '2.0 KiB',
    ]) {
      t.ok(
        lines.some(line => line.includes(whole)),
        `${whole} in ${columns}`,
      )
    }
    t.match(lines.join('\n'), /0 quarantined/)
    t.match(lines.join('\n'), /░ +0 % usage-e.*01\.txt/)
  }
})

t.test(
  'elsewhere: no escape codes, and a line every few seconds when something happens',
  async t => {
    const pipe = screen(false, Number.POSITIVE_INFINITY)
    const display = new ProgressDisplay(pipe)
    for (let ms = 0; ms <= 20_000; ms += 100) {
      const reading = { name: 'reading.txt', positionBytes: ms, sizeBytes: 20_000 }
      display.draw(
        picture(ms, { parser: { ...parser, reading: { ...reading, resumedFromBytes: 0 } } }),
      )
    }
    for (let ms = 0; ms <= 20_000; ms += 100) {
      const reading = { name: 'reading.txt', positionBytes: 20_000, sizeBytes: 20_000 }
      display.draw(
        picture(20_000 + ms, {
          parser: { ...parser, reading: { ...reading, resumedFromBytes: 0 } },
        }),
      )
    }
    display.settled(file)
    display.settled({ ...file, outcome: 'quarantined', reason: 'BAD_LINE: line 7' })
    display.end()
    t.notOk(pipe.text.includes(ESCAPE))
    const lines = pipe.text.trimEnd().split('\n')
    t.equal(lines.length, 6, 'four lines of progress, two of files')
    t.match(lines[0], /^5\.0 s: generator: .*parser: /)
    t.match(lines.at(-1), /^quarantined a\.txt {2}BAD_LINE: line 7$/)
    t.notOk(/[█░]/.test(pipe.text), 'and no bars')
  },
)

t.test('what is not there yet, and what is odd', async t => {
  const term = screen(true)
  const display = new ProgressDisplay(term)
  display.draw(picture(0, { parser: undefined, generator: undefined, filesWanted: 0 }))
  t.match(term.lines.join('\n'), /not running/)
  const nothing = { name: 'x', positionBytes: 0, sizeBytes: 0, resumedFromBytes: 0 }
  display.draw(picture(0, { parser: { ...parser, reading: nothing, reason: 'disk full' } }))
  t.match(term.lines.join('\n'), /disk full/)
  const restarted = { ...parser, sinceStart: { ...counts, bytes: 0 } }
  display.draw(picture(2_000))
  display.draw(picture(2_000, { parser: restarted }))
  t.notMatch(term.lines.join('\n'), /-\d|NaN|Infinity/)
})
