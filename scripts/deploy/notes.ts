import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { shellWord } from '../../shared/printable.ts'
import type { Deployment } from './units.ts'

/** What would keep the units from working on this host, in sentences; as far as it can be seen here. */
export function notesOn(place: Deployment): string[] {
  const { node, program, user, dir, databaseUrlFile } = place
  const notes: string[] = []
  if (spawnSync('id', ['-u', '--', user]).status !== 0) {
    const home = dir === undefined ? '' : ` --home-dir ${shellWord(dir)}`
    notes.push(
      `there is no user ${user} here: useradd --system${home} --shell /usr/sbin/nologin ${shellWord(user)}`,
    )
  }
  for (const path of [node, program]) {
    const closed = ancestors(path).find(isClosed)
    if (closed !== undefined && user !== 'root') {
      notes.push(
        `${path} is in ${closed}, which only its owner may enter: if that is not the service, install it for all users, such as with "npm install --global"`,
      )
    }
  }
  if (dir !== undefined && !existsSync(dir)) {
    notes.push(`${dir} must be there: install -d -m 0700 -o ${shellWord(user)} ${shellWord(dir)}`)
  }
  if (databaseUrlFile !== undefined && !existsSync(databaseUrlFile)) {
    notes.push(`${databaseUrlFile} is not there yet, and without it the service does not start`)
  }
  if (!isInPath('perl')) {
    notes.push('there is no perl here, without which systemd is not told that the service is ready')
  }
  return notes
}

function ancestors(path: string): string[] {
  const parent = dirname(path)
  return parent === path ? [] : [...ancestors(parent), parent]
}

function isClosed(directory: string): boolean {
  const stats = statSync(directory, { throwIfNoEntry: false })
  return stats !== undefined && (stats.mode & 0o001) === 0
}

function isInPath(name: string): boolean {
  const directories = (process.env.PATH ?? '').split(delimiter)
  return directories.some(directory => existsSync(join(directory, name)))
}
