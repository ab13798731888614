/** The kernel against the plain model: which lines are good, and what their numbers are. */

import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { FIRST_BYTES_MAX } from '../../../parser/digest/line-defects.ts'
import { DEFECTS } from './fixtures/defect-cases.ts'
import { disagreement, every, Summing } from './fixtures/kernel.ts'
import { modelOf } from './fixtures/model.ts'
import { numberText, Random, randomLines } from './fixtures/random.ts'

const MAX = (1n << 64n) - 1n

t.test('ids and amounts of every length, and at their bounds', async t => {
  const texts = ['0', '00', '9', '999999999999999', '1000000000000000', '9007199254740993']
  texts.push('4294967295', '4294967296', '18446744073709551615', '09999999999999999999')
  texts.push('0'.repeat(20), `${'0'.repeat(19)}1`, '9223372036854775808', '18446744073709551614')
  for (let digits = 1; digits <= 19; digits++) {
    texts.push(
      '9'.repeat(digits),
      `1${'0'.repeat(digits - 1)}`,
      '12345678901234567890'.slice(0, digits),
    )
    texts.push('9'.repeat(digits).padStart(20, '0'))
  }
  const summing = new Summing(t)
  const wrong: unknown[] = []
  for (const id of texts) {
    for (const amount of texts) {
      const { sums, bad, amount: total, lines } = summing.sum(Buffer.from(`${id} ${amount}\n`))
      const found = { sums, bad, lines, total }
      const value = BigInt(amount)
      const expected = { sums: [[BigInt(id), value]], bad: undefined, lines: 1, total: value }
      if (!isDeepStrictEqual(found, expected)) wrong.push({ id, amount, found })
    }
  }
  t.strictSame(wrong, [])
})

t.test('each bad line, first, in the middle and last, in segments of every size', async t => {
  const good = '1 2\r\n18446744073709551615 00000000000000000007\n'
  const summing = new Summing(t)
  const wrong: unknown[] = []
  for (const [text, reason, column] of DEFECTS) {
    for (const [before, after] of [
      ['', ''],
      ['', '\n'],
      [good, '\n'],
      [good, `\n${good}`],
      ['3 4\n'.repeat(5000), `\n${good}`], // beyond a block of the kernel
    ] as const) {
      if (text === '' && after === '') continue
      const content = Buffer.from(`${before}${text}${after}`, 'latin1')
      const lines = before.split('\n').length - 1
      const expected = {
        reason,
        line: lines + 1,
        offset: before.length,
        column,
        firstBytes: Uint8Array.from(Buffer.from(text, 'latin1').subarray(0, FIRST_BYTES_MAX)),
        consumer: undefined,
      }
      const sizes = before.length > 1000 ? [4096, 4099, content.length] : [1, 2, 3, 7, 63, 64, 65]
      for (const size of [...sizes, content.length]) {
        const found = summing.sum(content, { cuts: every(size, content) })
        if (isDeepStrictEqual(found.bad, expected) && found.lines === lines) continue
        wrong.push({ text, size, bad: found.bad, expected })
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
    `1 ${MAX}\n22 1\n1 1\n3 3\n`,
  )
  const summing = new Summing(t)
  for (const text of texts) {
    const content = Buffer.from(text)
    const whole = summing.sum(content)
    t.equal(disagreement(whole, modelOf(content)), undefined, JSON.stringify(text))
    const wrong: unknown[] = []
    for (let first = 0; first <= content.length; first++) {
      for (let second = first; second <= content.length; second++) {
        const found = summing.sum(content, { cuts: [first, second] })
        if (!isDeepStrictEqual(found, whole)) wrong.push({ first, second, found })
      }
    }
    t.strictSame(wrong, [])
  }
})

t.test('a bad byte at every place of a block, and a good line at every distance', async t => {
  const summing = new Summing(t)
  const wrong: unknown[] = []
  const lines = '12 345\n678901 2\n3 45678\r\n'.repeat(340) // two blocks and more
  for (let at = 0; at < 8300; at += at % 4096 < 100 || at % 4096 > 4000 ? 1 : 17) {
    const content = Buffer.from(lines)
    content[at] = 0x3a // ':' is the byte behind '9'
    const found = disagreement(summing.sum(content), modelOf(content))
    if (found !== undefined) wrong.push({ at, found })
    const shifted = Buffer.from(`${'1'.repeat(1 + (at % 20))} 1\n${lines.slice(0, at + 1)}`)
    const other = disagreement(summing.sum(shifted), modelOf(shifted))
    if (other !== undefined) wrong.push({ at, other })
  }
  t.strictSame(wrong, [])
})

t.test('random files agree with the model, in random segments', async t => {
  const random = new Random()
  const summing = new Summing(t)
  for (let round = 0; round < 300; round++) {
    const content = Buffer.from(randomLines(random, 1 + random.below(600)))
    const cuts = every(1 + random.below(random.chance(2) ? 200 : 9000), content)
    const wrong = disagreement(summing.sum(content, { cuts }), modelOf(content))
    if (wrong !== undefined) return t.fail(`SEED=${random.seed} round ${round}`, wrong)
  }
  t.pass('all agree')
})

t.test('random bytes agree with the model on the first bad line', async t => {
  const random = new Random()
  t.comment(`SEED=${random.seed}`)
  const alphabet = Buffer.from('0123456789      \n\n\n\n\r\r-x\0:/')
  const summing = new Summing(t)
  let bad = 0
  for (let round = 0; round < 6000; round++) {
    const content = Buffer.from(randomLines(random, 1 + random.below(12)))
    for (let changes = random.below(4); changes > 0 && content.length > 0; changes--) {
      const at = random.below(content.length)
      content[at] = random.chance(5) ? random.below(256) : random.pick([...alphabet])
    }
    const model = modelOf(content)
    if (model.bad !== undefined) bad++
    const found = summing.sum(content, { cuts: every(1 + random.below(80), content) })
    const wrong = disagreement(found, model)
    if (wrong !== undefined) return t.fail(`SEED=${random.seed} round ${round}`, wrong)
  }
  t.comment(`${bad} of 6000 files were bad`)
  t.ok(bad > 1000 && bad < 5000, 'good and bad files were tried')
})

t.test('segments may be summed in any order', async t => {
  const random = new Random()
  const summing = new Summing(t)
  for (let round = 0; round < 100; round++) {
    const lines = Array.from(
      { length: 1 + random.below(50) },
      () => `${numberText(random, random.u64())} ${numberText(random, random.u64() >> 8n)}`,
    )
    const content = Buffer.from(lines.join(random.chance(2) ? '\n' : '\r\n'))
    const ends = [...every(1 + random.below(100), content), content.length]
    const spans = ends.map((endBytes, i) => ({ startBytes: ends[i - 1] ?? 0, endBytes }))
    const found = summing.sumAll(
      content,
      spans.sort(() => random.below(3) - 1),
    )
    const wrong = disagreement(found, modelOf(content))
    if (wrong !== undefined) return t.fail(`SEED=${random.seed} round ${round}`, wrong)
  }
  t.pass('all agree')
})

t.test('the amount of a file may be more than 64 bits', async t => {
  let text = ''
  for (let id = 0; id < 3000; id++) text += `${id} ${MAX}\n`
  t.equal(new Summing(t).sum(Buffer.from(text)).amount, 3000n * MAX)
})

t.test('an empty file has no lines', async t => {
  const { lines, amount, sums, bad } = new Summing(t).sum(Buffer.alloc(0))
  t.strictSame({ lines, amount, sums, bad }, { lines: 0, amount: 0n, sums: [], bad: undefined })
})
