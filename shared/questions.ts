/** What can be asked of a parser over the socket, and with what it is answered. */

import type { ContentAnswer, InboxAnswer, Outcome, ProcessedPage, QueuePage } from './records.ts'
import type { TrailAnswer, TrailQuestion } from './trails.ts'

/** Processed files in the order they were settled; numbers count from 1. */
export type Question =
  | { readonly kind: 'newest'; readonly before?: number; readonly outcome?: Outcome }
  | { readonly kind: 'after'; readonly number: number }
  | { readonly kind: 'content'; readonly prefix: string }
  | { readonly kind: 'queue'; readonly after: number }
  | { readonly kind: 'inbox'; readonly name: string }
  | TrailQuestion

/** What a question is answered with. */
export type AnswerTo<T extends Question> = T extends { kind: 'content' }
  ? ContentAnswer
  : T extends { kind: 'queue' }
    ? QueuePage
    : T extends { kind: 'inbox' }
      ? InboxAnswer
      : T extends { kind: 'trail' }
        ? TrailAnswer
        : ProcessedPage
