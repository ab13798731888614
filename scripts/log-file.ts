import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs'

const LOG_BYTES_MAX = 8 * 2 ** 20

/** A log that keeps itself within 16 MiB: at 8 MiB it becomes `.1`, the former `.1` is dropped. */
export class LogFile {
  readonly #path: string
  #fd: number
  #bytes: number

  constructor(path: string) {
    this.#path = path
    this.#fd = openSync(path, 'a', 0o600)
    this.#bytes = fstatSync(this.#fd).size
  }

  write(line: string): void {
    const bytes = Buffer.from(`${line}\n`)
    if (this.#bytes + bytes.length > LOG_BYTES_MAX) {
      closeSync(this.#fd)
      renameSync(this.#path, `${this.#path}.1`)
      this.#fd = openSync(this.#path, 'a', 0o600)
      this.#bytes = 0
    }
    writeSync(this.#fd, bytes)
    this.#bytes += bytes.length
  }

  close(): void {
    closeSync(this.#fd)
  }
}
