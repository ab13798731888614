/**
 * What the parser has done since its start, as figures for whoever draws them: how much, and how long files
 * were in each stage, in fixed buckets. All of it only grows; it costs a few additions for each event.
 */

import type { ParserEvents, StageDurations } from '../shared/events.ts'
import { STAGE_BOUNDS_MS, type StageFigures, type WorkDone } from '../shared/health.ts'

export class Figures {
  #claimed = 0
  #batches = 0
  #pairs = 0
  readonly #stages = new Map<keyof StageDurations, Stage>()

  constructor(events: ParserEvents) {
    events.on('claimed', () => {
      this.#claimed += 1
    })
    events.on('chunk', ({ pairs }) => {
      this.#pairs += pairs
    })
    events.on('applied', () => {
      this.#batches += 1
    })
    events.on('settled', ({ stages }) => {
      for (const [stage, ms] of Object.entries(stages)) {
        this.#stageOf(stage as keyof StageDurations).add(ms)
      }
    })
  }

  get done(): WorkDone {
    return {
      ...{ claimed: this.#claimed, batches: this.#batches, pairs: this.#pairs },
      stages: [...this.#stages].map(([stage, figures]) => figures.of(stage)),
    }
  }

  #stageOf(stage: keyof StageDurations): Stage {
    const known = this.#stages.get(stage) ?? new Stage()
    this.#stages.set(stage, known)
    return known
  }
}

class Stage {
  readonly #buckets: number[] = Array(STAGE_BOUNDS_MS.length + 1).fill(0)
  #sumMs = 0

  add(foundMs: number): void {
    // A clock that was set back is no negative duration.
    const ms = Math.max(0, foundMs)
    const bucket = STAGE_BOUNDS_MS.findIndex(bound => ms <= bound)
    const at = bucket === -1 ? STAGE_BOUNDS_MS.length : bucket
    this.#buckets[at] = this.#buckets[at]! + 1
    this.#sumMs += ms
  }

  of(stage: string): StageFigures {
    return { stage: stage.replace(/Ms$/, ''), sumMs: this.#sumMs, buckets: [...this.#buckets] }
  }
}
