import type { ErrorCode } from './errors.ts'
import { FieldReader, invalid } from './field-reader.ts'
import { REASON_CHARACTERS_MAX } from './limits.ts'
import { GENERATOR_HEALTH, misfit, PARSER_HEALTH, PROCESSED_PAGE } from './socket/shapes.ts'

/**
 * What the processes say to each other. The first frame each way is a `hello`; then requests carry
 * an `id` that the reply repeats, and `settled` comes unasked to whoever announced a file.
 *
 * Amounts are decimal strings and hashes lower-case hex on the wire. `parseMessage` is the only
 * place that sees anything unknown: it copies the known fields into a fresh object, checks each,
 * and never walks into nested values (a hostile payload may be circular).
 */
export const PROTOCOL_NAME = 'countersink'
export const PROTOCOL_VERSION = 1

export type Role = 'parser' | 'generator' | 'client'
export type Outcome = 'applied' | 'duplicate' | 'quarantined'
export const OUTCOMES: readonly Outcome[] = ['applied', 'duplicate', 'quarantined']

/**
 * accepted: claimed, durably. known: accepted as well, and the announced hash was counted before
 * (a hint; the content decides). later: try again, nothing was taken. refused: never as announced.
 */
export type AckOutcome = 'accepted' | 'known' | 'later' | 'refused'
const ACK_OUTCOMES: readonly AckOutcome[] = ['accepted', 'known', 'later', 'refused']

export interface Hello {
  readonly type: 'hello'
  readonly protocol: string
  readonly version: number
  readonly role: Role
  readonly pid: number
}
export interface Failure {
  readonly type: 'error'
  readonly code: string
  readonly message: string
}
export interface Announce {
  readonly type: 'announce'
  readonly id: number
  /** A basename in the inbox, never a path; the receiver decides whether it is fit. */
  readonly name: string
  readonly sizeBytes: number
  readonly sha256: string
  readonly lines?: number
  readonly amount?: string
}
export interface Ack {
  readonly type: 'ack'
  readonly id: number
  readonly outcome: AckOutcome
  readonly reason?: string
}
export interface Settled {
  readonly type: 'settled'
  readonly name: string
  /** Of the content that was read; a quarantined file's may differ from the announced one. */
  readonly sha256: string
  readonly outcome: Outcome
  readonly reason?: string
}
export interface Ping {
  readonly type: 'ping'
  readonly id: number
}
export interface Pong {
  readonly type: 'pong'
  readonly id: number
  readonly health: Health
}
export interface Query {
  readonly type: 'query'
  readonly id: number
  readonly question: Question
}
export interface Answer {
  readonly type: 'answer'
  readonly id: number
  readonly body: unknown
}

export type Message = Hello | Failure | Announce | Ack | Settled | Ping | Pong | Query | Answer

type Unasked = 'announce' | 'ping' | 'query' | 'settled'
const TO_PARSER: readonly Unasked[] = ['announce', 'ping', 'query']

/** What each role says to each other one without having been asked. Equals have no business at all. */
const UNASKED: Readonly<Record<Role, { readonly [to in Role]?: readonly Unasked[] }>> = {
  generator: { parser: TO_PARSER, client: [] },
  client: { parser: TO_PARSER, generator: ['ping'] },
  parser: { generator: ['settled'], client: ['settled'] },
}

/** undefined: these two roles do not talk to each other. */
export function unaskedMessages(from: Role, to: Role): readonly string[] | undefined {
  return UNASKED[from][to]
}

/** What a request is answered with. */
export const REPLY_TO = { announce: 'ack', ping: 'pong', query: 'answer' } as const
export type Request = { readonly type: keyof typeof REPLY_TO } & Record<string, unknown>
export type Reply = Ack | Pong | Answer

export function isReply(message: Message): message is Reply {
  return message.type === 'ack' || message.type === 'pong' || message.type === 'answer'
}

export function isRequest(message: Message): message is Announce | Ping | Query {
  return message.type in REPLY_TO
}

/** Processed files in the order they were settled; numbers count from 1. */
export type Question =
  | { readonly kind: 'newest'; readonly before?: number; readonly outcome?: Outcome }
  | { readonly kind: 'after'; readonly number: number }
  | { readonly kind: 'content'; readonly prefix: string }
  | { readonly kind: 'queue'; readonly after: number }

export interface Counts {
  readonly applied: number
  readonly duplicate: number
  readonly quarantined: number
  readonly bytes: number
  readonly lines: number
}

interface CommonHealth {
  readonly pid: number
  readonly uptimeSeconds: number
  /** When work was last made durable or visibly advanced; milliseconds since 1970. */
  readonly lastProgressAtMs: number
  /** Mean delay of the event loop since the last ping. */
  readonly eventLoopDelayMs: number
}

export interface ParserHealth extends CommonHealth {
  readonly role: 'parser'
  readonly state: 'starting' | 'running' | 'paused' | 'stopping'
  /** Why it is paused, or what keeps it from starting. */
  readonly reason?: string
  readonly queue: { readonly files: number; readonly bytes: number }
  readonly reading?: {
    readonly name: string
    readonly positionBytes: number
    readonly sizeBytes: number
    /** What stands before was summed before a restart; it is only hashed again. */
    readonly resumedFromBytes: number
  }
  /** unfit: it answers, but is not the one, or not as, it must be; nothing is written to it. */
  readonly database: 'ready' | 'unavailable' | 'unfit'
  readonly databaseReason?: string
  /** A statement that has not been answered for long. */
  readonly statement?: { readonly ageSeconds: number; readonly waitsFor: string }
  readonly sinceStart: Counts
  readonly ever: Counts
  /** The number of the newest processed record. */
  readonly processed: number
  /** Since the start; absent if there are none. */
  readonly sameNames?: SameNames
  /** The same. */
  readonly grewAfterwards?: GrewAfterwards
  /** What stands in the inbox now and is not taken; absent if there is nothing. */
  readonly leftInInbox?: LeftInInbox
  /** Why the inbox cannot be looked into now; absent if it can. */
  readonly inboxAway?: string
  /** Settled, and still in work/; absent if there are none. */
  readonly unmoved?: UnmovedFiles
}

/** Files whose name was counted before with other content: both are in the totals. */
export interface SameNames {
  readonly files: number
  /** The newest of them, and with how many contents each name is in the totals. */
  readonly newest: readonly { readonly name: string; readonly contents: number }[]
}

/** Files that changed after they were counted: their outcome stands. */
export interface GrewAfterwards {
  readonly files: number
  /** The newest of them, and how they changed. */
  readonly newest: readonly { readonly name: string; readonly change: string }[]
}

/** What is not taken from the inbox: the first reasons, each with some names. */
export interface LeftInInbox {
  readonly files: number
  readonly reasons: readonly {
    readonly why: string
    readonly files: number
    readonly names: readonly string[]
  }[]
}

/** Files whose outcome is final, and that cannot be moved to where it says. */
export interface UnmovedFiles {
  readonly files: number
  /** The first of them. */
  readonly first: readonly { readonly name: string; readonly why: string }[]
}

export interface GeneratorHealth extends CommonHealth {
  readonly role: 'generator'
  readonly state: 'writing' | 'waiting' | 'draining' | 'stopping'
  readonly reason?: string
  readonly connected: boolean
  /** Published, not yet reported as settled. */
  readonly unsettled: number
  readonly writing?: {
    readonly name: string
    readonly positionBytes: number
    readonly sizeBytes: number
  }
  readonly sinceStart: { readonly files: number; readonly bytes: number }
}

export type Health = ParserHealth | GeneratorHealth

/** What is kept of a processed file; times are milliseconds since 1970. */
export interface ProcessedFile {
  readonly number: number
  readonly name: string
  readonly sha256: string
  readonly sizeBytes: number
  readonly lines: number
  readonly amount: string
  readonly outcome: Outcome
  readonly reason?: string
  /** Of the ledger's row that counts it, decimal; journals of earlier versions do not know it. */
  readonly ledgerSequence?: string
  readonly claimedAtMs: number
  readonly digestStartedAtMs: number
  readonly digestedAtMs: number
  readonly settledAtMs: number
}

/** The answer to `newest` and `after`. */
export interface ProcessedPage {
  readonly files: readonly ProcessedFile[]
  /** More follows from here: the next `before` (newest) or `number` (after). */
  readonly next?: number
  /** The journal has not been compared with the ledger yet: some may be missing. */
  readonly isProvisional?: boolean
}

/** A file between claim and archive. */
export interface QueuedFile {
  readonly sequence: number
  readonly name: string
  readonly sizeBytes: number
  readonly stage: 'claimed' | 'digested' | 'settling'
  readonly claimedAtMs: number
  /** How far its last checkpoint is: a restart sums on from there. */
  readonly checkpointBytes?: number
  /** The file that keeps its sums, once it is digested, unless they are in memory. */
  readonly runName?: string
}

/** The answer to `queue`: the files that wait, in the order of their claims. */
export interface QueuePage {
  readonly queued: readonly QueuedFile[]
  /** More follows: the next `after`. */
  readonly next?: number
}

/** What a question is answered with. */
export type AnswerTo<T extends Question> = T extends { kind: 'content' }
  ? ContentAnswer
  : T extends { kind: 'queue' }
    ? QueuePage
    : ProcessedPage

/** The answer to `content`: the contents whose hash begins with the prefix, two at the most. */
export interface ContentAnswer {
  readonly matches: readonly ContentMatch[]
  /** Why the ledger could not be asked, if it could not: what is not known here may still be there. */
  readonly ledgerSilentBecause?: string
}

export interface ContentMatch {
  readonly sha256: string
  /** The record that counted it in the totals. */
  readonly applied?: ProcessedFile
  /** Otherwise: the last that was done with it … */
  readonly last?: ProcessedFile
  /** … and whether a file of this content is on its way. */
  readonly waiting?: boolean
  /** What the ledger says, if it was asked: it decides. */
  readonly ledger?: 'applied' | 'applying' | 'reverted' | 'absent'
}

/** @throws CountersinkError MESSAGE_INVALID naming the field. */
export function parseMessage(value: unknown): Message {
  if (typeof value !== 'object' || value === null) {
    throw invalid('a message must be a map')
  }
  const f = new FieldReader(value)
  const type = f.text('type', 20)
  switch (type) {
    case 'hello':
      return {
        type,
        protocol: f.text('protocol', 40),
        version: f.count('version'),
        role: f.oneOf('role', ['parser', 'generator', 'client']),
        pid: f.count('pid'),
      }
    case 'error':
      return { type, code: f.text('code', 60), message: f.text('message', 2_000) }
    case 'announce':
      return {
        type,
        id: f.count('id'),
        name: f.text('name', 1_000),
        sizeBytes: f.count('sizeBytes'),
        sha256: f.sha256('sha256'),
        ...f.optional('lines', () => f.count('lines')),
        ...f.optional('amount', () => f.amount('amount')),
      }
    case 'ack':
      return {
        type,
        id: f.count('id'),
        outcome: f.oneOf('outcome', ACK_OUTCOMES),
        ...f.optional('reason', () => f.text('reason', REASON_CHARACTERS_MAX)),
      }
    case 'settled':
      return {
        type,
        name: f.text('name', 1_000),
        sha256: f.sha256('sha256'),
        outcome: f.oneOf('outcome', OUTCOMES),
        ...f.optional('reason', () => f.text('reason', REASON_CHARACTERS_MAX)),
      }
    case 'ping':
      return { type, id: f.count('id') }
    case 'pong':
      return { type, id: f.count('id'), health: parseHealth(f.map('health')) }
    case 'query':
      return { type, id: f.count('id'), question: parseQuestion(f.map('question')) }
    case 'answer':
      return { type, id: f.count('id'), body: f.map('body') }
    default:
      throw invalid(`type ${JSON.stringify(type)} is not known`)
  }
}

function parseQuestion(map: object): Question {
  const f = new FieldReader(map)
  const kind = f.oneOf('kind', ['newest', 'after', 'content', 'queue'])
  switch (kind) {
    case 'newest':
      return {
        kind,
        ...f.optional('before', () => f.count('before')),
        ...f.optional('outcome', () => f.oneOf('outcome', OUTCOMES)),
      }
    case 'after':
      return { kind, number: f.count('number') }
    case 'queue':
      return { kind, after: f.count('after') }
    case 'content': {
      const prefix = f.text('prefix', 64)
      if (!/^[0-9a-f]{8,64}$/.test(prefix)) throw invalid('prefix must be 8 to 64 hex digits')
      return { kind, prefix }
    }
  }
}

function parseHealth(map: object): Health {
  const role = new FieldReader(map).oneOf('role', ['parser', 'generator'])
  const why = misfit(map, role === 'parser' ? PARSER_HEALTH : GENERATOR_HEALTH)
  if (why !== undefined) throw invalid(`in health, ${why}`)
  return map as Health
}

/** @throws CountersinkError MESSAGE_INVALID: this is no answer to `newest` or `after`. */
export function processedPage({ body }: Answer): ProcessedPage {
  const why = misfit(body, PROCESSED_PAGE)
  if (why !== undefined) throw invalid(`in an answer, ${why}`)
  return body as ProcessedPage
}

/** The frame that tells a peer why its connection ends. */
export function failure(code: ErrorCode | string, message: string): Failure {
  return { type: 'error', code, message: message.slice(0, 2_000) }
}

/** A reason cut to what the journal, the ledger and the wire carry. */
export function boundedReason(reason: string): string {
  return reason.length <= REASON_CHARACTERS_MAX
    ? reason
    : `${reason.slice(0, REASON_CHARACTERS_MAX - 1)}…`
}
