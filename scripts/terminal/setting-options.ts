import { LEVELS, LOG_FORMATS } from '../../shared/log-line.ts'
import type { Setting } from '../../shared/setting-kinds.ts'
import { SETTINGS } from '../../shared/settings.ts'
import { usage } from './cli.ts'

/** How a command that starts a service has it write its logs. */
export const LOG_OPTIONS = {
  'log-format': {
    kind: 'choice',
    value: 'F',
    choices: LOG_FORMATS,
    help: `lines of logs (default: ${SETTINGS.logFormat.default})`,
  },
  'log-level': {
    kind: 'choice',
    value: 'L',
    choices: LEVELS,
    help: `which of them, and what is more urgent (default: ${SETTINGS.logLevel.default})`,
  },
} as const

export const LOG_SETTINGS = {
  'log-format': SETTINGS.logFormat,
  'log-level': SETTINGS.logLevel,
} as const

/**
 * Options that stand for settings, as variables: so they reach whatever reads the configuration, the
 * children of the process too.
 *
 * @throws CountersinkError USAGE
 */
export function variablesOf(
  values: Readonly<Record<string, unknown>>,
  settings: Readonly<Record<string, Setting<unknown>>>,
): Record<string, string> {
  const variables: Record<string, string> = {}
  for (const [option, { variable, allowed, parse }] of Object.entries(settings)) {
    const value = values[option]
    if (typeof value !== 'string') continue
    if (parse(value) === undefined) {
      throw usage(`--${option} must be ${allowed}, got ${JSON.stringify(value)}`)
    }
    variables[variable] = value
  }
  return variables
}
