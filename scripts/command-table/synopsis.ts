/** How a command is called, in pieces that a line may end between. */

import type { Command } from './command.ts'
import { type Option, standsAlone, type Words } from './options.ts'

export function synopsis({ options, words }: Command): string[] {
  const { dir, config: _config, ...own } = options
  const pieces = dir === undefined ? [] : [bracketed(named('dir', dir))]
  if (words !== undefined) pieces.push(wordsPiece(words))
  for (const [name, option] of Object.entries(own)) {
    if (option.insteadOf !== undefined || option.onlyWith !== undefined) continue
    const others = Object.entries(own)
    const alternatives = others.filter(([, { insteadOf }]) => insteadOf === name)
    const companions = others.filter(([, { onlyWith }]) => onlyWith === name)
    const piece = [[name, option] as const, ...alternatives]
      .map(([name, option]) => named(name, option))
      .join(' | ')
    const inner = companions.map(([name, option]) => ` ${bracketed(named(name, option))}`).join('')
    pieces.push(option.required === undefined ? bracketed(`${piece}${inner}`) : `${piece}${inner}`)
  }
  return pieces
}

/** An option with what stands for its value: `--dir D`. */
export function named(name: string, option: Option): string {
  if (option.kind === 'switch') return `--${name}`
  return standsAlone(option) ? `--${name}[=${option.value}]` : `--${name} ${option.value}`
}

function wordsPiece({ value, min, max }: Words): string {
  const many = max === Number.POSITIVE_INFINITY ? `${value}…` : value
  return min === 0 ? bracketed(many) : many
}

function bracketed(text: string): string {
  return `[${text}]`
}
