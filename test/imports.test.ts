import { readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, relative, resolve } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { ROOT } from './helpers/root.ts'

// Who may import whom: scripts → {generator, parser} → shared → node.

const ROOMS: Readonly<Record<string, readonly string[]>> = {
  scripts: ['scripts', 'generator', 'parser', 'shared'],
  generator: ['generator', 'shared'],
  parser: ['parser', 'shared'],
  shared: ['shared'],
}
/**
 * Within a part: who may import from which room. Data flows one way, and what several rooms need
 * stands beside them (`parser/*.ts`, `facts.ts`).
 */
const INNER_ROOMS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  parser: {
    kernel: [],
    sums: ['kernel'],
    digest: ['kernel', 'sums'],
    journal: [],
    ledger: ['kernel', 'sums'],
    intake: ['journal'],
    reading: ['journal', 'digest', 'sums'],
    settling: ['journal', 'intake'],
    recording: ['settling', 'reading', 'journal', 'ledger', 'sums'],
    counting: ['recording', 'reading', 'journal', 'ledger', 'digest', 'sums'],
  },
  generator: { making: [], publishing: [] },
  shared: { socket: [] },
  scripts: {
    state: [],
    terminal: ['state'],
    'command-table': ['terminal'],
    reports: ['terminal'],
    mariadb: ['terminal', 'state'],
    publishing: ['terminal', 'state'],
    recovery: ['publishing'],
    supervising: ['mariadb', 'terminal', 'state'],
    deploy: [],
    answers: ['command-table', 'publishing', 'reports', 'terminal', 'state'],
    serving: [
      ...[
        'answers',
        'asking',
        'mariadb',
        'publishing',
        'reports',
        'terminal',
        'state',
        'command-table',
      ],
    ],
    asking: ['mariadb', 'publishing', 'terminal'],
    library: ['asking', 'mariadb', 'publishing', 'reports', 'terminal'],
    doctor: ['supervising', 'mariadb', 'terminal', 'state'],
    commands: [
      ...[
        'serving',
        'supervising',
        'answers',
        'asking',
        'deploy',
        'mariadb',
        'publishing',
        'recovery',
        'doctor',
        'reports',
        'terminal',
        'state',
        'command-table',
      ],
    ],
    bench: ['supervising', 'mariadb', 'reports', 'terminal', 'state'],
  },
}
/** Packages, and the files and folders that may know them. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  lmdb: ['parser/journal/'],
  mariadb: ['parser/ledger/'],
  msgpackr: ['shared/socket/frames.ts', 'parser/journal/'],
}

interface Import {
  readonly from: string
  readonly of: string
}

function importsOf(file: string): Import[] {
  const text = readFileSync(`${ROOT}${file}`, 'utf8')
  return ts.preProcessFile(text).importedFiles.map(({ fileName }) => ({ from: file, of: fileName }))
}

const files = Object.keys(ROOMS)
  .flatMap(room =>
    readdirSync(`${ROOT}${room}`, { recursive: true, encoding: 'utf8' }).map(
      file => `${room}/${file}`,
    ),
  )
  .filter(file => file.endsWith('.ts') && !file.startsWith('parser/kernel/assembly/'))
const imports = files.flatMap(importsOf)
const own = imports.filter(({ of }) => of.startsWith('.'))
const foreign = imports.filter(({ of }) => !of.startsWith('.'))

t.test('the arrows between the rooms hold', async t => {
  t.ok(files.length > 40 && own.length > files.length, 'the files were read')
  for (const { from, of } of own) {
    const target = relative(ROOT, resolve(ROOT, dirname(from), of))
    const [room = ''] = from.split('/')
    const [other = ''] = target.split('/')
    if (!ROOMS[room]?.includes(other)) t.fail(`${from} imports ${target}`)
    if (!of.endsWith('.ts') && !/\.(wasm|json)$/.test(of)) t.fail(`${from} imports ${of}`)
  }
})

t.test('the arrows between the rooms within a part hold', async t => {
  for (const [part, rooms] of Object.entries(INNER_ROOMS)) {
    const there = readdirSync(`${ROOT}${part}`, { withFileTypes: true })
      .filter(entry => entry.isDirectory())
      .map(({ name }) => name)
    t.same(there.sort(), Object.keys(rooms).sort(), `the rooms of ${part}`)
    for (const [room, allowed] of Object.entries(rooms)) {
      for (const { from, of } of own.filter(({ from }) => from.startsWith(`${part}/${room}/`))) {
        const target = relative(ROOT, resolve(ROOT, dirname(from), of))
        const [otherPart, other = '', ...deeper] = target.split('/')
        const isInside = otherPart === part && deeper.length > 0
        if (isInside && other !== room && !allowed.includes(other)) {
          t.fail(`${from} imports ${target}`)
        }
      }
    }
  }
})

t.test('the page is a world of its own: a browser has nothing else', async t => {
  const page = 'scripts/serving/page/'
  t.ok(own.some(({ from }) => from.startsWith(page)))
  for (const { from, of } of imports) {
    const isInside = relative(ROOT, resolve(ROOT, dirname(from), of)).startsWith(page)
    if (from.startsWith(page) !== isInside) t.fail(`${from} imports ${of}`)
  }
})

t.test('a room has one face: others import from that, and nobody inside does', async t => {
  // Commands and benchmarks are started by their names, and imported by nobody.
  const faceless = ['scripts/commands', 'scripts/bench']
  const rooms = Object.entries(INNER_ROOMS)
    .flatMap(([part, inner]) => Object.keys(inner).map(room => `${part}/${room}`))
    .filter(room => !faceless.includes(room))
  for (const room of rooms) t.ok(files.includes(`${room}/index.ts`), `${room} has a face`)
  for (const { from, of } of own) {
    const target = relative(ROOT, resolve(ROOT, dirname(from), of))
    const room = rooms.find(room => target.startsWith(`${room}/`))
    if (room === undefined) continue
    const isInside = from.startsWith(`${room}/`)
    const isFace = target === `${room}/index.ts`
    if (isInside === isFace) t.fail(`${from} imports ${target}`)
  }
})

t.test('no file imports itself through others', async t => {
  const next = new Map<string, string[]>()
  for (const { from, of } of own) {
    const target = relative(ROOT, resolve(ROOT, dirname(from), of))
    next.set(from, [...(next.get(from) ?? []), target])
  }
  const done = new Set<string>()
  const visit = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) {
      t.fail(`a circle: ${[...way.slice(way.indexOf(file)), file].join(' → ')}`)
      return
    }
    if (done.has(file)) return
    for (const one of next.get(file) ?? []) visit(one, [...way, file])
    done.add(file)
  }
  for (const file of next.keys()) visit(file, [])
})

t.test('packages are known only where they belong', async t => {
  for (const { from, of } of foreign) {
    if (of.startsWith('node:')) {
      if (!builtinModules.includes(of.slice('node:'.length))) t.fail(`${from} imports ${of}`)
      continue
    }
    const places = PACKAGES[of]
    if (places === undefined) t.fail(`${from} imports ${of}`)
    else if (!places.some(place => from.startsWith(place))) t.fail(`${from} imports ${of}`)
  }
  for (const name of Object.keys(PACKAGES)) {
    t.ok(
      foreign.some(({ of }) => of === name),
      `${name} is used`,
    )
  }
})

t.test('these are the packages that run, and no others', async t => {
  const { dependencies, optionalDependencies, peerDependencies } = JSON.parse(
    readFileSync(`${ROOT}package.json`, 'utf8'),
  )
  t.same(Object.keys(dependencies).sort(), Object.keys(PACKAGES).sort())
  t.same([optionalDependencies, peerDependencies], [undefined, undefined])
})

t.test('no further folders', async t => {
  const made = new Set(['dist', 'node_modules', 'var'])
  const folders = readdirSync(ROOT, { withFileTypes: true })
    .filter(entry => entry.isDirectory() && !entry.name.startsWith('.') && !made.has(entry.name))
    .map(({ name }) => name)
  t.same(folders.sort(), [...Object.keys(ROOMS), 'test'].sort())
})
