import { LEDGER_TABLES } from '../../../shared/config.ts'
import { formatCount } from '../../../shared/numbers.ts'
import { type Bench, PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { makeSumsOfLines } from '../pairs-table.ts'
import { builtFile, runProgram } from '../programs.ts'
import { countContents, countedSite, openLedger, tableFileBytes } from '../recorded.ts'
import { judge, mustEqual, twoDigits } from '../row.ts'
import { Site } from '../site.ts'
import { medianOf, spreadOf } from '../statistics.ts'

const BYTES_PER_PAIR_MAX = 3.2
const EXPLAIN_SECONDS_MAX = 2
const VERIFY_SECONDS_MAX = 6
const secondsText = (value: number): string => `${twoDigits(value)} s`

/** What the sums of every file take in the ledger, and what can be asked of them. */
export const record: Section = {
  name: 'record',
  summary:
    'the sums of every file in the ledger: their size, `explain --consumer`, `verify --full`',
  diskBytes: ({ proof, explained }) =>
    proof.contents * proof.consumers * 4 +
    explained.contents * explained.consumers * 4 +
    2 * PRIVATE_MARIADB_BYTES,
  async run(bench) {
    await provenContents(bench)
    await explainedConsumer(bench)
  },
}

async function provenContents(bench: Bench): Promise<void> {
  const { contents, consumers } = bench.scale.proof
  const site = await Site.make(bench.workspace)
  const ledger = await openLedger(site)
  const sums = makeSumsOfLines(consumers)
  bench.say(`recording ${contents} contents of ${formatCount(consumers)} consumers`)
  // The first makes the tables' files grow by more than they need.
  await countContents(ledger, sums, 1)
  const before = await tableFileBytes(site, LEDGER_TABLES)
  await countContents(ledger, sums, contents - 1, counted => bench.say(`counted ${counted}`))
  const growth = (await tableFileBytes(site, LEDGER_TABLES)) - before
  const pairs = (contents - 1) * consumers
  const blocks = await blocksOf(site)
  mustEqual('pairs in the blocks', blocks.pairs, contents * consumers)
  bench.row({
    section: 'record',
    name: 'record-bytes',
    what: `growth of the ledger's files by ${contents - 1} contents of ${formatCount(consumers)} dense ids with 80 lines each, a pair`,
    ...judge(growth / pairs, { side: 'at most', bound: BYTES_PER_PAIR_MAX, write: bytesText }),
    figures: {
      bytes: growth,
      pairs,
      blockBytesPerPair: blocks.bytes / blocks.pairs,
      blocks: blocks.count,
    },
  })
  await ledger.close()
  const asked = await askThrice(bench, site, ['verify', '--full', '--json'])
  const proof = lastOf<{ addsUp: boolean; differences: number }>(asked)
  mustEqual('whether it adds up', String(proof.addsUp), 'true')
  mustEqual('differences', proof.differences, 0)
  bench.row({
    section: 'record',
    name: 'verify-full',
    what: `countersink verify --full: ${contents} contents of ${formatCount(consumers)} consumers`,
    ...judge(medianOf(asked.seconds), {
      side: 'at most',
      bound: VERIFY_SECONDS_MAX,
      write: secondsText,
    }),
    figures: figuresOf(asked),
  })
  await site.stopServer()
}

async function explainedConsumer(bench: Bench): Promise<void> {
  const { contents, consumers } = bench.scale.explained
  const { site, ledger, sums } = await countedSite(bench, contents, consumers)
  await ledger.close()
  const id = consumers >> 1
  const asked = await askThrice(bench, site, ['explain', '--consumer', String(id), '--json'])
  const account = lastOf<{ total: string; expected: string; postings: number }>(asked)
  mustEqual('postings', account.postings, contents)
  mustEqual('what it adds up to', account.expected, account.total)
  mustEqual('the total', account.total, sums.amounts[id - 1]! * BigInt(contents))
  bench.row({
    section: 'record',
    name: 'explain-consumer',
    what: `countersink explain --consumer: one that is in all of ${formatCount(contents)} contents, with a block of ${formatCount(consumers)} consumers each`,
    ...judge(medianOf(asked.seconds), {
      side: 'at most',
      bound: EXPLAIN_SECONDS_MAX,
      write: secondsText,
    }),
    figures: figuresOf(asked),
  })
  await site.stopServer()
}

interface Asked {
  readonly stdout: string
  readonly seconds: readonly number[]
  /** Of the command, its start included. */
  readonly cpuSeconds: readonly number[]
  readonly serverCpuSeconds: readonly number[]
}

/** The command as anybody types it, from its start to its end; the first of all warms the server. */
async function askThrice(bench: Bench, site: Site, args: readonly string[]): Promise<Asked> {
  const seconds: number[] = []
  const cpuSeconds: number[] = []
  const serverCpuSeconds: number[] = []
  let stdout = ''
  for (let time = 0; time <= 3; time += 1) {
    const before = site.serverCpuSeconds()
    const ended = await runProgram(bench.workspace, process.execPath, [
      ...['--import', TELLS_CPU, builtFile('../countersink')],
      ...args,
      ...['--dir', site.paths.dir],
    ])
    if (ended?.code !== 0) throw new Error(`${args[0]} ended with ${ended?.code}: ${ended?.stderr}`)
    stdout = ended.stdout
    if (time === 0) continue
    seconds.push(ended.seconds)
    cpuSeconds.push(Number(/cpu ([\d.]+)/.exec(ended.stderr)?.[1]))
    serverCpuSeconds.push(site.serverCpuSeconds() - before)
  }
  return { stdout, seconds, cpuSeconds, serverCpuSeconds }
}

/** What the command has taken of the processor is gone with it, unless it says so at its end. */
const TELLS_CPU = `data:text/javascript,process.on('exit',()=>{const{user,system}=process.cpuUsage();process.stderr.write('cpu '+(user+system)/1e6)})`

/** An object a line: how it ended. */
function lastOf<T>({ stdout }: Asked): T {
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as T
}

function figuresOf({ seconds, cpuSeconds, serverCpuSeconds }: Asked) {
  return {
    secondsMedian: medianOf(seconds),
    secondsMin: Math.min(...seconds),
    noise: spreadOf(seconds).noise,
    cpuSecondsMedian: medianOf(cpuSeconds),
    serverCpuSecondsMedian: medianOf(serverCpuSeconds),
  }
}

const bytesText = (value: number): string => `${twoDigits(value)} B`

async function blocksOf(site: Site): Promise<Record<'count' | 'bytes' | 'pairs', number>> {
  const [row] = await site.withSession(session =>
    session.query<Record<'count' | 'bytes' | 'pairs', bigint | string>>(
      `SELECT COUNT(*) AS count, SUM(LENGTH(block)) AS bytes, SUM(pairs) AS pairs
         FROM ${site.config.tablePrefix}sums`,
    ),
  )
  return {
    count: Number(row?.count ?? 0),
    bytes: Number(row?.bytes ?? 0),
    pairs: Number(row?.pairs ?? 0),
  }
}
