/**
 * The command table: what a command is, and all that is made of its row (parsing, help, completion, the
 * manual page, the shapes of its JSON).
 */

export {
  type Command,
  type CommandTable,
  command,
  commandsOf,
  errorFields,
  findCommand,
  type Given,
  jsonLine,
} from './command.ts'
export { completionScript, SHELLS, type Shell } from './completion.ts'
export { FILE_SHAPE, fileJson } from './file-json.ts'
export { helpText, optionHelp, overviewText } from './help-text.ts'
export {
  type Answer,
  answerSchema,
  count,
  digits,
  fields,
  flag,
  lines,
  list,
  measure,
  one,
  oneOf,
  orNull,
  problem,
  type Shape,
  sha256,
  text,
  time,
} from './json-shape.ts'
export { manualPage } from './manual-page.ts'
export { named, synopsis } from './synopsis.ts'
