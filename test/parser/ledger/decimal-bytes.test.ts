import t from 'tap'
import { digitsOf, U64_DIGITS, writeDigits } from '../../../parser/ledger/adding/decimal-bytes.ts'
import { U64_MAX } from '../../../shared/limits.ts'

t.test('digits are those that BigInt writes', async t => {
  const numbers = new Set<bigint>([0n, U64_MAX])
  for (let power = 1n; power <= U64_MAX; power *= 10n) numbers.add(power)
  for (let bit = 0n; bit < 64n; bit += 1n) numbers.add(1n << bit)
  for (const k of [1n, 4n, 18n, 70_368n, 9_000_000n, 18_446_744_073n]) numbers.add(k * 10n ** 9n)
  for (let i = 1n; i < 20_000n; i += 1n) {
    numbers.add((i * 0x9e37_79b9_7f4a_7c15n) % 2n ** (1n + (i % 64n)))
  }
  const wrong: string[] = []
  for (const base of numbers) {
    for (const number of [base - 1n, base, base + 1n]) {
      if (number < 0n || number > U64_MAX) continue
      const high = Number(number >> 32n)
      const low = Number(number & 0xffff_ffffn)
      const digits = digitsOf(high, low)
      const width = [digits, U64_DIGITS, Math.min(U64_DIGITS, digits + 1)][Number(number % 3n)]!
      const bytes = Buffer.alloc(width + 2, '-')
      writeDigits(bytes, 1, width, high, low)
      const expected = `-${number.toString().padStart(width, '0')}-`
      if (bytes.toString() !== expected) wrong.push(`${expected} ${bytes}`)
    }
  }
  t.same(wrong, [])
})
