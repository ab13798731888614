/**
 * A headless browser that looks at the page, and at what the page must not do: say an error, ask anybody
 * else, be refused something by its own policy, throw.
 */

import { existsSync } from 'node:fs'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { eventually } from '../helpers/eventually.ts'

const PROGRAM = '/usr/bin/chromium'

/** Why nothing of the page can be tested here; where CI is set, it must be. */
export function whyNoBrowser(): string | false {
  if (existsSync(PROGRAM) || process.env.CI) return false
  return 'there is no chromium here: sudo apt-get install --no-install-recommends chromium'
}

export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: PROGRAM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  })
}

export interface Look {
  readonly page: Page
  /** What it must not have done. */
  readonly faults: string[]
  /** Goes to a place of it, without loading it again. */
  go(hash: string): Promise<void>
  /** Somebody comes back to it: it asks at once, and need not be waited for. */
  comeBack(): Promise<void>
  close(): Promise<void>
}

export const WIDE = { width: 1600, height: 1000 }
export const NARROW = { width: 360, height: 740 }

export async function open(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Look> {
  const context = await browser.newContext({
    ...{ viewport: WIDE, locale: 'en-GB', timezoneId: 'Europe/Berlin' },
    ...options,
  })
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  const faults: string[] = []
  const { origin } = new URL(url)
  page.on('pageerror', error => faults.push(`thrown: ${error.message}`))
  page.on('console', message => {
    // What a service refuses a browser writes down by itself.
    const isRefusal = message.text().startsWith('Failed to load resource')
    if (message.type() === 'error' && !isRefusal) faults.push(`console: ${message.text()}`)
  })
  page.on('request', request => {
    const isOurs = request.url().startsWith(`${origin}/`) || request.url().startsWith('data:')
    if (!isOurs) faults.push(`asked elsewhere: ${request.url()}`)
  })
  await page.goto(url)
  const go = async (hash: string): Promise<void> => {
    await page.evaluate(`location.hash = ${JSON.stringify(hash)}`)
    await settled(page)
  }
  const comeBack = async (): Promise<void> => {
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange')); undefined")
  }
  await settled(page)
  return { page, faults, go, comeBack, close: () => context.close() }
}

/** Every part of the view has its answer, or has failed. */
export async function settled(page: Page): Promise<void> {
  await page.locator('h1').waitFor()
  await holds(page, "document.querySelector('[aria-busy=true]') === null")
}

/** Waited for from here: the page's policy lets nobody evaluate in it. */
export async function holds(page: Page, condition: string): Promise<void> {
  await eventually(condition, async () => (await page.evaluate(condition)) === true)
}

/** What can be scrolled sideways is too wide. */
export async function overflowPx(page: Page): Promise<number> {
  const width = await page.evaluate(
    'document.documentElement.scrollWidth - document.documentElement.clientWidth',
  )
  return Number(width)
}
