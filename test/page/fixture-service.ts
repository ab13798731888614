/**
 * Something that answers as the service does, and is told what: for the states of the page that a real one is
 * seldom in. It serves the page as it is built, under the policy that it is served with.
 */

import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname } from 'node:path'
import type { Test } from 'tap'
import { BUILT } from '../helpers/root.ts'

export type Answers = Record<string, unknown | ((query: URLSearchParams) => unknown)>

export class Refusal {
  readonly status: number
  readonly problem: object

  constructor(status: number, code: string, detail: string, advice: string | null = null) {
    this.status = status
    this.problem = { title: 'refused', status, code, detail, advice }
  }
}

/** Answered only when the test says so. */
export class Later {
  readonly answer: Promise<unknown>
  #tell: (answer: unknown) => void = () => {}

  constructor() {
    this.answer = new Promise(resolve => {
      this.#tell = resolve
    })
  }

  tell(answer: unknown): void {
    this.#tell(answer)
  }
}

export interface FixtureService {
  readonly url: string
  /** By path below `/api/v1/`, and `metrics`; may be changed at any time. */
  answers: Answers
  readonly asked: string[]
  token: string | undefined
  sentBytes: number
  /** Whoever asks is not answered any more. */
  isAway: boolean
}

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.svg': 'image/svg+xml',
}
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

export async function startFixture(t: Test, answers: Answers): Promise<FixtureService> {
  const server = createServer((request, response) => void answer(request, response))
  const service: FixtureService = {
    ...{ url: '', answers, asked: [], token: undefined, sentBytes: 0, isAway: false },
  }
  const send = (response: ServerResponse, status: number, type: string, body: Buffer): void => {
    service.sentBytes += body.length
    response.writeHead(status, { 'content-type': type, 'content-security-policy': POLICY })
    response.end(body)
  }
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
    const file = `${BUILT}scripts/serving/page/${pathname === '/' ? 'index.html' : pathname.slice(1)}`
    const isFile = extname(file) in TYPES && existsSync(file)
    if (isFile) return send(response, 200, TYPES[extname(file)]!, readFileSync(file))
    service.asked.push(request.url ?? '')
    if (service.isAway) return void request.socket.destroy()
    const isKnown = request.headers.authorization === `Bearer ${service.token}`
    const path = pathname.replace('/api/v1/', '').replace(/^\//, '')
    const told = service.answers[path]
    let found = typeof told === 'function' ? told(searchParams) : told
    if (found instanceof Later) found = await found.answer
    if (service.token !== undefined && !isKnown) found = refusedToken
    else if (found === undefined) found = new Refusal(404, 'NOT_FOUND', 'there is no such thing')
    if (typeof found === 'string') return send(response, 200, 'text/plain', Buffer.from(found))
    const body = Buffer.from(JSON.stringify(found instanceof Refusal ? found.problem : found))
    if (found instanceof Refusal) {
      return send(response, found.status, 'application/problem+json', body)
    }
    const etag = `W/"${createHash('sha256').update(body).digest('base64url').slice(0, 16)}"`
    response.setHeader('etag', etag)
    if (request.headers['if-none-match'] === etag) return void response.writeHead(304).end()
    send(response, 200, 'application/json', body)
  }
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return Object.assign(service, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
  })
}

const refusedToken = new Refusal(401, 'TOKEN_NEEDED', 'a password is needed', 'Send it.')
