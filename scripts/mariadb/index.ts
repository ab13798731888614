/**
 * The private server, and whose database a command may ask: the service's, at rest or not.
 */

export { withDatabaseAtRest, withServiceDatabase } from './database-at-rest.ts'
export { askForContents, askForUnknown } from './ledger-at-rest.ts'
export { findServerProgram, isDataDirectory } from './mariadb-bootstrap.ts'
export { MariadbKeeper } from './mariadb-keeper.ts'
export {
  askAndWait,
  contentMeant,
  type LedgerAtHand,
  type Patience,
  untilCounted,
  withLedger,
} from './orders.ts'
export { refuseOpenDirectory, startPrivateMariadb } from './private-mariadb.ts'
export {
  hasPrivateDatabase,
  notTheServices,
  type ServiceDatabase,
  serviceDatabase,
} from './service-database.ts'
export { findTrail } from './trails.ts'
