/**
 * Whether the sums of a digested file are used again after a restart, by what has become of the file
 * and of its sealed run. They are those of the content that was read and claimed: as long as the
 * file is that, or is gone, they are as good as reading it; a file that has changed is read again,
 * and its hash decides.
 */

/** As a name in work/ compared with what was read. */
export type FileAsRead = 'the same' | 'changed' | 'gone'
/** **none**: the sums were in memory only. **unusable**: missing, cut, or not what its checksum says. */
export type RunAsSealed = 'none' | 'usable' | 'unusable'

export const REOPENING = {
  'the same': { none: 'read again', usable: 'use', unusable: 'read again' },
  changed: { none: 'read again', usable: 'read again', unusable: 'read again' },
  // To be read again it would have to be there: it is quarantined as missing.
  gone: { none: 'read again', usable: 'use', unusable: 'read again' },
} as const satisfies Record<FileAsRead, Record<RunAsSealed, 'use' | 'read again'>>
