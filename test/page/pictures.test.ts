/**
 * Each view in both themes and both widths, as pictures for a person to look at; none may be wider than the
 * screen. They are in dist/screenshots/.
 */

import { mkdirSync } from 'node:fs'
import t from 'tap'
import { BUILT } from '../helpers/root.ts'
import { holds, NARROW, open, overflowPx, startBrowser, WIDE, whyNoBrowser } from './browser.ts'
import { type Answers, startFixture } from './fixture-service.ts'
import { ANSWERS, DATABASE_AWAY, HOSTILE, NOTHING_YET, sha, U64_MAX } from './scenes.ts'

const PICTURES = `${BUILT}screenshots/`

const VIEWS: Readonly<Record<string, string>> = {
  ...{ overview: '#/', consumer: `#/consumer/${U64_MAX}?by=hour`, file: `#/file/${sha(1)}` },
  ...{ files: '#/files', quarantine: '#/quarantine', health: '#/health' },
}

t.test('each view fits, in both themes and both widths', { skip: whyNoBrowser() }, async t => {
  mkdirSync(PICTURES, { recursive: true })
  const browser = await startBrowser()
  t.teardown(() => browser.close())
  const scene = async (
    name: string,
    answers: Answers,
    colorScheme: 'light' | 'dark',
    views: readonly string[] = Object.keys(VIEWS),
  ): Promise<void> => {
    const { url } = await startFixture(t, answers)
    const look = await open(browser, url, { colorScheme })
    for (const view of views) {
      await look.go(view === 'consumer' && name === 'nothing' ? '#/consumer/7' : VIEWS[view]!)
      for (const viewport of [WIDE, NARROW]) {
        await look.page.setViewportSize(viewport)
        await holds(look.page, DRAWN)
        t.ok((await overflowPx(look.page)) <= 0, `${name}, ${view} fits ${viewport.width} px`)
        const cut =
          "Array.from(document.querySelectorAll('input')).filter(i => i.scrollWidth > i.clientWidth).length"
        t.equal(await look.page.evaluate(cut), 0, `${view} shows all of what was typed`)
        const path = `${PICTURES}${name}-${view}-${viewport.width}-${colorScheme}.png`
        await look.page.screenshot({ path, fullPage: true })
      }
    }
    t.same(look.faults, [])
    await look.close()
  }
  await scene('at-work', ANSWERS, 'light')
  await scene('at-work', ANSWERS, 'dark')
  await scene('nothing', NOTHING_YET, 'light', ['overview', 'consumer', 'files'])
  await scene('away', DATABASE_AWAY, 'dark', ['overview', 'consumer'])
  await t.test('what is not of now is grey', async t => {
    const service = await startFixture(t, ANSWERS)
    const look = await open(browser, `${service.url}${VIEWS.consumer}`, { colorScheme: 'light' })
    service.answers = DATABASE_AWAY
    await look.comeBack()
    await look.page.locator('.part[data-state=stale]').nth(1).waitFor()
    await holds(look.page, DRAWN)
    await look.page.screenshot({ path: `${PICTURES}stale-consumer-1600-light.png` })
    await look.close()
  })
  await t.test('who asks is asked', async t => {
    const service = await startFixture(t, ANSWERS)
    service.token = 'open sesame'
    const look = await open(browser, service.url, { colorScheme: 'light', viewport: NARROW })
    await look.page.getByLabel('Access token').waitFor()
    await look.page.screenshot({ path: `${PICTURES}token-360-light.png` })
    await look.close()
  })
  await scene('hostile', HOSTILE, 'light', ['overview', 'files', 'quarantine', 'file'])
})

/** Where there is to be a picture, it is as wide as its place. */
const DRAWN = `[...document.querySelectorAll('.plot')].every(place =>
  Math.abs((place.querySelector('.uplot')?.clientWidth ?? 0) - place.clientWidth) <= 1)`
