import { readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { Test } from 'tap'
import { DiskWatch } from '../../../parser/disk-watch.ts'
import type { QueueEntry } from '../../../parser/facts.ts'
import { QueueTally } from '../../../parser/intake/queue-tally.ts'
import { OwnDirectories } from '../../../parser/own-directories.ts'
import { ArchiveLimit } from '../../../parser/settling/archive-limit.ts'
import { GrowthWatch } from '../../../parser/settling/growth-watch.ts'
import { Settler } from '../../../parser/settling/settler.ts'
import { archiveDay, archivedName } from '../../../shared/archive.ts'
import { workName } from '../../../shared/paths.ts'
import { drop, eventsToldTo, manifestOf, openScene } from '../helpers.ts'
import { digestOf, entryOf, settlementOf } from '../journal/helpers.ts'

/** Where the archive has it: the journal keeps the time from which its day is taken. */
export function ofItsDay({ name, settledAtMs, digest }: QueueEntry, sequence?: number): string {
  return join(archiveDay(settledAtMs!), archivedName(name, digest!.sha256, sequence))
}

/** Everything in it, from there on. */
export function filesBelow(directory: string): string[] {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true })
  return entries
    .filter(entry => entry.isFile())
    .map(entry => relative(directory, join(entry.parentPath, entry.name)))
    .sort()
}

export async function settlerScene(t: Test, archiveBytesMax = 1_000) {
  const { paths, journal, log } = openScene(t)
  const queue = new QueueTally()
  const told: [string, number][] = []
  const archiveLimit = await ArchiveLimit.open(paths.archiveDisposable, archiveBytesMax, log)
  const growth = new GrowthWatch({ paths, journal, log })
  const stop = new AbortController()
  t.teardown(() => stop.abort(new Error('stopped')))
  const events = eventsToldTo(log)
  events.on('settled', ({ file, sequence }) => told.push([file.name, sequence]))
  const directories = new OwnDirectories(paths, events, log)
  const disk = new DiskWatch({ directories: [], reserveBytes: 0, events })
  const settler = new Settler({
    ...{ paths, journal, queue, archiveLimit, growth, log },
    ...{ directories, disk, signal: stop.signal },
    events,
  })
  return {
    ...{ paths, journal, queue, settler, told, log, directories },
    /** A claimed file in work/, with a manifest. */
    claimed(sequence: number, facts: Partial<QueueEntry> = {}): QueueEntry {
      const entry = entryOf(sequence, { name: `f${sequence}`, ...facts })
      drop(paths.work, workName(sequence, entry.name), '1 2\n', manifestOf('1 2\n'))
      journal.claim([entry])
      queue.add(entry)
      return entry
    },
    /** P7 is done, and nothing after it: as a crash leaves it. */
    settling(entry: QueueEntry): QueueEntry {
      journal.settle([settlementOf({ ...entry, digest: digestOf('x') }, 'applied')])
      return journal.queued(entry.sequence)!
    },
  }
}
