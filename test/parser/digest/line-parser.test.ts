import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { FIRST_BYTES_MAX } from '../../../parser/digest/line-defects.ts'
import { LineParser, PIECE_BYTES_MAX } from '../../../parser/digest/line-parser.ts'
import { SumTable } from '../../../parser/digest/sum-table.ts'
import { DEFECTS } from './fixtures/defect-cases.ts'
import { type Model, modelOf } from './fixtures/model.ts'
import { Random, randomLines } from './fixtures/random.ts'

const MAX = (1n << 64n) - 1n

/** Parses `content` in pieces that end at these positions. */
function parse(content: Buffer, cuts: readonly number[] = [], pairsMax = 100_000) {
  const table = new SumTable(pairsMax)
  const parser = new LineParser(table, () => {
    throw new Error('the table is full')
  })
  let start = 0
  for (const end of [...cuts, content.length]) {
    if (!parser.feed(content.subarray(start, end))) break
    start = end
  }
  parser.finish()
  const { ids, amounts } = table.sorted()
  const sums = [...ids].map((id, i) => [id, amounts[i]])
  return { lines: parser.lines, amount: parser.amount, sums, bad: parser.bad }
}

/** All cuts that make pieces of this size. */
function every(sizeBytes: number, content: Buffer): number[] {
  const cuts: number[] = []
  for (let at = sizeBytes; at < content.length; at += sizeBytes) cuts.push(at)
  return cuts
}

/** undefined: it agrees. */
function mismatch(found: ReturnType<typeof parse>, model: Model): object | undefined {
  const { lines, amount, sums, bad } = found
  const place = bad && {
    line: bad.line,
    offset: bad.offset,
    firstBytes: Buffer.from(bad.firstBytes),
  }
  const expected = { lines: model.lines, amount: model.amount, sums: model.sums, place: model.bad }
  const said = { lines, amount, sums, place }
  return isDeepStrictEqual(said, expected) ? undefined : { said, expected }
}

t.test('ids and amounts at their bounds', async t => {
  const texts = ['0', '00', '9', '999999999999999', '1000000000000000', '9007199254740993']
  texts.push('4294967295', '4294967296', '18446744073709551615', '09999999999999999999')
  texts.push('0'.repeat(20), `${'0'.repeat(19)}1`, '9223372036854775808', '18446744073709551614')
  const wrong: unknown[] = []
  for (const id of texts) {
    for (const amount of texts) {
      const { sums, bad, amount: total, lines } = parse(Buffer.from(`${id} ${amount}\n`))
      const found = { sums, bad, lines, total }
      const value = BigInt(amount)
      const expected = { sums: [[BigInt(id), value]], bad: undefined, lines: 1, total: value }
      if (!isDeepStrictEqual(found, expected)) wrong.push({ id, amount, found })
    }
  }
  t.strictSame(wrong, [])
})

t.test('each bad line, first, in the middle and last, in pieces of every size', async t => {
  const good = '1 2\r\n18446744073709551615 00000000000000000007\n'
  const wrong: unknown[] = []
  for (const [text, reason, column] of DEFECTS) {
    for (const [before, after] of [
      ['', ''],
      ['', '\n'],
      [good, '\n'],
      [good, `\n${good}`],
    ] as const) {
      if (text === '' && after === '') continue
      const content = Buffer.from(`${before}${text}${after}`, 'latin1')
      const expected = {
        reason,
        line: before === '' ? 1 : 3,
        offset: before.length,
        column,
        firstBytes: Uint8Array.from(Buffer.from(text, 'latin1').subarray(0, FIRST_BYTES_MAX)),
        consumer: undefined,
      }
      for (const size of [1, 2, 3, 7, 63, 64, 65, content.length]) {
        const { bad, lines } = parse(content, every(size, content))
        if (isDeepStrictEqual(bad, expected) && lines === expected.line - 1) continue
        wrong.push({ text, size, bad, expected })
      }
    }
  }
  t.strictSame(wrong, [])
})

t.test('every cut of a small file in two and in three gives the same', async t => {
  const texts = ['1 2\n18446744073709551615 18446744073709551615\r\n0 0\n1 3', '7 7\r\n\r\n8 8\n']
  texts.push(
    '5 5\r',
    `5 5\n${'9'.repeat(70)}\n6 6\n`,
    `${'0'.repeat(20)} ${'0'.repeat(20)}\r\n1 1\n`,
  )
  texts.push(`1 ${MAX}\n22 1\n1 1\n3 3\n`)
  for (const text of texts) {
    const content = Buffer.from(text)
    const whole = parse(content)
    t.equal(mismatch(whole, modelOf(content)), undefined, JSON.stringify(text))
    const wrong: unknown[] = []
    for (let first = 0; first <= content.length; first++) {
      for (let second = first; second <= content.length; second++) {
        const found = parse(content, [first, second])
        if (!isDeepStrictEqual(found, whole)) wrong.push({ first, second, found })
      }
    }
    t.strictSame(wrong, [])
  }
})

t.test('random files agree with the model, in random pieces', async t => {
  const random = new Random()
  for (let round = 0; round < 300; round++) {
    const content = Buffer.from(randomLines(random, 1 + random.below(200)))
    const pieces = every(1 + random.below(200), content)
    const wrong = mismatch(parse(content, pieces), modelOf(content))
    if (wrong !== undefined) return t.fail(`SEED=${random.seed} round ${round}`, wrong)
  }
  t.pass('all agree')
})

t.test('random bytes agree with the model on the first bad line', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const alphabet = Buffer.from('0123456789      \n\n\n\n\r\r-x\0:/')
  let bad = 0
  for (let round = 0; round < 6000; round++) {
    const content = Buffer.from(randomLines(random, 1 + random.below(12)))
    for (let changes = random.below(4); changes > 0 && content.length > 0; changes--) {
      const at = random.below(content.length)
      content[at] = random.chance(5) ? random.below(256) : random.pick([...alphabet])
    }
    const model = modelOf(content)
    if (model.bad !== undefined) bad++
    const wrong = mismatch(parse(content, every(1 + random.below(80), content)), model)
    if (wrong !== undefined) return t.fail(`SEED=${random.seed} round ${round}`, wrong)
  }
  t.comment(`${bad} of 6000 files were bad`)
  t.ok(bad > 1000 && bad < 5000, 'good and bad files were tried')
})

t.test("a consumer's sum past 2^64 − 1 names the consumer and the line", async t => {
  for (const id of [0n, 5n, MAX]) {
    const before = `${id} ${MAX - 1n}\n3 4\n${id} 1\n`
    const { bad, sums, lines, amount } = parse(Buffer.from(`${before}${id} 1\n3 1\n`))
    t.match(bad, { reason: 'CONSUMER_SUM_OVERFLOW', consumer: id, line: 4, offset: before.length })
    t.equal(bad?.column, String(id).length + 1, 'the column is where the amount begins')
    t.ok(sums.some(([key, sum]) => key === id && sum === MAX))
    t.strictSame([lines, amount], [3, MAX + 4n])
  }
})

t.test('the amount of a file may be more than 64 bits', async t => {
  let text = ''
  for (let id = 0; id < 3000; id++) text += `${id} ${MAX}\n`
  t.equal(parse(Buffer.from(text)).amount, 3000n * MAX)
})

t.test('the fullest piece adds up exactly', async t => {
  // Amounts whose low half is all ones, in as many lines as a piece can take.
  const content = Buffer.alloc(PIECE_BYTES_MAX, '1 4294967295\n')
  const lines = Math.floor(PIECE_BYTES_MAX / 13)
  const whole = content.subarray(0, lines * 13)
  t.equal(parse(whole).amount, BigInt(lines) * 4294967295n)
  t.throws(() => parse(Buffer.alloc(PIECE_BYTES_MAX + 1)), { code: 'ERR_ASSERTION' })
})

t.test('a full table is emptied, and the line goes on', async t => {
  const table = new SumTable(2)
  const sealed: [bigint, bigint][][] = []
  const seal = () => {
    const { ids, amounts } = table.sortedView()
    sealed.push([...ids].map((id, i) => [id, amounts[i] as bigint]))
    table.clear()
  }
  const parser = new LineParser(table, seal)
  parser.feed(Buffer.from('1 1\n2 2\n1 1\n77 3\n2 9\n2 1\n0 0\n'))
  parser.finish()
  seal()
  const expected = [
    [
      [1n, 2n],
      [2n, 2n],
    ],
    [
      [2n, 10n],
      [77n, 3n],
    ],
    [[0n, 0n]],
  ]
  t.strictSame(sealed, expected)
  t.strictSame([parser.lines, parser.amount, parser.bad], [7, 17n, undefined])

  const failing = new LineParser(new SumTable(1), () => {
    throw new Error('no room')
  })
  t.throws(() => failing.feed(Buffer.from('1 1\n1 2\n2 3\n3 3\n')), { message: 'no room' })
  t.strictSame([failing.lines, failing.amount], [2, 3n], 'all before it is counted')
})

t.test('a parse goes on in mid-file where another one was left', async t => {
  const content = Buffer.from('1 1\r\n22 2\n3 x\n')
  const wrong: unknown[] = []
  for (let cut = 0; cut <= 11; cut++) {
    const first = new LineParser(new SumTable(9), () => {})
    first.feed(content.subarray(0, cut))
    const { resumeBytes, lines, amount } = first
    if (resumeBytes !== content.lastIndexOf(10, cut - 1) + 1 && cut > 0) wrong.push(cut)
    const second = new LineParser(new SumTable(9), () => {}, { resumeBytes, lines, amount })
    second.feed(content.subarray(resumeBytes))
    const { line, offset } = second.bad ?? {}
    if (line !== 3 || offset !== 10 || second.amount !== 3n) wrong.push({ cut, line, offset })
  }
  t.strictSame(wrong, [])
})

t.test('nothing may be fed after a bad line', async t => {
  const parser = new LineParser(new SumTable(1), () => {})
  t.equal(parser.feed(Buffer.from('x\n')), false)
  t.throws(() => parser.feed(Buffer.from('1 1\n')), { code: 'ERR_ASSERTION' })
})

t.test('an empty file has no lines', async t => {
  t.strictSame(parse(Buffer.alloc(0)), { lines: 0, amount: 0n, sums: [], bad: undefined })
})
