/**
 * Elements, made from data. What comes from outside becomes text and never markup: there is no way here to
 * give an element HTML, and a link leads within this page alone.
 */

export type Child = Node | string | undefined

type Attributes = Readonly<Record<string, string | boolean | undefined | ((event: never) => void)>>

/** An element; an attribute that is undefined or false is left out, a function listens. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly (Child | readonly Child[])[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') {
      element.addEventListener(name.slice('on'.length), value as (event: Event) => void)
    } else if (value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? '' : value)
    }
  }
  element.append(...children.flat().filter(child => child !== undefined))
  return element
}

export function link(to: `#/${string}`, ...children: readonly Child[]): HTMLAnchorElement {
  return h('a', { href: to }, children)
}

export function byId(id: string): HTMLElement {
  const found = document.getElementById(id)
  if (found === null) throw new Error(`this page has no #${id}`)
  return found
}

/** For those who hear the page: once, and again only when it is something else. */
export function say(text: string): void {
  const said = byId('said')
  if (said.textContent !== text) said.textContent = text
}

/**
 * New children in the place of the old ones, for somebody who is at work in them: the focus stays at what
 * has the same id or leads to the same place, and what was opened stays open.
 */
export function replaceContent(place: Element, nodes: readonly Node[]): void {
  const { activeElement } = document
  const focus = activeElement && place.contains(activeElement) ? markOf(activeElement) : undefined
  const open = [...place.querySelectorAll('details[open]')].map(({ id }) => id)
  place.replaceChildren(...nodes)
  for (const details of place.querySelectorAll('details')) details.open = open.includes(details.id)
  if (focus === undefined) return
  const again = [...place.querySelectorAll<HTMLElement>('a, button, input, summary, [tabindex]')]
  again.find(element => markOf(element) === focus)?.focus({ preventScroll: true })
}

function markOf(element: Element): string {
  return element.id || element.parentElement?.id || (element.getAttribute('href') ?? '')
}
