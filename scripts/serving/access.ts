/**
 * Who may ask. Whoever is on this machine needs no password, unless there is one; others do.
 *
 * A page of a stranger can have its name point to this machine (DNS rebinding), and its script then asks here
 * as if it were one of ours. Its requests still carry its name as `Host`, so only our own names are answered.
 */

import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import type { ServeAddress } from '../../shared/serve-address.ts'
import { SETTINGS } from '../../shared/settings.ts'
import { Problem } from './problem.ts'

/** @throws Problem HOST_NOT_KNOWN (421) */
export function refuseOtherNames(request: IncomingMessage, address: ServeAddress): void {
  // No browser reaches a socket in the file system.
  if (address.kind === 'unix') return
  const [host, another] = request.headersDistinct.host ?? []
  const name = host === undefined || another !== undefined ? undefined : hostName(host)
  const names = ['localhost', '127.0.0.1', '::1', address.host, request.socket.localAddress]
  if (name !== undefined && names.includes(name)) return
  throw new Problem(
    421,
    'HOST_NOT_KNOWN',
    'this is not the name that is served here',
    'Ask by the address that it listens at, or by localhost.',
  )
}

/** Without its port; undefined: it is no name of a host. */
function hostName(host: string): string | undefined {
  const [, six, name] = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::\d{1,5})?$/i.exec(host) ?? []
  if (six !== undefined) return isIP(six) === 6 ? six.toLowerCase() : undefined
  return name?.toLowerCase().replace(/\.$/, '')
}

/** @throws Problem TOKEN_NEEDED (401) */
export function refuseWithoutToken(request: IncomingMessage, token: string | undefined): void {
  if (token === undefined) return
  const [, given] = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '') ?? []
  if (given !== undefined && isSame(given, token)) return
  throw new Problem(
    401,
    'TOKEN_NEEDED',
    given === undefined ? 'a password is needed' : 'this is not the password',
    `Send "Authorization: Bearer …" with what stands in the file that ${SETTINGS.serveTokenFile.variable} names.`,
  )
}

/** In a time that tells nothing of either. */
function isSame(one: string, other: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(one), digest(other))
}
