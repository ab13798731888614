import { resolveConfig } from './config.ts'
import type { Environment } from './config-layers.ts'
import type { LogSettings } from './log.ts'
import { SETTINGS } from './settings.ts'

/**
 * How a process logs as long as it does not know whether its configuration is sound: why it is not must
 * come in the form that whoever reads the log expects.
 */
export function earlyLogSettings(dir: string, env: Environment): LogSettings {
  const { logFormat, logLevel } = SETTINGS
  let [format, level]: string[] = []
  try {
    const { given } = resolveConfig(dir, env)
    format = given.get('logFormat')?.text
    level = given.get('logLevel')?.text
  } catch {
    // The start that follows fails of the same, and says so.
  }
  return {
    logFormat: logFormat.parse(format ?? '') ?? 'text',
    logLevel: logLevel.parse(level ?? '') ?? 'info',
  }
}
