import { command, commandsOf, manualPage } from '../command-table/index.ts'
import { programVersion } from '../program-version.ts'
import { EXIT, print } from '../terminal/index.ts'

export const man = command({
  name: 'man',
  summary: 'print the manual page',
  about: `Prints the manual page, as mdoc(7). An installed package brings it along, for "man countersink".`,
  options: {},
  exits: { 0: 'printed' },
  examples: [
    { line: 'countersink man | man -l -', what: 'read it' },
    {
      line: 'countersink man >/usr/local/share/man/man1/countersink.1',
      what: 'install it for all users',
    },
  ],
  isAboutItself: true,
  async run({ table }) {
    await print(manualPage(await commandsOf(table), programVersion()))
    return EXIT.ok
  },
})
