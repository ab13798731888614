import { styleText } from 'node:util'
import { formatBytes, formatCount, formatCountOf, formatDuration } from '../../shared/numbers.ts'
import { printable, quotedName } from '../../shared/printable.ts'
import type {
  GeneratorHealth,
  Outcome,
  ParserHealth,
  ProcessedFile,
} from '../../shared/protocol.ts'
import { fitFields, labelled, shorten, wrapFields, wrapText } from './layout.ts'
import { linesText } from './lines-text.ts'

/** Where to write, and whether a person watches it. */
export interface Screen {
  /** A terminal on which lines can be redrawn and coloured. */
  readonly isTTY: boolean
  /** Infinite where nobody looks. */
  readonly columns: number
  write(text: string): void
}

export interface Picture {
  readonly parser: ParserHealth | undefined
  readonly generator: GeneratorHealth | undefined
  /** 0: no end. */
  readonly filesWanted: number
  readonly elapsedMs: number
}

type Style = Parameters<typeof styleText>[0]

/**
 * The display of `up`. Settled files and notices are lines that stay; on a terminal a block below
 * them shows what is going on now and is redrawn in place, otherwise a line does, every few seconds in
 * which something happened. No line is wider than the terminal, and no number is cut.
 */
export class ProgressDisplay {
  readonly #screen: Screen
  #blockLines = 0
  #rate = { atMs: 0, bytes: 0, perSecond: 0 }
  #lastPlain = { atMs: 0, text: '' }

  constructor(screen: Screen) {
    this.#screen = screen
  }

  /** A line that stays. */
  say(text: string): void {
    this.#erase()
    this.#screen.write(`${text}\n`)
  }

  settled(file: ProcessedFile): void {
    const style: Record<Outcome, Style> = {
      applied: 'green',
      duplicate: 'cyan',
      quarantined: 'red',
      reverted: 'yellow',
      held: 'yellow',
    }
    const outcome = this.style(style[file.outcome], file.outcome.padEnd(OUTCOME_WIDTH - 1))
    const details = [
      formatBytes(file.sizeBytes).padStart(9),
      linesText(file),
      `amount ${formatCount(BigInt(file.amount))}`,
      formatDuration(file.settledAtMs - file.claimedAtMs),
    ]
    const room = this.#screen.columns - OUTCOME_WIDTH
    const lines =
      file.reason === undefined
        ? wrapFields([quotedName(file.name), ...details], room)
        : wrapText(printable(`${quotedName(file.name)}  ${file.reason}`), room)
    const [first, ...others] = labelled(' '.repeat(OUTCOME_WIDTH), lines)
    this.say([`${outcome} ${first?.trimStart()}`, ...others].join('\n'))
  }

  /** Shows the state of things now. */
  draw(picture: Picture): void {
    this.#measure(picture)
    if (this.#screen.isTTY) {
      const room = Math.max(1, this.#screen.columns - 1 - LABEL_WIDTH)
      const lines = this.#block(picture, room).flatMap(([label, rows]) =>
        rows.map((row, i) => {
          const shown = (i === 0 ? label : '').padEnd(LABEL_WIDTH)
          return this.style('dim', shown) + shorten(row, room)
        }),
      )
      this.#erase()
      this.#screen.write(`${lines.join('\n')}\n`)
      this.#blockLines = lines.length
    } else if (picture.elapsedMs - this.#lastPlain.atMs >= PLAIN_INTERVAL_MS) {
      const text = plain(picture)
      // Nothing happens, so nothing is said.
      if (text === this.#lastPlain.text) return
      this.#lastPlain = { atMs: picture.elapsedMs, text }
      this.#screen.write(`${formatDuration(picture.elapsedMs)}: ${text}\n`)
    }
  }

  /** Takes the block away, before the last words. */
  end(): void {
    this.#erase()
  }

  style(style: Style, text: string): string {
    return this.#screen.isTTY ? styleText(style, text) : text
  }

  #erase(): void {
    if (this.#blockLines > 0) this.#screen.write(`\r\u001b[${this.#blockLines}A\u001b[0J`)
    this.#blockLines = 0
  }

  #measure({ parser, elapsedMs }: Picture): void {
    if (parser === undefined) return
    const bytes = parser.sinceStart.bytes + (parser.reading?.positionBytes ?? 0)
    const sinceMs = elapsedMs - this.#rate.atMs
    if (sinceMs < 1_000 && bytes >= this.#rate.bytes) return
    const perSecond = Math.max(0, ((bytes - this.#rate.bytes) * 1_000) / sinceMs)
    this.#rate = { atMs: elapsedMs, bytes, perSecond }
  }

  #block(picture: Picture, room: number): (readonly [label: string, rows: string[]])[] {
    const { parser, generator, filesWanted } = picture
    const counts = parser?.sinceStart
    const wanted = filesWanted === 0 ? '' : ` of ${filesWanted} wanted`
    const database = parser === undefined ? 'starting' : (parser.databaseReason ?? 'ready')
    const fates = `${counts?.applied ?? 0} applied${wanted}, ${counts?.duplicate ?? 0} duplicate, ${counts?.quarantined ?? 0} quarantined`
    const pace = [
      formatDuration(picture.elapsedMs),
      `${formatBytes(this.#rate.perSecond)}/s`,
      formatBytes(counts?.bytes ?? 0),
      formatCountOf(counts?.lines ?? 0, 'line'),
    ]
    const soFar = fates.length <= room ? [fitFields([fates, ...pace], room)] : wrapped(fates, room)
    return [
      ['generator', told(generatorTold(generator), room)],
      ['parser', told(parserTold(parser), room)],
      ['MariaDB', wrapped(database, room)],
      ['so far', soFar],
    ]
  }
}

const LABEL_WIDTH = 10
const OUTCOME_WIDTH = 12
const PLAIN_INTERVAL_MS = 5_000
const BAR_WIDTH = { wide: 24, narrow: 8 }
const NARROW = 60
/** Of a long reason; `status` has all of it. */
const REASON_LINES_MAX = 3

/** What a process does: a file's progress, or words; and what else there is to know, if it fits. */
interface Told {
  readonly progress?: Progress
  readonly words: string
  readonly more: readonly string[]
}

interface Progress {
  readonly name: string
  readonly positionBytes: number
  readonly sizeBytes: number
}

function generatorTold(generator: GeneratorHealth | undefined): Told {
  if (generator === undefined) return { words: 'not running', more: [] }
  const published = `${generator.sinceStart.files} published`
  const { reason, writing, state } = generator
  if (reason !== undefined) return { words: `${published}; ${reason}`, more: [] }
  if (writing === undefined) return { words: `${published}; ${state}`, more: [] }
  return { progress: writing, words: '', more: [published] }
}

function parserTold(parser: ParserHealth | undefined): Told {
  if (parser === undefined) return { words: 'starting', more: [] }
  const left = parser.leftInInbox?.files ?? 0
  const more = left > 0 ? `; ${formatCount(left)} left in the inbox` : ''
  const queue = `${parser.queue.files} queued, ${formatBytes(parser.queue.bytes)}${more}`
  const { reason, reading, state } = parser
  if (reason !== undefined) return { words: `${state}: ${reason}; ${queue}`, more: [] }
  if (reading === undefined) return { words: `${state}; ${queue}`, more: [] }
  return { progress: reading, words: '', more: [queue] }
}

function told({ progress, words, more }: Told, room: number): string[] {
  if (progress === undefined) return wrapped(words, room)
  const { positionBytes, sizeBytes } = progress
  const name = quotedName(progress.name)
  const drawn = bar(positionBytes, sizeBytes, room < NARROW ? BAR_WIDTH.narrow : BAR_WIDTH.wide)
  const shown = `${drawn} ${shorten(name, Math.max(1, room - drawn.length - 1))}`
  return [fitFields([shown, `${formatBytes(sizeBytes)}`, ...more], room, '; ')]
}

function wrapped(text: string, room: number): string[] {
  const lines = wrapText(printable(text), room)
  if (lines.length <= REASON_LINES_MAX) return lines
  return [...lines.slice(0, REASON_LINES_MAX - 1), `${lines[REASON_LINES_MAX - 1]} …`]
}

function plain({ parser, generator }: Picture): string {
  const [made, read] = [generatorTold(generator), parserTold(parser)].map(
    ({ progress, words, more }) => {
      if (progress === undefined) return words
      const { positionBytes, sizeBytes } = progress
      const name = quotedName(progress.name)
      const share = percent(positionBytes, sizeBytes)
      return [`${share} of ${name}`, formatBytes(sizeBytes), ...more].join('; ')
    },
  )
  return `generator: ${made} | parser: ${read}`
}

function bar(position: number, size: number, width: number): string {
  const filled = Math.round(shareOf(position, size) * width)
  return `${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${percent(position, size).padStart(5)}`
}

function percent(position: number, size: number): string {
  return `${Math.floor(shareOf(position, size) * 100)} %`
}

function shareOf(position: number, size: number): number {
  return size === 0 ? 1 : Math.min(1, position / size)
}
