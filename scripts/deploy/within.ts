/** Whether a path is one of these directories, or in one of them. */
export function withinAny(path: string, directories: readonly string[]): boolean {
  return directories.some(directory => path === directory || path.startsWith(`${directory}/`))
}
