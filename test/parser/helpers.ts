import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { logEvents } from '../../parser/event-log.ts'
import { Journal } from '../../parser/journal/journal.ts'
import { ParserEvents } from '../../shared/events.ts'
import type { Fields, Log } from '../../shared/log.ts'
import { formatManifest, type Manifest } from '../../shared/manifest.ts'
import { MANIFEST_SUFFIX, type StatePaths, statePaths } from '../../shared/paths.ts'
import { type Teardown, tempDir } from '../shared/helpers.ts'

export interface Scene {
  readonly paths: StatePaths
  readonly journal: Journal
  readonly log: RecordingLog
}

/** A state directory with a journal that counts sequences from 1,000 on. */
export function openScene(t: Teardown): Scene {
  const paths = statePaths(tempDir(t))
  for (const path of [
    ...[paths.inbox, paths.work, paths.archive, paths.archiveDisposable, paths.quarantine],
    ...[paths.duplicate, paths.reverted, paths.held, paths.rejects, paths.parser, paths.run],
  ]) {
    mkdirSync(path, { recursive: true })
  }
  const journal = Journal.open(paths.journal, 1_000)
  t.teardown(() => journal.close())
  return { paths, journal, log: recordingLog() }
}

export interface RecordingLog extends Log {
  readonly lines: { level: string; message: string; fields: Fields }[]
  /** Names that were warned of, in order. */
  warnedOf(): unknown[]
}

export function recordingLog(): RecordingLog {
  const lines: RecordingLog['lines'] = []
  const keep =
    (level: string) =>
    (message: string, fields: Fields = {}) =>
      void lines.push({ level, message, fields })
  return {
    lines,
    // As by default.
    debug: () => {},
    info: keep('info'),
    notice: keep('notice'),
    warn: keep('warn'),
    error: keep('error'),
    warnedOf: () => lines.filter(({ level }) => level === 'warn').map(({ fields }) => fields.name),
  }
}

/** Events of which this log is told. */
export function eventsToldTo(log: Log): ParserEvents {
  const events = new ParserEvents()
  logEvents(events, log)
  return events
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

export function manifestOf(text: string, facts: Partial<Manifest> = {}): Manifest {
  return {
    sizeBytes: Buffer.byteLength(text),
    sha256: sha256(text),
    lines: 1,
    amount: 2n,
    disposable: false,
    ...facts,
  }
}

/** Puts a file into a directory, its manifest first if there is one. */
export function drop(
  directory: string,
  name: string,
  text = '1 2\n',
  manifest?: Manifest | string,
): void {
  if (manifest !== undefined) {
    const control = typeof manifest === 'string' ? manifest : formatManifest(manifest)
    writeFileSync(join(directory, `${name}${MANIFEST_SUFFIX}`), control)
  }
  writeFileSync(join(directory, name), text)
}
