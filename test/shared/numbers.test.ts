import t from 'tap'
import { U64_MAX } from '../../shared/limits.ts'
import {
  formatBytes,
  formatCount,
  formatCountOf,
  formatDuration,
  parseBytes,
  parseU64,
  parseU128,
} from '../../shared/numbers.ts'

const U128_MAX = 2n ** 128n - 1n

t.test('unsigned numbers of 64 and of 128 bits', async t => {
  for (const value of [0n, 1n, 2n ** 53n, 2n ** 53n + 1n, U64_MAX]) {
    t.equal(parseU64(String(value)), value)
    t.equal(parseU128(String(value)), value)
  }
  t.equal(parseU64(String(U64_MAX + 1n)), undefined)
  t.equal(parseU128(String(U64_MAX + 1n)), U64_MAX + 1n)
  t.equal(parseU128(String(U128_MAX)), U128_MAX)
  t.equal(parseU128(String(U128_MAX + 1n)), undefined)
  t.equal(parseU64('0000000000000000000000007'), 7n, 'leading zeros')
  for (const text of [
    '',
    '-1',
    '+1',
    '1.0',
    '1e3',
    '0x1',
    ' 1',
    '1 ',
    '1_0',
    '١',
    '1'.repeat(40),
  ]) {
    t.equal(parseU128(text), undefined, JSON.stringify(text))
    t.equal(parseU64(text), undefined, JSON.stringify(text))
  }
})

t.test('sizes', async t => {
  for (const [text, bytes] of [
    ['0', 0],
    ['4096', 4_096],
    ['10MiB', 10 * 2 ** 20],
    ['10 mib', 10 * 2 ** 20],
    [' 2.5 GB ', 2_500_000_000],
    ['1KB', 1_000],
    ['1KiB', 1_024],
    ['3B', 3],
    ['1TiB', 2 ** 40],
    ['0.5KiB', 512],
  ] as const) {
    t.equal(parseBytes(text), bytes, text)
  }
  for (const text of ['', 'MiB', '1.', '.5', '-1', '1e3', '1 2', '1ZB', '9'.repeat(30), '1,5MB']) {
    t.equal(parseBytes(text), undefined, JSON.stringify(text))
  }
})

t.test('for people', async t => {
  t.equal(formatBytes(0), '0 B')
  t.equal(formatBytes(1_023), '1023 B')
  t.equal(formatBytes(1_024), '1.0 KiB')
  t.equal(formatBytes(812 * 1_024), '812 KiB')
  t.equal(formatBytes(1.4 * 2 ** 30), '1.4 GiB')
  t.equal(formatBytes(5_000 * 2 ** 40), '5000 TiB')
  t.equal(formatCount(0), '0')
  t.equal(formatCount(999), '999')
  t.equal(formatCount(1_000), '1 000')
  t.equal(formatCount(U64_MAX), '18 446 744 073 709 551 615')
  t.equal(formatCountOf(0, 'file'), '0 files')
  t.equal(formatCountOf(1n, 'file'), '1 file')
  t.equal(formatCountOf(1_000, 'file'), '1 000 files')
  t.equal(formatDuration(0), '0 ms')
  t.equal(formatDuration(850.4), '850 ms')
  t.equal(formatDuration(12_345), '12.3 s')
  t.equal(formatDuration(245_000), '4 min 5 s')
  t.equal(formatDuration(3_600_000), '1 h 0 min')
  t.equal(formatDuration(7_380_000), '2 h 3 min')
})
