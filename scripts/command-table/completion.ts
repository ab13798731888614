/**
 * Completion for shells: scripts that hold the whole table, so that no process is started while somebody
 * types. Files are completed by the shell; hashes are not.
 */

import type { Command } from './command.ts'
import { bashScript } from './completion-bash.ts'
import { fishScript } from './completion-fish.ts'
import { zshScript } from './completion-zsh.ts'

/** What can be completed for, and where such a script belongs. */
export const SHELLS = {
  bash: '/usr/share/bash-completion/completions/countersink',
  zsh: '/usr/share/zsh/vendor-completions/_countersink',
  fish: '/usr/share/fish/vendor_completions.d/countersink.fish',
} as const

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript }

export type Shell = keyof typeof SHELLS

export function completionScript(shell: Shell, commands: readonly Command[]): string {
  return SCRIPTS[shell](commands)
}
