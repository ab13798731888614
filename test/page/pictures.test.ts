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
  const scene = async (name: string, answers: Answers, only?: readonly string[]): Promise<void> => {
    const { url } = await startFixture(t, answers)
    for (const colorScheme of ['light', 'dark'] as const) {
      const look = await open(browser, url, { colorScheme })
      for (const [view, hash] of Object.entries(VIEWS)) {
        if (only !== undefined && !only.includes(view)) continue
        await look.go(view === 'consumer' && name === 'nothing' ? '#/consumer/7' : hash)
        for (const viewport of [WIDE, NARROW]) {
          await look.page.setViewportSize(viewport)
          await holds(look.page, DRAWN)
          t.ok((await overflowPx(look.page)) <= 0, `${name}, ${view} fits ${viewport.width} px`)
          const path = `${PICTURES}${name}-${view}-${viewport.width}-${colorScheme}.png`
          await look.page.screenshot({ path, fullPage: true })
        }
      }
      t.same(look.faults, [])
      await look.close()
    }
  }
  await scene('at-work', ANSWERS)
  await scene('nothing', NOTHING_YET, ['overview', 'consumer', 'files', 'quarantine'])
  await scene('away', DATABASE_AWAY, ['overview', 'consumer'])
  await scene('hostile', HOSTILE, ['overview', 'files', 'quarantine', 'file'])
})

/** Where there is to be a picture, it is as wide as its place. */
const DRAWN = `[...document.querySelectorAll('.plot')].every(place =>
  Math.abs((place.querySelector('.uplot')?.clientWidth ?? 0) - place.clientWidth) <= 1)`
