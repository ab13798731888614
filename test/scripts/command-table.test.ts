import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { COMMANDS } from '../../scripts/command-line.ts'
import {
  answerSchema,
  commandsOf,
  completionScript,
  helpText,
  manualPage,
  overviewText,
  SHELLS,
  type Shell,
} from '../../scripts/command-table/index.ts'
import { DATED } from '../../scripts/command-table/manual-page.ts'
import { parseOptions } from '../../scripts/command-table/options.ts'
import { OUTCOMES } from '../../shared/records.ts'
import { countersink } from '../helpers/cli.ts'
import { startProgram } from '../helpers/processes.ts'
import { ROOT } from '../helpers/root.ts'
import { makeSite } from '../helpers/state-dir.ts'
import { tempDir } from '../shared/helpers.ts'

// What is made of the table says all that is in it.

const commands = await commandsOf(COMMANDS)
const page = manualPage(commands, '1.2.3')

t.test('every command is in all that is made of the table', async t => {
  t.same(
    commands.map(({ name }) => name),
    Object.keys(COMMANDS),
    'by the name it is found by',
  )
  for (const command of commands) {
    const { name, options, answer, words } = command
    const help = helpText(command)
    t.match(help, new RegExp(`^Usage: countersink ${name}\\b`))
    t.ok(overviewText(commands).includes(`\n  ${name} `))
    t.ok(page.includes(`\n.Ss countersink ${name}\n`))
    for (const [option, spec] of Object.entries(options)) {
      t.match(help, new RegExp(`^  --${option}\\b`, 'm'), `${name} --${option}`)
      t.ok(help.replace(/\s+/g, ' ').includes(spec.help.split(' (')[0]!))
      if (spec.kind === 'choice') {
        t.ok(help.replace(/\s+/g, ' ').includes(spec.choices.join(', ')))
      }
      t.ok(page.includes(`.It Fl \\-${option.replaceAll('-', '\\-')}`))
    }
    if (words?.kind === 'choice') {
      for (const word of Object.keys(words.choices)) t.match(help, new RegExp(`^  ${word} `, 'm'))
    }
    const [ours = ''] = help.split(command.notes ?? '\0')
    for (const line of ours.split('\n')) t.ok(line.length <= 115, line)
    t.equal(Object.hasOwn(options, 'json'), answer !== undefined)
    if (answer !== undefined) t.match(answerSchema(name, answer), { anyOf: { length: Number } })
    for (const shell of Object.keys(SHELLS)) {
      t.ok(completionScript(shell as Shell, commands).includes(name), `${shell}: ${name}`)
    }
  }
})

t.test('every example can be typed', async t => {
  for (const { name, examples } of commands) {
    t.ok(examples.length > 0, `${name} has one`)
    for (const { line } of examples) {
      const [, called = '', rest = ''] = /countersink ([a-z]+)([^|>)]*)/.exec(line) ?? []
      t.equal(called, name, line)
      const { options, words } = (await COMMANDS[called]?.())!
      t.doesNotThrow(() => parseOptions(rest.split(' ').filter(Boolean), options, words), line)
    }
  }
})

t.test('the manual page is the same each time, and has plain characters only', async t => {
  t.equal(manualPage(commands, '1.2.3'), page)
  t.match(page, /^\.Dd [A-Z][a-z]+ \d+, \d{4}\n\.Dt COUNTERSINK 1\n\.Os countersink 1\.2\.3\n/)
  t.notMatch(page, /[^\n -~]/)
  for (const line of page.split('\n')) t.ok(line.length <= 80, line)
})

t.test('the manual page is of the release that the change log begins with', async t => {
  const read = (name: string): string => {
    return readFileSync(`${ROOT}${name}`, 'utf8')
  }
  const [, version, day = ''] = /^## (\S+) \((.+)\)$/m.exec(read('CHANGELOG.md')) ?? []
  t.equal(version, JSON.parse(read('package.json')).version)
  if (day !== 'not released') t.equal(Date.parse(DATED), Date.parse(`${day} 00:00`))
})

t.test('help', async t => {
  const site = await makeSite(t)
  const run = (...args: string[]) => {
    return startProgram(t, site.paths.dir, ['scripts/countersink.js', ...args], site.env).ended
  }
  const check = (await COMMANDS.check?.())!
  t.match(await run('help', 'check'), { code: 0, stdout: helpText(check) })
  t.match(await run('check', '--help'), { code: 0, stdout: helpText(check) })
  t.match(await run('help'), { code: 0, stdout: overviewText(commands) })
  t.match(await run('help', 'chekc'), { code: 2, stdout: '', stderr: /Did you mean check\?/ })
  const schema = await run('help', 'check', '--json-schema')
  t.same(
    JSON.parse(schema.stdout),
    JSON.parse(JSON.stringify(answerSchema('check', check.answer!))),
  )
  t.match(await run('help', 'man', '--json-schema'), { code: 2, stderr: /man has no --json/ })
  t.match(await run('nosuch', '--json'), {
    code: 2,
    stdout: /^\{"version":1,"command":"nosuch","error":\{"code":"USAGE",/,
  })
  t.match(await countersink(t, site, 'completion', 'tcsh'), { code: 2, stderr: /no option --dir/ })
  t.match(await run('completion', 'tcsh'), { code: 2, stderr: /"tcsh" is none of bash, zsh, fish/ })
})

t.test('completion in bash', async t => {
  const dir = tempDir(t)
  writeFileSync(`${dir}/completion`, completionScript('bash', commands))
  mkdirSync(`${dir}/some folder`)
  writeFileSync(`${dir}/some file`, '')
  // As bash itself would set them; compopt only works while it completes.
  const script = `. ./completion; compopt() { :; }
    COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _countersink; printf '%s\\n' "\${COMPREPLY[@]}"`
  const complete = (...words: string[]): string[] =>
    execFileSync('bash', ['-uc', script, '-', 'countersink', ...words], {
      ...{ cwd: dir, encoding: 'utf8' },
    })
      .split('\n')
      .filter(line => line !== '')
  t.same(complete('p'), ['publish', 'prune', 'ping'])
  t.same(complete('').slice(0, commands.length), Object.keys(COMMANDS))
  for (const { name, options } of commands) {
    const all = [...Object.keys(options), 'help'].map(option => `--${option}`)
    t.same(complete(name, '--'), all, name)
  }
  t.same(complete('hashes', '--outcome', 'd'), ['duplicate'])
  t.same(complete('hashes', '--outcome', '=', 'd'), ['duplicate'])
  t.same(complete('hashes', '--outcome', '='), [...OUTCOMES])
  t.same(complete('config', ''), ['show', 'check', 'schema'])
  t.same(complete('help', 'st'), ['status'])
  t.same(complete('publish', 'so').sort(), ['some file', 'some folder'], 'with their spaces')
  t.same(complete('publish', '--', '--'), [], 'a file begins so, if any')
  t.same(complete('status', '--dir', 'so'), ['some folder'])
  t.same(complete('totals', '--top', ''), [])
  t.same(complete('nosuch', ''), [])
})
