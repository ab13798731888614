/**
 * What the processes say to each other. The first frame each way is a `hello`; then requests carry
 * an `id` that the reply repeats, and `settled` comes unasked to whoever announced a file.
 *
 * Amounts are decimal strings and hashes lower-case hex on the wire. `parseMessage` is the only
 * place that sees anything unknown: it copies the known fields into a fresh object, checks each,
 * and never walks into nested values (a hostile payload may be circular).
 */

import type { ErrorCode } from './errors.ts'
import { FieldReader, invalid } from './field-reader.ts'
import type { Counts, Health, ParserHealth } from './health.ts'
import { REASON_CHARACTERS_MAX } from './limits.ts'
import type { Question } from './questions.ts'
import { OUTCOMES, type Outcome, type ProcessedPage } from './records.ts'
import {
  GENERATOR_HEALTH,
  misfit,
  PARSER_HEALTH,
  PROCESSED_PAGE,
  SERVING_HEALTH,
} from './shapes.ts'

// Whoever speaks the protocol finds all of it here.
export * from './health.ts'
export type * from './questions.ts'
export * from './records.ts'
export type * from './trails.ts'

export const PROTOCOL_NAME = 'countersink'
export const PROTOCOL_VERSION = 1

export const ROLES = ['parser', 'generator', 'serving', 'client'] as const
export type Role = (typeof ROLES)[number]

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
  /** As in the manifest, which counts for more. Earlier peers neither say nor read these. */
  readonly origin?: string
  readonly publishedAtMs?: number
  readonly usedAtMs?: number
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
  client: { parser: TO_PARSER, generator: ['ping'], serving: ['ping'] },
  parser: { generator: ['settled'], client: ['settled'] },
  serving: { client: [] },
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
        role: f.oneOf('role', ROLES),
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
        ...f.optional('origin', () => f.origin('origin')),
        ...f.optional('publishedAtMs', () => f.timeMs('publishedAtMs')),
        ...f.optional('usedAtMs', () => f.timeOfUsageMs('usedAtMs')),
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
  const kind = f.oneOf('kind', ['newest', 'after', 'content', 'queue', 'inbox', 'trail'])
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
    case 'inbox':
      return { kind, name: f.text('name', 1_000) }
    case 'content':
      return { kind, prefix: prefixOf(f) }
    case 'trail': {
      const which = {
        ...f.optional('prefix', () => prefixOf(f)),
        ...f.optional('name', () => f.text('name', 1_000)),
      }
      if (Object.keys(which).length !== 1) throw invalid('it must have either a prefix or a name')
      return { kind, ...which }
    }
  }
}

function prefixOf(f: FieldReader): string {
  const prefix = f.text('prefix', 64)
  if (/^[0-9a-f]{8,64}$/.test(prefix)) return prefix
  throw invalid('prefix must be 8 to 64 hex digits')
}

function parseHealth(map: object): Health {
  const role = new FieldReader(map).oneOf('role', ['parser', 'generator', 'serving'])
  const why = misfit(map, HEALTH_OF[role])
  if (why !== undefined) throw invalid(`in health, ${why}`)
  if (role === 'generator') return map as Health
  const { sinceStart, ever } = map as ParserHealth
  return { ...(map as ParserHealth), sinceStart: withAll(sinceStart), ever: withAll(ever) }
}

/** A service that was started before an update says nothing of outcomes that are new. */
function withAll(counts: Counts): Counts {
  return { ...{ reverted: 0, held: 0 }, ...counts }
}

const HEALTH_OF = { parser: PARSER_HEALTH, generator: GENERATOR_HEALTH, serving: SERVING_HEALTH }

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
