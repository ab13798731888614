import { spawnSync } from 'node:child_process'

/** Why what Prometheus reads cannot be checked here; where CI is set, it must be. */
export function whyNoPromtool(): string | false {
  const { error } = spawnSync('promtool', ['--version'])
  if (error === undefined || process.env.CI) return false
  return 'there is no promtool here: sudo apt-get install --no-install-recommends prometheus'
}

/** What it says, on both streams, and its exit status. */
export function promtool(
  args: readonly string[],
  input = '',
): { said: string; status: number | null } {
  const { stdout, stderr, status, error } = spawnSync('promtool', args, { encoding: 'utf8', input })
  if (error !== undefined) throw error
  return { said: `${stdout}${stderr}`, status }
}
