/**
 * Where this page is: what stands behind the `#` of its address, so that each view can be kept, sent to
 * somebody and gone back to. `#/files?name=usage&after=17` is the view `files` with two words for it.
 */

export interface Route {
  readonly view: string
  /** `#/consumer/4711`: what the view is of. */
  readonly of: string | undefined
  readonly query: Readonly<Record<string, string>>
}

export function routeOf(hash: string): Route {
  const [path = '', search = ''] = hash.replace(/^#\/?/, '').split(/\?(.*)/s)
  const [view = '', of] = path.split('/')
  const query = Object.fromEntries(new URLSearchParams(search))
  return { view, of: of === undefined || of === '' ? undefined : decoded(of), query }
}

/** The same place with other words; what is empty is left out. */
export function addressOf(
  view: string,
  of: string | undefined,
  query: Readonly<Record<string, string | undefined>> = {},
): `#/${string}` {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '')
  const search = new URLSearchParams(given as [string, string][]).toString()
  const path = of === undefined ? view : `${view}/${encodeURIComponent(of)}`
  return `#/${path}${search === '' ? '' : `?${search}`}`
}

/** Somebody has typed it: a `%` alone is one. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
