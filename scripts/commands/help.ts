import {
  answerSchema,
  type Command,
  command,
  commandsOf,
  fields,
  findCommand,
  helpText,
  list,
  named,
  one,
  optionHelp,
  overviewText,
  synopsis,
  text,
} from '../command-table/index.ts'
import { EXIT, print, usage } from '../terminal/index.ts'

export const help = command({
  name: 'help',
  summary: 'explain a command, or print the JSON Schema of its answers',
  about: `Explains a command, as its --help does; without one, lists them all.`,
  words: { kind: 'command', value: 'COMMAND', min: 0, max: 1 },
  options: {
    'json-schema': { kind: 'switch', help: 'the JSON Schema of what COMMAND prints with --json' },
  },
  exits: { 0: 'explained', 2: 'there is no such command, or it has no --json' },
  examples: [
    { line: 'countersink help publish', what: 'what publish does and may be given' },
    { line: 'countersink help check --json-schema', what: 'which fields its answer has' },
  ],
  isAboutItself: true,
  answer: one(
    fields({
      commands: list(
        fields({
          ...{ name: text(), summary: text(), synopsis: text(), about: text() },
          options: list(fields({ name: text('with its value'), help: text() })),
          exits: { type: 'object', description: 'the meaning of each exit status' },
        }),
      ),
    }),
  ),
  async run({ values, positionals, answer, table }) {
    const [name] = positionals
    const commands = name === undefined ? await commandsOf(table) : [await findCommand(table, name)]
    if (values['json-schema']) {
      const [only] = commands
      if (name === undefined || only === undefined) {
        throw usage('--json-schema is of one command: name it before')
      }
      if (only.answer === undefined) throw usage(`${name} has no --json`)
      await print(`${JSON.stringify(answerSchema(name, only.answer), null, 2)}\n`)
    } else if (values.json) await answer({ commands: commands.map(asJson) })
    else await print(name === undefined ? overviewText(commands) : helpText(commands[0]!))
    return EXIT.ok
  },
})

function asJson(command: Command) {
  const { name, summary, about, options, exits, answer } = command
  return {
    ...{ name, summary, synopsis: synopsis(command).join(' '), about: about.trim() },
    options: Object.entries(options).map(([name, option]) => {
      return {
        name: named(name, option),
        help: optionHelp(option, name === 'json' ? answer : undefined),
      }
    }),
    exits,
  }
}
