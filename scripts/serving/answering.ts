/**
 * From a request to an answer. It is looked at in this order: whose name it asks by, how, with which password,
 * and for what. Nothing that is asked for changes anything; what fails is told to who asked, and to nobody
 * else, unless it is a fault of ours: that is in the log.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { describeError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { ServeAddress } from '../../shared/serve-address.ts'
import { whyNotReady } from '../terminal/index.ts'
import { refuseOtherNames, refuseWithoutToken } from './access.ts'
import { findRoute } from './api/routes.ts'
import { Gate } from './gate.ts'
import { METRICS_TYPE, metricsText } from './metrics/exposition.ts'
import { openApi } from './open-api.ts'
import type { PageFile, PageFiles } from './page-files.ts'
import { readParams } from './params.ts'
import { badRequest, Problem, problemOf } from './problem.ts'
import { type Reply, send, sendProblem, tagged } from './reply.ts'
import type { Cost, Ground, Route } from './route.ts'
import { SharedAnswers } from './shared-answers.ts'
import type { Snapshot } from './snapshot.ts'

const JSON_TYPE = 'application/json'
const ANSWER_MS_MAX = 60_000
const WAITING_MAX = 32
const SHARED_MS = 250
const SHARED_MAX = 64
/** What takes longer is made for whoever waits for it, and given up with them. */
const SHARED: ReadonlySet<Cost> = new Set<Cost>(['parser', 'directory'])

export class Answering {
  readonly #ground: Omit<Ground, 'asking'> & { readonly env: NodeJS.ProcessEnv }
  readonly #page: PageFiles
  readonly #log: Log
  readonly #gates: Readonly<Record<Cost, Gate>> = {
    nothing: new Gate(4, WAITING_MAX),
    parser: new Gate(2, WAITING_MAX),
    trail: new Gate(1, WAITING_MAX),
    consumer: new Gate(1, WAITING_MAX),
    usage: new Gate(1, WAITING_MAX),
    directory: new Gate(1, WAITING_MAX),
  }
  readonly #shared = new SharedAnswers<Reply>(SHARED_MS, SHARED_MAX)
  #requests = 0

  constructor(options: {
    readonly ground: Omit<Ground, 'asking'> & { readonly env: NodeJS.ProcessEnv }
    readonly page: PageFiles
    readonly log: Log
  }) {
    this.#ground = options.ground
    this.#page = options.page
    this.#log = options.log
  }

  get requests(): number {
    return this.#requests
  }

  /** Never rejects. */
  async answer(
    request: IncomingMessage,
    response: ServerResponse,
    door: { readonly address: ServeAddress; readonly token: string | undefined },
  ): Promise<void> {
    this.#requests += 1
    const gone = new AbortController()
    const leave = (): void => gone.abort(new Error('who asked has gone'))
    // What waits behind another answer on its connection is told nothing by its response.
    request.socket.once('close', leave)
    response.once('close', () => {
      request.socket.off('close', leave)
      leave()
    })
    try {
      refuseOtherNames(request, door.address)
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        throw new Problem(405, 'METHOD_NOT_ALLOWED', 'everything is read here, nothing changed')
      }
      const url = urlOf(request)
      const open = this.#openReply(url)
      if (open === undefined) refuseWithoutToken(request, door.token)
      const reply = open ?? (await this.#reply(url, gone.signal))
      if (!gone.signal.aborted) send(request, response, reply)
    } catch (error) {
      if (gone.signal.aborted) return
      const problem = problemOf(error)
      if (problem.status === 500) {
        this.#log.error(`a request could not be answered: ${describeError(error)}`)
      }
      sendProblem(request, response, problem)
    }
  }

  /** What tells nothing of the service, and so needs no password. */
  #openReply({ pathname, searchParams }: URL): Reply | undefined {
    if (pathname === '/livez') return { type: JSON_TYPE, body: '{"alive":true}\n' }
    const file = this.#page.get(pathname)
    if (file !== undefined) return pageReply(file, searchParams.get('v'))
    if (pathname !== '/favicon.ico') return undefined
    return { status: 204, type: 'image/x-icon', body: '', caching: 'max-age=86400' }
  }

  async #reply({ pathname, searchParams }: URL, gone: AbortSignal): Promise<Reply> {
    if (pathname === '/metrics') {
      const { snapshot } = this.#ground
      return this.#shared.get(pathname, async () => {
        return { type: METRICS_TYPE, body: Buffer.from(metricsText(await snapshot())) }
      })
    }
    if (pathname === '/readyz') return readiness(await this.#ground.snapshot())
    if (pathname === '/api/v1/openapi.json') return json(openApi())
    const found = findRoute(pathname)
    if (found === undefined) throw new Problem(404, 'NOT_FOUND', 'there is nothing of this path')
    const { route, path } = found
    const given = readParams(route.params, path, searchParams)
    if (!SHARED.has(route.cost)) return this.#made(route, given, gone)
    const never = new AbortController().signal
    return this.#shared.get(`${pathname}?${searchParams}`, () => this.#made(route, given, never))
  }

  async #made(route: Route, given: Record<string, unknown>, gone: AbortSignal): Promise<Reply> {
    const signal = AbortSignal.any([gone, AbortSignal.timeout(ANSWER_MS_MAX)])
    const nobody = (): void => {
      // Who reads a page is told by the answer alone.
    }
    const { env, ...ground } = this.#ground
    const asking = { env, aside: nobody, meanwhile: nobody, signal }
    const answer = await this.#gates[route.cost]
      .run(signal, () => route.run(given, { ...ground, asking }))
      .catch(error => {
        if (!signal.aborted) throw error
        throw new Problem(503, 'REQUEST_TIMEOUT', `there was no answer in ${ANSWER_MS_MAX} ms`)
      })
    return json(answer)
  }
}

function urlOf({ url = '' }: IncomingMessage): URL {
  // Of another form (of a proxy, say) nothing is asked for here.
  if (!url.startsWith('/') || url.startsWith('//'))
    throw badRequest('the path must begin with one /')
  try {
    return new URL(url, 'http://localhost')
  } catch {
    throw badRequest('this is no path')
  }
}

function json(answer: object): Reply {
  // As bytes: whoever gets the same answer, and reads it slowly, holds the same ones.
  return tagged({ type: JSON_TYPE, body: Buffer.from(`${JSON.stringify(answer)}\n`) })
}

function pageReply({ type, body, hash }: PageFile, version: string | null): Reply {
  if (type.startsWith('text/html')) return { type, body }
  const isNamed = version === hash
  return tagged({ type, body, ...(isNamed ? { caching: FOR_EVER } : {}) })
}

const FOR_EVER = 'public, max-age=31536000, immutable'

/** Whether files are counted now, and why not. */
function readiness({ parser, serving }: Snapshot): Reply {
  const ofParser = 'role' in parser ? whyNotReady(parser) : parser.silentBecause
  const reasons = [
    ...(ofParser === undefined ? [] : [{ process: 'parser', reason: ofParser }]),
    ...(serving.reason === undefined ? [] : [{ process: 'serving', reason: serving.reason }]),
  ]
  const ready = ofParser === undefined
  const body = `${JSON.stringify({ ready, reasons })}\n`
  return { status: ready ? 200 : 503, type: JSON_TYPE, body }
}
