import t from 'tap'
import { StepBack } from '../../../parser/reading/step-back.ts'
import { eventually } from '../../shared/helpers.ts'

t.test('a file that steps back is due after a pause, which doubles each time', async t => {
  const stepped = new StepBack()
  t.equal(stepped.dueInMs, undefined)
  t.equal(stepped.add({ sequence: 7, name: 'large' }, 'no room'), true, 'worth a line in the log')
  t.equal(stepped.reason, '"large" waits for room: no room')
  t.equal(stepped.takeDue(), undefined)
  const first = stepped.dueInMs!
  t.ok(first > 0 && first <= 1_000, `${first} ms`)
  await eventually('it is due', () => stepped.takeDue() === 7)
  t.equal(stepped.takeDue(), undefined, 'once')
  t.equal(stepped.dueInMs, undefined, 'and does not wait while it is tried')
  t.equal(stepped.add({ sequence: 7, name: 'large' }, 'no room'), false)
  t.ok(stepped.dueInMs! > 1_000 && stepped.dueInMs! <= 2_000)
  stepped.add({ sequence: 8, name: 'other' }, 'no room')
  t.equal(stepped.reason, '"large" waits for room: no room (and 1 more files)')
  stepped.forget(7)
  t.match(stepped.reason, /^"other"/)
  for (let i = 0; i < 40; i += 1) stepped.add({ sequence: 8, name: 'other' }, 'no room')
  t.ok(stepped.dueInMs! <= 300_000, 'up to five minutes')
})
