import { U64_MAX } from './limits.ts'

const U128_MAX = 2n ** 128n - 1n

/** A decimal string as an unsigned number of at most 128 bits, or undefined. */
export function parseU128(text: string): bigint | undefined {
  if (!/^\d{1,39}$/.test(text)) return undefined
  const value = BigInt(text)
  return value <= U128_MAX ? value : undefined
}

/** A decimal string as an unsigned number of at most 64 bits, or undefined. */
export function parseU64(text: string): bigint | undefined {
  const value = parseU128(text)
  return value !== undefined && value <= U64_MAX ? value : undefined
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
}

/** `10MiB`, `2.5 GB`, `4096` as whole bytes, or undefined. */
export function parseBytes(text: string): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$/.exec(text)
  const unit = UNITS[(match?.[2] ?? '?').toUpperCase()]
  if (match?.[1] === undefined || unit === undefined) return undefined
  const bytes = Math.round(Number(match[1]) * unit)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** Bytes for people: `0 B`, `812 KiB`, `1.4 GiB`. */
export function formatBytes(bytes: number): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let step = 0
  while (value >= 1024 && step < names.length - 1) {
    value /= 1024
    step += 1
  }
  return `${step === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${names[step]}`
}

/** Digits in groups of three, for people. */
export function formatCount(value: number | bigint): string {
  return value.toString().replace(/\B(?=(\d{3})+(?!\d))/g, ' ')
}

/** `1 file`, `1 200 files`. */
export function formatCountOf(value: number | bigint, thing: string): string {
  return `${formatCount(value)} ${thing}${BigInt(value) === 1n ? '' : 's'}`
}

/** `850 ms`, `12.3 s`, `4 min 5 s`, `2 h 3 min`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`
  const seconds = Math.round(ms / 1_000)
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`
}
