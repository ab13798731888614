import type { Test } from 'tap'
import { DiskWatch } from '../../../parser/disk-watch.ts'
import { Inbox } from '../../../parser/intake/inbox.ts'
import { InboxScanner } from '../../../parser/intake/inbox-scanner.ts'
import { QueueTally } from '../../../parser/intake/queue-tally.ts'
import { Sealer } from '../../../parser/intake/sealer.ts'
import { OwnDirectories } from '../../../parser/own-directories.ts'
import type { Announce } from '../../../shared/protocol.ts'
import { eventsToldTo, openScene, sha256 } from '../helpers.ts'

/** An inbox that is not looked into unless announced, unless asked to. */
export function scene(t: Test, options: { queueFilesMax?: number; scanIntervalMs?: number } = {}) {
  const { paths, journal, log } = openScene(t)
  const queue = new QueueTally()
  const counts = { commits: 0 }
  const claim = journal.claim.bind(journal)
  journal.claim = entries => {
    counts.commits += 1
    claim(entries)
  }
  const fullIfAny: string[] = []
  const events = eventsToldTo(log)
  const disk = new DiskWatch({ directories: fullIfAny, reserveBytes: 2 ** 60, events })
  const directories = new OwnDirectories(paths, events, log)
  const sealer = new Sealer()
  const scanner = new InboxScanner({
    ...{ inbox: paths.inbox, quietMs: 0, cutHoldMs: 0, log, sealer },
    onSealed: () => inbox.lookSoon(),
  })
  const inbox: Inbox = new Inbox({
    ...{ paths, journal, queue, log, disk, directories, sealer, scanner, events },
    scanIntervalMs: options.scanIntervalMs ?? 3_600_000,
    queueFilesMax: options.queueFilesMax ?? 1_000,
  })
  const abort = new AbortController()
  let running: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    abort.abort()
    await running
  }
  t.teardown(stop)
  return {
    ...{ paths, journal, queue, inbox, counts, disk, fullIfAny, directories, log, sealer, scanner },
    stop,
    start: async () => {
      running = inbox.run(abort.signal)
      // Its first look is over when it answers.
      await inbox.announce(announceOf('nothing'))
    },
  }
}

export function announceOf(name: string, text = '1 2\n'): Announce {
  return { type: 'announce', id: 1, name, sizeBytes: text.length, sha256: sha256(text), lines: 1 }
}
