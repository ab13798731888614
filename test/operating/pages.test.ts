import { existsSync, mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { statePaths } from '../../shared/paths.ts'
import { eventually } from '../helpers/eventually.ts'
import { type DataFile, drop, seededFile, totalsText } from '../helpers/files.ts'
import { type Ended, killProcess, processesOf } from '../helpers/processes.ts'
import { ROOT } from '../helpers/root.ts'
import { type Host, makeHost, whyNoHost } from './host/host.ts'
import { type Block, blocksOf, readPage, sectionsOf } from './host/pages.ts'

// Every command line of OPERATIONS and of README is typed, in the order in which they stand there, on
// a host that is a directory. A block that has no step here is a failure.

interface Scene {
  readonly t: Test
  readonly host: Host
  /** What must be in the totals. */
  readonly counted: DataFile[]
}

/** Types a block, with what has to be so before and after. */
type Step = (scene: Scene, block: Block) => Promise<void>

const SERVICE = '/srv/countersink'
const STOP = 'systemctl stop countersink.service'
const skip = whyNoHost()

const PAGES = ['OPERATIONS.md', 'README.md']
/** The parts of README that are about running it. */
const OPERATORS =
  /^(Configuration|Before the first start|Cron|Under systemd|Logs|Alerts|Your own MariaDB)$/

/** What is not typed, and which test runs it. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'countersink prune --keep 400d': 'corrections/closing.test.ts',
  'countersink rejects': 'integration/rejects.test.ts',
  'countersink requeue --with': 'corrections/requeue.test.ts',
  'countersink status --json': 'operating/json.test.ts',
  'countersink help COMMAND --json-schema': 'operating/json.test.ts',
  'countersink systemd --once': 'operating/systemd-units.test.ts',
  'countersink up --help': 'scripts/cli.test.ts',
}

t.test('OPERATIONS, from an empty host to an upgrade', { skip }, async t => {
  const host = await makeHost(t)
  await follow({ t, host, counted: [] }, 'OPERATIONS.md', {
    Install: [said(/^countersink \d|^\d+\.\d+/m), typed],
    'Tables and rights': [typed],
    Configure: [said(/^\d+ ok, \d+ warn, 0 FAIL$/m)],
    'With cron': [cron],
    'With systemd': [said(/countersink\.service active/), everyDay],
    Watch: [served, triedBy('operating/pages.test.ts')],
    'Back up': [typed, filesAreBackedUp],
    Restore: [databaseIsBack, hostIsBack],
    Upgrade: [goesOnCounting, goesBack],
  })
})

t.test('README', { skip }, async t => {
  const host = await makeHost(t)
  await must(t, host, blocksOf('OPERATIONS.md').get('Install')?.[0]?.text ?? '')
  await follow({ t, host, counted: [] }, 'README.md', {
    'Two commands': [inTheBuild],
    'Usage by time': [triedBy('integration/usage.test.ts')],
    Corrections: [triedBy('corrections/corrections.test.ts')],
    'Your own files': [
      triedBy('corrections/held-files.test.ts'),
      triedBy('corrections/requeue.test.ts'),
    ],
    Configuration: [said(/quietMs/)],
    Cron: [readmeCron],
    'Under systemd': [readmeSystemd],
    'Your own MariaDB': [said(/^\d+ ok, \d+ warn, 0 FAIL$/m), untilInterrupted],
  })
})

t.test('what happens if: each row has its test', async t => {
  const rows = readPage('OPERATIONS.md').match(/^\| .*\.test\.ts.*\|$/gm) ?? []
  t.ok(rows.length > 15)
  const named = rows.flatMap(row => row.match(/`(test\/[^`]+)`/g) ?? [])
  for (const name of named) {
    t.ok(existsSync(`${ROOT}${name.slice(1, -1)}`), name)
  }
})

t.test('commands within the text are typed, or run by another test', async t => {
  const lines = PAGES.flatMap(page => [...blocksOf(page).values()].flat())
    .filter(({ language }) => language === 'sh')
    .flatMap(({ text }) => text.split('\n'))
  for (const page of PAGES) {
    const text = sectionsOf(page, page === 'README.md' ? OPERATORS : undefined)
    const spans =
      text.replaceAll(/^```[\s\S]*?^```$/gm, '').match(/`countersink [a-z][^`]*`/g) ?? []
    t.ok(spans.length > 2)
    for (const span of new Set(spans)) {
      const command = span.slice(1, -1).replace(/\s+/g, ' ')
      const elsewhere = ELSEWHERE[command]
      if (elsewhere === undefined)
        t.ok(
          lines.some(line => `${line} `.startsWith(`${command} `)),
          command,
        )
      else t.ok(existsSync(`${ROOT}test/${elsewhere}`), elsewhere)
    }
  }
})

async function follow(
  scene: Scene,
  page: string,
  steps: Readonly<Record<string, readonly Step[]>>,
): Promise<void> {
  const done = new Set<string>()
  for (const [section, blocks] of blocksOf(page)) {
    const commands = blocks.filter(({ language }) => ['sh', 'cron'].includes(language))
    for (const { text } of blocks.filter(block => !commands.includes(block))) {
      scene.t.notMatch(text, COMMAND, `${section}: commands stand in a block that is typed`)
    }
    for (const [n, block] of commands.entries()) {
      const step = steps[section]?.[n]
      if (step === undefined) scene.t.fail(`${page}, ${section}: no step for\n${block.text}`)
      else await step(scene, block)
      // What comes after a line that failed says nothing.
      if (!scene.t.passing()) return
    }
    if (steps[section]?.length === commands.length) done.add(section)
  }
  scene.t.same([...done], Object.keys(steps), 'each step has its block')
}

/** A line that somebody would type, at its beginning. */
const COMMAND = /^(\$ |# |sudo |npm |npx |systemctl |mariadb|crontab |\* \* |countersink [a-z]+ -)/m

async function typed({ t, host }: Scene, { text }: Block): Promise<void> {
  await must(t, host, text)
}

function said(what: RegExp): Step {
  return async ({ t, host }, { text }) => {
    const { stdout, stderr } = await must(t, host, text)
    t.match(stdout, what)
    t.notMatch(stdout + stderr, /S3cret/)
  }
}

async function must(t: Test, host: Host, lines: string): Promise<Ended> {
  const ended = await host.type(lines)
  t.equal(ended.code, 0, `${lines}\n${ended.stdout}${ended.stderr}`)
  return ended
}

/** The totals are those of all that was counted, in a while. */
async function addsUp({ t, host, counted }: Scene): Promise<void> {
  const expected = totalsText(counted)
  let totals = ''
  await eventually('all is counted', async () => {
    totals = (await host.type('countersink totals')).stdout
    return totals === expected
  }).catch(() => t.equal(totals, expected))
}

function arrives({ host, counted }: Scene, name: string, dir: string = SERVICE): void {
  const file = seededFile(name, counted.length + 1)
  drop(statePaths(host.path(dir)), [file])
  counted.push(file)
}

async function cron(scene: Scene, block: Block): Promise<void> {
  const { t, host } = scene
  await typed(scene, block)
  arrives(scene, 'by-cron.txt')
  const ended = await host.runCrontab(readFileSync(host.path('crontab'), 'utf8'))
  t.match(ended, { code: 0, stdout: '', stderr: '' })
  await addsUp(scene)
}

async function everyDay(scene: Scene, block: Block): Promise<void> {
  const { t, host, counted } = scene
  const file = seededFile('usage.txt', 77)
  writeAtRest(host, 'data/usage.txt', file)
  counted.push(file)
  const { stdout } = await must(t, host, block.text)
  t.match(stdout, /^applied [0-9a-f]{64} usage\.txt/m)
  t.match(stdout, /^queue/m)
  await addsUp(scene)
}

/** With a file that the database's backup does not have. */
async function filesAreBackedUp(scene: Scene, block: Block): Promise<void> {
  arrives(scene, 'between.txt')
  await addsUp(scene)
  await typed(scene, block)
}

async function databaseIsBack(scene: Scene, { text }: Block): Promise<void> {
  const { stdout } = await must(scene.t, scene.host, text)
  scene.t.match(stdout, /^back to the inbox .*between\.[0-9a-f]{12}\.txt/m)
  await addsUp(scene)
}

async function hostIsBack(scene: Scene, block: Block): Promise<void> {
  const { t, host } = scene
  await must(t, host, `${STOP}\nmariadb -e 'DROP DATABASE billing'`)
  rmSync(host.path(SERVICE), { recursive: true })
  rmSync(host.path('etc/countersink/database-url'))
  const page = blocksOf('OPERATIONS.md')
  for (const section of ['Install', 'Tables and rights', 'Configure']) {
    for (const { text } of page.get(section) ?? []) await must(t, host, text)
  }
  await databaseIsBack(scene, block)
}

async function goesOnCounting(scene: Scene, block: Block): Promise<void> {
  await typed(scene, block)
  arrives(scene, `after-${scene.counted.length}.txt`)
  await addsUp(scene)
}

/** From a version that made more tables, and a ledger that this one does not know. */
async function goesBack(scene: Scene, block: Block): Promise<void> {
  const { t, host } = scene
  await must(
    t,
    host,
    `mariadb billing -e 'UPDATE countersink_meta SET schema_version = 99; CREATE TABLE countersink_newer (id INT)'`,
  )
  await goesOnCounting(scene, block)
  const tables = await must(t, host, "mariadb billing -e 'SHOW TABLES'")
  t.notMatch(tables.stdout, /newer/)
}

/** Its contents are of that test; it gives each of these commands. */
function triedBy(path: string): Step {
  const test = readFileSync(`${ROOT}test/${path}`, 'utf8')
  return async ({ t }, { text }) => {
    for (const [, command = ''] of text.matchAll(/^countersink (\w+)/gm)) {
      t.match(test, new RegExp(`\\b(run\\(|site, )'${command}'`), `${path}: ${command}`)
    }
  }
}

/** These are what builds and tests this project. */
async function inTheBuild({ t }: Scene, { text }: Block): Promise<void> {
  const build = readPage('.ci/run')
  for (const line of text.trim().split('\n')) {
    const words = line.replace(/ *#.*/, '').replace('npm start -- ', 'npm start --silent -- ')
    t.ok(build.includes(words), words)
  }
}

async function readmeCron(scene: Scene, { text }: Block): Promise<void> {
  const { t, host } = scene
  mkdirSync(host.path(`${SERVICE}/inbox`), { recursive: true, mode: 0o700 })
  await must(t, host, "mariadb -e 'CREATE DATABASE by_cron'")
  const settings = { databaseUrl: adminUrl(host, 'by_cron') }
  const path = host.path(`${SERVICE}/countersink.json`)
  writeFileSync(path, JSON.stringify(settings), { mode: 0o600 })
  arrives(scene, 'by-cron.txt')
  t.match(await host.runCrontab(text), { code: 0, stdout: '', stderr: '' })
  t.equal(
    (await must(t, host, `countersink totals --dir ${SERVICE}`)).stdout,
    totalsText(scene.counted),
  )
}

async function readmeSystemd(scene: Scene, { text }: Block): Promise<void> {
  const { t, host } = scene
  await must(t, host, "mariadb -e 'CREATE DATABASE by_systemd'")
  const url = adminUrl(host, 'by_systemd')
  writeFileSync(host.path('etc/countersink/environment'), `COUNTERSINK_DATABASE_URL='${url}'\n`)
  await must(t, host, text)
  await must(t, host, 'countersink ping --ready parser --dir /var/lib/countersink')
  t.ok(existsSync(host.path('var/log/countersink/parser.log')))
  await must(t, host, STOP)
}

async function untilInterrupted(scene: Scene, { text }: Block): Promise<void> {
  const { t, host } = scene
  const file = seededFile('own.txt', 5)
  writeAtRest(host, 'data/own.txt', file)
  const ended = await host.typeUntil(text, async () => {
    await eventually('it counts', async () => {
      return (await host.type('countersink ping parser --ready')).code === 0
    })
    const published = await must(t, host, 'countersink publish --wait /data/own.txt')
    t.match(published.stdout, /^applied /)
    const { supervisorStatus } = statePaths(host.path('root/var'))
    killProcess(JSON.parse(readFileSync(supervisorStatus, 'utf8')).pid, 'SIGINT')
  })
  t.match(ended, { code: 0, stdout: /stopping in order \(SIGINT\)/ })
}

/** With what is asked of it in the block behind. */
async function served({ t, host }: Scene, { text }: Block): Promise<void> {
  const questions = blocksOf('OPERATIONS.md').get('Watch')?.[1]?.text ?? ''
  const ended = await host.typeUntil(text, async () => {
    await eventually('it serves', () => existsSync(host.path(`${SERVICE}/web.sock`)))
    const { stdout } = await must(t, host, questions)
    t.match(stdout, /"ready":true[\s\S]*^countersink_info[\s\S]*"files":\[[\s\S]*"openapi":/m)
    const serving = processesOf(host.path('')).filter(({ command }) =>
      /^\S*node .* serve /.test(command),
    )
    for (const { pid } of serving) killProcess(pid, 'SIGINT')
  })
  t.match(ended, { code: 0 })
}

/** As one that nobody has written to for a while. */
function writeAtRest(host: Host, name: string, { content }: DataFile): void {
  writeFileSync(host.path(name), content)
  utimesSync(host.path(name), 1e9, 1e9)
}

function adminUrl({ database }: Host, name: string): string {
  return `mariadb://root@localhost/${name}?socketPath=${encodeURIComponent(database.socketPath)}`
}
