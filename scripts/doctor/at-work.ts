import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readJournal } from '../../parser/journal/index.ts'
import { type KnownLedger, WITNESSES_MAX, witnessOf } from '../../parser/ledger/index.ts'
import {
  type Finding,
  fail,
  looked,
  notLookedAt,
  ofError,
  ok,
  warn,
} from '../../shared/findings.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { type ParserHealth, processedPage } from '../../shared/protocol.ts'
import { readRememberedLedger } from '../../shared/remembered-ledger.ts'
import { readSupervisor, type SupervisorStatus } from '../state/index.ts'
import { reach, whyNotReady } from '../terminal/index.ts'

/** Who is at work in the state directory, and what is remembered there. */
export interface AtWork {
  readonly findings: readonly Finding[]
  readonly supervisor: SupervisorStatus | undefined
  readonly isParserThere: boolean
  /** Of several hosts of the database. */
  readonly hostInUse: string | undefined
  readonly known: KnownLedger
}

/** What is remembered: what the journal says of the past. */
interface Past {
  readonly known: KnownLedger
  /** By this host's clock as it was then. */
  readonly newestAtMs: number | undefined
}

const NOTHING: Past = { known: { uuid: undefined, applied: [] }, newestAtMs: undefined }

export async function lookWhoIsAtWork(paths: StatePaths): Promise<AtWork> {
  const supervisor = await readSupervisor(paths).catch(() => {
    // Denied: the state directory's own finding says so.
    return undefined
  })
  const reached = await reach(paths, 'parser')
  const findings: Finding[] = []
  let past = NOTHING
  if ('channel' in reached) {
    const { channel } = reached
    findings.push(serviceFinding(supervisor, reached.health as ParserHealth))
    try {
      const question = { kind: 'newest' } as const
      const [newest] = processedPage(
        await channel.request<'answer'>({ type: 'query', question }),
      ).files
      past = { ...NOTHING, newestAtMs: newest?.settledAtMs }
    } catch (error) {
      findings.push(ofError('journal', error))
    } finally {
      channel.close()
    }
  } else if (reached.isThere) {
    findings.push(notLookedAt('service', reached.silentBecause, 'countersink status'))
  } else {
    const soon = supervisor === undefined ? 'nothing is at work here' : reached.silentBecause
    findings.push(ok('service', soon))
    findings.push(
      await looked('journal', async () => {
        past = (await readPast(paths)) ?? NOTHING
        return past === NOTHING ? 'none yet' : 'it can be read'
      }),
    )
  }
  findings.push(
    await looked('remembered database', async () => {
      const remembered = await readRememberedLedger(paths.rememberedLedger)
      const uuid = past.known.uuid ?? remembered?.ledgerUuid
      past = { ...past, known: { ...past.known, uuid } }
      return remembered === undefined ? 'none yet' : remembered.database
    }),
  )
  findings.push(clockFinding(past.newestAtMs))
  const isParserThere = 'channel' in reached || reached.isThere
  const health = 'channel' in reached ? (reached.health as ParserHealth) : undefined
  return { findings, supervisor, isParserThere, hostInUse: health?.databaseHost, known: past.known }
}

function serviceFinding(supervisor: SupervisorStatus | undefined, health: ParserHealth): Finding {
  const by = supervisor === undefined ? '' : `, under a supervisor with pid ${supervisor.pid}`
  const who = `a parser with pid ${health.pid} is ${health.state}${by}`
  const why = whyNotReady(health)
  if (why === undefined) return ok('service', who)
  return fail('service', `${who}, and does not count: ${why}`, 'countersink status')
}

/** undefined: there is no journal. Its lock is shared with others who only read. */
async function readPast({ journal, parser }: StatePaths): Promise<Past | undefined> {
  if (!existsSync(join(parser, 'journal.lock'))) return undefined
  return readJournal(journal, (view, state) => ({
    known: {
      uuid: state.ledgerUuid === '' ? undefined : state.ledgerUuid,
      applied: view.newestApplied(WITNESSES_MAX).map(witnessOf),
    },
    newestAtMs: state.nextSequence,
  }))
}

/** Sequences go on from the clock, and a little before it where very many files come. */
const BEHIND_MS_MAX = 60_000
const LONG_AGO_MS = Date.UTC(2024, 0, 1)

function clockFinding(newestAtMs = LONG_AGO_MS): Finding {
  const nowMs = Date.now()
  const now = new Date(nowMs).toISOString()
  if (nowMs > newestAtMs - BEHIND_MS_MAX) return ok('clock', now)
  const newest = new Date(newestAtMs).toISOString()
  return warn('clock', `it says ${now}, and was at ${newest} before`, 'timedatectl set-ntp true')
}
