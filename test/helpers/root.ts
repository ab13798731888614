import { fileURLToPath } from 'node:url'

// Tests run as they are built, from dist/test/.

/** The project's directory, with a `/` at its end. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
/** Where the program is built to. */
export const BUILT = `${ROOT}dist/`
