import { formatTable } from '../terminal/index.ts'
import type { Series } from './bench-context.ts'
import type { Machine } from './machine.ts'
import type { Figure, Row, VerdictWord } from './row.ts'

/** Where rows go as they come: lines for a person, or JSON objects, one a line. */
export interface Report {
  row(row: Row): void
  series(series: Series): void
  /** A word about what is going on. */
  say(text: string): void
  end(machine: Machine): void
}

export function jsonReport(out: (text: string) => void, progress: (text: string) => void): Report {
  const print = (kind: string, fields: object): void =>
    out(`${JSON.stringify({ kind, ...fields })}\n`)
  return {
    row: row => print('row', row),
    series: series => print('series', series),
    say: text => progress(`${text} …\n`),
    end: machine => print('machine', machine),
  }
}

/** Each row with its figures as soon as it is known, all rows as a table at the end. */
export function textReport(
  out: (text: string) => void,
  progress: (text: string) => void,
  inColour: boolean,
): Report {
  const rows: Row[] = []
  return {
    row(row) {
      rows.push(row)
      out(`${rowText(row, inColour)}\n`)
    },
    series: () => {},
    say: text => progress(`  … ${text}\n`),
    end(machine) {
      out(`\n${tableOf(rows, inColour)}\n${machineText(machine)}\n`)
    },
  }
}

function rowText(row: Row, inColour: boolean): string {
  const figures = Object.entries(row.figures).map(([name, value]) => `${name} ${plain(value)}`)
  const lines = [
    `${painted(row.verdict, inColour)}  ${row.name}: ${row.reached} (wanted ${row.wanted}) – ${row.what}`,
    ...(row.note === undefined ? [] : [`  ${row.note}`]),
    `  ${figures.join(', ')}`,
  ]
  return lines.filter(line => line.trim() !== '').join('\n')
}

function tableOf(rows: readonly Row[], inColour: boolean): string {
  const cells = rows.map(row => [row.name, row.reached, row.wanted, row.verdict, row.what])
  const [head = '', ...lines] = formatTable(['row', 'reached', 'wanted', 'verdict', 'what'], cells)
  return [head, ...lines.map((line, i) => withColour(line, rows[i]!.verdict, inColour))].join('\n')
}

export function machineText(machine: Machine): string {
  const sha = machine.shaInstructions ? 'with' : 'without'
  return [
    `${machine.cores} cores, ${machine.cpu}, ${sha} SHA instructions, ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB`,
    `${machine.kernel}, Node ${machine.node}, MariaDB ${machine.mariadb}, ${machine.openssl}`,
    `${machine.date}, commit ${machine.commit}`,
  ].join('\n')
}

const COLOURS: Readonly<Record<VerdictWord, number>> = {
  reached: 32,
  missed: 31,
  wrong: 31,
  'not measured': 31,
  'not compared': 33,
  reported: 36,
}

function painted(verdict: VerdictWord, inColour: boolean): string {
  return withColour(verdict, verdict, inColour)
}

/** Paints the verdict's word where it stands in the line. */
function withColour(line: string, verdict: VerdictWord, inColour: boolean): string {
  return inColour ? line.replace(verdict, `\x1b[${COLOURS[verdict]}m${verdict}\x1b[0m`) : line
}

/** Numbers with as many digits as mean something. */
export function plain(value: Figure): string {
  if (typeof value === 'string') return value
  if (typeof value !== 'number') return value.map(plain).join('/')
  if (Number.isInteger(value) || Math.abs(value) >= 1e6) return String(Math.round(value))
  return String(Number(value.toPrecision(4)))
}
