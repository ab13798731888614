/**
 * What must become of contents and totals by corrections, whoever carries them out and wherever that is
 * killed. It knows nothing of batches, blocks and generations: each content has a standing, the totals are
 * a map, and what is done to them is added and taken.
 *
 * | content | publish | undo | redo | release | refuse |
 * | --- | --- | --- | --- | --- | --- |
 * | unknown, spoilt | as a new one | unknown | unknown | unknown | unknown |
 * | counted | – | reverted | – | – | no |
 * | reverted | – | – | counted | no | no |
 * | held | – | (waits) | no | counted | refused |
 * | refused | as a new one | no | no | no | – |
 */

import { U64_MAX } from '../../shared/limits.ts'
import { type Totals, totalsOf } from '../helpers/files.ts'
import type { CorrectedFile, Policy } from './corrections-plan.ts'

/** `spoilt`: quarantined before it was recorded, for its lines most often; the ledger has no row of it. */
export type Standing = 'counted' | 'reverted' | 'held' | 'refused' | 'spoilt'

/** How a command must end: done, declined, not known to the ledger, or not possible as it is. */
export const DONE = 0
export const DECLINED = 1
export const UNKNOWN = 2
export const CANNOT = 3

/** No file has this consumer. */
export const FOREIGN = 4_999_999_999n

interface Content {
  readonly standing: Standing
  readonly name: string
  readonly isClosed: boolean
}

interface Reset {
  readonly emptied: Totals
  isUndone: boolean
  isClosed: boolean
}

export class CorrectionsModel {
  readonly #files: readonly CorrectedFile[]
  readonly #policy: Policy
  readonly #contents = new Map<number, Content>()
  readonly #totals = new Map<bigint, bigint>()
  #reset: Reset | undefined
  #added = 0n

  constructor(files: readonly CorrectedFile[], policy: Policy) {
    this.#files = files
    this.#policy = policy
  }

  /** With each row that must be there, also those of nothing. */
  get totals(): Totals {
    return this.#totals
  }

  /** What was ever added that no file has brought. */
  get added(): bigint {
    return this.#added
  }

  standing(file: number): Standing | undefined {
    return this.#contents.get(file)?.standing
  }

  sumsOf(file: number): Totals {
    const { name, good } = this.#files[file]!
    return totalsOf([{ name, content: good }])
  }

  /** @param isExplained its terms say why its name comes again. */
  publish(file: number, { name = this.#files[file]!.name, isExplained = false } = {}): void {
    const standing = this.standing(file)
    if (standing === 'counted' || standing === 'reverted' || standing === 'held') return
    if (this.#isTooBad(file)) {
      if (standing === undefined) this.#stands(file, 'spoilt', name)
    } else if (this.#policy.holds && !isExplained && this.#hasNamesake(file, name)) {
      this.#stands(file, 'held', name)
    } else this.#count(file, name)
  }

  /** Whether it would be counted if it were published now. */
  wouldBeCounted(file: number): boolean {
    const standing = this.standing(file)
    const isNew = standing === undefined || standing === 'refused' || standing === 'spoilt'
    const isHeld = this.#policy.holds && this.#hasNamesake(file, this.#files[file]!.name)
    return isNew && !this.#isTooBad(file) && !isHeld && this.#fits(this.sumsOf(file))
  }

  /** It was published while a total had no room for it. */
  refuseFor(file: number, standing: 'refused' | 'spoilt'): void {
    this.#stands(file, standing, this.#files[file]!.name)
  }

  canBeUndone(file: number): boolean {
    const content = this.#contents.get(file)
    if (content?.standing !== 'counted' || content.isClosed) return false
    return this.#fits(negated(this.sumsOf(file)))
  }

  undo(file: number): number {
    const standing = this.standing(file)
    if (standing === undefined || standing === 'spoilt') return UNKNOWN
    if (standing === 'reverted') return DONE
    if (!this.canBeUndone(file)) return DECLINED
    this.#move(negated(this.sumsOf(file)))
    this.#stands(file, 'reverted')
    return DONE
  }

  redo(file: number): number {
    const content = this.#contents.get(file)
    if (content === undefined || content.standing === 'spoilt') return UNKNOWN
    if (content.standing === 'counted') return DONE
    if (content.standing !== 'reverted' || content.isClosed) return DECLINED
    return this.#count(file)
  }

  release(file: number): number {
    const standing = this.standing(file)
    if (standing === undefined || standing === 'spoilt') return UNKNOWN
    if (standing === 'held') return this.#count(file)
    return standing === 'counted' ? DONE : DECLINED
  }

  refuse(file: number): number {
    const standing = this.standing(file)
    if (standing === undefined || standing === 'spoilt') return UNKNOWN
    if (standing === 'held') this.#stands(file, 'refused')
    return standing === 'held' || standing === 'refused' ? DONE : DECLINED
  }

  supersede(old: number, by: number, name: string): number {
    const content = this.#contents.get(old)
    if (content === undefined || content.standing === 'spoilt' || old === by) return UNKNOWN
    if (content.standing !== 'counted') return CANNOT
    const other = this.standing(by)
    if (other !== undefined && other !== 'refused' && other !== 'spoilt') return CANNOT
    if (this.#isTooBad(by)) {
      if (other === undefined) this.#stands(by, 'spoilt', name)
      return DECLINED
    }
    const net = new Map(negated(this.sumsOf(old)))
    for (const [id, sum] of this.sumsOf(by)) net.set(id, (net.get(id) ?? 0n) + sum)
    if (content.isClosed || !this.#fits(net)) {
      this.#stands(by, 'refused', name)
      return DECLINED
    }
    this.#move(net)
    this.#stands(old, 'reverted')
    this.#stands(by, 'counted', name)
    return DONE
  }

  /** Somebody else has added to his total. */
  add(amount: bigint): void {
    this.#move(new Map([[FOREIGN, amount]]))
    this.#added += amount
  }

  reset(): void {
    this.#reset = { emptied: new Map(this.#totals), isUndone: false, isClosed: false }
    for (const id of this.#totals.keys()) this.#totals.set(id, 0n)
  }

  /** Of the last one. @returns undefined: there was none. */
  undoReset(): number | undefined {
    const reset = this.#reset
    if (reset === undefined || reset.isUndone) return reset && DONE
    if (reset.isClosed || !this.#fits(reset.emptied)) return DECLINED
    this.#move(reset.emptied)
    reset.isUndone = true
    return DONE
  }

  /** What is counted, or taken back, by now stays so. */
  prune(): void {
    for (const [file, content] of this.#contents) {
      const isFinal = content.standing === 'counted' || content.standing === 'reverted'
      if (isFinal) this.#contents.set(file, { ...content, isClosed: true })
    }
    if (this.#reset !== undefined) this.#reset.isClosed = true
  }

  #count(file: number, name?: string): number {
    const sums = this.sumsOf(file)
    const fits = this.#fits(sums)
    if (fits) this.#move(sums)
    this.#stands(file, fits ? 'counted' : 'refused', name)
    return fits ? DONE : DECLINED
  }

  #stands(file: number, standing: Standing, name = this.#contents.get(file)!.name): void {
    const isClosed = this.#contents.get(file)?.isClosed ?? false
    this.#contents.set(file, { standing, name, isClosed })
  }

  #isTooBad(file: number): boolean {
    return this.#files[file]!.badLines > this.#policy.badLinesMax
  }

  #hasNamesake(file: number, name: string): boolean {
    return [...this.#contents].some(
      ([other, content]) =>
        other !== file &&
        content.name === name &&
        (content.standing === 'counted' || content.standing === 'held'),
    )
  }

  #fits(moves: Totals): boolean {
    return [...moves].every(([id, amount]) => {
      const total = (this.#totals.get(id) ?? 0n) + amount
      return total >= 0n && total <= U64_MAX
    })
  }

  #move(moves: Totals): void {
    for (const [id, amount] of moves) this.#totals.set(id, (this.#totals.get(id) ?? 0n) + amount)
  }
}

function negated(sums: Totals): Totals {
  return new Map([...sums].map(([id, sum]) => [id, -sum]))
}
