/**
 * Words in a unit file. systemd reads `%` as a specifier, in commands `$` as a variable, and splits at
 * blanks unless they are quoted.
 */

/** A setting's whole text, or its last part, in which blanks are no ends. */
export function unitText(text: string): string {
  return text.replaceAll('%', '%%')
}

/** A path or another word in a setting that takes words. */
export function unitWord(text: string): string {
  const escaped = unitText(text)
  if (/^[\w./:@%+=,~-]+$/.test(escaped)) return escaped
  return `"${escaped.replace(/["\\]/g, '\\$&')}"`
}

/** A command and its arguments. */
export function execLine([command = '', ...args]: readonly string[]): string {
  return [unitWord(command), ...args.map(arg => unitWord(arg.replaceAll('$', () => '$$')))].join(
    ' ',
  )
}
