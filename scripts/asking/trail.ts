/**
 * What became of a file: one that stands there, or of a name, or a content.
 */

import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { parseArchivedName } from '../../shared/archive.ts'
import { describeError, hasCode } from '../../shared/errors.ts'
import { NAME_BYTES_MAX } from '../../shared/limits.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { quotedName } from '../../shared/printable.ts'
import type { TrailAnswer, TrailQuestion } from '../../shared/protocol.ts'
import { findTrail } from '../mariadb/index.ts'
import { findInInbox, hashFile, type InInbox } from '../publishing/index.ts'
import { type Asking, AT_TERMINAL, cannot, undecided, usage } from '../terminal/index.ts'

export type WhatBecame =
  | { readonly kind: 'told'; readonly question: TrailQuestion; readonly answer: TrailAnswer }
  /** Nobody has claimed it yet. */
  | { readonly kind: 'inbox'; readonly there: InInbox }
  | {
      readonly kind: 'unknown'
      /** In words. */
      readonly what: string
      /** Of a file that stands there: what came under its name. */
      readonly file?: {
        readonly name: string
        readonly sha256: string
        readonly named: TrailAnswer
      }
    }

/**
 * @param subject an existing path is a file; else it is a name, or at least 8 hex digits of a SHA-256.
 * @throws CountersinkError USAGE when it can be none of them; DATABASE_UNAVAILABLE, STOPPED, JOURNAL_IN_USE when it
 *   cannot be known now
 */
export async function whatBecameOf(
  paths: StatePaths,
  subject: string,
  asking: Asking = AT_TERMINAL,
): Promise<WhatBecame> {
  const sha256 = await hashOfPath(subject)
  if (sha256 === undefined && subject.includes('/')) {
    throw usage(
      `there is no file ${JSON.stringify(subject)}; one that has gone is asked for by its name alone`,
    )
  }
  const isHash = /^[0-9a-fA-F]{8,64}$/.test(subject)
  const questions: TrailQuestion[] = []
  if (sha256 !== undefined) questions.push({ kind: 'trail', prefix: sha256 })
  else if (isHash) questions.push({ kind: 'trail', prefix: subject.toLowerCase() })
  // Also of one that looks like a hash: a date, say. No file had a longer one.
  const isName = Buffer.byteLength(subject) <= NAME_BYTES_MAX
  if (sha256 === undefined && isName) questions.push({ kind: 'trail', name: subject })
  // As the archive has named it.
  const archived = sha256 === undefined ? parseArchivedName(subject) : undefined
  if (archived !== undefined) questions.push({ kind: 'trail', prefix: archived.hashPrefix })
  let silentBecause: string | undefined
  let unanswered: unknown
  for (const question of questions) {
    const answer: TrailAnswer = await findTrail(paths, question, asking).catch(error => {
      // The next question may have an answer.
      if (!hasCode(error, 'JOURNAL_IN_USE', 'STOPPED')) throw error
      unanswered ??= error
      return {}
    })
    silentBecause ??= answer.ledgerSilentBecause
    if (answer.trail !== undefined || answer.several !== undefined) {
      return { kind: 'told', question, answer }
    }
  }
  for (const question of questions) {
    const there = await findInInbox(paths, question)
    if (there !== undefined) return { kind: 'inbox', there }
  }
  if (unanswered !== undefined) throw unanswered
  const what =
    sha256 === undefined
      ? `${quotedName(subject)}: never seen`
      : `${quotedName(basename(subject))}: its content ${sha256} was never seen`
  if (silentBecause !== undefined) {
    throw undecided(`what became of ${quotedName(basename(subject))}`, 'never seen', silentBecause)
  }
  if (/^[0-9a-fA-F]{1,7}$/.test(subject) && sha256 === undefined) {
    throw usage(
      `no file of the name ${subject} was ever seen, and of a SHA-256 at least 8 digits are needed`,
    )
  }
  if (sha256 === undefined) return { kind: 'unknown', what }
  const name = basename(subject)
  const isPossible = Buffer.byteLength(name) <= NAME_BYTES_MAX
  const named = isPossible ? await findTrail(paths, { kind: 'trail', name }, asking) : {}
  return { kind: 'unknown', what, file: { name, sha256, named } }
}

/** undefined: no file stands there, or something that cannot be one is meant. */
async function hashOfPath(path: string): Promise<string | undefined> {
  const stats = await stat(path).catch(error => {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ENAMETOOLONG')) return undefined
    throw cannot(`${path} cannot be looked at: ${describeError(error)}`)
  })
  if (stats === undefined) return undefined
  if (!stats.isFile()) throw usage(`${path} is not a regular file`)
  try {
    return await hashFile(path)
  } catch (error) {
    throw cannot(`${path} cannot be read: ${describeError(error)}`)
  }
}
