import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { eventually } from './eventually.ts'
import type { Teardown } from './processes.ts'

/** What came, and when. */
export interface Notice {
  readonly lines: readonly string[]
  readonly atMs: number
}

export interface NotifyReceiver {
  readonly pid: number | undefined
  readonly notices: readonly Notice[]
  /** How long ago this line came last. */
  quietMs(line: string): number
  /** All lines in order; of those that begin with `prefix`, if one is given. */
  lines(prefix?: string): string[]
  /** Resolves when a line is, or begins with, this. */
  hears(line: string): Promise<string>
}

const RECEIVER = `
use Socket;
$| = 1;
my $path = shift;
$path =~ s/^@/\\0/;
socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die "$!";
bind($socket, pack_sockaddr_un($path)) or die "$!";
print "\\0";
while (defined(recv($socket, my $datagram, 65536, 0))) { print "$datagram\\0" }
`

/** The service manager's end of the socket; @ begins the name of one that is in no directory. */
export async function receiveNotices(t: Teardown, path: string): Promise<NotifyReceiver> {
  const receiver = spawn('perl', ['-e', RECEIVER, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(receiver, 'close')
  t.teardown(async () => {
    receiver.kill('SIGKILL')
    await ended
  })
  const notices: Notice[] = []
  let isBound = false
  let rest = ''
  receiver.stdout.setEncoding('utf8').on('data', text => {
    const texts = `${rest}${text}`.split('\0')
    rest = texts.pop() ?? ''
    if (!isBound) texts.shift()
    isBound = true
    for (const text of texts) notices.push({ lines: text.split('\n'), atMs: performance.now() })
  })
  await eventually('the receiver has its socket', () => isBound)
  const lines = (prefix = ''): string[] =>
    notices.flatMap(({ lines }) => lines.filter(line => line.startsWith(prefix)))
  return {
    pid: receiver.pid,
    notices,
    lines,
    quietMs: line => {
      const heard = notices.filter(({ lines }) => lines.includes(line))
      return performance.now() - (heard.at(-1)?.atMs ?? 0)
    },
    hears: line => eventually(`${line} is heard`, () => lines(line).at(-1)),
  }
}
