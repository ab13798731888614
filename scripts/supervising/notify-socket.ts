/**
 * The datagram socket of the service manager (systemd's NOTIFY_SOCKET). What is sent arrives in order.
 *
 * Node has no UNIX sockets for datagrams, so a `perl` (its core is part of every Debian) sends what it
 * reads from a pipe, and ends with that. One that died is started again by the next message.
 *
 * Nothing depends on who listens there: that messages cannot be sent is said, once until one can, and they
 * are lost; so are those that come while the pipe is full of earlier ones.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { describeError } from '../../shared/errors.ts'

/**
 * Each message ends with a NUL, and is answered by a line: an empty one, or why it could not be sent. Its
 * signals are for those who end in order.
 */
const SENDER = `
use Socket;
$SIG{$_} = 'IGNORE' for qw(INT TERM HUP);
$| = 1;
$/ = "\\0";
my $path = shift;
$path =~ s/^@/\\0/;
socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die "$!\\n";
while (defined(my $message = <STDIN>)) {
  chomp $message;
  print defined(send($socket, $message, 0, pack_sockaddr_un($path))) ? "\\n" : "$!\\n";
}
`

const WAITING_BYTES_MAX = 8_192
const END_TIMEOUT_MS = 1_000

export class NotifySocket {
  readonly #path: string
  readonly #note: (text: string) => void
  #sender: ChildProcess | undefined
  #isFailing = false

  /** @param path as in NOTIFY_SOCKET: one that begins with @ is of no directory. */
  constructor(path: string, note: (text: string) => void) {
    this.#path = path
    this.#note = note
  }

  send(...assignments: readonly string[]): void {
    this.#sender ??= this.#start()
    const pipe = this.#sender?.stdin
    if (pipe?.writable && pipe.writableLength < WAITING_BYTES_MAX) {
      pipe.write(`${assignments.join('\n')}\0`)
    }
  }

  /** Once everything is sent, or cannot be. */
  async close(): Promise<void> {
    const sender = this.#sender
    if (sender === undefined) return
    const ended = new Promise(resolve => sender.once('close', resolve))
    sender.stdin?.end()
    const timer = setTimeout(() => sender.kill('SIGKILL'), END_TIMEOUT_MS)
    await ended
    clearTimeout(timer)
  }

  #start(): ChildProcess | undefined {
    let sender: ChildProcess
    try {
      sender = spawn('perl', ['-e', SENDER, this.#path], {
        env: { PATH: process.env.PATH },
        stdio: 'pipe',
      })
    } catch (error) {
      this.#answered(describeError(error))
      return undefined
    }
    for (const input of [sender.stdout!, sender.stderr!]) {
      createInterface({ input }).on('line', why => this.#answered(why))
    }
    sender.stdin?.on('error', () => {
      // It has died; the next message starts another.
    })
    sender.once('error', error => this.#answered(describeError(error)))
    sender.once('close', () => {
      if (this.#sender === sender) this.#sender = undefined
    })
    return sender
  }

  #answered(why: string): void {
    if (why !== '' && !this.#isFailing) {
      this.#note(`the service manager at ${this.#path} cannot be told anything: ${why}`)
    }
    this.#isFailing = why !== ''
  }
}
