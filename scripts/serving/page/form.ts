/** A form to search by. What is asked for becomes the address, so that it can be kept and gone back to. */

import { type Child, h } from './dom.ts'
import { addressOf } from './route.ts'

export interface Field {
  readonly name: string
  readonly label: string
  readonly value: string | undefined
  readonly hint?: string
  readonly pattern?: string
  readonly inputMode?: 'numeric'
  readonly type?: 'search' | 'date'
  /** Of these one, or any. */
  readonly choices?: readonly string[]
}

/** @param go where to, with what was typed. */
export function searchForm(
  label: string,
  fields: readonly Field[],
  go: (given: Readonly<Record<string, string>>) => `#/${string}`,
): HTMLFormElement {
  return h(
    'form',
    {
      ...{ role: 'search', 'aria-label': label, class: 'search' },
      onsubmit: (event: SubmitEvent) => {
        event.preventDefault()
        const given = new FormData(event.currentTarget as HTMLFormElement)
        const typed = [...given].map(([name, value]) => [name, `${value}`.trim()])
        location.hash = go(Object.fromEntries(typed))
      },
    },
    fields.map(field =>
      h('label', { class: `field ${field.name}` }, h('span', {}, field.label), control(field)),
    ),
    h('button', { type: 'submit', id: 'search' }, 'Show'),
  )
}

function control({ name, value, hint, pattern, inputMode, type, choices }: Field): HTMLElement {
  const id = `field-${name}`
  if (choices !== undefined) {
    const options = ['', ...choices].map(choice =>
      h('option', { value: choice, selected: choice === (value ?? '') }, choice || 'any'),
    )
    return h('select', { id, name }, options)
  }
  return h('input', {
    ...{ id, name, pattern, title: hint, placeholder: hint, type: type ?? 'search' },
    ...{ value, inputmode: inputMode, autocomplete: 'off', spellcheck: 'false' },
  })
}

/** Links of which one is where we are: `hour day month`. */
export function choiceLinks(
  label: string,
  all: readonly { readonly text: string; readonly to: `#/${string}`; readonly isHere: boolean }[],
): HTMLElement {
  return h(
    'nav',
    { class: 'choice', 'aria-label': label },
    h(
      'ul',
      {},
      all.map(({ text, to, isHere }) =>
        h('li', {}, h('a', { href: to, 'aria-current': isHere ? 'true' : undefined }, text)),
      ),
    ),
  )
}

/** Pages are gone through by key: on, or back to the first; the browser's own way back has the others. */
export function pageLinks(
  view: string,
  of: string | undefined,
  query: Readonly<Record<string, string | undefined>>,
  next: string | null,
): HTMLElement | undefined {
  const isFirst = query.after === undefined
  if (isFirst && next === null) return undefined
  const links: Child[] = [
    isFirst
      ? undefined
      : h('a', { href: addressOf(view, of, { ...query, after: undefined }) }, 'First page'),
    next === null
      ? h('span', { class: 'quiet' }, 'That is all.')
      : h('a', { href: addressOf(view, of, { ...query, after: next }), rel: 'next' }, 'Next page'),
  ]
  return h('nav', { class: 'pages', 'aria-label': 'Pages' }, links)
}
