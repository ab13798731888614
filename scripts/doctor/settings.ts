import { statSync } from 'node:fs'
import type { Resolved } from '../../shared/config.ts'
import { oneUrlPerHost, parseDatabaseUrl } from '../../shared/database-url.ts'
import { type Finding, fail, looked, ok, warn } from '../../shared/findings.ts'
import { shellWord } from '../../shared/printable.ts'
import { whyNoCommand } from '../supervising/index.ts'

/** Whether the configuration can be used, who may read what is secret in it, and whom it would call. */
export async function examineSettings(
  { config, given, problems }: Resolved,
  file: string,
): Promise<readonly Finding[]> {
  const findings = problems.map(({ message, advice, mend }) => {
    const edit = message.includes(file) ? `"\${EDITOR:-vi}" ${shellWord(file)}` : undefined
    const how = mend ?? edit
    return fail('configuration', `${message}. ${advice}`, ...(how === undefined ? [] : [how]))
  })
  const set = [...given.values()].filter(({ source }) => source !== 'default')
  if (config !== undefined) {
    const names = set.map(({ name }) => name).join(', ')
    findings.push(ok('configuration', names === '' ? 'all defaults' : `can be used: ${names}`))
  }
  for (const path of secretFiles(given.get('databaseUrl'))) {
    findings.push(await looked('secret files', () => lookAtSecret(path)))
  }
  const command = config?.alertCommand ?? ''
  if (command !== '') findings.push(await looked('alert command', () => lookAtCommand(command)))
  return findings
}

/** The file that the URL stands in, and the private keys that it names. */
function secretFiles(
  url: { readonly text: string; readonly secretFile?: string } | undefined,
): ReadonlySet<string> {
  if (url === undefined) return new Set()
  const keys = oneUrlPerHost(url.text).flatMap(one => {
    const parsed = parseDatabaseUrl(one)
    return 'wrong' in parsed ? [] : (parsed.tls?.key ?? [])
  })
  return new Set([...(url.secretFile === undefined ? [] : [url.secretFile]), ...keys])
}

function lookAtSecret(path: string): string | Finding {
  const { mode } = statSync(path)
  const text = `${path} has mode ${(mode & 0o777).toString(8).padStart(4, '0')}`
  return (mode & 0o077) === 0
    ? text
    : warn(
        'secret files',
        `${text}: others than its owner may read it`,
        `chmod 600 ${shellWord(path)}`,
      )
}

function lookAtCommand(command: string): string | Finding {
  const why = whyNoCommand(command)
  if (why === undefined) return command
  const [word = ''] = command.trim().split(/\s+/)
  const mend = word.includes('/') ? [`chmod u+x ${shellWord(word)}`] : []
  return fail('alert command', why, ...mend)
}
