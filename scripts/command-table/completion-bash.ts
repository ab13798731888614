import type { Command } from './command.ts'
import { type Completed, HELP, valuesOf, wordsOf } from './completion-words.ts'
import { standsAlone } from './options.ts'

/** Needs bash 4, and nothing of the package bash-completion. */
export function bashScript(commands: readonly Command[]): string {
  const names = commands.map(({ name }) => name).join(' ')
  return `# bash completion of countersink, made by "countersink completion bash"

_countersink() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} at
  local command=\${COMP_WORDS[1]} ended=
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    _countersink_words '${names} --help --version'
    return
  fi
  # bash takes --outcome=d apart into three words.
  if [ "$current" = = ]; then
    current=
  elif [ "$before" = = ]; then
    before=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((at = 2; at < COMP_CWORD; at += 1)); do
    [ "\${COMP_WORDS[at]}" = -- ] && ended=yes
  done
  if [ -z "$ended" ]; then
    case "$command $before" in
${commands.flatMap(valueCases).join('\n')}
    esac
  fi
  case $ended$current in
  -*)
    case $command in
${commands.map(optionCase).join('\n')}
    esac
    return ;;
  esac
  case $command in
${commands.map(command => wordCase(command, commands)).join('\n')}
  esac
}

_countersink_words() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current")
}

_countersink_paths() {
  compopt -o filenames
  mapfile -t COMPREPLY < <(compgen "$1" -- "$current")
}

complete -F _countersink countersink
`
}

function valueCases({ name, options }: Command): string[] {
  return Object.entries(options)
    .filter(([, spec]) => spec.kind !== 'switch' && !standsAlone(spec))
    .map(([option, spec]) => `    '${name} --${option}') ${completes(valuesOf(spec))}return ;;`)
}

function optionCase({ name, options }: Command): string {
  const all = [...Object.keys(options), HELP.name].map(option => `--${option}`)
  return `    ${name}) _countersink_words '${all.join(' ')}' ;;`
}

function wordCase({ name, words }: Command, commands: readonly Command[]): string {
  return `  ${name}) ${completes(wordsOf(words, commands))};;`
}

function completes(what: Completed): string {
  if (what === 'nothing') return ''
  if (what === 'file') return '_countersink_paths -f; '
  if (what === 'directory') return '_countersink_paths -d; '
  return `_countersink_words '${what.join(' ')}'; `
}
