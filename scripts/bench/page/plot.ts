/**
 * Line plots as SVG text, made by hand: a logarithmic x axis, a linear y axis from 0, a legend.
 * Without a background, in colours of middle brightness: legible on light and on dark pages.
 */

export interface Plot {
  readonly title: string
  readonly xLabel: string
  readonly yLabel: string
  /** How a value of x is written at its tick. */
  readonly xText: (x: number) => string
  /** Logarithmic, unless x counts a few things. @default 'log' */
  readonly xScale?: 'log' | 'linear'
  readonly series: readonly PlotSeries[]
}

export interface PlotSeries {
  readonly label: string
  readonly points: readonly { readonly x: number; readonly y: number }[]
}

const WIDTH = 720
const HEIGHT = 360
const LEFT = 70
const RIGHT = 44
const TOP = 64
const BOTTOM = 52
const INK = '#7d8590'
const COLOURS = ['#2f81f7', '#d9730d', '#3fa34d', '#a371f7']
const Y_TICKS = 5

/** @throws Error when there are no points. */
export function plotSvg(plot: Plot): string {
  const xs = [...new Set(plot.series.flatMap(({ points }) => points.map(({ x }) => x)))]
  if (xs.length === 0) throw new Error(`the plot ${JSON.stringify(plot.title)} has no points`)
  xs.sort((a, b) => a - b)
  const yMax = niceCeiling(Math.max(...plot.series.flatMap(s => s.points.map(({ y }) => y))))
  const place = (x: number): number => (plot.xScale === 'linear' ? x : Math.log10(x))
  const [from, to] = [place(xs[0]!), place(xs[xs.length - 1]!)]
  const xAt = (x: number): number => {
    const share = to === from ? 0.5 : (place(x) - from) / (to - from)
    return round(LEFT + share * (WIDTH - LEFT - RIGHT))
  }
  const yAt = (y: number): number => round(HEIGHT - BOTTOM - (y / yMax) * (HEIGHT - TOP - BOTTOM))
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(plot.title)}" font-family="system-ui, sans-serif" font-size="13" fill="${INK}">`,
    `<text x="${LEFT}" y="22" font-size="16" font-weight="600">${escaped(plot.title)}</text>`,
    ...yAxis(plot, yMax, yAt),
    ...xAxis(plot, xs, xAt),
    ...plot.series.flatMap((series, i) => line(series, COLOURS[i % COLOURS.length]!, xAt, yAt)),
    ...legend(plot.series),
    '</svg>',
  ].join('\n')}\n`
}

function yAxis(plot: Plot, yMax: number, yAt: (y: number) => number): string[] {
  const ticks = Array.from({ length: Y_TICKS + 1 }, (_, i) => (yMax / Y_TICKS) * i)
  return [
    `<text x="16" y="${TOP - 12}">${escaped(plot.yLabel)}</text>`,
    ...ticks.flatMap(tick => [
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${yAt(tick)}" y2="${yAt(tick)}" stroke="${INK}" stroke-opacity="${tick === 0 ? 0.9 : 0.25}"/>`,
      `<text x="${LEFT - 8}" y="${yAt(tick) + 4}" text-anchor="end">${Number(tick.toPrecision(3))}</text>`,
    ]),
  ]
}

function xAxis(plot: Plot, xs: readonly number[], xAt: (x: number) => number): string[] {
  return [
    ...xs.map(
      x =>
        `<text x="${xAt(x)}" y="${HEIGHT - BOTTOM + 20}" text-anchor="middle">${escaped(plot.xText(x))}</text>`,
    ),
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 10}" text-anchor="middle">${escaped(plot.xLabel)}</text>`,
  ]
}

function line(
  { points }: PlotSeries,
  colour: string,
  xAt: (x: number) => number,
  yAt: (y: number) => number,
): string[] {
  const path = points.map(({ x, y }) => `${xAt(x)},${yAt(y)}`).join(' ')
  return [
    `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2.5" stroke-linejoin="round"/>`,
    ...points.map(({ x, y }) => `<circle cx="${xAt(x)}" cy="${yAt(y)}" r="4" fill="${colour}"/>`),
  ]
}

const LEGEND_WIDTH = 190

function legend(series: readonly PlotSeries[]): string[] {
  return series.flatMap(({ label }, i) => {
    const x = WIDTH - RIGHT - LEGEND_WIDTH * (series.length - i)
    const colour = COLOURS[i % COLOURS.length]!
    return [
      `<rect x="${x}" y="${TOP - 26}" width="18" height="4" rx="2" fill="${colour}"/>`,
      `<text x="${x + 26}" y="${TOP - 19}">${escaped(label)}</text>`,
    ]
  })
}

/** The next of 1, 2, 2.5, 5 times a power of ten. */
export function niceCeiling(value: number): number {
  if (value <= 0) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 2.5, 5, 10].map(step => step * power).find(step => step >= value)!
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
