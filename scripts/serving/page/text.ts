/**
 * Numbers, sizes and names as texts. Amounts and ids are decimal digits from the service to the screen:
 * they may be past what a number holds, so none is ever made one here.
 */

/** Between groups of three digits: narrow, and no place to break a line. */
export const THIN_SPACE = '\u202f'

/** Digits in groups of three. */
export function grouped(value: string | number | bigint): string {
  return value
    .toString()
    .replace(/^-/, '\u2212')
    .replace(/\B(?=(\d{3})+(?!\d))/g, THIN_SPACE)
}

/** `1 file`, `1 200 files`. */
export function countOf(value: number, thing: string): string {
  return `${grouped(value)} ${thing}${value === 1 ? '' : 's'}`
}

/** `0 B`, `812 KiB`, `1.4 GiB`. */
export function bytesText(bytes: number): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let step = 0
  while (value >= 1024 && step < names.length - 1) {
    value /= 1024
    step += 1
  }
  return `${step === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${names[step]}`
}

/** `850 ms`, `12.3 s`, `4 min 5 s`, `2 h 3 min`, `5 d 2 h`. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 60) return `${minutes} min ${Math.floor((ms % 60_000) / 1_000)} s`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return `${hours} h ${minutes % 60} min`
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** For an axis, which a picture rounds: `1.2 M`, `18 E`. */
export function roundedText(value: number): string {
  const units = ['', 'k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y']
  let rest = Math.abs(value)
  let step = 0
  while (rest >= 1_000 && step < units.length - 1) {
    rest /= 1_000
    step += 1
  }
  const digits = Number.isInteger(rest) || rest >= 100 ? rest.toFixed(0) : rest.toFixed(1)
  return `${value < 0 ? '\u2212' : ''}${digits}${units[step] ? `${THIN_SPACE}${units[step]}` : ''}`
}

/** Controls, format characters (U+202E turns the reading direction), line ends of Unicode, halves of pairs. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu

/** As the service writes them into a log: what is no visible character is shown as `\u` escapes. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, char =>
    Array.from({ length: char.length }, (_, i) => {
      return `\\u${char.charCodeAt(i).toString(16).padStart(4, '0')}`
    }).join(''),
  )
}

/** The sum of decimal digits, exactly. */
export function sumOf(amounts: readonly string[]): string {
  return `${amounts.reduce((sum, amount) => sum + BigInt(amount), 0n)}`
}
