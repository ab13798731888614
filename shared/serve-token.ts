import { CountersinkError } from './errors.ts'
import { shellWord } from './printable.ts'
import { readSecretFile, readSmallFile } from './secret-file.ts'
import { SETTINGS } from './settings.ts'

const CHARACTERS_MIN = 16
const CHARACTERS_MAX = 1_024

/**
 * The password that a reader over HTTP must give. It stands in a header, so it is one printable word.
 *
 * @returns undefined: none is asked for.
 * @throws CountersinkError CONFIG_INVALID: others may read or write the file, or it holds no fit password.
 */
export function readServeToken(path: string): string | undefined {
  if (path === '') return undefined
  const { variable } = SETTINGS.serveTokenFile
  const token = readSecretFile(path, variable)
  const { mode } = readSmallFile(path, variable).stats
  if ((mode & 0o007) !== 0) {
    const mend = `chmod o= ${shellWord(path)}`
    throw new CountersinkError(
      'CONFIG_INVALID',
      `${path} (${variable}) has mode ${(mode & 0o777).toString(8)}: everybody on this machine may read it`,
      { advice: `${mend}.`, mend: [mend] },
    )
  }
  const isFit = token.length >= CHARACTERS_MIN && token.length <= CHARACTERS_MAX
  if (isFit && /^[\x21-\x7e]+$/.test(token)) return token
  throw new CountersinkError(
    'CONFIG_INVALID',
    `${path} (${variable}) must hold ${CHARACTERS_MIN} to ${CHARACTERS_MAX} printable characters without spaces, on one line; it has ${token.length}`,
    { advice: `Make one: openssl rand -hex 32 >${shellWord(path)}.` },
  )
}
