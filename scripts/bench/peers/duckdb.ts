import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { KnownFile } from '../data/make-file.ts'
import { runForJson } from '../programs.ts'
import { mustEqual } from '../row.ts'
import type { Workspace } from '../workspace.ts'
import type { DuckdbFigures } from './duckdb-child.ts'

export const DUCKDB_THREADS = 2
const PACKAGE = '@duckdb/node-api'

/**
 * Where DuckDB's package is: in the named directory's `node_modules`, or in this project's, where
 * `npm install --no-save` puts it. undefined when it is in neither.
 */
export function findDuckdb(modules: string | undefined): string | undefined {
  const from = modules === undefined ? import.meta.url : join(modules, 'package.json')
  try {
    return pathToFileURL(createRequire(from).resolve(PACKAGE)).href
  } catch {
    // Not installed, which is what was asked.
    return undefined
  }
}

/** DuckDB's `read_csv` and GROUP BY over the file, in a fresh process; it does not hash. */
export async function duckdbFigures(
  workspace: Workspace,
  duckdb: string,
  file: KnownFile,
): Promise<DuckdbFigures> {
  const args = [duckdb, file.path, String(DUCKDB_THREADS)]
  const found = await runForJson<DuckdbFigures>(workspace, 'peers/duckdb-child', args)
  mustEqual("DuckDB's consumers", found.ids, file.ids)
  mustEqual("DuckDB's amount", found.amount, file.amount)
  return found
}
