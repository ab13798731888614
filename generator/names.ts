/** The names that the generator gives: `usage-STREAM-NUMBER.txt`. */
const FILE_NAME = /^usage-([0-9a-f]{8})-(\d{6,16})\.txt$/
const NUMBER_DIGITS = 6

/** The name of a stream's file; numbers count from 1 and sort as text up to 999,999. */
export function generatedName(stream: string, number: number): string {
  return `usage-${stream}-${String(number).padStart(NUMBER_DIGITS, '0')}.txt`
}

/** The reverse of `generatedName`; undefined for names that no generator gives. */
export function parseGeneratedName(name: string): { stream: string; number: number } | undefined {
  const match = FILE_NAME.exec(name)
  if (match?.[1] === undefined) return undefined
  return { stream: match[1], number: Number(match[2]) }
}
