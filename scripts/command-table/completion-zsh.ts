import type { Command } from './command.ts'
import { brief, type Completed, HELP, valuesOf, wordsOf } from './completion-words.ts'
import { type Option, standsAlone } from './options.ts'

/** Both for a file that compinit finds and for `eval`. */
export function zshScript(commands: readonly Command[]): string {
  const list = commands.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`)
  return `#compdef countersink
# zsh completion of countersink, made by "countersink completion zsh"

_countersink() {
  local curcontext=$curcontext state line
  local -a commands
  commands=(
${list.join('\n')}
  )
  _arguments -C '--help[list the commands]' '--version[print the version]' \\
    '1:command:->command' '*::argument:->argument'
  case $state in
  command) _describe command commands ;;
  argument)
    case $words[1] in
${commands.map(command => commandCase(command, commands)).join('\n')}
    esac ;;
  esac
}

if [ "$funcstack[1]" = _countersink ]; then
  _countersink "$@"
else
  compdef _countersink countersink
fi
`
}

function commandCase(command: Command, commands: readonly Command[]): string {
  const { name, options, words } = command
  const specs = Object.entries(options).map(([option, spec]) => optionSpec(option, spec, options))
  specs.push(quoted(`--${HELP.name}[${HELP.help}]`))
  if (words !== undefined) {
    const place = words.max > 1 ? '*' : '1'
    specs.push(quoted(`${place}:${escaped(words.value)}:${action(wordsOf(words, commands))}`))
  }
  return `    ${name}) _arguments ${specs.join(' \\\n      ')} ;;`
}

function optionSpec(name: string, option: Option, all: Command['options']): string {
  const others = Object.entries(all)
    .filter(([other, { insteadOf }]) => insteadOf === name || option.insteadOf === other)
    .map(([other]) => `--${other}`)
  const not = others.length === 0 ? '' : `(${others.join(' ')})`
  const said = `[${escaped(brief(option.help))}]`
  if (option.kind === 'switch') return quoted(`${not}--${name}${said}`)
  const value = standsAlone(option) ? `=-${said}::` : `=${said}:`
  return quoted(`${not}--${name}${value}${escaped(option.value)}:${action(valuesOf(option))}`)
}

function action(what: Completed): string {
  if (what === 'nothing') return ' '
  if (what === 'file') return '_files'
  if (what === 'directory') return '_files -/'
  return `(${what.join(' ')})`
}

function escaped(text: string): string {
  return text.replace(/[\\[\]:]/g, '\\$&')
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
