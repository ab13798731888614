import { resolve } from 'node:path'
import { logsDirectory } from '../../shared/config-places.ts'
import { hasCode } from '../../shared/errors.ts'
import { type Finding, ofError } from '../../shared/findings.ts'
import { type StatePaths, statePaths } from '../../shared/paths.ts'
import { asJson, asText, examine, exitOf } from '../doctor/index.ts'
import { type Command, columnsOf, DIR_HELP, parseOptions, print } from '../terminal/index.ts'

export const doctor: Command = {
  name: 'doctor',
  summary: 'check whatever would keep the service from starting or counting, and say what mends it',
  help: `
Usage: countersink doctor [--dir D] [--config FILE] [--json]

Looks at all that a start looks at, and at more: the configuration, owners, modes and mounts, free space
and inodes, limits, clocks, and the database: its settings, TLS, the account's rights, the tables, each of
several hosts. A line each, "ok", "warn" or "FAIL", and below it the SQL or the command that mends it.

It changes nothing, and runs before the first start, beside a service, or while one is stopped. Of a
service that runs it goes by the database that is remembered; one that is not answered within seconds
"could not be looked at".

Exit status: 0 ok, perhaps with warnings; 1 something is FAIL; 3 something could not be looked at, and
nothing else is FAIL.

${DIR_HELP}
  --json             one object: version (1), command, stateDirectory, exit, ok, warn, fail, notLookedAt
                     (how many), checks [{check, verdict, found, mend [SQL that ends in a semicolon, or
                     a command], isKnown (false: could not be looked at)}]
`,
  async run(args) {
    const { values, isDirGiven } = parseOptions(args, {
      json: { type: 'boolean', default: false },
    })
    const { dir, findings } = await lookInto(values.dir, isDirGiven)
    await print(values.json ? asJson(dir, findings) : asText(findings, columnsOf(process.stdout)))
    const exit = exitOf(findings)
    endInSpiteOfNames(exit)
    return exit
  },
}

async function lookInto(
  name: string,
  isDirGiven: boolean,
): Promise<{ dir: string; findings: readonly Finding[] }> {
  let own: StatePaths
  try {
    own = statePaths(name)
  } catch (error) {
    if (!hasCode(error, 'SOCKET_PATH_TOO_LONG')) throw error
    // Nothing else can be looked at in a place that cannot be one.
    const shorter = 'countersink doctor --dir /var/lib/countersink'
    return { dir: resolve(name), findings: [ofError('socket path', error, shorter)] }
  }
  const paths = { ...own, log: logsDirectory(process.env, isDirGiven) ?? own.log }
  return { dir: paths.dir, findings: await examine(paths, process.env) }
}

/** A look-up of a host's name that hangs cannot be called off, and would keep the process. */
function endInSpiteOfNames(exit: number): void {
  setTimeout(() => process.exit(exit), 200).unref()
}
