/** What stands there before there is an answer, when there is none, and when there is none any more. */

import t from 'tap'
import { printableLines } from '../../shared/printable.ts'
import { eventually } from '../helpers/eventually.ts'
import { open, startBrowser, whyNoBrowser } from './browser.ts'
import { Later, Refusal, startFixture } from './fixture-service.ts'
import {
  ANSWERS,
  away,
  DATABASE_AWAY,
  HOSTILE,
  HOSTILE_NAMES,
  NOTHING_YET,
  sha,
  U64_MAX,
} from './scenes.ts'

t.test('states', { skip: whyNoBrowser() }, async t => {
  const browser = await startBrowser()
  t.teardown(() => browser.close())

  t.test('nothing yet is said in words', async t => {
    const { url } = await startFixture(t, NOTHING_YET)
    const { page, go, faults } = await open(browser, url)
    await page.getByText('Nothing needs you.').waitFor()
    await go('#/files')
    await page.getByText('No file was settled yet.').waitFor()
    await go('#/quarantine')
    await page.getByText('Nothing is in quarantine.').waitFor()
    await go('#/consumer/7')
    await page.getByText('Nothing was ever counted for this consumer.').waitFor()
    await page.getByText('Nothing was used in this time.').waitFor()
    await go('#/health')
    await page.getByText('Nothing was proved yet.').waitFor()
    t.same(faults, [])
  })

  t.test('what takes its time has a shape until it comes', async t => {
    const later = new Later()
    const { url } = await startFixture(t, { ...ANSWERS, quarantine: later })
    const { page, go, faults } = await open(browser, `${url}#/health`)
    void go('#/quarantine')
    await page.locator('.skeleton').waitFor()
    t.equal(await page.locator('.body').getAttribute('aria-busy'), 'true')
    later.tell(NOTHING_YET.quarantine)
    await page.getByText('Nothing is in quarantine.').waitFor()
    t.equal(await page.locator('.skeleton').count(), 0)
    t.equal(await page.locator('.body').getAttribute('aria-busy'), 'false')
    t.same(faults, [])
  })

  t.test('with the database away what is known stays, and what is not says why', async t => {
    const service = await startFixture(t, { ...ANSWERS })
    const { page, go, comeBack, faults } = await open(
      browser,
      `${service.url}#/consumer/${U64_MAX}`,
    )
    const account = page.getByRole('region', { name: 'Account' })
    await account.getByRole('table').waitFor()
    service.answers = DATABASE_AWAY
    await comeBack()
    await account.getByText(/^As of 20\d\d-.*MariaDB is away/).waitFor()
    t.equal(await account.getAttribute('data-state'), 'stale')
    t.equal(await account.getByRole('table').count(), 1, 'its figures stay')
    t.match(await page.getByRole('status').innerText(), /MariaDB is away/, 'it is heard as well')
    t.match(await page.locator('#pulse').innerText(), 'database away')
    service.answers = ANSWERS
    await comeBack()
    await page.locator('.part[data-state=shown]').nth(1).waitFor()
    t.match(await page.getByRole('status').innerText(), /up to date again/)

    service.answers = DATABASE_AWAY
    await go('#/')
    await page.getByText('The database is unavailable').waitFor()
    const today = page.getByRole('region', { name: 'Usage today' })
    t.equal(await today.getAttribute('data-state'), 'failed')
    t.match(
      await today.innerText(),
      /MariaDB is away[\s\S]*It is waited for\.[\s\S]*DATABASE_UNAVAILABLE/,
    )
    t.match(await page.getByRole('region', { name: 'Now' }).innerText(), /14 files/)
    service.answers = ANSWERS
    await today.getByRole('button', { name: 'Ask again' }).click()
    await today.locator('.uplot').waitFor()
    t.same(faults, [])
  })

  t.test('a service that is away is waited for', async t => {
    const service = await startFixture(t, { ...ANSWERS })
    const { page, comeBack } = await open(browser, `${service.url}#/files`)
    await page.getByRole('table').waitFor()
    service.isAway = true
    await comeBack()
    await page.getByText(/^As of .*The service cannot be reached/).waitFor()
    t.match(await page.locator('#pulse').innerText(), 'service away')
    t.equal(await page.getByRole('row').count(), 26)
    service.isAway = false
    await comeBack()
    await page.locator('.part[data-state=shown]').waitFor()
  })

  t.test('what has not changed is not sent again, and disturbs nobody', async t => {
    const service = await startFixture(t, { ...ANSWERS })
    const { page, faults } = await open(browser, `${service.url}#/files`)
    const sentBytes = service.sentBytes
    const asked = service.asked.length
    const link = page.getByRole('link', { name: 'usage-2026-11-000007.txt' })
    await link.focus()
    await eventually('a second round', () => service.asked.length >= asked + 2)
    t.equal(service.sentBytes, sentBytes)
    t.equal(await page.evaluate('document.activeElement.textContent'), 'usage-2026-11-000007.txt')
    t.same(faults, [])
  })

  t.test('an access token is asked for, and kept in this tab', async t => {
    const service = await startFixture(t, { ...ANSWERS })
    service.token = 'open sesame'
    const { page, faults } = await open(browser, `${service.url}#/quarantine`)
    await page.getByLabel('Access token').fill('wrong')
    await page.keyboard.press('Enter')
    await eventually('it was asked again', () => service.asked.length >= 4)
    await page.getByLabel('Access token').fill('open sesame')
    await page.keyboard.press('Enter')
    await page.getByText('AMOUNT_NOT_DIGITS').waitFor()
    await page.reload()
    await page.getByText('AMOUNT_NOT_DIGITS').waitFor()
    t.equal(await page.evaluate('localStorage.length'), 0)
    t.same(faults, [])
  })

  t.test('names that mean harm are names', async t => {
    const { url } = await startFixture(t, HOSTILE)
    const { page, go, faults } = await open(browser, `${url}#/files`)
    const names = await page.locator('tbody .name').allInnerTexts()
    t.equal(names[0], 'invoice-\\u202etxt.exe')
    t.equal(names[1], 'bell\\u0007 and \\u001b[31mred\\u001b[0m.txt')
    t.equal(names[2], HOSTILE_NAMES[2], 'markup is text')
    t.equal(names[4], HOSTILE_NAMES[4], 'all 255 bytes')
    t.equal(names[5], 'two  spaces and a\\u000asecond line.txt')
    t.equal(names[7], '\\ufeff\\u200bzero width.txt')
    for (const hash of [
      '#/',
      '#/quarantine',
      `#/file/${sha(1)}`,
      '#/<img src=x>',
      '#/file/<b>',
      '#/consumer/%',
    ]) {
      await go(hash)
      t.equal(await page.locator('main script, main img, main b').count(), 0, hash)
      const shown = await page.locator('main').innerText()
      t.equal(printableLines(shown), shown, `${hash} shows nothing that cannot be seen`)
    }
    t.same(faults, [])
  })

  t.test('what is not known is not called calm', async t => {
    const unreadable = new Refusal(500, 'FAILED', 'quarantine/ cannot be read')
    const { url } = await startFixture(t, { ...NOTHING_YET, quarantine: unreadable })
    const { page, faults } = await open(browser, url)
    await page.getByText('What is in quarantine is not known').waitFor()
    t.equal(await page.getByText('Nothing needs you.').count(), 0)
    t.same(faults, [])
  })

  t.test('an answer that is no problem of ours is told all the same', async t => {
    const odd = new Refusal(502, '', '')
    const { url } = await startFixture(t, {
      ...ANSWERS,
      quarantine: odd,
      files: 'no JSON',
      usage: away,
    })
    const { page, go } = await open(browser, `${url}#/quarantine`)
    await page.getByText('HTTP_502').waitFor()
    await go('#/files')
    await page.getByText('NOT_OURS').waitFor()
  })
})
