import { type IncomingHttpHeaders, request } from 'node:http'
import { openApi } from '../../scripts/serving/index.ts'
import { startCountersink } from '../helpers/cli.ts'
import { eventually } from '../helpers/eventually.ts'
import { misfit } from '../helpers/json-shape.ts'
import type { Program, Teardown } from '../helpers/processes.ts'
import type { Site } from '../helpers/state-dir.ts'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

export interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** Something that serves, by its port or by its socket. */
export interface Served {
  ask(path: string, asked?: Asked): Promise<Answer>
  /** Of an answer with 200 that must be as documented. */
  get<T = Record<string, unknown>>(path: string, asked?: Asked): Promise<T>
}

export async function startServe(
  t: Teardown,
  site: Site,
  ...args: string[]
): Promise<Served & Program> {
  const all = args.includes('--listen') ? args : ['--listen', '127.0.0.1:0', ...args]
  const program = startCountersink(t, site, 'serve', ...all)
  const where = await eventually('it serves', () => {
    if (!program.isRunning()) throw new Error(`serve ended:\n${program.output()}`)
    return /\bserving at="?([^\s"]+)/.exec(program.output())?.[1]
  })
  return { ...program, ...served(where) }
}

/** @param where `127.0.0.1:4711` or `unix:PATH` */
export function served(where: string): Served {
  const at = where.startsWith('unix:')
    ? { socketPath: where.slice('unix:'.length) }
    : { host: '127.0.0.1', port: Number(where.split(':').at(-1)) }
  const ask = async (path: string, { method, headers, body }: Asked = {}): Promise<Answer> => {
    const answer = await new Promise<Answer>((resolve, reject) => {
      const asked = request({ ...at, path, method, headers, agent: false }, response => {
        let text = ''
        response.setEncoding('utf8').on('data', part => {
          text += part
        })
        response.once('error', reject)
        response.once('end', () => {
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text })
        })
      })
      asked.once('error', reject)
      asked.end(body)
    })
    const why = undocumented(path, answer)
    if (why !== undefined) throw new Error(`${path}: ${why}: ${answer.text.slice(0, 500)}`)
    return answer
  }
  return {
    ask,
    async get<T>(path: string, asked?: Asked): Promise<T> {
      const { status, text } = await ask(path, asked)
      if (status !== 200) throw new Error(`${path} is answered with ${status}: ${text}`)
      return JSON.parse(text) as T
    },
  }
}

const { paths, components } = openApi()

/** Why this cannot be an answer, by the OpenAPI document; undefined: it can, or stands in no document. */
function undocumented(asked: string, { status, headers, text }: Answer): string | undefined {
  const path = asked.split('?')[0] ?? ''
  const type = headers['content-type']
  if (type === 'application/problem+json') {
    const why = misfit(JSON.parse(text || '{}'), components.schemas.Problem, 'problem')
    if (text !== '' && why !== undefined) return why
  }
  const found = Object.entries(paths).find(([template]) => {
    return new RegExp(`^${template.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path)
  })
  if (found === undefined) return undefined
  const responses: Readonly<Record<string, unknown>> = found[1].get.responses
  if (responses[status] === undefined) return `${status} is not documented`
  if (status !== 200 || text === '') return undefined
  const { schema } = found[1].get.responses[200].content['application/json']!
  return '$ref' in schema ? 'it has no shape' : misfit(JSON.parse(text), schema, 'answer')
}
