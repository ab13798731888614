import { existsSync } from 'node:fs'
import { type Resolved, resolveConfig } from '../../shared/config.ts'
import { FILE_KEYS, type Given } from '../../shared/config-layers.ts'
import { type ConfigPlace, configPlace } from '../../shared/config-places.ts'
import { configSchema } from '../../shared/config-schema.ts'
import { maskedUrl } from '../../shared/database-url.ts'
import { statePaths } from '../../shared/paths.ts'
import { printableLines } from '../../shared/printable.ts'
import { nameOfDatabase } from '../../shared/remembered-ledger.ts'
import { SETTINGS, type SettingKey } from '../../shared/settings.ts'
import { command, fields, list, one, oneOf, orNull, text } from '../command-table/index.ts'
import { EXIT, formatTable, print } from '../terminal/index.ts'

const PROBLEMS = list(fields({ message: text(), advice: text() }))
const PLACE = { dir: text('the state directory'), file: orNull(text(), 'null: there is none') }

export const config = command({
  name: 'config',
  summary: 'show or check the configuration, or print its JSON Schema',
  about: `A value is the default, unless the configuration file has another, unless the environment has, unless
an option of the command has. The file is countersink.json in the state directory, or the one that is
named; its keys are the variables in camel case (COUNTERSINK_QUIET_MS is quietMs), and "$schema".
A file that holds a password must be its owner's alone (chmod 600). The database's URL can stand in a
file of its own: COUNTERSINK_DATABASE_URL_FILE, or databaseUrlFile. No password is ever an argument.

The state directory need not be there. Nothing is started, made or asked.`,
  words: {
    ...{ kind: 'choice', value: 'show|check|schema', min: 1, max: 1 },
    choices: {
      show: 'what is in force and where each value comes from, without passwords',
      check: 'all that is wrong with it, a line each',
      schema: 'the JSON Schema of the configuration file, with and without --json',
    },
  },
  options: {},
  exits: { 0: 'it can be used', 2: 'something is wrong with it' },
  examples: [
    { line: 'countersink config check', what: 'before a start' },
    {
      line: 'countersink config schema >countersink.schema.json',
      what: 'by which an editor completes and checks the file',
    },
  ],
  answer: one(
    fields({
      ...PLACE,
      settings: list(
        fields({
          ...{ key: text(), variable: text() },
          value: {
            description: 'as in the file',
            anyOf: [{ type: 'string' }, { type: 'number' }],
          },
          source: oneOf('default', 'remembered', 'file', 'environment'),
          from: text('the variable, the file, or what else it comes from'),
        }),
      ),
      problems: PROBLEMS,
    }),
    fields({ ...PLACE, problems: PROBLEMS }),
  ),
  async run({ values, positionals, answer }) {
    const [verb = ''] = positionals
    if (verb === 'schema') {
      await print(`${JSON.stringify(configSchema(), null, 2)}\n`)
      return EXIT.ok
    }
    const { dir } = statePaths(values.dir)
    const place = configPlace(dir, process.env)
    const found = resolveConfig(dir, process.env)
    if (values.json) await answer(asJson(dir, place, found, verb))
    else if (verb === 'show') await show(dir, place, found)
    if (!values.json) tell(found)
    if (verb === 'check' && !values.json && found.config !== undefined) {
      await print('the configuration can be used\n')
    }
    return found.config === undefined ? EXIT.usage : EXIT.ok
  },
})

function asJson(dir: string, place: ConfigPlace, { given, problems }: Resolved, verb: string) {
  const settings = [...FILE_KEYS]
    .filter(([, { isPath }]) => !isPath)
    .map(([name, { key }]) => {
      const one = given.get(key)!
      const { variable } = SETTINGS[key]
      return { key: name, variable, value: fileValue(key, one), source: one.source, from: one.name }
    })
  return {
    ...{ dir, file: fileOf(place) ?? null },
    ...(verb === 'show' ? { settings } : {}),
    problems,
  }
}

async function show(dir: string, place: ConfigPlace, { given }: Resolved): Promise<void> {
  const file = fileOf(place) ?? `${place.path}, which is not there`
  const rows = [...FILE_KEYS]
    .filter(([, { isPath }]) => !isPath)
    .map(([name, { key }]) => {
      const one = given.get(key)!
      const where = one.source === 'default' ? 'default' : one.name
      return [name, shownText(key, one) || "''", where]
    })
  const lines = [`state directory  ${dir}`, `configuration    ${file}`, '']
  lines.push(...formatTable(['setting', 'value', 'from'], rows))
  await print(`${lines.join('\n')}\n`)
}

function tell({ problems }: Resolved): void {
  for (const { message, advice } of problems) {
    process.stderr.write(printableLines(`countersink config: ${message}. ${advice}\n`))
  }
}

function fileOf({ path }: ConfigPlace): string | undefined {
  return existsSync(path) ? path : undefined
}

/** As it would stand in the file. */
function fileValue(key: SettingKey, given: Given): string | number {
  const text = shownText(key, given)
  const isNumber = SETTINGS[key].schema.type !== 'string' && /^\d+$/.test(text)
  return isNumber && Number.isSafeInteger(Number(text)) ? Number(text) : text
}

function shownText(key: SettingKey, { text }: Given): string {
  if (key !== 'databaseUrl' || text === '') return text
  const url = SETTINGS[key].parse(text)
  return url === undefined ? maskedUrl(text) : nameOfDatabase({ databaseUrl: url })
}
