/** The OpenAPI document, made from the routes. */

import type { Shape } from '../command-table/index.ts'
import { programVersion } from '../program-version.ts'
import { ROUTES } from './api/routes.ts'
import { PROBLEM } from './problem.ts'
import type { Route } from './route.ts'

/** Any request may meet them. */
const COMMON_PROBLEMS = [400, 401, 405, 421, 500, 503]

export function openApi() {
  return {
    openapi: '3.1.0',
    info: {
      title: 'countersink',
      version: programVersion(),
      description:
        'What a service says of itself, of files and of consumers. Everything is read, nothing is changed. Ids and amounts are strings of digits: they may be past what a number of JSON holds. Times are UTC. Fields may be added within v1; none is taken away or changed.',
    },
    paths: Object.fromEntries(ROUTES.map(route => [route.path, { get: operation(route) }])),
    components: {
      schemas: { Problem: PROBLEM },
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
    security: [{}, { token: [] }],
  }
}

function operation({ path, summary, params, answer, problems }: Route) {
  const statuses = [...new Set([...problems, ...COMMON_PROBLEMS])].sort((a, b) => a - b)
  return {
    operationId: operationId(path),
    summary,
    parameters: Object.entries(params).map(([name, { in: place, help, schema }]) => ({
      ...{ name, in: place, description: help, required: place === 'path', schema },
    })),
    responses: {
      200: content('the answer', 'application/json', answer),
      304: { description: 'it is what If-None-Match names' },
      ...Object.fromEntries(statuses.map(status => [status, PROBLEM_ANSWER])),
    },
  }
}

const PROBLEM_ANSWER = content('why there is no answer', 'application/problem+json', {
  $ref: '#/components/schemas/Problem',
})

function content(description: string, type: string, schema: Shape | { readonly $ref: string }) {
  return { description, content: { [type]: { schema } } }
}

/** `/api/v1/files/{sha256}` is `filesBySha256`. */
function operationId(path: string): string {
  return path
    .replace('/api/v1/', '')
    .replaceAll(/\/?\{(\w)(\w*)\}/g, (_, first, rest) => `By${first.toUpperCase()}${rest}`)
    .replaceAll(/\/(\w)/g, (_, first) => first.toUpperCase())
}
