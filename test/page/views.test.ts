/** What each view shows of what the service says, as a person and a screen reader find it. */

import t from 'tap'
import { type Look, open, startBrowser, whyNoBrowser } from './browser.ts'
import { type FixtureService, startFixture } from './fixture-service.ts'
import { ANSWERS, sha, U64_MAX, WIDE_SUM } from './scenes.ts'

t.test('views', { skip: whyNoBrowser() }, async t => {
  const browser = await startBrowser()
  t.teardown(() => browser.close())
  const service: FixtureService = await startFixture(t, { ...ANSWERS })
  const look: Look = await open(browser, service.url)
  const { page, go } = look
  const main = page.locator('main')
  const text = async (): Promise<string> => (await main.innerText()).replaceAll('\u202f', ' ')
  const section = (name: string) => page.getByRole('region', { name, exact: true })
  const values = (section: string): Promise<string[]> =>
    page.evaluate(
      `[...document.querySelectorAll('[aria-labelledby=${section}] data')].map(({ value }) => value)`,
    )

  t.test('overview', async t => {
    await go('#/')
    t.equal(await page.title(), 'Overview \u00b7 countersink')
    t.match(await section('What needs you').innerText(), /1 file held .*month\.txt/s)
    t.match(await section('What needs you').innerText(), /3 files in quarantine/)
    t.match(await text(), /Waiting\s+14 files\s+1\.8 GiB/)
    t.match(await text(), /Counted ever\s+100 000 files\s+81 920 441 209 lines/)
    t.match(await text(), /Reading\s+usage-2026-11-26T12\.txt/)
    t.match(await text(), /Usage today\s+2026-11-26\s+2 152 708 906 231 373/)
    t.match(await text(), /Days and hours are those of the ledger, Europe\/Berlin/)
    t.equal(await page.locator('.uplot canvas').count(), 1, 'there is a picture')
    t.match(await page.locator('#pulse').innerText(), 'parser running')
  })

  t.test('how fast it goes is measured from one look to the next', async () => {
    await go('#/')
    const { status } = ANSWERS as { status: { sinceStart: object } }
    const sinceStart = { ...status.sinceStart, bytes: 2_299_023_255_552, lines: 91_920_441_209 }
    service.answers.status = { ...status, sinceStart }
    await section('Now')
      .getByText('MiB/s over')
      .or(section('Now').getByText('GiB/s over'))
      .waitFor()
    service.answers.status = status
  })

  t.test('a consumer is looked for by its id', async t => {
    await go('#/consumer')
    await page.getByLabel('Consumer', { exact: true }).fill('18 446 744 073 709 551 615')
    await page.keyboard.press('Enter')
    await section('Account').getByRole('table').waitFor()
    t.equal(new URL(page.url()).hash, `#/consumer/${U64_MAX}`)
    t.match(await text(), 'Consumer 18 446 744 073 709 551 615')
    t.same((await values('account')).slice(0, 2), [U64_MAX, '9007199254740993'])
    t.match(await section('Account').innerText(), /Adds up\s+the last page tells/)
    t.match(await text(), /undo: wrong month/)
    t.equal(
      await page.getByRole('link', { name: 'Next page' }).getAttribute('href'),
      `#/consumer/${U64_MAX}?after=ab.12.1`,
    )
    const rows = section('Account').getByRole('row')
    t.equal(await rows.count(), 25)
    t.match(await rows.nth(3).innerText(), /2026-11-25 15:00:00[\s\S]*\u22121\u202f000\u202f003/)
    await section('Usage').getByText('The same as a table').click()
    t.equal(await section('Usage').getByRole('rowheader').first().innerText(), '2026-11-26')
    await section('Usage').getByRole('link', { name: 'by month' }).click()
    await page
      .locator(
        'figure[aria-label^="Usage of consumer 18446744073709551615 by month, 2025-12 to 2026-11"]',
      )
      .waitFor()
    await go('#/consumer/18446744073709551616')
    t.match(await text(), 'That is no consumer.')
  })

  t.test('what stands below the pointer is exact', async () => {
    service.answers[`consumers/${U64_MAX}/usage`] = {
      ...(ANSWERS.usage as (query: URLSearchParams) => object)(new URLSearchParams('by=day')),
      periods: [{ period: '2026-11-26', start: '2026-11-25T23:00:00.000Z', amount: WIDE_SUM }],
    }
    await go(`#/consumer/${U64_MAX}?by=hour`)
    await section('Usage').locator('.uplot .u-over').hover()
    await section('Usage')
      .getByText(
        '340\u202f282\u202f366\u202f920\u202f938\u202f463\u202f463\u202f374\u202f607\u202f431\u202f768\u202f211\u202f455',
      )
      .nth(1)
      .waitFor()
    service.answers[`consumers/${U64_MAX}/usage`] = ANSWERS[`consumers/${U64_MAX}/usage`]
  })

  t.test('a file has its way, step by step', async t => {
    await go(`#/file/${sha(1)}`)
    t.match(await text(), /counted in the totals, and archived/)
    t.match(await text(), /340 282 366 920 938 463 463 374 607 431 768 211 455/)
    t.same(await page.locator('.way .step').allInnerTexts(), [
      ...['published', 'announced', 'claimed', 'read', 'recorded', 'counted', 'settled'],
    ])
    t.match(
      await page.locator('.way li').nth(3).innerText(),
      /12:59:00[\s\S]*\+ 602 ms[\s\S]*20\.1 MiB/,
    )
    const utc = await page.locator('.way time').nth(3).getAttribute('title')
    t.equal(utc, '2026-11-26 11:59:00.611 UTC')
    t.match(await text(), /Its files that were not counted \(1\)/)
    service.answers[`files/${'0'.repeat(64)}`] = undefined
    await go(`#/file/${'0'.repeat(64)}`)
    t.match(await text(), 'there is no such thing')
  })

  t.test('files are looked for, and gone through page by page', async t => {
    await go('#/files')
    t.equal(await page.getByRole('row').count(), 26)
    await page.getByRole('link', { name: 'Next page' }).click()
    await page.getByText('usage-2026-11-000026.txt').waitFor()
    await page.getByRole('link', { name: 'First page' }).click()
    await page.getByText('usage-2026-11-000001.txt').waitFor()
    await page.getByLabel('Name').fill('-0000')
    await page.getByLabel('Outcome').selectOption('quarantined')
    await page.getByLabel('Day').fill('2026-11-26')
    await page.getByRole('button', { name: 'Show' }).click()
    await page.getByRole('heading', { name: 'Found' }).waitFor()
    await page.getByText('usage-2026-11-000005.txt').waitFor()
    t.ok(
      service.asked.includes(
        '/api/v1/files?name=-0000&outcome=quarantined&day=2026-11-26&limit=25',
      ),
      'it is the service that searches',
    )
    t.match(await text(), 'AMOUNT_NOT_DIGITS')
    t.match(await text(), '2026-11-26 by the clocks of Europe/Berlin.')
    await page.getByLabel('Name').fill('none such')
    await page.keyboard.press('Enter')
    await page.getByText('No such file.').waitFor()
    await page.goBack()
    await page.getByText('usage-2026-11-000005.txt').waitFor()
    t.equal(await page.getByLabel('Name').inputValue(), '-0000', 'an address holds what is asked')
  })

  t.test('quarantine has reasons and the first bad line', async t => {
    await go('#/quarantine')
    t.match(
      await page.getByRole('row').nth(1).innerText(),
      /day\.txt[\s\S]*AMOUNT_NOT_DIGITS[\s\S]*line 2, byte 3\s+1 x/,
    )
    t.match(await page.getByRole('row').nth(3).innerText(), /nothing beside it tells/)
  })

  t.test('health', async t => {
    await go('#/health')
    t.match(
      await page.getByRole('row', { name: /^parser/ }).innerText(),
      /running\s+3 d 1 h\s+0\s+1\.4 ms\s+4107/,
    )
    t.match(
      await page.getByRole('row', { name: /^serving/ }).innerText(),
      /running\s+3 d 1 h\s+2\s+0\.7 ms\s+4111/,
    )
    t.match(await text(), /mariadb:\/\/countersink@db1:3306\/billing/)
    t.match(await text(), /Free room\s+384 GiB/)
    t.match(await text(), /Who counts\s+this parser/)
    t.match(await text(), /Version\s+0\.1\.0/)
    t.match(await text(), /It adds up\.\s+Proved\s+2026-11-26 11:00:00/)
  })

  t.same(look.faults, [], 'no error, nobody else asked, nothing refused by the policy')
})
