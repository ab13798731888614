/** What runs, for how long and how often anew; the database; the last proof; which version this is. */

import type { LastProof, Process, Status } from './answers.ts'
import { h } from './dom.ts'
import { type Metrics, metricsOf, versionOf } from './metrics.ts'
import { amountText, empty, facts, table, timeText, words } from './parts.ts'
import { lastProof } from './proof.ts'
import { section } from './section.ts'
import { bytesText, durationText, grouped } from './text.ts'
import type { View } from './view.ts'

export function health(): View {
  return {
    title: 'Health',
    head: [],
    sections: [
      section(
        'processes',
        'Processes',
        api => api.get<Status>('status'),
        status => [table('Processes', PROCESSES, processesOf(status)), databaseFacts(status)],
      ),
      section('host', 'This host', async api => metricsOf(await api.text('metrics')), hostNodes),
      section('proof', 'Last proof', lastProof, proofNodes),
    ],
  }
}

interface Named extends Process {
  readonly name: string
}

function processesOf({ supervisor, parser, generator, serving, database }: Status): Named[] {
  const { state, pid = null, restarts = 0, reason } = database
  return [
    { name: 'supervisor', ...supervisor },
    { name: 'parser', ...parser },
    { name: 'generator', ...generator },
    ...(serving === undefined ? [] : [{ name: 'serving', ...serving }]),
    {
      ...{ name: 'database', state, pid, restarts, uptimeSeconds: null },
      ...(reason === undefined ? {} : { reason }),
    },
  ]
}

const PROCESSES = [
  { title: 'Process', isHead: true, of: ({ name }: Named) => name },
  {
    title: 'State',
    of: ({ state, reason }: Named) =>
      h('span', {}, state, reason === undefined ? undefined : h('small', {}, words(reason))),
  },
  {
    title: 'Up',
    isNumber: true,
    of: ({ uptimeSeconds }: Named) =>
      uptimeSeconds === null ? '\u2013' : durationText(uptimeSeconds * 1_000),
  },
  { title: 'Restarts', isNumber: true, of: ({ restarts }: Named) => grouped(restarts ?? 0) },
  {
    title: 'Event loop',
    isNumber: true,
    of: ({ eventLoopDelayMs }: Named) =>
      eventLoopDelayMs === undefined ? '\u2013' : `${eventLoopDelayMs} ms`,
  },
  { title: 'Pid', isNumber: true, of: ({ pid }: Named) => (pid === null ? '\u2013' : `${pid}`) },
]

function databaseFacts({ database, answeredBy }: Status): HTMLElement {
  const { kind, remembered, host } = database
  return facts(
    ['Database', words(kind === 'private' ? 'a private MariaDB' : (remembered ?? 'yours'))],
    ['On', host === undefined ? undefined : words(host)],
    ['Told by', answeredBy === null ? 'nobody' : `the ${answeredBy}`],
  )
}

function hostNodes(metrics: Metrics): readonly Node[] {
  const of = (name: string, text: (value: number) => string): string | undefined => {
    const value = metrics.get(`countersink_${name}`)
    return value === undefined ? undefined : text(value)
  }
  const seconds = (value: number): string => durationText(value * 1_000)
  const counts = (value: number): string => (value === 1 ? 'this parser' : 'another parser')
  return [
    facts(
      ['Free room', of('disk_free_bytes', bytesText)],
      ['Left alone', of('disk_reserve_bytes', bytesText)],
      ['Free inodes', of('disk_free_inodes', grouped)],
      ['Who counts', of('lease_held', counts)],
      ['Waiting longest', of('oldest_waiting_seconds', seconds)],
      ['Usage is behind by', of('usage_lag_seconds', seconds)],
      ['Version', versionOf(metrics)],
    ),
  ]
}

function proofNodes(proof: LastProof | null): readonly Node[] {
  if (proof === null) {
    return [
      empty(
        'Nothing was proved yet.',
        'countersink verify proves it, and this shows what it said.',
      ),
    ]
  }
  const { at, result, findings } = proof
  const { addsUp, full, totals, opening, counted, files, differences } = result
  const said = { true: 'It adds up.', false: 'It does not add up.', null: 'It cannot be said.' }
  return [
    h('p', { class: addsUp === false ? 'verdict bad' : 'verdict' }, said[`${addsUp}`]),
    facts(
      ['Proved', timeText(at)],
      ['How', full ? 'consumer by consumer' : 'as a whole'],
      ['Totals', totals === null ? undefined : amountText(totals)],
      ['Opening balance', opening === null ? undefined : amountText(opening)],
      ['Counted', counted === null ? undefined : amountText(counted)],
      ['Files', files === null ? undefined : grouped(files)],
      ['Totals that differ', differences === null ? undefined : grouped(differences)],
    ),
    h(
      'ul',
      { class: 'findings' },
      findings.map(({ check, text }) => h('li', {}, h('code', {}, check), ' ', words(text))),
    ),
  ]
}
