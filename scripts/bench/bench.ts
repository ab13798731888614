/**
 * `npm run bench`: measures what the project aims at, says what was reached and what was wanted.
 *
 * Each figure is taken together with what it is compared with, in turn, within one run; everything
 * that is measured is also checked to be exact. Exit status: 0 all aims are reached, 1 some are
 * missed (or a result was wrong), 2 wrong usage, 3 something could not be measured.
 */
import { tmpdir } from 'node:os'
import {
  CountersinkError,
  describeError,
  explainError,
  hasCode,
  toError,
} from '../../shared/errors.ts'
import { stopRequested } from '../../shared/lifecycle.ts'
import { EXIT } from '../terminal/index.ts'
import { Bench, type Series } from './bench-context.ts'
import { earlierBuild } from './builds.ts'
import { digestFile } from './digest-file.ts'
import { describeMachine } from './machine.ts'
import { type BenchCommand, parseBenchArguments, type RunOptions } from './options.ts'
import { writePage } from './page/write-page.ts'
import { findDuckdb } from './peers/duckdb.ts'
import { jsonReport, textReport } from './report.ts'
import { type Row, WrongResult } from './row.ts'
import { FULL, QUICK, type Scale } from './scale.ts'
import { SECTIONS } from './sections.ts'
import { Workspace } from './workspace.ts'

/** As a shell tells of a program that a signal has ended. */
const STOPPED_STATUS = { SIGINT: 130, SIGTERM: 143 }

// A reader that has seen enough (`… | head`) ends the run as a signal would: nothing is left behind.
process.stdout.on('error', error => {
  if (!hasCode(error, 'EPIPE')) throw error
  process.kill(process.pid, 'SIGTERM')
})
process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  try {
    const command = parseBenchArguments(
      args,
      SECTIONS.map(({ name }) => name),
    )
    return await run(command)
  } catch (error) {
    const isUsage = error instanceof CountersinkError && error.code === 'USAGE'
    const text = error instanceof CountersinkError ? explainError(error) : describeError(error)
    process.stderr.write(`bench: ${text}${isUsage ? '\nSee: npm run bench -- --help' : ''}\n`)
    return isUsage ? EXIT.usage : EXIT.cannot
  }
}

async function run(command: BenchCommand): Promise<number> {
  switch (command.kind) {
    case 'help':
      process.stdout.write(help())
      return EXIT.ok
    case 'digest':
      return await digestOne(command)
    case 'run':
      return await measure(command)
  }
}

async function digestOne({ path, json }: { path: string; json: boolean }): Promise<number> {
  const workspace = await madeWorkspace(tmpdir(), 0, false)
  try {
    const { fingerprint: _, parts: __, ...figures } = await digestFile(workspace, path)
    const lines = Object.entries(figures).map(([name, value]) => `${name.padEnd(12)}  ${value}\n`)
    process.stdout.write(json ? `${JSON.stringify(figures)}\n` : lines.join(''))
    return EXIT.ok
  } catch (error) {
    process.stderr.write(`bench digest: ${toError(error).message}\n`)
    return EXIT.no
  } finally {
    await workspace.remove()
  }
}

async function measure(options: RunOptions): Promise<number> {
  const scale = scaleOf(options)
  const before = options.before === undefined ? undefined : earlierBuild(options.before)
  const needs = diskBytes(scale, options.sections)
  const workspace = await madeWorkspace(options.dir, needs, options.keep)
  const print = (text: string): void => void process.stdout.write(text)
  const progress = (text: string): void => void process.stderr.write(text)
  const report = options.json
    ? jsonReport(print, progress)
    : textReport(print, progress, process.stdout.isTTY === true)
  const rows: Row[] = []
  const allSeries: Series[] = []
  const bench = new Bench({
    ...{ scale, workspace },
    duckdb: findDuckdb(options.modules),
    before,
    row: row => {
      rows.push(row)
      report.row(row)
    },
    series: series => {
      allSeries.push(series)
      report.series(series)
    },
    say: text => report.say(text),
  })
  try {
    for (const section of SECTIONS) {
      if (!options.sections.includes(section.name)) continue
      const startedMs = performance.now()
      try {
        await section.run(bench)
      } catch (error) {
        // What fails because everything is being ended is no news, and the process ends soon.
        if (workspace.isRemoved) return await new Promise<never>(() => {})
        bench.row(failedRow(section.name, error))
      }
      await bench.clear()
      report.say(`${section.name} took ${((performance.now() - startedMs) / 1_000).toFixed(0)} s`)
    }
    const machine = await describeMachine(workspace)
    report.end(machine)
    if (options.write) {
      for (const path of writePage(rows, allSeries, machine, scale.name))
        report.say(`wrote ${path}`)
    }
    return exitStatus(rows)
  } finally {
    await workspace.remove()
  }
}

function diskBytes(scale: Scale, names: readonly string[]): number {
  const chosen = SECTIONS.filter(({ name }) => names.includes(name))
  return Math.max(...chosen.map(section => section.diskBytes(scale)))
}

function scaleOf({ quick, minutes }: RunOptions): Scale {
  const scale = quick ? QUICK : FULL
  return minutes === undefined ? scale : { ...scale, sustainedMinutes: minutes }
}

/** Removed as well when we are told to end by a signal; a second one ends at once. */
async function madeWorkspace(dir: string, bytes: number, keep: boolean): Promise<Workspace> {
  const workspace = await Workspace.make(dir, bytes, keep)
  void stopRequested(false, () => process.exit(STOPPED_STATUS.SIGINT)).then(why => {
    process.stderr.write('\nbench: ending what runs and removing what was made …\n')
    void workspace
      .remove()
      .finally(() =>
        process.exit(why === 'SIGTERM' ? STOPPED_STATUS.SIGTERM : STOPPED_STATUS.SIGINT),
      )
  })
  return workspace
}

function failedRow(section: string, error: unknown): Row {
  const isWrong = error instanceof WrongResult
  return {
    section,
    name: section,
    what: isWrong ? 'the result is not exact' : 'it could not be measured',
    reached: '–',
    wanted: '–',
    verdict: isWrong ? 'wrong' : 'not measured',
    figures: {},
    note: describeError(error),
  }
}

function exitStatus(rows: readonly Row[]): number {
  const has = (...verdicts: Row['verdict'][]): boolean =>
    rows.some(({ verdict }) => verdicts.includes(verdict))
  if (has('missed', 'wrong')) return EXIT.no
  return has('not measured') ? EXIT.cannot : EXIT.ok
}

function help(): string {
  const names = SECTIONS.map(({ name }) => name)
  const needs = (scale: Scale): string => (diskBytes(scale, names) / 1e9).toFixed(0)
  const list = SECTIONS.map(({ name, summary }) => `  ${name.padEnd(12)} ${summary}`)
  return `Usage: npm run bench -- [OPTION]…
       npm run bench -- digest FILE [--json]

Measures what countersink aims at and says what was reached and what was wanted. \`digest\` reads any
file as the parser does, in a fresh process: bytes, lines, ids, amount, sha256, seconds, peakRssBytes.

  --quick            less data: under two minutes on two cores
  --only A[,B]       only these (below)
  --minutes N        how long the sustained run lasts (default: ${FULL.sustainedMinutes}, quick ${QUICK.sustainedMinutes})
  --dir D            where to make the data, ${needs(FULL)} GB for all of it, quick ${needs(QUICK)} GB
                     (default: the system's temporary directory); removed at the end
  --keep             do not remove it
  --json             one JSON object a line: rows, series of the plots, the machine
  --write            put the results into BENCHMARKS.md and scripts/bench/plots/
  --modules D        the directory in whose node_modules @duckdb/node-api is (default: the project's)
  --before D         a built checkout of an earlier state: what is said of it is measured in turn
  --help

${list.join('\n')}

Exit status: 0 all aims are reached, 1 some are missed or a result was wrong, 2 wrong usage,
3 something could not be measured.
`
}
