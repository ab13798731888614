import { type Brought, publishFiles } from '../publishing/index.ts'
import { usage } from '../terminal/index.ts'
import { withService } from './service.ts'
import type { Published, PublishOptions } from './types.ts'

export function publishForProgram(options: PublishOptions): Promise<readonly Published[]> {
  return withService(options, async ({ paths, config, asking }) => {
    const { files, wait = false, timeoutMs = Number.POSITIVE_INFINITY } = options
    if (!Array.isArray(files)) throw usage('files must be a list of paths')
    if (!(timeoutMs >= 0)) throw usage(`timeoutMs must be a number from 0 on, got ${timeoutMs}`)
    const refused = new Map<string, Published>()
    const brought = new Map<string, Published>()
    await publishFiles(
      files,
      {
        ...{ paths, config, timeoutMs: wait ? timeoutMs : undefined },
        ...{ meanwhile: asking.meanwhile, signal: asking.signal },
        onRefused: (file, error) => void refused.set(file, { file, outcome: 'refused', error }),
      },
      one => void brought.set(one.path, publishedOf(one)),
    )
    return files.flatMap(file => brought.get(file) ?? refused.get(file) ?? [])
  })
}

function publishedOf({ path, file, outcome, reasons = [] }: Brought): Published {
  const { sha256, name, sizeBytes } = file
  return { file: path, outcome: outcome ?? 'queued', sha256, name, sizeBytes, reasons }
}
