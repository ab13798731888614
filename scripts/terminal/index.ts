/**
 * What a person types and reads: options, tables, pictures, answers of a parser that may be silent.
 */

export { withAnswers } from './answers.ts'
export {
  type Command,
  cannot,
  DIR_HELP,
  EXIT,
  environment,
  parseOptions,
  refuseWhatIsDenied,
  usage,
  wholeNumber,
} from './cli.ts'
export { columnsOf, fitTable, isLively, labelled, wrapFields, wrapText } from './layout.ts'
export { fileJson, print, timeText } from './output.ts'
export { ProgressDisplay } from './progress-display.ts'
export { reach, type Silence, whatToDoFirst, whySilent } from './reaching.ts'
export { whyNotReady } from './readiness.ts'
export { steadyWriter } from './steady-output.ts'
export { formatTable } from './table.ts'
