/**
 * Which server a new connection goes to. The address is asked for anew each time, as a password may
 * have changed; of several hosts they are tried in turn, beginning with the one that was good last, so
 * that nothing goes back and forth while it is.
 *
 * A host that is away, read only, unfit, or whose ledger is not the one is passed over, and why is
 * told. What decides is what is looked at on every new connection (`schema/opening.ts`): a replica that
 * lacks a commit that was counted is never gone on with. Nothing is kept that a crash could lose.
 *
 * With a single host its own error is thrown, with several one of all their reasons: to be waited for
 * if any of them may pass.
 */

import { oneUrlPerHost, parseDatabaseUrl } from '../../shared/database-url.ts'
import { CountersinkError, describeError, withCause } from '../../shared/errors.ts'
import type { HostInUse, PassedOver } from '../../shared/events.ts'
import { Session } from './connection.ts'
import { assertWritable } from './schema/server.ts'
import { databaseUnavailable, databaseUnfit, isUnfit, judgeSqlError } from './sql-errors.ts'
import type { DatabaseAddress } from './way-in.ts'

/** One server, and how it is called for people. */
export interface Host {
  readonly name: string
  readonly address: DatabaseAddress
}

export class Hosts {
  readonly #address: () => DatabaseAddress
  readonly #onUse: (host: HostInUse) => void
  #lastGood: string | undefined

  /** @param lastGood the name of the one that is known to be. */
  constructor(
    address: () => DatabaseAddress,
    onUse: (host: HostInUse) => void = () => {},
    lastGood?: string,
  ) {
    this.#address = address
    this.#onUse = onUse
    this.#lastGood = lastGood
  }

  /**
   * @param inspect throws what is wrong with a session; others are then tried.
   * @throws what is wrong with the only host, or with all of them.
   */
  async open(inspect: (session: Session) => Promise<void>): Promise<Session> {
    const hosts = this.#inTurn()
    const passedOver: Failure[] = []
    for (const host of hosts) {
      let session: Session | undefined
      try {
        session = await Session.open(host.address)
        await inspect(session)
        if (hosts.length > 1 && this.#lastGood !== host.name) {
          this.#onUse({ host: host.name, passedOver: passedOver.map(told) })
        }
        this.#lastGood = host.name
        return session
      } catch (error) {
        session?.destroy()
        if (hosts.length === 1 || !isAboutTheHost(error)) throw error
        passedOver.push({ host: host.name, error })
      }
    }
    throw noneOf(passedOver)
  }

  /** Those beside the one that this session is on. */
  others({ address }: Session): readonly Host[] {
    return this.#inTurn().filter(host => host.name !== nameOf(address))
  }

  #inTurn(): readonly Host[] {
    let address: DatabaseAddress
    try {
      address = this.#address()
    } catch (cause) {
      throw databaseUnfit(`its address cannot be had: ${describeError(cause)}`, '', { cause })
    }
    const hosts = hostsOf(address)
    const good = hosts.findIndex(({ name }) => name === this.#lastGood)
    return good === -1 ? hosts : [...hosts.slice(good), ...hosts.slice(0, good)]
  }
}

interface Failure {
  readonly host: string
  readonly error: unknown
}

/** As they stand in the URL. */
export function hostsOf(address: DatabaseAddress): readonly Host[] {
  const addresses = 'url' in address ? oneUrlPerHost(address.url).map(url => ({ url })) : [address]
  return addresses.map(one => ({ name: nameOf(one), address: one }))
}

function nameOf(address: DatabaseAddress): string {
  if ('socketPath' in address) return address.socketPath
  const parsed = parseDatabaseUrl(address.url)
  if ('wrong' in parsed) return address.url
  return parsed.socketPath ?? `${parsed.host}:${parsed.port}`
}

/** What is a fault of ours is one on every host. */
function isAboutTheHost(error: unknown): boolean {
  const meaning = judgeSqlError(error)?.meaning
  return isUnfit(error) || (meaning !== undefined && meaning !== 'ours')
}

function told({ host, error }: Failure): PassedOver {
  return { host, because: judgeSqlError(error)?.reason ?? withCause(error) }
}

function noneOf(failures: readonly Failure[]): CountersinkError {
  const why = failures
    .map(told)
    .map(({ host, because }) => `${host}: ${because}`)
    .join('; ')
  if (!failures.every(({ error }) => isForAPerson(error))) {
    return databaseUnavailable(`none of the hosts can be used now: ${why}`)
  }
  const first = failures.map(({ error }) => error).find(isUnfit)
  return new CountersinkError(
    first?.code ?? 'DATABASE_UNFIT',
    `none of the hosts can be used: ${why}`,
    { advice: first?.advice ?? 'Mend one of them.' },
  )
}

function isForAPerson(error: unknown): boolean {
  return isUnfit(error) || judgeSqlError(error)?.meaning === 'refused'
}

/**
 * For a single question: of several hosts the first one that can be written to, no lagging replica.
 *
 * @param inUse the host that the service uses, which is tried first: a primary that has come back may
 *   be writable, and behind.
 */
export async function openSession(address: DatabaseAddress, inUse?: string): Promise<Session> {
  const isOne = isOneOfSeveral(address)
  return new Hosts(() => address, undefined, inUse).open(async session => {
    if (isOne) await assertWritable(session)
  })
}

/** Whether it is a matter of which host is used. */
export function isOneOfSeveral(address: DatabaseAddress): boolean {
  return hostsOf(address).length > 1
}
