/**
 * What a person reads: tables, pictures, exit statuses, answers of a parser that may be silent.
 */

export { withAnswers } from './answers.ts'
export { type Asking, AT_TERMINAL } from './asking.ts'
export {
  becomeOwnerOf,
  cannot,
  EXIT,
  environment,
  refuseStrangeDirectory,
  refuseWhatIsDenied,
  undecided,
  usage,
  wholeNumber,
} from './cli.ts'
export {
  columnsOf,
  fitTable,
  isLively,
  labelled,
  shorten,
  wrapFields,
  wrapText,
} from './layout.ts'
export { lineWriter } from './line-output.ts'
export { asideText, linesText } from './lines-text.ts'
export { endAsides, preciseTime, print, printRaw, sayAside, timeText } from './output.ts'
export { ProgressDisplay } from './progress-display.ts'
export { reach, type Silence, whatToDoFirst, whySilent } from './reaching.ts'
export { whyNotReady } from './readiness.ts'
export { LOG_OPTIONS, LOG_SETTINGS, variablesOf } from './setting-options.ts'
export { formatTable } from './table.ts'
export { type GivenTime, givenTime, timeOf } from './times.ts'
