/**
 * A part of a view that asks for one thing and shows it. Its states:
 *
 *   asking   nothing is known yet; after 200 ms a shape of what will come stands there
 *   shown    the answer; asked again every few seconds, and drawn anew only when it has changed
 *   failed   there was no answer ever: what is wrong, its code, what to do, and a button to ask again
 *   stale    there was one: it stays, greyed, with the time that it is of and why it is not of now
 *
 * One part that fails leaves the others alone. What is asked for a view that was left is dropped.
 */

import { type Api, Problem } from './api.ts'
import { h, replaceContent, say } from './dom.ts'
import { timeText, words } from './parts.ts'

const SKELETON_AFTER_MS = 200
/** What a part of the page says to whoever asks for all of it. */
export const ASK_AGAIN = 'ask-again'

export interface Section {
  readonly element: HTMLElement
  /** Never throws but for the token that is asked for (a Problem with status 401). */
  refresh(api: Api): Promise<void>
}

type State = 'asking' | 'shown' | 'failed' | 'stale'

/** @param id of its heading, one in a view. */
export function section<A>(
  id: string,
  title: string,
  ask: (api: Api) => Promise<A>,
  draw: (answer: A) => readonly Node[],
): Section {
  const note = h('div', { class: 'note', hidden: true })
  const body = h('div', { class: 'body', 'aria-busy': 'true' })
  const heading = h('h2', { id }, title)
  const element = h('section', { 'aria-labelledby': id, class: 'part' }, heading, note, body)
  let state: State = 'asking'
  let shown: A | undefined
  let shownAt = new Date()

  const enter = (next: State): void => {
    state = next
    element.dataset.state = next
    body.setAttribute('aria-busy', `${next === 'asking'}`)
    note.hidden = next !== 'stale'
  }
  enter('asking')

  const onAnswer = (answer: A): void => {
    shownAt = new Date()
    if (state === 'stale') say(`${title}: up to date again`)
    // Whoever marks text, to copy it, is not disturbed.
    if (shown !== undefined && (isSame(answer, shown) || isMarking(body))) {
      enter('shown')
      return
    }
    shown = answer
    replaceContent(body, draw(answer))
    enter('shown')
  }

  const onProblem = (problem: Problem): void => {
    say(`${title}: ${problem.message}`)
    if (shown !== undefined) {
      note.replaceChildren('As of ', timeText(shownAt), ': ', words(problem.message), '.')
      enter('stale')
    } else {
      replaceContent(body, [problemBox(problem, `${id}-again`)])
      enter('failed')
    }
  }

  const refresh = async (api: Api): Promise<void> => {
    const timer = setTimeout(() => {
      if (state === 'asking') body.replaceChildren(skeleton())
    }, SKELETON_AFTER_MS)
    try {
      const answer = await ask(api)
      if (element.isConnected) onAnswer(answer)
    } catch (error) {
      const problem = error instanceof Problem ? error : new Problem(`${error}`, 'PAGE', 0)
      if (problem.status === 401) throw problem
      if (element.isConnected) onProblem(problem)
    } finally {
      clearTimeout(timer)
    }
  }
  return { element, refresh }
}

/** The same object, or one that is made of the same. */
function isSame(one: unknown, other: unknown): boolean {
  if (one === other) return true
  if (typeof one !== 'object' || typeof other !== 'object' || !one || !other) return false
  const [parts, others] = [Object.entries(one), new Map(Object.entries(other))]
  return (
    parts.length === others.size && parts.every(([name, part]) => Object.is(part, others.get(name)))
  )
}

function isMarking(body: Element): boolean {
  const selection = getSelection()
  return selection !== null && !selection.isCollapsed && body.contains(selection.anchorNode)
}

function skeleton(): HTMLElement {
  return h('div', { class: 'skeleton', 'aria-hidden': 'true' }, h('i'), h('i'), h('i'))
}

function problemBox(problem: Problem, id: string): HTMLElement {
  const onclick = ({ currentTarget }: MouseEvent): void => {
    currentTarget?.dispatchEvent(new Event(ASK_AGAIN, { bubbles: true }))
  }
  return h(
    'div',
    { class: 'problem' },
    h('p', { class: 'what' }, words(problem.message)),
    problem.advice === undefined ? undefined : h('p', {}, words(problem.advice)),
    h('p', { class: 'quiet' }, h('code', {}, problem.code)),
    h('button', { id, type: 'button', onclick }, 'Ask again'),
  )
}
