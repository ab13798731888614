import { PICTURE_SHAPE, statusPicture } from '../../answers/index.ts'
import { serviceDatabase } from '../../mariadb/index.ts'
import { route } from '../route.ts'

export const status = route({
  path: '/api/v1/status',
  summary: 'what runs, the queue, the database and counts: what "status --json" says',
  cost: 'parser',
  params: {},
  answer: PICTURE_SHAPE,
  problems: [],
  async run(_given, { paths, asking }) {
    // As the command line has it, which reads the configuration at each question.
    const url = await serviceDatabase(paths, asking.env).then(
      ({ config }) => config.databaseUrl,
      () => 'its password is not kept',
    )
    return statusPicture(paths, url === '' ? 'private' : 'yours')
  },
})
