/**
 * What a host needs to run it as a service.
 */

export { notesOn } from './notes.ts'
export { ALERT_UNIT, type Deployment, serviceUnits, timerUnits, type Unit } from './units.ts'
export { otherUnits, UNIT_DIRECTORY, writeUnits } from './write-units.ts'
