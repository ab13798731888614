import { spawnSync } from 'node:child_process'

/** Why the tests of units cannot run here; where CI is set, they must. */
export function whyNoSystemdAnalyze(): string | false {
  const { error } = spawnSync('systemd-analyze', ['--version'])
  if (error === undefined || process.env.CI) return false
  return 'there is no systemd-analyze here: sudo apt-get install --no-install-recommends systemd'
}

/** What it says, on both streams, and its exit status. */
export function systemdAnalyze(...args: readonly string[]): {
  said: string
  status: number | null
} {
  const { stdout, stderr, status, error } = spawnSync('systemd-analyze', args, { encoding: 'utf8' })
  if (error !== undefined) throw error
  return { said: `${stdout}${stderr}`, status }
}
