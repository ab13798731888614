import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { COMMANDS } from '../../../scripts/command-line.ts'
import { commandsOf, completionScript } from '../../../scripts/command-table/index.ts'
import { tempDir } from '../../shared/helpers.ts'
import { missing } from './programs.ts'

// Completion in the shells that a machine may lack. That of bash is in test/scripts/command-table.test.ts.

const commands = await commandsOf(COMMANDS)

t.test('fish', { skip: missing('fish') ?? false }, async t => {
  const dir = tempDir(t)
  writeFileSync(`${dir}/countersink.fish`, completionScript('fish', commands))
  mkdirSync(`${dir}/some folder`)
  writeFileSync(`${dir}/some file`, '')
  const env = { ...process.env, HOME: dir, XDG_CONFIG_HOME: dir }
  const complete = (line: string): string[] => {
    const script = `source countersink.fish; complete -C "countersink ${line}"`
    return execFileSync('fish', ['-N', '-c', script], { cwd: dir, env, encoding: 'utf8' })
      .split('\n')
      .filter(line => line !== '')
      .map(line => line.split('\t')[0]!)
      .sort()
  }
  t.same(complete('p'), ['ping', 'prune', 'publish'])
  for (const { name, options } of commands) {
    const all = [...Object.keys(options), 'help'].map(option => `--${option}`)
    t.same(complete(`${name} --`), all.sort(), name)
  }
  t.same(complete('hashes --outcome d'), ['duplicate'])
  t.same(complete('hashes --outcome=d'), ['--outcome=duplicate'])
  t.same(complete('config --json s'), ['schema', 'show'])
  t.same(complete('help st'), ['status'])
  t.same(complete('publish so'), ['some file', 'some folder/'])
  t.same(complete('status --dir so'), ['some folder/'])
  t.same(complete('totals --top '), [])
})

t.test('zsh', { skip: missing('zsh') ?? false }, async t => {
  const dir = tempDir(t)
  mkdirSync(`${dir}/functions`)
  writeFileSync(`${dir}/functions/_countersink`, completionScript('zsh', commands))
  mkdirSync(`${dir}/some-folder`)
  writeFileSync(`${dir}/some-file`, '')
  // A shell in a terminal of its own, in which each line is typed up to the tab; what it shows is read until the
  // awaited word has come.
  const script = `
    zmodload zsh/zpty
    zpty z zsh -f -i
    until_seen() {
      local seen= some
      repeat 400; do
        if zpty -r -t z some; then seen+=$some; else sleep 0.05; fi
        [[ $seen == *$1* ]] && break
      done
      print -r -- "\${(V)seen//$'\\n'/ }"
    }
    zpty -w z "stty columns 300; PS1='> '; autoload -Uz compinit; bindkey '^I' complete-word; zstyle ':completion:*' list-colors ''"
    zpty -w z "$SETUP; print RE''ADY"
    until_seen READY >/dev/null
    while (( $# )); do
      zpty -w -n z "countersink $1"$'\\t'
      until_seen "$2"
      zpty -w -n z $'\\C-u'
      shift 2
    done
    zpty -d z`
  const lines = [
    ...['p', 'bring existing', 'status --j', 'status --json', 'hashes --outcome d', 'duplicate'],
    ...['totals --', 'largest', 'config sc', 'schema', 'help st', 'status'],
    ...['publish some-fi', 'some-file', 'status --dir some', 'some-folder'],
  ]
  const setups = {
    'as a file that compinit finds': 'fpath=($PWD/functions $fpath); compinit -u -D',
    evaluated: 'compinit -u -D; eval "$(<functions/_countersink)"',
  }
  for (const [how, SETUP] of Object.entries(setups)) {
    const env = { ...process.env, SETUP, HOME: dir, TERM: 'dumb' }
    const seen = execFileSync('zsh', ['-f', '-c', script, '-', ...lines], {
      ...{ cwd: dir, env, encoding: 'utf8', timeout: 60_000 },
    }).split('\n')
    for (let at = 0; at < lines.length; at += 2) {
      const [line, word = ''] = [lines[at], lines[at + 1]]
      t.ok(seen[at / 2]?.includes(word), `${how}: ${line}: ${seen[at / 2]}`)
    }
    t.match(seen[0], /ping .*publish .*bring existing/, 'with what they do')
    t.match(seen[3], /--id .*--json .*--top/)
  }
})
