/**
 * What a person should look at, read out of what the service says of itself. The first are what stops
 * counting, the last what is only worth knowing.
 */

import type { LastProof, Quarantine, Status } from './answers.ts'
import { Problem } from './api.ts'
import { type Child, h, link } from './dom.ts'
import { nameText, words } from './parts.ts'
import { countOf, durationText } from './text.ts'

export interface Alarm {
  readonly isGrave: boolean
  readonly what: string
  readonly more: readonly Child[]
}

/** What is read for that; of the quarantine a few are enough. */
export interface Told {
  readonly status: Status
  /** null: nothing was proved yet. */
  readonly proof: LastProof | null | Problem
  readonly refused: Quarantine | Problem
}

/** Not at work and nobody wanted it otherwise. */
export const AT_WORK: readonly string[] = ['running', 'starting']

export function alarmsOf({ status, proof, refused }: Told): Alarm[] {
  const grave = (what: string, ...more: Child[]): Alarm => ({ isGrave: true, what, more })
  const worth = (what: string, ...more: Child[]): Alarm => ({ isGrave: false, what, more })
  const { parser, database, inboxAway, leftInInbox, held, orders, unmoved } = status
  const named = (files: readonly { name: string }[]): Child[] =>
    files.slice(0, 3).flatMap(({ name }, i) => [i > 0 ? ', ' : undefined, nameText(name)])
  const alarms: (Alarm | undefined | false)[] = [
    !AT_WORK.includes(parser.state) &&
      grave(`The parser is ${parser.state}`, parser.reason && words(parser.reason)),
    !isDatabaseThere(status) &&
      grave(`The database is ${database.state}`, database.reason && words(database.reason)),
    database.statement !== undefined &&
      grave(
        `A statement has waited for ${durationText(database.statement.ageSeconds * 1_000)}`,
        words(database.statement.waitsFor),
      ),
    AT_WORK.includes(parser.state) &&
      parser.reason !== undefined &&
      isDatabaseThere(status) &&
      grave('The parser waits', words(parser.reason)),
    inboxAway !== null && grave('The inbox cannot be looked into', words(inboxAway)),
    proof instanceof Problem
      ? worth('The last proof is not known', words(proof.message))
      : proof?.result.addsUp === false &&
        grave('The last proof did not add up', link('#/health', 'See what is wrong')),
    ...(unmoved && unmoved.files > 0
      ? [
          grave(
            `${countOf(unmoved.files, 'settled file')} cannot be moved`,
            ...named(unmoved.first),
          ),
        ]
      : []),
    ...(orders && orders.orders > 0
      ? [
          worth(
            `${countOf(orders.orders, 'order')} wait${orders.orders === 1 ? 's' : ''}`,
            ...orders.first.slice(0, 3).map(({ kind, why }) => words(`${kind}: ${why} `)),
          ),
        ]
      : []),
    ...(leftInInbox?.reasons ?? []).map(({ why, files, names }) =>
      worth(
        `${countOf(files, 'file')} left in the inbox`,
        words(`${why}: `),
        ...named(names.map(name => ({ name }))),
      ),
    ),
    held !== null &&
      held.files > 0 &&
      worth(`${countOf(held.files, 'file')} held until a person decides`, ...named(held.first)),
    quarantineAlarm(refused),
  ]
  return alarms.filter(alarm => alarm !== undefined && alarm !== false)
}

function quarantineAlarm(refused: Quarantine | Problem): Alarm | undefined {
  if (refused instanceof Problem) {
    const what = 'What is in quarantine is not known'
    return { isGrave: false, what, more: [words(refused.message)] }
  }
  const { files, next } = refused
  if (files.length === 0) return undefined
  const what = `${next === null ? '' : 'More than '}${countOf(files.length, 'file')} in quarantine`
  return { isGrave: false, what, more: [link('#/quarantine', 'See the reasons')] }
}

/** `running`, `unknown`: no parser says more. */
export function isDatabaseThere({ database }: Status): boolean {
  return !['unavailable', 'unfit'].includes(database.state)
}

export function alarmList(alarms: readonly Alarm[]): HTMLElement {
  if (alarms.length === 0) return h('p', { class: 'calm' }, 'Nothing needs you.')
  return h(
    'ul',
    { class: 'alarms' },
    alarms.map(({ isGrave, what, more }) =>
      h(
        'li',
        { class: isGrave ? 'grave' : 'worth' },
        h('strong', {}, isGrave ? h('span', { class: 'unseen' }, 'Alarm: ') : undefined, what),
        more.some(child => child !== undefined) ? h('span', { class: 'more' }, more) : undefined,
      ),
    ),
  )
}
