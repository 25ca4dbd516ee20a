/** The overview's points as charts take them: columns of numbers. */
import { withQuery } from '@/api/curl'
import type { Overview } from './queries'

export type Columns = (number | null)[][]

/** Jobs that ended, per minute, whatever the step: completed, cancelled, dead. The step that is still open is left out. */
export function throughput({ points, step_ms }: Pick<Overview, 'points' | 'step_ms'>): Columns {
  const perMinute = (count: number) => (count * 60_000) / step_ms
  const closed = points.slice(0, -1)
  return [
    closed.map((point) => new Date(point.at).getTime() / 1_000),
    closed.map((point) => perMinute(point.completed)),
    closed.map((point) => perMinute(point.cancelled)),
    closed.map((point) => perMinute(point.dead)),
  ]
}

/** Milliseconds: how long jobs waited, and how long they ran. */
export function latency({ points }: Pick<Overview, 'points'>, what: 'start' | 'run'): Columns {
  const closed = points.slice(0, -1)
  return [
    closed.map((point) => new Date(point.at).getTime() / 1_000),
    closed.map((point) => (what === 'start' ? point.start_p50_ms : point.run_p50_ms) ?? null),
    closed.map((point) => (what === 'start' ? point.start_p99_ms : point.run_p99_ms) ?? null),
  ]
}

export interface Concern {
  text: 'dead' | 'late' | 'none' | 'oldest' | 'schedulesLate' | 'schedulesFailing' | 'pauses' | 'snapshot' | 'counting'
  count: number
  /** Where to look into it. */
  to: string
  /** How long already, in milliseconds. */
  ms?: number
  queue?: string
}

/** A job that is ready should start at once. */
const OLD_READY_MS = 60_000

/** An old snapshot keeps the database from cleaning up. */
const OLD_SNAPSHOT_S = 300
/** What ended is counted once a minute. */
const COUNTING_LATE_MS = 4 * 60_000

/** What needs looking after; nothing at best. `dead` is how many jobs are dead by now. */
export function concerns({ health, counted_until, queues }: Pick<Overview, 'health' | 'counted_until' | 'queues'>, dead: number, now: number): Concern[] {
  const found: Concern[] = []
  if (health.workers === 0) found.push({ text: 'none', count: 0, to: '/workers' })
  if (health.workers_late > 0) found.push({ text: 'late', count: health.workers_late, to: '/workers' })
  if (dead > 0) found.push({ text: 'dead', count: dead, to: '/jobs?state=dead' })
  for (const { queue } of queues) {
    const ms = queue.oldest_ready_ms ?? 0
    if (ms < OLD_READY_MS || queue.paused_at) continue
    found.push({ text: 'oldest', count: queue.ready, ms, queue: queue.name, to: withQuery('/jobs', { state: 'ready', queue: queue.name }) })
  }
  if (health.schedules_failing > 0) found.push({ text: 'schedulesFailing', count: health.schedules_failing, to: '/schedules' })
  if (health.schedules_late > 0) found.push({ text: 'schedulesLate', count: health.schedules_late, to: '/schedules' })
  if (health.pauses > 0) found.push({ text: 'pauses', count: health.pauses, to: '/queues' })
  const snapshot = health.oldest_snapshot_s ?? 0
  if (snapshot > OLD_SNAPSHOT_S) found.push({ text: 'snapshot', count: Math.round(snapshot / 60), to: '/system' })
  const behind = now - new Date(counted_until).getTime()
  if (health.workers > 0 && behind > COUNTING_LATE_MS) found.push({ text: 'counting', count: Math.round(behind / 60_000), to: '/workers' })
  return found
}

/** Part of what ended that ended badly; null where nothing ended. */
export function failureShare({ completed, cancelled, dead }: { completed: number; cancelled: number; dead: number }): number | null {
  const all = completed + cancelled + dead
  return all === 0 ? null : dead / all
}
