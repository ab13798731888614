import { type ContentRecord, decodeContent, encodeContent } from './records.ts'
import type { Tables } from './tables.ts'

/**
 * What the journal says of contents, by their hash: under which number one was counted, which file had
 * it last, and which entry of the queue claims it. A hint: the ledger decides. All of it is called
 * within a transaction, and durable with that.
 */

const UNKNOWN: ContentRecord = { applied: 0, last: 0, claim: 0 }

export function contentOf(tables: Tables, sha256: Uint8Array): ContentRecord | undefined {
  const record = tables.contents.get(Buffer.from(sha256))
  return record && decodeContent(record)
}

/** An entry claims this content, unless another has. */
export function claimContent(tables: Tables, sha256: Uint8Array, sequence: number): void {
  const content = contentOf(tables, sha256) ?? UNKNOWN
  if (content.claim === 0) put(tables, sha256, { ...content, claim: sequence })
}

/** An entry claims this content no longer. */
export function letContentGo(tables: Tables, sha256: Uint8Array, sequence: number): void {
  const content = contentOf(tables, sha256)
  if (content?.claim === sequence) put(tables, sha256, { ...content, claim: 0 })
}

/** A file of this content has come to its end, under this number of the history. */
export function recordContent(
  tables: Tables,
  sha256: Uint8Array,
  file: { readonly number: number; readonly isApplied: boolean; readonly sequence: number },
): void {
  const content = contentOf(tables, sha256) ?? UNKNOWN
  put(tables, sha256, {
    applied: file.isApplied ? file.number : content.applied,
    last: file.number,
    claim: content.claim === file.sequence ? 0 : content.claim,
  })
}

/** It is not counted, whatever was said before. */
export function unlearnContent(tables: Tables, sha256: Uint8Array): void {
  const content = contentOf(tables, sha256)
  if (content !== undefined) put(tables, sha256, { ...content, applied: 0 })
}

function put(tables: Tables, sha256: Uint8Array, content: ContentRecord): void {
  tables.contents.putSync(Buffer.from(sha256), encodeContent(content))
}
