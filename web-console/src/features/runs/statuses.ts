/** How a run's statuses look, and which of them are its end. */
import type { Tone } from '@/components/StateBadge.vue'
import type { RunLine, RunStatus } from './queries'

export const STATUSES: readonly RunStatus[] = [
  'pending', 'waiting_slot', 'preparing', 'running', 'succeeded', 'failed', 'canceled', 'timed_out',
]

export const LOOKS: Record<RunStatus, { icon: string; tone: Tone; isSpinning?: boolean }> = {
  pending: { icon: 'i-lucide-circle', tone: 'neutral' },
  waiting_slot: { icon: 'i-lucide-hourglass', tone: 'warning' },
  preparing: { icon: 'i-lucide-package', tone: 'active' },
  running: { icon: 'i-lucide-loader-circle', tone: 'active', isSpinning: true },
  succeeded: { icon: 'i-lucide-circle-check', tone: 'good' },
  failed: { icon: 'i-lucide-circle-x', tone: 'bad' },
  canceled: { icon: 'i-lucide-ban', tone: 'neutral' },
  timed_out: { icon: 'i-lucide-timer-off', tone: 'bad' },
}

export function isOver(status: RunStatus): boolean {
  return ['succeeded', 'failed', 'canceled', 'timed_out'].includes(status)
}

/** Whether a changed run belongs into a list with this filter. */
export function fits(run: RunLine, filter: Record<string, string | undefined>): boolean {
  const { status, project } = filter
  return (status === undefined || run.status === status) && (project === undefined || run.project === project)
}

/** How long it has been running or ran, in ms; null before it began. */
export function lasted(run: RunLine, now: number): number | null {
  if (!run.started_at) return null
  const end = run.finished_at ? new Date(run.finished_at).getTime() : now
  return Math.max(0, end - new Date(run.started_at).getTime())
}
