/**
 * The page: one place, its view, and a look at the service every few seconds while somebody can see it. What
 * is wrong in a part of a view stays there (section.ts); here is what concerns all of it: that a token is
 * needed, and in the head whether the service and its database are at work.
 */

import { AT_WORK, isDatabaseThere } from './alarms.ts'
import type { Status } from './answers.ts'
import { Api, Problem } from './api.ts'
import { consumer } from './consumer.ts'
import { byId, h, say } from './dom.ts'
import { file } from './file.ts'
import { files } from './files.ts'
import { health } from './health.ts'
import { overview } from './overview.ts'
import { VIEWERS_ZONE } from './parts.ts'
import { quarantine } from './quarantine.ts'
import { routeOf } from './route.ts'
import { ASK_AGAIN } from './section.ts'
import type { MakeView, View } from './view.ts'

const REFRESH_MS = 5_000
/** What takes the service long is asked for seldom: not for more than a tenth of the time. */
const SHARE_OF_TIME = 10

const VIEWS: Readonly<Record<string, MakeView>> = {
  ...{ '': overview, consumer, files, file, quarantine, health },
}
const IN_THE_HEAD = [
  ['', 'Overview'],
  ['consumer', 'Consumer'],
  ['files', 'Files'],
  ['quarantine', 'Quarantine'],
  ['health', 'Health'],
] as const

const api = new Api()
const main = byId('main')
let view: View | undefined
let timer: ReturnType<typeof setTimeout> | undefined

function show(): void {
  const route = routeOf(location.hash)
  const isFirst = view === undefined
  view = (VIEWS[route.view] ?? overview)(route)
  document.title = `${view.title} \u00b7 countersink`
  const here = route.view === 'file' ? 'files' : route.view
  byId('views').replaceChildren(
    ...IN_THE_HEAD.map(([name, title]) =>
      h('li', {}, h('a', { href: `#/${name}`, 'aria-current': here === name && 'page' }, title)),
    ),
  )
  main.className = `view-${route.view in VIEWS ? route.view || 'overview' : 'overview'}`
  const heading = h('h1', { tabindex: '-1', id: 'heading' }, view.title)
  main.replaceChildren(heading, ...view.head, ...view.sections.map(({ element }) => element))
  // Whoever hears the page or goes by keyboard is taken along; at the start the browser does.
  if (!isFirst) {
    heading.focus({ preventScroll: true })
    scrollTo(0, 0)
  }
  refresh()
}

/** One round at a time; the next begins a while after this one has ended. */
function refresh(): void {
  clearTimeout(timer)
  const shown = view
  if (shown === undefined || document.hidden) return
  const begunMs = performance.now()
  const rounds = [pulse(), ...shown.sections.map(section => section.refresh(api))]
  Promise.all(rounds).then(
    () => {
      // Who has gone elsewhere meanwhile has a round of its own.
      if (view !== shown) return
      const tookMs = performance.now() - begunMs
      clearTimeout(timer)
      timer = setTimeout(refresh, Math.max(REFRESH_MS, tookMs * SHARE_OF_TIME))
    },
    (error: unknown) => {
      if (error instanceof Problem && error.status === 401) askForToken(error)
      else throw error
    },
  )
}

async function pulse(): Promise<void> {
  const place = byId('pulse')
  const tell = (state: 'good' | 'bad', text: string): void => {
    place.dataset.state = state
    if (place.textContent !== text) place.replaceChildren(text)
  }
  try {
    const status = await api.get<Status>('status')
    const { state } = status.parser
    if (!isDatabaseThere(status)) tell('bad', 'database away')
    else tell(AT_WORK.includes(state) ? 'good' : 'bad', `parser ${state}`)
  } catch (error) {
    if (error instanceof Problem && error.status === 401) throw error
    tell('bad', 'service away')
  }
}

function askForToken({ message }: Problem): void {
  view = undefined
  const input = h('input', {
    ...{ id: 'token', type: 'password', autocomplete: 'off', required: true },
  })
  const onsubmit = (event: SubmitEvent): void => {
    event.preventDefault()
    api.useToken(input.value.trim())
    show()
  }
  main.replaceChildren(
    h('h1', { id: 'heading' }, 'Who asks?'),
    h(
      'form',
      { class: 'search', onsubmit },
      h('label', { class: 'field' }, h('span', {}, 'Access token'), input),
      h('button', { type: 'submit' }, 'Go on'),
    ),
    h(
      'p',
      { class: 'quiet' },
      `The service says: ${message}. The token is kept until this tab closes.`,
    ),
  )
  say('An access token is needed')
  input.focus()
}

byId('foot').replaceChildren(`Times are those of ${VIEWERS_ZONE}; UTC is shown when pointed at.`)
addEventListener('hashchange', show)
document.addEventListener('visibilitychange', refresh)
main.addEventListener(ASK_AGAIN, refresh)
document.querySelector('.skip')?.addEventListener('click', event => {
  event.preventDefault()
  main.focus()
})
show()
