import type { Command } from './command.ts'
import { brief, type Completed, HELP, valuesOf, wordsOf } from './completion-words.ts'
import { standsAlone } from './options.ts'

export function fishScript(commands: readonly Command[]): string {
  const names = commands.map(({ name, summary }) => {
    return `complete -c countersink -n '__countersink_is' -a ${name} -d ${quoted(summary)}`
  })
  return `# fish completion of countersink, made by "countersink completion fish"

# Whether this command was named; without one, whether none was named yet.
function __countersink_is
    set -l words (commandline -opc)
    test "$words[2]" = "$argv[1]"
end

complete -c countersink -f
complete -c countersink -n '__countersink_is' -l help -d 'list the commands'
complete -c countersink -n '__countersink_is' -l version -d 'print the version'
${names.join('\n')}
${commands.map(command => ofCommand(command, commands).join('\n')).join('\n')}
`
}

function ofCommand(command: Command, commands: readonly Command[]): string[] {
  const { name, options, words } = command
  const begin = `complete -c countersink -n '__countersink_is ${name}'`
  const lines = Object.entries(options).map(([option, spec]) => {
    const value = spec.kind === 'switch' || standsAlone(spec) ? '' : ` -r ${taken(valuesOf(spec))}`
    return `${begin} -l ${option}${value} -d ${quoted(brief(spec.help))}`
  })
  lines.push(`${begin} -l ${HELP.name} -d ${quoted(HELP.help)}`)
  const completed = wordsOf(words, commands)
  if (words?.kind === 'choice') {
    for (const [word, help] of Object.entries(words.choices)) {
      lines.push(`${begin} -a ${word} -d ${quoted(help)}`)
    }
  } else if (completed !== 'nothing') lines.push(`${begin} ${taken(completed)}`)
  return lines
}

function taken(what: Completed): string {
  if (what === 'nothing') return '-f'
  if (what === 'file') return '-F'
  if (what === 'directory') return `-f -a '(__fish_complete_directories)'`
  return `-f -a ${quoted(what.join(' '))}`
}

function quoted(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&')}'`
}
