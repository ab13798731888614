/**
 * The page: the files of `page/`, read once at the start. Nothing else of the disk can be asked for by a path.
 * What `index.html` names is named with the hash of its content, so that a browser may keep it for ever.
 */

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { hasCode } from '../../shared/errors.ts'

export interface PageFile {
  readonly type: string
  readonly body: Buffer
  /** Of its content. */
  readonly hash: string
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.txt': 'text/plain; charset=utf-8',
}

/** Nothing but our own files and answers; the page's script decides nothing about that. */
export const PAGE_POLICY = [
  ...["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"],
  ...["img-src 'self' data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
].join('; ')

/** By path: `/`, `/page.js`. */
export type PageFiles = ReadonlyMap<string, PageFile>

export function readPage(directory = fileURLToPath(new URL('page/', import.meta.url))): PageFiles {
  const files = new Map<string, PageFile>()
  for (const name of namesIn(directory)) {
    const type = TYPES[extname(name)]
    if (type === undefined) continue
    const body = readFileSync(join(directory, name))
    files.set(`/${name}`, { type, body, hash: hashOf(body) })
  }
  const index = files.get('/index.html')
  if (index !== undefined) {
    const text = withHashes(index.body.toString('utf8'), files)
    files.delete('/index.html')
    files.set('/', { type: index.type, body: Buffer.from(text), hash: hashOf(text) })
  }
  return files
}

/** A build without a page has the API all the same. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return []
    throw error
  }
}

function withHashes(html: string, files: PageFiles): string {
  return html.replaceAll(/\b(src|href)="\/?([\w.-]+)"/g, (found, attribute, name) => {
    const file = files.get(`/${name}`)
    return file === undefined ? found : `${attribute}="/${name}?v=${file.hash}"`
  })
}

function hashOf(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('base64url').slice(0, 16)
}
