import { spawnSync } from 'node:child_process'
import t from 'tap'
import { printable, printableLines, quotedName, shellWord } from '../../shared/printable.ts'

const CSI = '\u009b'
const RIGHT_TO_LEFT = '\u202e'

t.test('nothing that moves a cursor, forges a line or turns the direction round', async t => {
  const names = ['a\nb', 'a\rb', `a${CSI}31mb`, 'a\u001b[2Jb', `a${RIGHT_TO_LEFT}b`, 'a\u2028b']
  for (const name of [...names, 'a\u0000b', 'a\u007fb', 'a\ufeffb', 'a\u{e0001}b', 'a\ud800b']) {
    const shown = printable(name)
    t.match(shown, /^a(\\u[0-9a-f]{4}[^\\]*)+b$/, shown)
    t.notMatch(shown, /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u)
    t.equal(JSON.parse(quotedName(name)), name, 'a quoted name can be read back')
  }
  t.equal(printableLines('a\tb\nc\u001b'), 'a\tb\nc\\u001b')
})

t.test('what is visible stays as it is', async t => {
  for (const name of ['usage-1.txt', 'größe.csv', '使用量', '👍', 'a b', 'c:\\u0041', "it's"]) {
    t.equal(printable(name), name)
    t.equal(quotedName(name), name)
  }
  t.equal(quotedName('"quoted"'), '"\\"quoted\\""', 'or it would look like an escaped one')
})

t.test('a path can be copied into a shell', async t => {
  t.equal(shellWord('/var/lib/count-1.0'), '/var/lib/count-1.0')
  for (const path of ['a b', "it's", '$HOME/`x`', '', '~x', 'a;b', "'"]) {
    const printed = spawnSync('sh', ['-c', `printf %s ${shellWord(path)}`], { encoding: 'utf8' })
    t.equal(printed.stdout, path)
  }
})
