/** A process of its own for DuckDB: `duckdb-child MODULE_URL FILE THREADS` prints DuckdbFigures. */
import { processMemory } from '../process-memory.ts'

export interface DuckdbFigures {
  readonly ids: string
  readonly amount: string
  readonly seconds: number
  readonly peakRssBytes: number
}

/** The part of its programming interface that is used here. */
interface Duckdb {
  readonly DuckDBInstance: {
    create(
      path: string,
      options: Readonly<Record<string, string>>,
    ): Promise<{
      connect(): Promise<{
        runAndReadAll(sql: string): Promise<{ getRows(): readonly (readonly unknown[])[] }>
      }>
    }>
  }
}

const [module = '', file = '', threads = ''] = process.argv.slice(2)
const { DuckDBInstance } = (await import(module)) as Duckdb
const instance = await DuckDBInstance.create(':memory:', { threads })
const connection = await instance.connect()
const columns = "{'id': 'UBIGINT', 'amount': 'UBIGINT'}"
const startedMs = performance.now()
const reader = await connection.runAndReadAll(
  `SELECT count(*), sum(total) FROM (
     SELECT id, sum(amount) AS total
       FROM read_csv('${file.replaceAll("'", "''")}', delim = ' ', header = false, columns = ${columns})
      GROUP BY id)`,
)
const seconds = (performance.now() - startedMs) / 1_000
const [row = []] = reader.getRows()
const figures: DuckdbFigures = {
  ids: String(row[0]),
  amount: String(row[1]),
  seconds,
  peakRssBytes: processMemory('self')?.peakRssBytes ?? 0,
}
process.stdout.write(`${JSON.stringify(figures)}\n`)
