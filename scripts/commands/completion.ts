import {
  command,
  commandsOf,
  completionScript,
  SHELLS,
  type Shell,
} from '../command-table/index.ts'
import { EXIT, print } from '../terminal/index.ts'

export const completion = command({
  name: 'completion',
  summary: 'print the completion of commands and options for a shell',
  about: `Prints a script by which bash, zsh or fish completes commands, options, their values and files. For all
users it is put where the shell looks for it: /usr/share/bash-completion/completions/countersink,
/usr/share/zsh/vendor-completions/_countersink or /usr/share/fish/vendor_completions.d/countersink.fish.`,
  words: {
    ...{ kind: 'choice', value: 'bash|zsh|fish', min: 1, max: 1 },
    choices: SHELLS,
  },
  options: {},
  exits: { 0: 'printed' },
  examples: [
    { line: 'eval "$(countersink completion bash)"', what: 'in ~/.bashrc, for one user' },
    { line: 'eval "$(countersink completion zsh)"', what: 'in ~/.zshrc, below compinit' },
    { line: 'countersink completion fish | source', what: 'in ~/.config/fish/config.fish' },
  ],
  isAboutItself: true,
  async run({ positionals, table }) {
    await print(completionScript(positionals[0] as Shell, await commandsOf(table)))
    return EXIT.ok
  },
})
