import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { logsDirectory } from '../../shared/config-places.ts'
import { hasCode } from '../../shared/errors.ts'
import { type Finding, ofError, ok } from '../../shared/findings.ts'
import { type StatePaths, statePaths } from '../../shared/paths.ts'
import { command, count, fields, flag, list, one, oneOf, text } from '../command-table/index.ts'
import { asAnswer, asText, examine, exitOf } from '../doctor/index.ts'
import { becomeOwnerOf, columnsOf, print } from '../terminal/index.ts'

export const doctor = command({
  name: 'doctor',
  summary: 'check whatever would keep the service from starting or counting, and say what mends it',
  about: `Looks at all that a start looks at, and at more: the configuration, owners, modes and mounts, free space
and inodes, limits, clocks, and the database: its settings, TLS, the account's rights, the tables, each of
several hosts. A line each, "ok", "warn" or "FAIL", and below it the SQL or the command that mends it.

It changes nothing, and runs before the first start, beside a service, or while one is stopped. Of a
service that runs it goes by the database that is remembered; one that is not answered within seconds
"could not be looked at". Root looks as the owner of the state directory.`,
  options: {},
  exits: {
    0: 'ok, perhaps with warnings',
    1: 'something is FAIL',
    3: 'something could not be looked at, and nothing else is FAIL',
  },
  examples: [
    { line: 'countersink doctor', what: 'before the first start, or when something is strange' },
  ],
  answer: one(
    fields({
      stateDirectory: text(),
      exit: count('the exit status'),
      ...{ ok: count(), warn: count(), fail: count(), notLookedAt: count() },
      checks: list(
        fields({
          ...{ check: text(), verdict: oneOf('ok', 'warn', 'FAIL'), found: text() },
          mend: list(text(), 'SQL that ends in a semicolon, or a command'),
          isKnown: flag('false: it could not be looked at'),
        }),
      ),
    }),
  ),
  async run({ values, isDirGiven, answer }) {
    const { dir, findings } = await lookInto(values.dir, isDirGiven)
    if (values.json) await answer(asAnswer(dir, findings))
    else await print(asText(findings, columnsOf(process.stdout)))
    const exit = exitOf(findings)
    endInSpiteOfNames(exit)
    return exit
  },
})

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
  // What is open to root may be closed to the service.
  const owner = existsSync(own.dir) ? becomeOwnerOf(own.dir) : undefined
  const paths = { ...own, log: logsDirectory(process.env, isDirGiven) ?? own.log }
  const findings = await examine(paths, process.env)
  return {
    dir: paths.dir,
    findings: owner === undefined ? findings : [asOwner(owner), ...findings],
  }
}

/** What root may do says nothing of what the service may. */
function asOwner(uid: number): Finding {
  return ok('user', `looked at as the owner of the state directory, the user with id ${uid}`)
}

/** A look-up of a host's name that hangs cannot be called off, and would keep the process. */
function endInSpiteOfNames(exit: number): void {
  setTimeout(() => process.exit(exit), 200).unref()
}
