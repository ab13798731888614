import { count, fields, list, orNull, sha256, text, time } from '../../command-table/index.ts'
import { listQuarantined, type QuarantinedFacts } from '../../publishing/index.ts'
import { LIMIT_DEFAULT, limit, textParam } from '../params.ts'
import { route } from '../route.ts'

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

export const quarantine = route({
  path: '/api/v1/quarantine',
  summary: 'what stands in quarantine/, and why, in the order of the names there',
  cost: 'directory',
  params: { after: textParam('goes on behind this entry', 255), limit },
  answer: fields({
    files: list(
      fields(
        {
          ...{ entry: text('its name in quarantine/'), name: text('as its maker called it') },
          ...{ size: count('bytes'), reason: orNull(text(), 'null: nothing beside it tells') },
        },
        {
          ...{ sha256, time: time('when it was put there'), whatNow: text('what to do') },
          badLine: fields(
            { line: count(), offset: count('bytes before it') },
            {
              byte: count('of the line, from 1'),
              text: text('as far as it is kept, · for others'),
            },
          ),
        },
      ),
    ),
    next: orNull(text('to go on from there; null: this is all')),
  }),
  problems: [],
  async run({ after = '', limit = LIMIT_DEFAULT }, { paths }) {
    const found = await listQuarantined(paths, after, limit)
    const page = found.slice(0, limit)
    const next = found.length > limit ? (page.at(-1)?.entry ?? null) : null
    return { files: page.map(factsJson), next }
  },
})

/** Whatever a sidecar says that is not what we write there is left out. */
function factsJson({ entry, name, sha256, sizeBytes, fields }: QuarantinedFacts) {
  const { reason, quarantinedAt, whatNow } = fields
  const isTime = typeof quarantinedAt === 'string' && ISO.test(quarantinedAt)
  return {
    ...{
      entry,
      name,
      size: sizeBytes,
      reason: typeof reason === 'string' ? bounded(reason) : null,
    },
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(isTime ? { time: quarantinedAt } : {}),
    ...(typeof whatNow === 'string' ? { whatNow: bounded(whatNow) } : {}),
    ...badLineJson(fields),
  }
}

function badLineJson({
  line,
  lineOffset,
  byteInLine,
  firstBytes,
}: QuarantinedFacts['fields']): object {
  if (!isCount(line) || !isCount(lineOffset)) return {}
  return {
    badLine: {
      ...{ line, offset: lineOffset },
      ...(isCount(byteInLine) ? { byte: byteInLine } : {}),
      ...(typeof firstBytes === 'string' ? { text: bounded(firstBytes) } : {}),
    },
  }
}

/** Ours are shorter. */
function bounded(text: string): string {
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text
}

const TEXT_MAX = 2_000

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}
