import t from 'tap'
import { steadyWriter } from '../../shared/steady-writer.ts'

t.test('what nobody reads is left out beyond a bound, and said to be', async t => {
  const stream = {
    isTTY: true,
    blocks: true,
    writableLength: 0,
    written: '',
    write(text: string) {
      this.written += text
      this.writableLength += text.length
    },
    _handle: {
      setBlocking(blocks: boolean) {
        stream.blocks = blocks
      },
    },
  }
  const write = steadyWriter(stream)
  t.notOk(stream.blocks)
  for (let line = 0; line < 100_000; line += 1) write(`${line} is a line\n`)
  t.ok(stream.written.length < 300_000, `${stream.written.length} characters wait`)
  const waited = stream.written.split('\n').length - 1
  stream.writableLength = 0
  write('the reader goes on\n')
  const told = `-- ${100_000 - waited} messages were not read, and left out --\nthe reader goes on\n`
  t.ok(stream.written.endsWith(told))
})
