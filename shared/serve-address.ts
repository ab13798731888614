/** Where something is served: `127.0.0.1:8321`, `[::1]:8321`, `stats.example:8321`, `unix:/run/stats.sock`. */

import { BlockList, isIP } from 'node:net'
import { SOCKET_PATH_BYTES_MAX } from './limits.ts'

export type ServeAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

export const SERVE_DEFAULT = '127.0.0.1:8321'
export const SERVE_FORM = 'HOST:PORT, [IPv6]:PORT or unix:PATH with a path from / on'

const HOST = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})?)):(\d{1,5})$/
/** Behind it there is room for the name under which a socket is bound first. */
const UNIX_PATH_BYTES_MAX = SOCKET_PATH_BYTES_MAX - 8

/** undefined: it is no such address. Port 0 is any that is free. */
export function parseServeAddress(text: string): ServeAddress | undefined {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length)
    const isFit = path.startsWith('/') && !path.endsWith('/') && !path.includes('\0')
    return isFit && Buffer.byteLength(path) <= UNIX_PATH_BYTES_MAX
      ? { kind: 'unix', path }
      : undefined
  }
  const [, six, name, digits] = HOST.exec(text) ?? []
  const host = six ?? name
  const port = Number(digits)
  if (host === undefined || !(port <= 65_535)) return undefined
  if (six !== undefined && isIP(six) !== 6) return undefined
  // Digits and dots alone are meant to be an address.
  if (name !== undefined && /^[\d.]+$/.test(name) && isIP(name) !== 4) return undefined
  return { kind: 'tcp', host: host.toLowerCase(), port }
}

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')

/** Whether only this machine can reach it. A name other than localhost may be anything tomorrow. */
export function isOfThisMachine(address: ServeAddress): boolean {
  if (address.kind === 'unix') return true
  const { host } = address
  const version = isIP(host)
  if (version === 0) return host === 'localhost'
  return LOOPBACK.check(host, version === 6 ? 'ipv6' : 'ipv4')
}

export function addressText(address: ServeAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  return hostAndPort(address.host, address.port)
}

export function hostAndPort(host: string, port: number): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`
}

/** As a browser is told it. */
export function servedPlace(address: string): string {
  return address.startsWith('unix:') ? address : `http://${address}`
}
