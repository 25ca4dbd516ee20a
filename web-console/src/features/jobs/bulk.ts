/** Changes of many jobs: what is sent, and how it is carried to its end. */
import { api, unwrap, type Schemas } from '@/api/client'
import { asProblem, type Problem } from '@/api/problem'
import type { Filter } from '@/components/filters'
import { readArgs } from './args'
import type { JobAction } from './states'

export type BulkWish = Schemas['BulkWish']
export type BulkDone = Schemas['BulkDone']

/** Which jobs: these, all that match, or, with no condition at all, every one. */
export type Choice = { ids: number[] } | { filter: Filter }

export function bulkWish(change: BulkWish['change'], choice: Choice, reason?: string): BulkWish {
  const wish: BulkWish = { change, all: false, reason: reason || undefined }
  if ('ids' in choice) return { ...wish, ids: choice.ids }
  const { state, args, ...rest } = choice.filter
  const filter = {
    ...rest,
    ...(state ? { states: [state as Schemas['JobState']] } : {}),
    // What can't be read matches nothing: left out, it would match everything.
    ...(args ? { args: readArgs(args) ?? args } : {}),
  }
  return Object.keys(filter).length > 0 ? { ...wish, filter: filter as BulkWish['filter'] } : { ...wish, all: true }
}

/** The change as the API takes it. */
export function bulkChange(action: JobAction, priority: number, at: string): BulkWish['change'] {
  if (action === 'priority') return { action, priority }
  if (action === 'reschedule') return { action, at: at ? new Date(at).toISOString() : undefined }
  return { action }
}

export interface Progress {
  done: number
  requested: number
  refused: Map<string, number>
  /** Why it ended before its end. */
  problem: Problem | null
}

/**
 * Sends it, and again from where it stopped, until all is done, nothing goes on any more, or it is given up. What is
 * done stays done, so that a lost answer costs nothing but another call.
 */
export async function carryOut(wish: BulkWish, tell: (progress: Progress) => void, stop: AbortSignal): Promise<Progress> {
  const progress: Progress = { done: 0, requested: 0, refused: new Map(), problem: null }
  let next: BulkWish = wish
  for (let lost = 0; !stop.aborted; ) {
    try {
      const answer: BulkDone = await unwrap(api.POST('/api/v1/staff/jobs/bulk', { body: next, signal: stop }))
      progress.done += answer.done
      progress.requested += answer.requested
      for (const { reason, count } of answer.refused) {
        progress.refused.set(reason, (progress.refused.get(reason) ?? 0) + count)
      }
      tell({ ...progress })
      if (answer.stopped_before === null || answer.stopped_before === undefined || wish.ids) break
      lost = answer.done > 0 ? 0 : lost + 1
      if (lost > 3) break
      next = { ...wish, all: false, filter: { ...wish.filter, states: wish.filter?.states ?? [], before: answer.stopped_before } }
    } catch (error) {
      const problem = asProblem(error)
      lost += 1
      if (stop.aborted || !problem.isPassing || lost > 3) {
        progress.problem = stop.aborted ? null : problem
        break
      }
    }
  }
  return { ...progress }
}
