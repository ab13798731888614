/** By keyboard alone, heard instead of seen, and how soon the page is there. */

import t from 'tap'
import { holds, NARROW, open, startBrowser, whyNoBrowser } from './browser.ts'
import { startFixture } from './fixture-service.ts'
import { ANSWERS, sha, U64_MAX } from './scenes.ts'

const LOAD_MS_MAX = 1_000
const LOAD_BYTES_MAX = 300 * 1_024

t.test('reach', { skip: whyNoBrowser() }, async t => {
  const browser = await startBrowser()
  t.teardown(() => browser.close())
  const service = await startFixture(t, { ...ANSWERS })

  t.test('the keyboard reaches everything', async t => {
    const { page, go, faults, close } = await open(browser, `${service.url}#/files`)
    await page.keyboard.press('Tab')
    await holds(page, "document.activeElement.textContent === 'Skip to the content'")
    await page.keyboard.press('Enter')
    await holds(page, "document.activeElement.id === 'main'")
    const isAt = (text: string): Promise<void> =>
      holds(page, `document.activeElement.textContent === ${JSON.stringify(text)}`)
    await page.getByRole('row').nth(1).getByRole('link').focus()
    await page.keyboard.press('ArrowDown')
    await isAt('usage-2026-11-000002.txt')
    await page.keyboard.press('End')
    await isAt('usage-2026-11-000025.txt')
    await page.keyboard.press('Home')
    await isAt('usage-2026-11-000001.txt')
    const outline = 'getComputedStyle(document.activeElement).outlineStyle'
    t.equal(await page.evaluate(outline), 'solid', 'the focus is seen')
    await page.keyboard.press('Enter')
    await page.getByText('counted in the totals').waitFor()
    await holds(page, "document.activeElement.id === 'heading'")
    await go(`#/consumer/${U64_MAX}`)
    for (let presses = 0; presses < 40; presses += 1) {
      await page.keyboard.press('Tab')
      if ((await page.evaluate('document.activeElement.tagName')) === 'SUMMARY') break
    }
    await page.keyboard.press('Enter')
    await page.getByRole('region', { name: 'Usage' }).getByRole('table').waitFor()
    t.same(faults, [])
    await close()
  })

  t.test('who hears it finds the same', async t => {
    for (const viewport of [undefined, NARROW]) {
      const { page, go, faults, close } = await open(browser, service.url, viewport && { viewport })
      for (const [hash, heading] of [
        ...[
          ['#/', 'Overview'],
          ['#/files', 'Files'],
          [`#/file/${sha(1)}`, 'File'],
        ],
        ...[
          ['#/quarantine', 'Quarantine'],
          ['#/health', 'Health'],
        ],
      ] as [string, string][]) {
        await go(hash)
        t.equal(await page.getByRole('heading', { level: 1 }).innerText(), heading)
        t.equal(await page.getByRole('main').count(), 1)
        t.equal(await page.getByRole('banner').count(), 1)
        t.equal(await page.getByRole('contentinfo').count(), 1)
        t.equal(await page.getByRole('navigation', { name: 'Views' }).count(), 1)
        t.equal(await page.locator('[aria-current=page]').count(), 1)
        const bare = 'input:not(label input), canvas:not([aria-hidden] canvas), img:not([alt])'
        t.equal(await page.locator(bare).count(), 0, 'nothing without a name')
      }
      await go('#/files')
      t.equal(await page.getByRole('table', { name: 'Files, 25 rows' }).count(), 1)
      t.equal(await page.getByRole('columnheader', { includeHidden: true }).count(), 7)
      t.equal(await page.getByRole('rowheader').count(), 25)
      t.equal(await page.getByRole('cell').count(), 25 * 6)
      t.same(faults, [])
      await close()
    }
  })

  t.test('motion is left out where it is not wanted', async t => {
    const options = { reducedMotion: 'reduce', forcedColors: 'none' } as const
    const { page, close } = await open(browser, service.url, options)
    const style = "getComputedStyle(document.querySelector('.body')).transitionDuration"
    t.equal(await page.evaluate(style), '0s')
    await close()
  })

  t.test('with 100,000 files in the ledger it is there at once', async t => {
    let best = Number.POSITIVE_INFINITY
    let bytes = 0
    // The machine may be busy with something else; the page is not.
    for (let tries = 0; tries < 5 && best > LOAD_MS_MAX; tries += 1) {
      const context = await browser.newContext()
      const page = await context.newPage()
      service.sentBytes = 0
      const began = performance.now()
      await page.goto(`${service.url}#/files`)
      await page.getByRole('row').nth(25).waitFor()
      best = Math.min(best, performance.now() - began)
      bytes = service.sentBytes
      await context.close()
    }
    t.comment(`${Math.round(best)} ms, ${bytes} bytes`)
    t.ok(best <= LOAD_MS_MAX, `${best} ms`)
    t.ok(bytes > 10_000 && bytes <= LOAD_BYTES_MAX, `${bytes} bytes`)
  })
})
