import { rm } from 'node:fs/promises'
import type { Build } from './builds.ts'
import type { KnownFile } from './data/make-file.ts'
import { runForJson } from './programs.ts'
import { mustEqual } from './row.ts'
import type { Workspace } from './workspace.ts'

/** What a digest of one file found, and what it took. */
export interface DigestFigures {
  readonly bytes: number
  readonly lines: number
  /** Distinct consumers. */
  readonly ids: number
  /** Decimal: it may pass 2^53. */
  readonly amount: string
  readonly sha256: string
  readonly seconds: number
  /** Of the whole process, the runtime included. */
  readonly peakRssBytes: number
  /** What each side took of it, as the digest says. */
  readonly parts: { readonly hashSeconds: number; readonly sumSeconds: number }
  readonly fingerprint?: string
}

/** Digests a file in a fresh process. @throws Error with the reason when the file is bad. */
export async function digestFile(
  workspace: Workspace,
  path: string,
  options: readonly string[] = [],
  build?: Build,
): Promise<DigestFigures> {
  const runs = workspace.path('runs')
  try {
    return await runForJson<DigestFigures>(
      workspace,
      'digest-child',
      [path, runs, ...options],
      build,
    )
  } finally {
    await rm(runs, { recursive: true, force: true })
  }
}

/** The same, of a file that is known; `every`: each single sum is compared as well. */
export async function digestKnown(
  workspace: Workspace,
  file: KnownFile,
  {
    every = false,
    options = [],
    build,
  }: { every?: boolean; options?: readonly string[]; build?: Build } = {},
): Promise<DigestFigures> {
  const more = every ? [...options, '--fingerprint'] : options
  const found = await digestFile(workspace, file.path, more, build)
  for (const key of ['lines', 'ids', 'amount', 'sha256'] as const) {
    mustEqual(`${key} of the digest`, found[key], file[key])
  }
  if (every) mustEqual('sums of the digest', found.fingerprint ?? '', file.fingerprint)
  return found
}
