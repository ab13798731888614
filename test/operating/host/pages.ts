import { readFileSync } from 'node:fs'
import { ROOT } from '../../helpers/root.ts'

/** A fenced part of a page. */
export interface Block {
  /** The word behind the fence; empty: none. */
  readonly language: string
  readonly text: string
}

/** The fenced blocks of a page in the project's root, by the `##` section that they stand in. */
export function blocksOf(page: string): ReadonlyMap<string, readonly Block[]> {
  const sections = new Map<string, Block[]>()
  const parts = readPage(page).split(/^## (.+)$/m)
  for (let at = 1; at < parts.length; at += 2) {
    const fenced = [...(parts[at + 1] ?? '').matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
    const blocks = fenced.map(([, language = '', text = '']) => ({ language, text }))
    if (blocks.length > 0) sections.set(parts[at] ?? '', blocks)
  }
  return sections
}

/** The text of all sections, or of those of these names. */
export function sectionsOf(page: string, names: RegExp = /^/): string {
  const parts = readPage(page).split(/^## (.+)$/m)
  return parts.filter((_, at) => at > 0 && at % 2 === 0 && names.test(parts[at - 1] ?? '')).join('')
}

export function readPage(page: string): string {
  return readFileSync(`${ROOT}${page}`, 'utf8')
}
