/**
 * The service, asked over HTTP. An answer that has not changed since is the same object, so that whoever
 * shows it need not look. What fails is a Problem, whether the service says so or is not there.
 */

const PREFIX = 'api/v1/'
/** Of the answers that were seen last, as many as a person goes back and forth between. */
const KEPT_MAX = 32
const PATIENCE_MS = 15_000
/** In this tab alone, until it is closed. */
const TOKEN = 'countersink.token'

export class Problem extends Error {
  /** For programs. */
  readonly code: string
  readonly advice: string | undefined
  /** Of HTTP; 0: nobody has answered. */
  readonly status: number

  constructor(message: string, code: string, status: number, advice?: string) {
    super(message)
    this.code = code
    this.status = status
    this.advice = advice
  }
}

export type Query = Readonly<Record<string, string | undefined>>

export class Api {
  readonly #kept = new Map<string, { readonly etag: string; readonly answer: unknown }>()
  /** Two parts of a view that ask the same are answered once. */
  readonly #asked = new Map<string, Promise<unknown>>()

  get<A>(path: string, query: Query = {}): Promise<A> {
    const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '')
    const search = new URLSearchParams(given as [string, string][]).toString()
    const url = `${PREFIX}${path}${search === '' ? '' : `?${search}`}`
    const asked = this.#asked.get(url) ?? this.#ask(url).finally(() => this.#asked.delete(url))
    this.#asked.set(url, asked)
    return asked as Promise<A>
  }

  /** What is no JSON: the metrics. */
  async text(path: string): Promise<string> {
    const response = await this.#fetch(path)
    if (!response.ok) throw await problemOf(response)
    return response.text().catch(notThere)
  }

  /** What was answered to others is not shown to whoever gives another token. */
  useToken(token: string): void {
    sessionStorage.setItem(TOKEN, token)
    this.#kept.clear()
  }

  async #ask(url: string): Promise<unknown> {
    const kept = this.#kept.get(url)
    const response = await this.#fetch(url, kept?.etag)
    if (response.status === 304 && kept !== undefined) return kept.answer
    if (!response.ok) throw await problemOf(response)
    const answer: unknown = await response.json().catch(notOurs)
    const etag = response.headers.get('etag')
    if (etag !== null) this.#keep(url, { etag, answer })
    return answer
  }

  #fetch(url: string, etag?: string): Promise<Response> {
    const token = sessionStorage.getItem(TOKEN)
    const headers = {
      ...(etag === undefined ? {} : { 'if-none-match': etag }),
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    }
    const signal = AbortSignal.timeout(PATIENCE_MS)
    return fetch(url, { headers, signal, cache: 'no-store', redirect: 'error' }).catch(notThere)
  }

  #keep(url: string, seen: { etag: string; answer: unknown }): void {
    this.#kept.delete(url)
    this.#kept.set(url, seen)
    const [oldest] = this.#kept.keys()
    if (this.#kept.size > KEPT_MAX && oldest !== undefined) this.#kept.delete(oldest)
  }
}

/** Something else listens there, or stands between. */
function notOurs(error: unknown): never {
  if (!(error instanceof SyntaxError)) notThere(error)
  throw new Problem('What answers here is not the service', 'NOT_OURS', 0)
}

function notThere(error: unknown): never {
  const isSlow = error instanceof DOMException && error.name === 'TimeoutError'
  throw new Problem(
    isSlow ? 'The service does not answer' : 'The service cannot be reached',
    isSlow ? 'NO_ANSWER' : 'NOT_THERE',
    0,
    'See whether countersink serve still runs; this page asks again by itself.',
  )
}

/** problem+json (RFC 9457); whoever stands between may have answered something else. */
async function problemOf(response: Response): Promise<Problem> {
  const { status } = response
  const body: unknown = await response.json().catch(() => undefined)
  const said = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>
  const text = (key: string): string | undefined => {
    const value = said[key]
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  const message = text('detail') ?? text('title') ?? `The service answers with ${status}`
  return new Problem(message, text('code') ?? `HTTP_${status}`, status, text('advice'))
}
