/** A unit's ExecStart as a list of words, read as systemd reads it: quotes, `%%`, `$$`. */
export function execStart(unit: string): string[] {
  const line = /^ExecStart=(.*)$/m.exec(unit)?.[1] ?? ''
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain]) => {
    const word = plain ?? quoted?.replace(/\\(.)/g, '$1') ?? ''
    return word.replaceAll('%%', '%').replace(/\$\$/g, () => '$')
  })
}
