/** The page as it is served, of files that were really counted: what it shows is what was published. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { countersink } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { dataFile, drop, sha256Of } from '../helpers/files.ts'
import { startParser } from '../helpers/parser.ts'
import { makeSite } from '../helpers/state-dir.ts'
import { startServe } from '../serving/http.ts'
import { open, startBrowser, whyNoBrowser } from './browser.ts'

const U64_MAX = 18446744073709551615n

t.test('the page of a real service', { skip: whyNoBrowser() }, async t => {
  const server = await startDatabaseServer(t)
  const site = await makeSite(t, server)
  const parser = await startParser(t, site)
  const files = [
    dataFile('first.txt', `7 ${U64_MAX - 9n}\n`),
    dataFile('second \u202etxt.exe', `7 9\n${U64_MAX} 5\n`),
  ]
  drop(site.paths, files)
  writeFileSync(join(site.paths.inbox, 'bad.txt'), '1 5\n1 <img src=x>\n')
  drop(site.paths, [dataFile('third.txt', '9 9\n')])
  await parser.untilSettled(4)
  await countersink(t, site, 'verify', '--full')
  const web = await startServe(t, site)
  const [, address] = /\bserving at="?([^\s"]+)/.exec(web.output()) ?? []
  await withSession(site, session =>
    session.execute(`UPDATE countersink_meta SET time_zone = 'Europe/Berlin'`),
  )
  const browser = await startBrowser()
  t.teardown(() => browser.close())
  const { page, go, faults } = await open(browser, `http://${address}/`)
  const main = async (): Promise<string> => {
    return (await page.locator('main').innerText()).replaceAll('\u202f', ' ')
  }

  t.match(await page.locator('#pulse').innerText(), 'parser running')
  t.match(await main(), /1 file in quarantine/)
  t.match(await main(), /Counted ever\s+3 files\s+4 lines/)

  t.match(await main(), /Last 48 hours\s+18 446 744 073 709 551 629/)
  t.equal(await page.locator('.uplot').count(), 1)

  await go('#/files')
  await page.getByText('second \\u202etxt.exe').click()
  await page.getByText('Its way').waitFor()
  t.match(await main(), sha256Of(files[1]!.content))
  t.match(
    (await page.locator('.way .step').allInnerTexts()).join(' '),
    /claimed .*counted .*settled/,
  )

  await go('#/consumer/7')
  t.match(await main(), /Total today\s+18 446 744 073 709 551 615/)
  t.match(await main(), /Adds up\s+yes/)
  t.equal(await page.getByRole('region', { name: 'Account' }).getByRole('row').count(), 3)

  t.match(await main(), /Sum, 20[^\n]*\s+18 446 744 073 709 551 615/)
  t.match(await main(), /hours are those of the ledger, Europe\/Berlin/)

  await go(`#/consumer/${U64_MAX}`)
  t.match(await main(), /Total today\s+5/)

  await go('#/quarantine')
  t.match(await main(), /bad\.txt[\s\S]*line 2[\s\S]*1 <img src=x>/)
  t.equal(await page.locator('main img').count(), 0)

  await go('#/health')
  t.match(await main(), /parser[\s\S]*running/)
  t.match(await main(), /Version\s+\d+\.\d+/)
  t.match(await main(), /It adds up\./)
  t.same(faults, [])
})
