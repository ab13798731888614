import type { StatePaths } from '../../shared/paths.ts'
import type { TrailAnswer, TrailFile } from '../../shared/protocol.ts'
import { whatBecameOf, withConsumer } from '../asking/index.ts'
import {
  fileOfTrail,
  filesOfAnswer,
  placeOf,
  stepsOf,
  tellConsumer,
  verdictOf,
} from '../reports/index.ts'
import { usage } from '../terminal/index.ts'
import { settledFile } from './questions.ts'
import { withService } from './service.ts'
import type {
  ExplainConsumerOptions,
  ExplainedConsumer,
  ExplainedFile,
  ExplainFileOptions,
  NamedFile,
} from './types.ts'

export function explainFileForProgram(options: ExplainFileOptions): Promise<ExplainedFile> {
  return withService(options, async ({ paths, asking }) => {
    const { subject } = options
    if (typeof subject !== 'string' || subject === '') {
      throw usage(`a file, a name or a SHA-256 must be given, got ${JSON.stringify(subject)}`)
    }
    const found = await whatBecameOf(paths, subject, asking)
    switch (found.kind) {
      case 'inbox': {
        const { name, manifest } = found.there
        return { kind: 'inbox', name, sha256: manifest?.sha256 }
      }
      case 'unknown': {
        const named = found.file?.named ?? {}
        return { kind: 'unknown', namesakes: filesOfAnswer(named).map(namedFile) }
      }
      case 'told':
        return explained(found.answer, paths)
    }
  })
}

async function explained(
  { trail, several = [], hasMore, ledgerSilentBecause }: TrailAnswer,
  paths: StatePaths,
): Promise<ExplainedFile> {
  if (trail === undefined) {
    return { kind: 'several', files: several.map(namedFile), hasMore: hasMore === true }
  }
  return {
    ...{ kind: 'content', name: fileOfTrail(trail).name, sha256: trail.sha256 },
    isCounted: trail.ledger?.state === 'applied',
    outcome: verdictOf(trail, ledgerSilentBecause !== undefined),
    path: await placeOf(trail, paths),
    steps: stepsOf(trail).map(({ what, atMs, note }) => ({ step: what, atMs, note })),
    settled: trail.settled.map(settledFile),
    sightings: trail.sightings.map(({ name, outcome, reason, atMs }) => ({
      ...{ name, outcome, reason, atMs },
    })),
    ledgerSilentBecause,
  }
}

function namedFile({ name, sha256, state, atMs }: TrailFile): NamedFile {
  return { name, sha256, state, atMs }
}

export function explainConsumerForProgram(
  options: ExplainConsumerOptions,
): Promise<ExplainedConsumer> {
  return withService(options, async ({ paths, asking }) => {
    const { consumer: id } = options
    const { sinceMs = Number.NEGATIVE_INFINITY, untilMs = Number.POSITIVE_INFINITY } = options
    if (typeof id !== 'bigint' || id < 0n || id >= 2n ** 64n) {
      throw usage(`consumer must be a bigint from 0n to 18446744073709551615n, got ${id}`)
    }
    if (!(sinceMs < untilMs)) throw usage('sinceMs must be before untilMs')
    const told: ExplainedConsumer['postings'][number][] = []
    const nothing = async (): Promise<void> => {}
    return withConsumer(
      paths,
      id,
      async account => {
        const { opening } = account
        const { postings, expected, total, difference } = await tellConsumer(
          account,
          { sinceMs, untilMs },
          {
            ...{ opening: nothing, outside: nothing, end: nothing },
            posting: async ({ atMs, isBatchOpen, amount, name, sha256, order }, runningTotal) => {
              const posting = { atMs, isBatchOpen, amount, runningTotal, name }
              const asked = { order: order?.kind, reason: order?.reason }
              told.push({ ...posting, sha256: sha256.toString('hex'), ...asked })
            },
          },
        )
        const addsUp = difference === undefined ? undefined : difference === 0n
        return {
          ...{ kind: 'consumer', id, opening, postings: told, postingsCount: postings },
          ...{ expected, total, addsUp },
        }
      },
      asking,
    )
  })
}
