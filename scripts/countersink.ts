#!/usr/bin/env node
/**
 * The program. It looks at the Node.js that runs it before it loads anything: an older one would end
 * with the syntax or the import that it does not know. So nothing here is newer than modules are.
 */
const LEAST_NODE = [20, 15]

const found = process.version.slice(1).split('.').map(Number)
const [major, minor] = [found[0]!, found[1]!]
if (major > LEAST_NODE[0]! || (major === LEAST_NODE[0] && minor >= LEAST_NODE[1]!)) {
  void import('./command-line.ts').then(({ run }) => run(process.argv.slice(2)))
} else {
  process.stderr.write(
    `countersink: Node.js ${LEAST_NODE.join('.')} or newer is needed; this is ${process.version} (${process.execPath}).\n`,
  )
  process.exitCode = 2
}
