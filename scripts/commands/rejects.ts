import { stat } from 'node:fs/promises'
import { hasCode } from '../../shared/errors.ts'
import { formatCountOf } from '../../shared/numbers.ts'
import { givenName, type StatePaths } from '../../shared/paths.ts'
import { quotedName } from '../../shared/printable.ts'
import type { RejectedLine } from '../../shared/reject-file.ts'
import { command, count, fields, flag, lines, sha256, text } from '../command-table/index.ts'
import {
  findRejects,
  hashFile,
  parentOf,
  type RejectFile,
  readRejects,
} from '../publishing/index.ts'
import { cannot, EXIT, environment, print, printRaw, usage } from '../terminal/index.ts'

export const rejects = command({
  name: 'rejects',
  summary: 'show the bad lines of a counted file that were put aside',
  about: `Shows the bad lines of a file that was counted without them, or is held (COUNTERSINK_REJECT_LINES, or
publish --reject-lines): line, offset, what is wrong, size, and the line itself. An existing path is that file,
which is hashed, or a reject file; anything else must be at least 8 hex digits of a SHA-256.

With --lines only the lines are printed, byte for byte. Mended, they are a file of their own: publish it
with --parent and the SHA-256 of the file that they come from.`,
  words: {
    ...{ kind: 'file', value: 'FILE|SHA256|PREFIX', min: 1, max: 1 },
    missing: 'a file, a SHA-256 or the beginning of one',
  },
  options: {
    lines: { kind: 'switch', help: 'the lines as they came, to be mended and published' },
  },
  exits: {
    0: 'shown',
    1: 'there are none, or a line is longer than what is kept of it',
    2: 'the prefix fits several contents',
    3: 'they cannot be read',
  },
  examples: [
    { line: 'countersink rejects usage.txt', what: 'what is wrong with its lines, and where' },
    { line: 'countersink rejects usage.txt --lines >mended.txt', what: 'to mend them' },
  ],
  answer: lines(
    fields({
      ...{ parent: sha256, line: count(), offset: count('bytes before it'), reason: text() },
      size: count('bytes, without its line end'),
      text: text('its bytes, a character each'),
      whole: flag('false: it is longer than this'),
    }),
  ),
  async run({ values, positionals, answer }) {
    const { paths } = environment(values.dir)
    const file = await fileFor(paths, positionals[0]!)
    if (file === undefined) {
      process.stderr.write('no line of this content was put aside\n')
      return EXIT.no
    }
    let cut = 0
    for await (const fact of readRejects(file.path)) {
      if (fact.kind === 'name' && !values.lines && !values.json) {
        await print(`${file.sha256}  ${quotedName(givenName(fact.name, file.sha256))}\n`)
      }
      if (fact.kind !== 'line') continue
      const isWhole = fact.line.text.length === fact.line.sizeBytes
      if (!isWhole) cut += 1
      if (values.json) await answer(lineJson(file, fact.line, isWhole))
      else if (!values.lines) await print(`${row(fact.line, isWhole)}\n`)
      else if (isWhole) await printRaw(Buffer.from(`${fact.line.text}\n`, 'latin1'))
      else process.stderr.write(`left out: ${row(fact.line, isWhole)}\n`)
    }
    if (!values.lines || cut === 0) return EXIT.ok
    const what = `${formatCountOf(cut, 'line')} of the file left out, longer than what is kept`
    process.stderr.write(`${what}: the file itself has them, at their offsets\n`)
    return EXIT.no
  },
})

function lineJson({ sha256: parent }: RejectFile, found: RejectedLine, whole: boolean) {
  const { line, offset, code: reason, sizeBytes: size, text } = found
  return { parent, line, offset, reason, size, text, whole }
}

const SHOWN_CHARACTERS = 200

function row({ line, offset, code, sizeBytes, text }: RejectedLine, isWhole: boolean): string {
  const shown = JSON.stringify(text.slice(0, SHOWN_CHARACTERS))
  const isShown = isWhole && text.length <= SHOWN_CHARACTERS
  const rest = isShown ? '' : ` … (${formatCountOf(sizeBytes, 'byte')})`
  return `line ${line}, offset ${offset}: ${code}: ${shown}${rest}`
}

async function fileFor(paths: StatePaths, argument: string): Promise<RejectFile | undefined> {
  const stats = await stat(argument).catch(error => {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ENAMETOOLONG')) return undefined
    throw error
  })
  if (stats !== undefined && !stats.isFile()) throw usage(`${argument} is not a regular file`)
  const parent = stats && (await readable(argument, parentOf))
  if (parent !== undefined) return { path: argument, sha256: parent }
  if (stats === undefined && !/^[0-9a-fA-F]{8,64}$/.test(argument)) {
    throw usage(
      `${JSON.stringify(argument)} is neither an existing file nor 8 to 64 hex digits of a SHA-256`,
    )
  }
  const prefix = stats === undefined ? argument.toLowerCase() : await readable(argument, hashFile)
  const [file, another] = await findRejects(paths, prefix)
  if (another === undefined) return file
  throw usage(`${prefix} is the beginning of several: ${file?.sha256}, ${another.sha256}, …`)
}

async function readable<T>(path: string, read: (path: string) => Promise<T>): Promise<T> {
  try {
    return await read(path)
  } catch (error) {
    if (!hasCode(error, 'EACCES', 'EPERM', 'EIO')) throw error
    throw cannot(`${path} cannot be read by this user (uid ${process.geteuid?.()})`)
  }
}
