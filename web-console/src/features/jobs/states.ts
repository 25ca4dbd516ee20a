/** How a job's states look, and what each of them allows. */
import type { Tone } from '@/components/StateBadge.vue'
import type { JobState } from './queries'

export const STATES: readonly JobState[] = ['ready', 'scheduled', 'waiting', 'running', 'completed', 'cancelled', 'dead']

export const LOOKS: Record<JobState, { icon: string; tone: Tone; isSpinning?: boolean }> = {
  ready: { icon: 'i-lucide-circle', tone: 'neutral' },
  scheduled: { icon: 'i-lucide-clock', tone: 'neutral' },
  waiting: { icon: 'i-lucide-hourglass', tone: 'warning' },
  running: { icon: 'i-lucide-loader-circle', tone: 'active', isSpinning: true },
  completed: { icon: 'i-lucide-circle-check', tone: 'good' },
  cancelled: { icon: 'i-lucide-ban', tone: 'neutral' },
  dead: { icon: 'i-lucide-circle-x', tone: 'bad' },
}

export type JobAction = 'retry' | 'cancel' | 'reschedule' | 'priority' | 'delete'
export const ACTIONS: readonly JobAction[] = ['retry', 'cancel', 'reschedule', 'priority', 'delete']

/** As the gateway has it; should a job have changed meanwhile, the gateway refuses. */
const ALLOWED: Record<JobAction, readonly JobState[]> = {
  retry: ['dead', 'cancelled', 'scheduled', 'waiting'],
  cancel: ['ready', 'scheduled', 'waiting', 'running'],
  reschedule: ['ready', 'scheduled'],
  priority: ['ready', 'scheduled', 'waiting'],
  delete: ['ready', 'scheduled', 'waiting', 'completed', 'cancelled', 'dead'],
}

export function isAllowed(action: JobAction, state: JobState): boolean {
  return ALLOWED[action].includes(state)
}

/** Why it is not running can be asked of those that could still run. */
export function isWaiting(state: JobState): boolean {
  return state === 'ready' || state === 'scheduled' || state === 'waiting'
}

/** Whether a changed job belongs into a list with this filter; null where its line doesn't tell. */
export function fits(
  job: { [key: string]: unknown; tags: string[]; created_at: string },
  filter: Record<string, string | undefined>,
): boolean | null {
  const answers = Object.entries(filter).map(([key, wanted]) => {
    if (wanted === undefined) return true
    if (key === 'tag') return job.tags.includes(wanted)
    if (key === 'created_after') return job.created_at >= wanted
    if (key === 'created_before') return job.created_at < wanted
    if (key === 'error') return String(job.last_error ?? '').toLowerCase().includes(wanted.toLowerCase())
    return key in job ? job[key] === wanted : null
  })
  if (answers.includes(false)) return false
  return answers.includes(null) ? null : true
}
