import { type Brought, publishFiles, termsAsked } from '../publishing/index.ts'
import { usage } from '../terminal/index.ts'
import { withService } from './service.ts'
import type { Published, PublishOptions } from './types.ts'

export function publishForProgram(options: PublishOptions): Promise<readonly Published[]> {
  return withService(options, async ({ paths, config, asking }) => {
    const { files, wait = false, timeoutMs = Number.POSITIVE_INFINITY } = options
    if (!Array.isArray(files)) throw usage('files must be a list of paths')
    if (!(timeoutMs >= 0)) throw usage(`timeoutMs must be a number from 0 on, got ${timeoutMs}`)
    const { rejectLines, parent, usedAt } = options
    const called = { rejectLines: 'rejectLines', parent: 'parent', usedAt: 'usedAt' }
    const terms = termsAsked({ rejectLines, parent, usedAt: usedAtText(usedAt) }, called)
    const refused = new Map<string, Published>()
    const brought = new Map<string, Published>()
    await publishFiles(
      files,
      {
        ...{ paths, config, timeoutMs: wait ? timeoutMs : undefined },
        ...(terms && { terms }),
        ...{ meanwhile: asking.meanwhile, signal: asking.signal },
        onRefused: (file, error) => void refused.set(file, { file, outcome: 'refused', error }),
      },
      one => void brought.set(one.path, publishedOf(one)),
    )
    return files.flatMap(file => brought.get(file) ?? refused.get(file) ?? [])
  })
}

/** A Date is a text with its zone. */
function usedAtText(usedAt: PublishOptions['usedAt']): string | undefined {
  if (!(usedAt instanceof Date)) return usedAt
  return Number.isNaN(usedAt.getTime()) ? 'Invalid Date' : usedAt.toISOString()
}

function publishedOf({ path, file, outcome, reasons = [], aside }: Brought): Published {
  const { sha256, name, sizeBytes } = file
  return {
    ...{ file: path, outcome: outcome ?? 'queued', sha256, name, sizeBytes, reasons },
    ...{ rejectedLines: aside?.lines ?? 0, rejects: aside?.path },
  }
}
