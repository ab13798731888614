/** A text as it is, within a pattern of LIKE. */
export function escaped(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&')
}
