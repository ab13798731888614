import type { ParserEvents } from '../shared/events.ts'
import type { Log } from '../shared/log.ts'
import { NO_HASH } from './facts.ts'

/** Tells the log of what happens: the only place where events become lines. */
export function logEvents(events: ParserEvents, log: Log): void {
  let database: { awayBecause: string | undefined; isUnfit: boolean } = NOT_CONNECTED
  let statementWaitsFor: string | undefined

  events.on('claimed', ({ name, sequence, sizeBytes, hasManifest }) => {
    log.info('claimed', { name, sequence, size: sizeBytes, manifest: hasManifest })
  })
  events.on('settled', ({ file, stages }) => {
    log[file.outcome === 'quarantined' ? 'warn' : 'info'](file.outcome, {
      name: file.name,
      sha256: file.sha256 === UNREAD ? undefined : file.sha256,
      // Of a quarantined one it is in its reason.
      code: file.outcome === 'duplicate' ? 'COUNTED_BEFORE' : undefined,
      size: file.sizeBytes,
      lines: file.lines,
      rejectedLines: file.rejectedLines,
      amount: file.amount,
      ms: file.settledAtMs - file.claimedAtMs,
      ...stages,
      reason: file.reason,
    })
  })
  events.on('checkpointed', ({ name, sequence, positionBytes }) => {
    log.debug('checkpoint', { name, sequence, positionBytes })
  })
  events.on('begun', ({ batch, files, pairs }) => log.debug('batch begun', { batch, files, pairs }))
  events.on('chunk', ({ batch, pairs }) => log.debug('chunk applied', { batch, pairs }))
  events.on('applied', ({ batch, files, pairs, countMs }) => {
    log.debug('batch applied', { batch, files, pairs, ms: countMs })
  })
  events.on('waiting', ({ for: what, because }) => {
    if (what === 'room') log.warn('paused', { because })
    else log.error('nothing is taken or settled until a directory is there again', { because })
  })
  events.on('resumed', ({ for: what }) => {
    log.notice(what === 'room' ? 'goes on: there is room again' : 'all directories are there again')
  })
  events.on('database', now => {
    const before = database
    database = now
    if (now.awayBecause === before.awayBecause) return
    if (now.awayBecause === undefined) log.notice('MariaDB is ready')
    else if (now.isUnfit) log.error(`nothing is counted: ${now.awayBecause}`)
    // Once for each time that it goes away, however the words change.
    else if (before.awayBecause === undefined || before.isUnfit) {
      log.warn('MariaDB is away', { reason: now.awayBecause })
    }
  })
  events.on('host', ({ host, passedOver }) => {
    const over = passedOver.map(one => `${one.host}: ${one.because}`).join('; ')
    if (over === '') log.notice('MariaDB is used', { host })
    else log.warn('MariaDB is used on another host', { host, passedOver: over })
  })
  events.on('statement', statement => {
    if (statement !== undefined && statementWaitsFor !== statement.waitsFor) {
      log.warn('a statement takes long', { ...statement })
    }
    statementWaitsFor = statement?.waitsFor
  })
}

const UNREAD = Buffer.from(NO_HASH).toString('hex')

/** As it is before the first connection, which is nothing to tell of. */
const NOT_CONNECTED = { awayBecause: 'not connected yet', isUnfit: false }
