import { styleText } from 'node:util'
import { formatBytes, formatCount, formatDuration } from '../shared/numbers.ts'
import type { GeneratorHealth, Outcome, ParserHealth, ProcessedFile } from '../shared/protocol.ts'

/** Where to write, and whether a person watches it. */
export interface Screen {
  readonly isTTY: boolean
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
 * them shows what is going on now and is redrawn in place, otherwise a line every few seconds does.
 */
export class ProgressDisplay {
  readonly #screen: Screen
  #blockLines = 0
  #rate = { atMs: 0, bytes: 0, perSecond: 0 }
  #lastPlainMs = 0

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
    }
    const outcome = this.style(style[file.outcome], file.outcome.padEnd(11))
    const details = [
      formatBytes(file.sizeBytes).padStart(9),
      `${formatCount(file.lines)} lines`,
      `amount ${formatCount(BigInt(file.amount))}`,
      formatDuration(file.settledAtMs - file.claimedAtMs),
    ].join('  ')
    this.say(`${outcome} ${file.name}  ${file.reason ?? details}`)
  }

  /** Shows the state of things now. */
  draw(picture: Picture): void {
    this.#measure(picture)
    if (this.#screen.isTTY) {
      const room = Math.max(1, this.#screen.columns - 1 - LABEL_WIDTH)
      const lines = this.#block(picture).map(
        ([label, text]) => this.style('dim', label.padEnd(LABEL_WIDTH)) + text.slice(0, room),
      )
      this.#erase()
      this.#screen.write(`${lines.join('\n')}\n`)
      this.#blockLines = lines.length
    } else if (picture.elapsedMs - this.#lastPlainMs >= PLAIN_INTERVAL_MS) {
      this.#lastPlainMs = picture.elapsedMs
      this.#screen.write(`${formatDuration(picture.elapsedMs)}: ${plain(picture)}\n`)
    }
  }

  /** Takes the block away, before the last words. */
  end(): void {
    this.#erase()
  }

  style(style: Style, text: string): string {
    return this.#screen.isTTY && process.env.NO_COLOR === undefined ? styleText(style, text) : text
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

  #block(picture: Picture): (readonly [label: string, text: string])[] {
    const { parser, generator, filesWanted } = picture
    const counts = parser?.sinceStart
    const wanted = filesWanted === 0 ? '' : ` of ${filesWanted} wanted`
    return [
      ['generator', generatorText(generator)],
      ['parser', parserText(parser)],
      ['MariaDB', parser === undefined ? 'starting' : (parser.databaseReason ?? 'ready')],
      [
        'so far',
        `${counts?.applied ?? 0} applied${wanted}, ${counts?.duplicate ?? 0} duplicate, ` +
          `${counts?.quarantined ?? 0} quarantined; ${formatBytes(counts?.bytes ?? 0)}, ` +
          `${formatCount(counts?.lines ?? 0)} lines; ${formatBytes(this.#rate.perSecond)}/s; ` +
          formatDuration(picture.elapsedMs),
      ],
    ]
  }
}

const LABEL_WIDTH = 10
const PLAIN_INTERVAL_MS = 5_000
const BAR_WIDTH = 24

function generatorText(generator: GeneratorHealth | undefined): string {
  if (generator === undefined) return 'not running'
  const published = `${generator.sinceStart.files} published`
  if (generator.reason !== undefined) return `${published}; ${generator.reason}`
  if (generator.writing === undefined) return `${published}; ${generator.state}`
  const { name, positionBytes, sizeBytes } = generator.writing
  return `${bar(positionBytes, sizeBytes)} ${name}  ${formatBytes(sizeBytes)}; ${published}`
}

function parserText(parser: ParserHealth | undefined): string {
  if (parser === undefined) return 'starting'
  const left = parser.leftInInbox?.files ?? 0
  const queue = `${parser.queue.files} queued, ${formatBytes(parser.queue.bytes)}${left > 0 ? `; ${formatCount(left)} left in the inbox` : ''}`
  if (parser.reason !== undefined) return `${parser.state}: ${parser.reason}; ${queue}`
  if (parser.reading === undefined) return `${parser.state}; ${queue}`
  const { name, positionBytes, sizeBytes } = parser.reading
  return `${bar(positionBytes, sizeBytes)} ${name}  ${formatBytes(sizeBytes)}; ${queue}`
}

function plain({ parser, generator }: Picture): string {
  return `generator: ${plainBar(generatorText(generator))} | parser: ${plainBar(parserText(parser))}`
}

function bar(position: number, size: number): string {
  const share = size === 0 ? 1 : Math.min(1, position / size)
  const filled = Math.round(share * BAR_WIDTH)
  return `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)} ${String(Math.floor(share * 100)).padStart(3)} %`
}

function plainBar(text: string): string {
  return text.replace(/^[█░]+ +/, '')
}
