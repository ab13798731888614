/**
 * The parser's way from start to end.
 *
 * - **starting**: it owns the journal (an earlier parser that still has it is ended), answers pings and
 *   takes files (an ack needs the journal alone); it waits for MariaDB, as long as that takes, and
 *   makes the two agree.
 * - **running**: inbox → reading → counting, each a loop of its own. (`paused` in a pong is this state,
 *   with something in the way that nothing can be written without.)
 * - **stopping**: nothing new is taken, the file being read is left, the chunk being applied is
 *   finished, then everything closes. Whatever is left is durable and goes on at the next start.
 * - **stopped**: all is closed.
 *
 * An error in any loop ends the process from whatever state; a new start finds everything on disk.
 */

import { REFUSED, type StateTable } from '../shared/state-table.ts'

export type ParserState = 'starting' | 'running' | 'stopping' | 'stopped'

/** **agreed**: journal and ledger are one. **stop**: it is asked to end. **closed**: it has. */
export type ParserStep = 'agreed' | 'stop' | 'closed'

export const PARSER_STATES = {
  starting: { agreed: 'running', stop: 'stopping', closed: REFUSED },
  running: { agreed: REFUSED, stop: 'stopping', closed: REFUSED },
  // They may come to agree in the moment of the stop.
  stopping: { agreed: 'stopping', stop: 'stopping', closed: 'stopped' },
  stopped: { agreed: REFUSED, stop: 'stopped', closed: REFUSED },
} as const satisfies StateTable<ParserState, ParserStep>
