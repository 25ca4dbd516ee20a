import { expect, it } from 'vitest'
import type { Overview } from './queries'
import { concerns, failureShare, latency, throughput } from './series'

type QueueFigures = Overview['queues'][number]

const point = (at: string, completed: number) => ({
  at, completed, cancelled: 0, dead: 1, start_p50_ms: null, start_p99_ms: null, run_p50_ms: 5, run_p99_ms: 9,
})
const points = [point('2026-01-01T00:00:00Z', 150), point('2026-01-01T00:15:00Z', 30), point('2026-01-01T00:30:00Z', 7)]

it('counts per minute whatever the step, without the one that is still open', () => {
  const [at, completed, , dead] = throughput({ points, step_ms: 900_000 })
  expect(at).toEqual([1767225600, 1767226500])
  expect(completed).toEqual([10, 2])
  expect(dead?.[0]).toBeCloseTo(1 / 15)
})

it('leaves a gap where nothing ended', () => {
  expect(latency({ points }, 'start')[1]).toEqual([null, null])
  expect(latency({ points }, 'run')[2]).toEqual([9, 9])
})

it('says what needs looking after, and nothing when all is well', () => {
  const now = Date.parse('2026-01-01T01:00:00Z')
  const well = {
    workers: 2, workers_late: 0, workers_draining: 1, schedules: 3, schedules_late: 0, schedules_failing: 0, pauses: 0,
    oldest_snapshot_s: 2, database_ms: 1,
  }
  const counted_until = '2026-01-01T00:59:00Z'
  expect(concerns({ health: well, counted_until, queues: [] }, 0, now)).toEqual([])
  const ill = { ...well, workers: 0, schedules_failing: 1, pauses: 2, oldest_snapshot_s: 900 }
  expect(concerns({ health: ill, counted_until, queues: [] }, 0, now).map((one) => one.text)).toEqual(['none', 'schedulesFailing', 'pauses', 'snapshot'])
  expect(concerns({ health: well, counted_until: '2026-01-01T00:50:00Z', queues: [] }, 0, now)).toMatchObject([{ text: 'counting', count: 10 }])
})

it('leads to what is dead and to what waits too long, but not to what is paused', () => {
  const now = Date.parse('2026-01-01T01:00:00Z')
  const health = {
    workers: 2, workers_late: 0, workers_draining: 0, schedules: 0, schedules_late: 0, schedules_failing: 0, pauses: 0, database_ms: 1,
  }
  const queue = (name: string, oldest_ready_ms: number | null, paused_at?: string) => ({
    queue: {
      name, oldest_ready_ms, paused_at, ready: 4, running: 0, scheduled: 0, waiting: 0, exact: true, as_of: '', keep_days: 30,
      limits: {} as QueueFigures['queue']['limits'],
    },
    figures: {} as QueueFigures['figures'],
  })
  const queues = [queue('a', 500), queue('b&c', 90_000), queue('d', 90_000, '2026-01-01T00:00:00Z'), queue('e', null)]
  expect(concerns({ health, counted_until: '2026-01-01T00:59:00Z', queues }, 3, now)).toMatchObject([
    { text: 'dead', count: 3, to: '/jobs?state=dead' },
    { text: 'oldest', queue: 'b&c', ms: 90_000, to: '/jobs?state=ready&queue=b%26c' },
  ])
})

it('knows the share of failures', () => {
  expect(failureShare({ completed: 3, cancelled: 0, dead: 1 })).toBe(0.25)
  expect(failureShare({ completed: 0, cancelled: 0, dead: 0 })).toBeNull()
})
