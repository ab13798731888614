import { hasCode } from '../../shared/errors.ts'
import { processIdentity } from '../../shared/lifecycle.ts'
import { type Command, DIR_HELP, EXIT, environment, parseOptions } from '../cli.ts'
import { type PublishedFile, publishFile } from '../publication.ts'
import { SettlementWatch } from '../settlement-watch.ts'
import { print } from '../sources.ts'

export const publish: Command = {
  name: 'publish',
  summary: 'bring existing files into the inbox',
  help: `
Usage: countersink publish [--dir D] FILE… [--wait]

Copies each file (the source is never touched), writes its manifest, renames it into the inbox and
announces it. Prints a line per file: applied|duplicate|quarantined|queued SHA256 BASENAME.
Works while the parser is down: the files are then taken at its next start.

Exit status: 0; 1 when a file was quarantined; 3 when a file could not be brought in.

${DIR_HELP}
  --wait             wait until each file is settled, and say how
`,
  async run(args) {
    const { values, positionals } = parseOptions(
      args,
      { wait: { type: 'boolean', default: false } },
      { min: 1, max: Number.POSITIVE_INFINITY, what: 'a file to publish' },
    )
    const { paths } = environment(values.dir)
    const owner = processIdentity(process.pid)!
    const watch = new SettlementWatch(paths.parserSocket)
    let status: number = EXIT.ok
    try {
      const published: PublishedFile[] = []
      for (const file of positionals) {
        try {
          const one = await publishFile(file, paths, owner)
          published.push(one)
          await watch.announce(one)
        } catch (error) {
          if (!hasCode(error, 'FILE_UNFIT', 'IO_FAILED')) throw error
          process.stderr.write(`countersink publish: ${(error as Error).message}\n`)
          status = EXIT.cannot
        }
      }
      for (const file of published) {
        const outcome = values.wait ? await watch.outcomeOf(file) : 'queued'
        await print(`${outcome} ${file.sha256} ${file.basename}\n`)
        if (outcome === 'quarantined' && status === EXIT.ok) status = EXIT.no
      }
      if (watch.isParserDown) {
        process.stderr.write('(the parser is not running; it takes the files at its next start)\n')
      }
    } finally {
      watch.close()
    }
    return status
  },
}
