import { existsSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { resolveConfig } from '../../shared/config.ts'
import { statePaths } from '../../shared/paths.ts'
import { printable, shellWord } from '../../shared/printable.ts'
import { SETTINGS } from '../../shared/settings.ts'
import { command, fields, list, one, text } from '../command-table/index.ts'
import {
  type Deployment,
  notesOn,
  otherUnits,
  serviceUnits,
  timerUnits,
  UNIT_DIRECTORY,
  type Unit,
  writeUnits,
} from '../deploy/index.ts'
import { tellOfFailure } from '../supervising/index.ts'
import { cannot, EXIT, print, usage } from '../terminal/index.ts'

export const systemd = command({
  name: 'systemd',
  summary: 'print the units of a service, or of a timer (--once), for systemd',
  about: `Prints countersink.service, which runs "up --no-generator" and restarts it when it fails, each file under
a line with its path; with --once, a service that runs "run --once", and a timer that starts it each
minute. When the service has failed for good, countersink-alert@.service tells COUNTERSINK_ALERT_COMMAND,
or the journal. Node.js and the program are named where they are now: print it again when they move.

The service may see and do little besides its own: what it was not meant to need is denied.
Settings are read from /etc/countersink/environment, if it is there, or from the configuration file.
--dir is the service's state directory, which must be NAME's: without it systemd makes one for NAME,
/var/lib/countersink, with logs in /var/log/countersink.`,
  options: {
    once: { kind: 'switch', help: 'a service and a timer instead of a service that goes on' },
    user: {
      ...{ kind: 'text', value: 'NAME' },
      default: 'countersink',
      help: 'whose it is; such a user must be there',
    },
    'database-url-file': {
      ...{ kind: 'file', value: 'FILE' },
      help: "holds COUNTERSINK_DATABASE_URL; may be root's alone, the service gets a copy",
    },
    output: {
      ...{ kind: 'directory', value: 'DIR' },
      help: `write the files there, such as to ${UNIT_DIRECTORY}; one that is there and says something else is left, and nothing is written (3)`,
    },
    failed: {
      ...{ kind: 'text', value: 'UNIT' },
      help: 'what the alert unit runs: tells that UNIT has ended abnormally',
    },
  },
  exits: { 0: 'printed, written or told' },
  examples: [
    { line: 'countersink systemd', what: 'the units, as systemctl cat shows them' },
    { line: `countersink systemd --output ${UNIT_DIRECTORY}`, what: 'as files' },
    { line: 'countersink systemd --once --user counts --dir /srv/counts', what: 'a timer' },
  ],
  answer: one(
    fields({
      units: list(fields({ name: text(), path: text(), text: text() })),
      notes: list(text()),
    }),
  ),
  async run({ values, isDirGiven, answer }) {
    if (values.failed !== undefined) return tellThatFailed(values.failed, values.dir)
    const place: Deployment = {
      node: process.execPath,
      program: PROGRAM,
      user: values.user,
      dir: isDirGiven ? statePaths(values.dir).dir : undefined,
      configFile: absolute(values.config),
      databaseUrlFile: absolute(values['database-url-file']),
    }
    refuseUnfit(place)
    const units = values.once ? timerUnits(place) : serviceUnits(place)
    const directory = absolute(values.output)
    const listed = units.map(({ name, text }) => {
      return { name, path: join(directory ?? UNIT_DIRECTORY, name), text }
    })
    if (directory !== undefined) await write(directory, units)
    const notes = notesOn(place)
    if (values.json) await answer({ units: listed, notes })
    else if (directory === undefined) {
      await print(listed.map(({ path, text }) => `# ${path}\n${text}`).join('\n'))
    } else {
      const enabled = values.once ? 'countersink.timer' : 'countersink.service'
      await print(
        `${listed.map(({ path }) => `${path}\n`).join('')}\nNext: systemctl daemon-reload && systemctl enable --now ${enabled}\n`,
      )
    }
    for (const note of notes) process.stderr.write(`countersink systemd: ${printable(note)}\n`)
    return EXIT.ok
  },
})

/** As it was built: where this file is, and not what a link in PATH points to today. */
const PROGRAM = fileURLToPath(new URL('../countersink.js', import.meta.url))

function absolute(path: string | undefined): string | undefined {
  return path === undefined ? undefined : resolve(path)
}

/** @throws CountersinkError USAGE */
function refuseUnfit(place: Deployment): void {
  const { user, dir } = place
  if (!/^([a-z_][\w-]{0,30}|\d{1,10})$/i.test(user)) {
    throw usage(`--user must be the name of a user, got ${JSON.stringify(user)}`)
  }
  for (const path of [place.node, place.program, dir, place.configFile, place.databaseUrlFile]) {
    if (path !== undefined && printable(path) !== path) {
      throw usage(`a path with ${JSON.stringify(path)} in it cannot stand in a unit`)
    }
  }
}

/** @throws CountersinkError STOPPED */
async function write(directory: string, units: readonly Unit[]): Promise<void> {
  if (!existsSync(directory) || !statSync(directory).isDirectory()) {
    throw cannot(`${directory} is no directory`, 'Make it, or name another with --output.')
  }
  const others = otherUnits(directory, units)
  if (others.length > 0) {
    const paths = others.map(shellWord).join(' ')
    throw cannot(
      `there is already something else in ${others.join(', ')}; nothing was written`,
      `Put it away first: mkdir -p old && mv ${paths} old/. Changes of your own belong into "systemctl edit".`,
    )
  }
  await writeUnits(directory, units)
}

/**
 * The configuration may be why it failed: what it says of the command holds all the same. What systemd
 * knows of the failure it tells in variables, from version 251 on.
 */
async function tellThatFailed(unit: string, dir: string): Promise<number> {
  const paths = statePaths(dir)
  const { MONITOR_SERVICE_RESULT: result, MONITOR_EXIT_STATUS: status } = process.env
  const known = [result, status && `status ${status}`].filter(word => word).join(', ')
  const reason = `${unit}: ${known || 'failed'}; "journalctl -u ${unit}" tells more`
  const command = resolveConfig(paths.dir, process.env).given.get('alertCommand')?.text ?? ''
  if (command === '') {
    process.stderr.write(
      printable(
        `countersink has ended abnormally: ${reason}; ${SETTINGS.alertCommand.variable} is not set`,
      ),
    )
    process.stderr.write('\n')
    return EXIT.ok
  }
  const why = await tellOfFailure(command, paths.dir, reason)
  if (why === undefined) return EXIT.ok
  throw cannot(`${SETTINGS.alertCommand.variable} was not told of ${reason}: ${why}`)
}
