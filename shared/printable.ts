/**
 * Texts of others (names, manifests, what a server says) on their way to a log or a terminal. A
 * control character there moves the cursor, changes colours or forges a line; a format character
 * (U+202E, say) turns the reading direction round. All of them are shown as `\u` escapes, which is
 * also how JSON writes them, so that a line of JSON stays one.
 */

/** Controls, format characters, the two other line ends of Unicode, and halves of pairs. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu

/** The text with everything escaped that is no visible character; its line ends too. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escaped)
}

/** The same of lines of ours, whose ends and tabs are meant. */
export function printableLines(text: string): string {
  return text.replace(UNPRINTABLE, char => (/[\n\t]/.test(char) ? char : escaped(char)))
}

/** A name as it is, or as a JSON string if anything in it had to be escaped or looks like one. */
export function quotedName(name: string): string {
  return printable(name) === name && !name.startsWith('"') ? name : printable(JSON.stringify(name))
}

/** A path within a command that somebody may copy into a shell. */
export function shellWord(text: string): string {
  return /^[\w.,:/@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

function escaped(char: string): string {
  // What lies beyond 16 bits is two escapes in JSON.
  return Array.from({ length: char.length }, (_, i) => {
    return `\\u${char.charCodeAt(i).toString(16).padStart(4, '0')}`
  }).join('')
}
