/** All that the API answers. */

import type { Route } from '../route.ts'
import { consumer } from './consumer.ts'
import { files } from './files.ts'
import { quarantine } from './quarantine.ts'
import { status } from './status.ts'
import { timeline } from './timeline.ts'
import { consumerUsage, topUsage, usage } from './usage.ts'
import { verify } from './verify.ts'

export const ROUTES: readonly Route[] = [
  ...[status, files, timeline, consumer, consumerUsage, usage, topUsage, quarantine, verify],
]

export interface Found {
  readonly route: Route
  /** What stands in the path, decoded. */
  readonly path: Readonly<Record<string, string>>
}

/** undefined: there is nothing of this path. */
export function findRoute(path: string): Found | undefined {
  for (const route of ROUTES) {
    const found = match(route.path, path)
    if (found !== undefined) return { route, path: found }
  }
  return undefined
}

function match(template: string, path: string): Record<string, string> | undefined {
  const wanted = template.split('/')
  const given = path.split('/')
  if (wanted.length !== given.length) return undefined
  const found: Record<string, string> = {}
  for (const [i, word] of wanted.entries()) {
    const [, name] = /^\{(\w+)\}$/.exec(word) ?? []
    const text = decoded(given[i] ?? '')
    if (text === undefined || (text === '' && word !== '')) return undefined
    if (name !== undefined) found[name] = text
    else if (word !== text) return undefined
  }
  return found
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    // A percent sign that encodes nothing: no path of ours.
    return undefined
  }
}
