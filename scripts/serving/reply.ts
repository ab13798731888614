/**
 * What is sent: as a whole, so that it can carry a hash of itself, by which a reader that has it already is
 * told so in a few bytes. Pages of answers are bounded, and so is what is in memory.
 */

import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { PAGE_POLICY } from './page-files.ts'
import { type Problem, problemJson } from './problem.ts'

export interface Reply {
  readonly status?: number
  readonly type: string
  readonly body: string | Buffer
  /** @default no-store, but for what carries a hash: that is asked for anew each time */
  readonly caching?: string
  /** Its hash, by which it is told. */
  readonly tag?: string
}

export function tagged(reply: Reply): Reply {
  return { ...reply, tag: tagOf(reply.body) }
}

const COMMON_HEADERS = {
  'Content-Security-Policy': PAGE_POLICY,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
}

export function send(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
  const { status = 200, type, body, tag } = reply
  const headers: Record<string, string | number> = {
    ...COMMON_HEADERS,
    'Cache-Control': reply.caching ?? (tag === undefined ? 'no-store' : 'private, no-cache'),
    ...(tag === undefined ? {} : { ETag: tag }),
  }
  if (tag !== undefined && isNamed(request.headers['if-none-match'], tag)) {
    response.writeHead(304, headers).end()
    return
  }
  headers['Content-Type'] = type
  headers['Content-Length'] = Buffer.byteLength(body)
  response.writeHead(status, headers)
  response.end(request.method === 'HEAD' ? undefined : body)
}

export function sendProblem(
  request: IncomingMessage,
  response: ServerResponse,
  problem: Problem,
): void {
  const { status } = problem
  if (status === 503) response.setHeader('Retry-After', '1')
  if (status === 405) response.setHeader('Allow', 'GET, HEAD')
  if (status === 401) response.setHeader('WWW-Authenticate', 'Bearer realm="countersink"')
  // What else it has sent is not read.
  if (status === 405) response.setHeader('Connection', 'close')
  const body = `${JSON.stringify(problemJson(problem))}\n`
  send(request, response, { status, type: 'application/problem+json', body })
}

/** Weak: the bytes are the same, how they travel may not be. */
function tagOf(body: string | Buffer): string {
  return `W/"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`
}

function isNamed(wanted: string | undefined, tag: string): boolean {
  if (wanted === undefined) return false
  const strong = tag.replace(/^W\//, '')
  return wanted.split(',').some(one => {
    const named = one.trim()
    return named === '*' || named.replace(/^W\//, '') === strong
  })
}
