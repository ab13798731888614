import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../../helpers/eventually.ts'
import { type Ended, killProcess, processesOf, type Teardown } from '../../helpers/processes.ts'
import { ROOT } from '../../helpers/root.ts'
import { makeScratchDirectory } from '../../helpers/scratch.ts'
import { type DatabaseHost, startDatabaseHost } from './database-host.ts'

/**
 * A host as the pages suppose it, in a directory: what they name from / on lies there, a database of
 * somebody's is within reach, and what would change the real host (`systemctl`, `npm`, `crontab`, …)
 * is a program of the same name in `programs/`.
 */
export interface Host {
  readonly database: DatabaseHost
  /** Where a path of the pages is. */
  path(name: string): string
  /** Types these lines, as root's shell would read them after a log-in. */
  type(lines: string): Promise<Ended>
  /** The same, for lines that go on until something is done. */
  typeUntil(lines: string, done: () => Promise<void>): Promise<Ended>
  /** Does what the crontab says, once, in as little of an environment as cron gives. */
  runCrontab(crontab: string): Promise<Ended>
}

const PROGRAMS = `${ROOT}test/operating/host/programs`

/** What tells the processes of one host, as in `processes.ts`. */
const MARK = 'COUNTERSINK_TEST_DIRECTORY'

export async function makeHost(t: Teardown): Promise<Host> {
  const root = makeScratchDirectory('cs')
  t.teardown(() => rmSync(root, { recursive: true, force: true, maxRetries: 20 }))
  const database = await startDatabaseHost(t, join(root, 'db'))
  t.teardown(() => endAll(root))

  const path = (name: string): string => join(root, name)
  for (const name of ['root', 'run', 'data', 'srv', 'tmp', 'usr/local/bin', 'var/lib']) {
    mkdirSync(path(name), { recursive: true })
  }
  for (const name of ['etc/profile.d', 'etc/systemd/system', 'var/backups']) {
    mkdirSync(path(name), { recursive: true })
  }
  writeFileSync(path('root/.my.cnf'), `[client]\nuser=root\nsocket=${database.socketPath}\n`)
  mkdirSync(path('etc/countersink'))
  copyFileSync(database.authority, path('etc/countersink/ca.pem'))

  const here = (lines: string): string =>
    lines
      .replaceAll(
        /(?<![\w./-]|(?<!unix):)\/(etc|srv|var|data|usr\/local)(?=[/\s]|$)/gm,
        `${root}/$1`,
      )
      .replaceAll('db.example:3306', database.address)
  const env = {
    PATH: `${path('usr/local/bin')}:${PROGRAMS}:${process.env.PATH}`,
    ...{ HOME: path('root'), HOST: root, CLONE: ROOT, OUTER_PATH: process.env.PATH, [MARK]: root },
  }
  const shell = (lines: string, settings: NodeJS.ProcessEnv): Promise<Ended> =>
    runShell(here(lines), path('root'), settings)
  const type = (lines: string): Promise<Ended> => {
    const profile = existsSync(path('etc/profile.d/countersink.sh'))
    return shell(profile ? `. /etc/profile.d/countersink.sh\n${lines}` : lines, env)
  }
  return {
    ...{ database, path, type },
    async typeUntil(lines, done) {
      const ended = type(lines)
      await Promise.race([done(), ended])
      return ended
    },
    runCrontab(crontab) {
      const settings: NodeJS.ProcessEnv = { PATH: '/usr/bin:/bin', HOME: path('srv'), [MARK]: root }
      const commands: string[] = []
      for (const line of here(crontab).trim().split('\n')) {
        const [, name, value] = /^(\w+)=(.*)$/.exec(line) ?? []
        if (name !== undefined) settings[name] = value
        else commands.push(line.replace(/^(\S+\s+){5}/, ''))
      }
      // Node.js may be in none of cron's directories here.
      settings.PATH += `:${join(process.execPath, '..')}`
      return runShell(commands.join('\n'), path('srv'), settings)
    },
  }
}

/** Why the pages cannot be tried here; where CI is set, they must be. */
export function whyNoHost(): string | false {
  const needed = ['mariadb-dump', 'mariadb', 'openssl']
  const missing = needed.filter(name => spawnSync(name, ['--version']).error !== undefined)
  if (missing.length === 0 || process.env.CI) return false
  return `there is no ${missing.join(', ')} here: sudo apt-get install --no-install-recommends mariadb-client openssl`
}

function runShell(lines: string, cwd: string, env: NodeJS.ProcessEnv): Promise<Ended> {
  // The test runner puts its loader into NODE_OPTIONS, whatever the environment says.
  const child = spawn('env', ['-u', 'NODE_OPTIONS', 'bash', '-euo', 'pipefail', '-c', lines], {
    ...{ cwd, env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', text => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
}

/** Nothing of a host may outlive its test. */
async function endAll(root: string): Promise<void> {
  const left = () => processesOf(root).filter(({ command }) => !command.includes('mariadbd'))
  for (const { pid } of left()) killProcess(pid, 'SIGTERM')
  await eventually('the host has no process left', () => left().length === 0)
}
