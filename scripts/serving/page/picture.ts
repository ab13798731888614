/**
 * A picture of amounts over time, as bars. It is drawn with numbers that round, so only its axis tells of
 * them; what it says in words, of the bar under the pointer and in the table below, is exact.
 *
 * Its life is that of its place on the page: it is made when that has a width, and ends when it is taken away.
 */

import { h } from './dom.ts'
import { amountText, table } from './parts.ts'
import { grouped, roundedText } from './text.ts'

export interface Bar {
  /** Below the axis: `14:00`, `26 Nov`. */
  readonly label: string
  /** In words: `2026-11-26 14:00`. */
  readonly period: string
  readonly amount: string
}

const HEIGHT_PX = 200
/** As wide as a label and its distance to the next. */
const LABEL_PX = 64

/** @param id one in a view; what was opened stays open when it is drawn anew. */
export function picture(id: string, caption: string, bars: readonly Bar[]): HTMLElement {
  const told = h('p', { class: 'under', 'aria-hidden': 'true' }, WHERE_TO_LOOK)
  const place = h('div', { class: 'plot', 'aria-hidden': 'true' })
  alive(place, told, bars)
  return h(
    'figure',
    { 'aria-label': caption },
    place,
    told,
    h(
      'details',
      { id },
      h('summary', {}, 'The same as a table'),
      table(
        caption,
        [
          { title: 'Period', isHead: true, of: ({ period }: Bar) => period },
          { title: 'Amount', isNumber: true, of: ({ amount }: Bar) => amountText(amount) },
        ],
        [...bars].reverse(),
      ),
    ),
  )
}

const WHERE_TO_LOOK = '\u00a0'

const plots = new Set<uPlot>()
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  for (const plot of plots) plot.redraw()
})

function alive(place: HTMLElement, told: HTMLElement, bars: readonly Bar[]): void {
  let plot: uPlot | undefined
  const watch = new ResizeObserver(([entry]) => {
    const width = Math.floor(entry?.contentRect.width ?? 0)
    if (!place.isConnected) {
      watch.disconnect()
      if (plot !== undefined) plots.delete(plot)
      plot?.destroy()
    } else if (plot !== undefined) {
      if (width > 0) plot.setSize({ width, height: HEIGHT_PX })
    } else if (width > 0) {
      plot = drawn(place, told, bars, width)
      plots.add(plot)
    }
  })
  watch.observe(place)
}

function drawn(place: HTMLElement, told: HTMLElement, bars: readonly Bar[], width: number): uPlot {
  const colour = (name: string) => (): string => getComputedStyle(place).getPropertyValue(name)
  const axis = {
    ...{ stroke: colour('--quiet'), ticks: { show: false }, font: '12px system-ui, sans-serif' },
  }
  const rounded = bars.map(({ amount }) => Number(amount))
  const options: uPlot.Options = {
    ...{ width, height: HEIGHT_PX, legend: { show: false }, padding: [8, 20, 0, 0] },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: {
      x: { time: false, range: [-0.6, bars.length - 0.4] },
      y: { range: (_, min, max) => [Math.min(0, min), Math.max(1, max) * 1.05] },
    },
    axes: [
      {
        ...{ ...axis, grid: { show: false }, size: 28 },
        splits: ({ width }) => labelled(bars.length, width),
        values: (_, at) => at.map(i => bars[i]?.label ?? ''),
      },
      {
        ...{ ...axis, size: 56, gap: 6, grid: { stroke: colour('--line'), width: 1 } },
        ...{ values: (_: uPlot, at: number[]) => at.map(roundedText), space: 44 },
      },
    ],
    series: [
      {},
      {
        ...{ fill: colour('--accent'), width: 0, points: { show: false } },
        paths: uPlot.paths.bars!({ size: [0.72, 28], radius: 0.12 }),
      },
    ],
    hooks: {
      setCursor: [
        ({ cursor: { idx } }) => {
          const bar = idx == null ? undefined : bars[idx]
          told.textContent = bar ? `${bar.period}   ${grouped(bar.amount)}` : WHERE_TO_LOOK
        },
      ],
    },
  }
  return new uPlot(options, [rounded.map((_, i) => i), rounded], place)
}

/** Which bars have a label: the last one, and as many before it as there is room for. */
function labelled(bars: number, widthPx: number): number[] {
  const step = Math.max(1, Math.ceil((bars * LABEL_PX) / widthPx))
  return Array.from({ length: bars }, (_, i) => i).filter(i => (bars - 1 - i) % step === 0)
}
