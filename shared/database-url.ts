import { nearest } from './nearest.ts'

/**
 * A MariaDB as its users write it:
 * `mariadb://user:password@host:port,host2:port/database?ssl=verify-full&ca=FILE`. Nothing in it is ignored:
 * what is not known is refused, as a misspelt `ssl` would send the password in clear.
 */
export interface DatabaseUrl {
  readonly host: string
  readonly port: number
  /** Instead of host and port. */
  readonly socketPath: string | undefined
  readonly user: string
  readonly password: string
  readonly database: string
  readonly tls: Tls | undefined
}

export interface Tls {
  /**
   * - **required**: encrypted, to whoever answers. **verify-ca**: to whom the authority vouches for.
   * - **verify-full**: and under this host's name.
   */
  readonly mode: 'required' | 'verify-ca' | 'verify-full'
  /** Files in PEM, read at each connection. Without `ca`: the authorities that Node knows. */
  readonly ca: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
}

export const DATABASE_URL_FORM = 'mariadb://user:password@host:port/database'

const SCHEMES = ['mariadb:', 'mysql:']
const PARAMETERS = ['socketPath', 'ssl', 'ca', 'cert', 'key'] as const
const TLS_MODES = ['required', 'verify-ca', 'verify-full'] as const
const DEFAULT_PORT = 3306

/** Scheme, login with its @, hosts, and what is behind them. */
const PARTS = /^([a-z][a-z0-9+.-]*:\/\/)((?:[^/?#]*@)?)([^/?#@]*)(.*)$/is
const HOSTS_MAX = 16

/** The same URL for each host that it names; one that names none, or a socket, stays as it is. */
export function oneUrlPerHost(text: string): readonly string[] {
  const [, scheme, login, hosts, rest] = PARTS.exec(text) ?? []
  return hosts?.split(',').map(host => `${scheme}${login}${host}${rest}`) ?? [text]
}

/** What is not secret in it: all but the password. */
export function withoutPassword(text: string): string {
  const urls = oneUrlPerHost(text).map(one => new URL(one))
  for (const url of urls) url.password = ''
  const [, scheme, login, , rest] = PARTS.exec(urls[0]?.href ?? '') ?? []
  return `${scheme}${login}${urls.map(({ host }) => host).join(',')}${rest}`
}

/**
 * @returns it (of several hosts the first), or why it cannot be one, in words that hold nothing secret.
 */
export function parseDatabaseUrl(text: string): DatabaseUrl | { readonly wrong: string } {
  const urls = oneUrlPerHost(text)
  const parsed: DatabaseUrl[] = []
  for (const url of urls.slice(0, HOSTS_MAX)) {
    const one = parseOneHost(url)
    if ('wrong' in one) return one
    const isTwice = parsed.some(({ host, port }) => host === one.host && port === one.port)
    if (isTwice) return { wrong: `it names ${one.host}:${one.port} twice` }
    if (urls.length > 1 && one.socketPath !== undefined) {
      return { wrong: 'it names several hosts, and a socketPath instead of them' }
    }
    parsed.push(one)
  }
  if (urls.length > HOSTS_MAX) return { wrong: `it names more than ${HOSTS_MAX} hosts` }
  return parsed[0] ?? { wrong: 'it names no host' }
}

/** Whether nothing of a network is on the way to it. */
export function isOnThisHost({ host, socketPath }: DatabaseUrl): boolean {
  return socketPath !== undefined || /^(localhost|127\..*|::1)$/.test(host)
}

function parseOneHost(text: string): DatabaseUrl | { readonly wrong: string } {
  if (!URL.canParse(text)) return { wrong: 'it cannot be read as a URL' }
  const url = new URL(text)
  if (!SCHEMES.includes(url.protocol)) {
    // Without them the text before the colon may be anything, also a password.
    const isScheme = text.trim().startsWith(`${url.protocol}//`)
    return {
      wrong: isScheme ? `it begins with ${url.protocol}//` : 'it does not begin with mariadb://',
    }
  }
  const parts = [url.username, url.password, url.pathname.slice(1)].map(decoded)
  const [user, password, database] = parts
  if (user === undefined || password === undefined || database === undefined) {
    return { wrong: 'a % in it is not followed by two hexadecimal digits' }
  }
  if (database === '') return { wrong: 'it names no database' }
  if (url.hash !== '') return { wrong: 'it has a # that is not written as %23' }
  const given = [...url.searchParams.keys()]
  for (const name of given) {
    const wrong = wrongParameter(name, given)
    if (wrong !== undefined) return { wrong }
  }
  const tls = tlsOf(url.searchParams)
  if (tls !== undefined && 'wrong' in tls) return tls
  // The driver takes 0 for its default.
  if (url.port === '0') return { wrong: 'its port is none from 1 to 65535' }
  const socketPath = url.searchParams.get('socketPath') ?? undefined
  if (socketPath === undefined && url.hostname === '') return { wrong: 'it names no host' }
  return {
    // A literal address of IPv6 stands in brackets only in a URL.
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? DEFAULT_PORT : Number(url.port),
    ...{ socketPath, user, password, database, tls },
  }
}

const PLACE = /^[\w.:,[\]-]+(\/[\w.%-]*(\?[\w=&*]*)?)?$/

/** A URL, however wrong, without what may be secret in it: for a refusal. */
export function maskedUrl(text: string): string {
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(text)?.[0] ?? ''
  const rest = text.slice(scheme.length)
  // A password that is not percent-encoded may have an @ itself.
  const at = rest.lastIndexOf('@')
  const place = rest.slice(at + 1).replace(/([?&][^=&]*=)[^&]*/g, '$1***')
  // What looks like no place may be a password alone, or a part of one, or of any file.
  if (scheme === '' || at === -1 || !PLACE.test(place)) return `${scheme}***`
  return `${scheme}***@${place}`
}

function wrongParameter(name: string, given: readonly string[]): string | undefined {
  if (!PARAMETERS.some(known => known === name)) {
    const near = nearest(name, PARAMETERS)
    const hint =
      near === undefined ? `known are ${PARAMETERS.join(', ')}` : `is ${near} what is meant?`
    return `its parameter ${JSON.stringify(name)} is not known: ${hint}`
  }
  return given.indexOf(name) === given.lastIndexOf(name) ? undefined : `${name} is given twice`
}

function tlsOf(parameters: URLSearchParams): Tls | { readonly wrong: string } | undefined {
  const [ca, cert, key] = (['ca', 'cert', 'key'] as const).map(name => {
    return parameters.get(name) ?? undefined
  })
  const text = parameters.get('ssl') ?? 'false'
  if (text === 'false') {
    const unused = ca ?? cert ?? key
    return unused === undefined ? undefined : { wrong: 'it has ca, cert or key, but no ssl' }
  }
  const mode = text === 'true' ? 'verify-full' : TLS_MODES.find(one => one === text)
  if (mode === undefined) {
    return { wrong: `its ssl is none of false, true, ${TLS_MODES.join(', ')}` }
  }
  if ((cert === undefined) !== (key === undefined)) {
    return { wrong: 'cert and key belong together, and one is missing' }
  }
  return { mode, ca, cert, key }
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}
