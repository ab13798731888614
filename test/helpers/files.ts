import { createHash } from 'node:crypto'
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { StatePaths } from '../../shared/paths.ts'

/** A data file as somebody might make it. */
export interface DataFile {
  readonly name: string
  readonly content: Buffer
}

export function dataFile(name: string, content: string | Buffer): DataFile {
  return { name, content: typeof content === 'string' ? Buffer.from(content, 'latin1') : content }
}

/** A repeatable source of whole numbers of 0..bound-1. */
export function seeded(seed: number): (bound: number) => number {
  let state = seed >>> 0
  return bound => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0
    let x = state
    x = Math.imul(x ^ (x >>> 15), x | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return Math.floor((((x ^ (x >>> 14)) >>> 0) / 2 ** 32) * bound)
  }
}

/** Valid lines of a seed; two seeds give two contents. */
export function seededFile(
  name: string,
  seed: number,
  { lines = 200, consumers = 50 }: { lines?: number; consumers?: number } = {},
): DataFile {
  const below = seeded(seed)
  let text = ''
  for (let i = 0; i < lines; i += 1) text += `${below(consumers)} ${below(1_000_000)}\n`
  return dataFile(name, text)
}

export type Totals = ReadonlyMap<bigint, bigint>

/**
 * What the totals must be after these files: found in the plainest way, with no code of the program
 * under test. Equal contents count once.
 */
export function totalsOf(files: readonly DataFile[]): Totals {
  const contents = new Map(files.map(({ content }) => [sha256Of(content), content]))
  const totals = new Map<bigint, bigint>()
  for (const content of contents.values()) {
    for (const { id, amount } of records(content)) totals.set(id, (totals.get(id) ?? 0n) + amount)
  }
  return totals
}

/** As `countersink totals` prints them. */
export function totalsText(files: readonly DataFile[]): string {
  return [...totalsOf(files)]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, amount]) => `${id}\t${amount}\n`)
    .join('')
}

function records(content: Buffer): { id: bigint; amount: bigint }[] {
  const lines = content.toString('latin1').split('\n')
  if (lines.at(-1) === '') lines.pop()
  return lines.map(line => {
    const match = /^(\d{1,20}) (\d{1,20})\r?$/.exec(line)
    if (match === null) throw new Error(`the test itself made a bad line: ${JSON.stringify(line)}`)
    return { id: BigInt(match[1] ?? ''), amount: BigInt(match[2] ?? '') }
  })
}

export function amountOf(content: Buffer): bigint {
  return records(content).reduce((sum, { amount }) => sum + amount, 0n)
}

export function linesOf(content: Buffer): number {
  return records(content).length
}

export function sha256Of(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}

/** Control totals as a maker that read the file would write them. */
export function manifestOf(content: Buffer, changes: Readonly<Record<string, unknown>> = {}) {
  return JSON.stringify({
    version: 1,
    size: content.length,
    sha256: sha256Of(content),
    ...('lines' in changes ? {} : { lines: linesOf(content) }),
    ...('amount' in changes ? {} : { amount: String(amountOf(content)) }),
    ...changes,
  })
}

/** Puts files into the inbox, each at once and whole, with or without a manifest before it. */
export function drop(
  paths: StatePaths,
  files: readonly DataFile[],
  { manifest = true }: { manifest?: boolean | string } = {},
): void {
  for (const { name, content } of files) {
    if (manifest !== false) {
      const text = manifest === true ? manifestOf(content) : manifest
      place(paths, `${name}.manifest.json`, Buffer.from(text))
    }
    place(paths, name, content)
  }
}

/** Names that begin with a dot are somebody's work in progress to the scan. */
function place(paths: StatePaths, name: string, content: Buffer): void {
  const hidden = join(paths.inbox, `.${name}`)
  writeFileSync(hidden, content)
  renameSync(hidden, join(paths.inbox, name))
}
