/** A mount, as /proc/self/mountinfo tells of it. */
export interface Mount {
  readonly mountPoint: string
  readonly kind: string
}

/** The mount that a path, without links in it, lies on. */
export function filesystemOf(path: string, mountinfo: string): Mount | undefined {
  let found: Mount | undefined
  for (const line of mountinfo.split('\n')) {
    const [before = '', behind = ''] = line.split(' - ')
    const mountPoint = unescaped(before.split(' ')[4] ?? '')
    const isAbove = path === mountPoint || path.startsWith(mountPoint.replace(/\/?$/, '/'))
    // Of several on one directory the last is the one that is seen.
    if (mountPoint === '' || !isAbove || mountPoint.length < (found?.mountPoint.length ?? 0))
      continue
    found = { mountPoint, kind: behind.split(' ')[0] ?? '' }
  }
  return found
}

/** The kernel writes spaces and the like as octal numbers. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  )
}

/** Why a state directory must not, or should not, lie on this kind of filesystem. */
export function unfitKind(
  kind: string,
): { readonly text: string; readonly isFatal: boolean } | undefined {
  if (/^(nfs4?|cifs|smb3?|smbfs|9p|afs|ceph|glusterfs|lustre|fuse\..*|fuse)$/.test(kind)) {
    const text = 'locks and mapped files do not hold there; only what publishes files may be on one'
    return { text, isFatal: true }
  }
  if (/^(vfat|exfat|msdos|ntfs3?|fuseblk)$/.test(kind)) {
    return { text: 'it knows no owners and no sockets', isFatal: true }
  }
  if (/^(tmpfs|ramfs)$/.test(kind)) {
    return { text: 'it is in memory, and gone after a power cut', isFatal: false }
  }
  return kind === 'overlay'
    ? { text: 'it goes with its container: mount a volume there', isFatal: false }
    : undefined
}
