import { isDeepStrictEqual } from 'node:util'
import type { Config } from './config.ts'
import { describeError, hasCode } from './errors.ts'
import { fileKeyOf, SETTING_KEYS, SETTINGS, type SettingKey } from './settings.ts'

/**
 * Read anew wherever they are used. All others shape what was made at the start; but for the address of
 * the database, which is asked for at each new connection (whether it is a private one is not).
 */
const RELOADED = [
  ...(['scanIntervalMs', 'quietMs', 'cutHoldMs', 'queueFilesMax', 'reserveBytes'] as const),
  ...(['reserveInodes', 'backlogFilesMax', 'backlogBytesMax', 'logLevel'] as const),
] satisfies readonly SettingKey[]

export interface Reload {
  /** For the log: what has changed, what needs a restart, or why all stays as it was. */
  readonly text: string
  readonly isRefused: boolean
}

/**
 * The configuration of a process that may be told to read it again. What can be taken over while it
 * runs is, for those who ask `config` each time; the rest stays as it was at the start, and is told of.
 * A configuration with anything wrong in it changes nothing at all.
 */
export class LiveConfig {
  /** What is in force. */
  readonly config: Config
  readonly #read: () => Config
  #now: Config

  /** @throws CountersinkError CONFIG_INVALID, which ends a start and nothing later. */
  constructor(read: () => Config) {
    this.#read = read
    this.#now = read()
    const live = RELOADED.map(key => [
      key,
      { enumerable: true, get: () => this.#now[key] } as PropertyDescriptor,
    ])
    this.config = Object.freeze(
      Object.defineProperties({ ...this.#now }, Object.fromEntries(live)),
    ) as Config
  }

  /** Why a start would be refused now. */
  whyUnfit(): string | undefined {
    const next = this.#readOrWhyNot()
    return 'unfit' in next ? `the configuration cannot be used: ${next.unfit}` : undefined
  }

  reload(): Reload {
    const next = this.#readOrWhyNot()
    if ('unfit' in next) {
      const text = `the configuration cannot be used, and stays as it was: ${next.unfit}`
      return { text, isRefused: true }
    }
    const differing = SETTING_KEYS.filter(key => !isDeepStrictEqual(next[key], this.#now[key]))
    const isLive = (key: SettingKey): boolean => RELOADED.some(one => one === key)
    const taken = differing
      .filter(isLive)
      .map(key => `${nameOf(key)} ${this.#now[key]} -> ${next[key]}`)
    const isNextConnection = (key: SettingKey): boolean =>
      key === 'databaseUrl' && this.#now.databaseUrl !== '' && next.databaseUrl !== ''
    const left = differing.filter(key => !isLive(key) && !isNextConnection(key)).map(nameOf)
    const followed = [...RELOADED, ...differing.filter(isNextConnection)]
    this.#now = { ...this.#now, ...Object.fromEntries(followed.map(key => [key, next[key]])) }
    const hasNewAddress = differing.some(isNextConnection)
    const parts = [
      ...(taken.length === 0 ? [] : [taken.join(', ')]),
      ...(hasNewAddress ? ['databaseUrl is used by new connections'] : []),
      ...(left.length === 0 ? [] : [`a restart is needed for ${left.join(', ')}`]),
    ]
    const what = parts.length === 0 ? 'nothing has changed' : parts.join('; ')
    return { text: `configuration read again: ${what}`, isRefused: false }
  }

  #readOrWhyNot(): Config | { readonly unfit: string } {
    try {
      return this.#read()
    } catch (error) {
      if (!hasCode(error, 'CONFIG_INVALID')) throw error
      return { unfit: describeError(error) }
    }
  }
}

function nameOf(key: SettingKey): string {
  return fileKeyOf(SETTINGS[key].variable)
}
