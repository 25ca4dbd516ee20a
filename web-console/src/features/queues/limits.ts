/** A queue's limits as a form has them: texts, where empty means none. */
import type { Schemas } from '@/api/client'

export interface LimitsForm {
  maxRunning: string
  maxRunningPerKey: string
  rateJobs: string
  rateSeconds: string
  rateJobsPerKey: string
  rateSecondsPerKey: string
}

const shown = (value: number | null | undefined) => (value === null || value === undefined ? '' : String(value))

export function toForm(limits: Omit<Schemas['Limits'], 'version'>): LimitsForm {
  return {
    maxRunning: shown(limits.max_running),
    maxRunningPerKey: shown(limits.max_running_per_key),
    rateJobs: shown(limits.rate?.jobs),
    rateSeconds: limits.rate ? String(limits.rate.period_ms / 1_000) : '',
    rateJobsPerKey: shown(limits.rate_per_key?.jobs),
    rateSecondsPerKey: limits.rate_per_key ? String(limits.rate_per_key.period_ms / 1_000) : '',
  }
}

/** What is wrong with a field; the names are those of texts. */
export type Mistake = 'whole' | 'positive' | 'both'

/** The limits, or what is wrong with which fields. */
export function fromForm(form: LimitsForm): { limits: Schemas['SetLimits'] } | { mistakes: Partial<Record<keyof LimitsForm, Mistake>> } {
  const mistakes: Partial<Record<keyof LimitsForm, Mistake>> = {}
  const whole = (field: keyof LimitsForm): number | null => {
    const text = String(form[field] ?? '').trim()
    if (text === '') return null
    const value = Number(text)
    if (!Number.isInteger(value) || value < 1 || value > 2_147_483_647) mistakes[field] = 'whole'
    return value
  }
  const rate = (jobsField: keyof LimitsForm, secondsField: keyof LimitsForm): Schemas['Rate'] | null => {
    const jobs = whole(jobsField)
    const text = String(form[secondsField] ?? '').trim()
    const periodMs = Math.round(Number(text) * 1_000)
    if (jobs === null && text === '') return null
    if (jobs === null) mistakes[jobsField] = 'both'
    if (text === '') mistakes[secondsField] = 'both'
    else if (!(periodMs >= 1 && periodMs <= 2_147_483_647)) mistakes[secondsField] = 'positive'
    return { jobs: jobs ?? 0, period_ms: periodMs }
  }
  const limits: Schemas['SetLimits'] = {
    max_running: whole('maxRunning'),
    max_running_per_key: whole('maxRunningPerKey'),
    rate: rate('rateJobs', 'rateSeconds'),
    rate_per_key: rate('rateJobsPerKey', 'rateSecondsPerKey'),
  }
  return Object.keys(mistakes).length > 0 ? { mistakes } : { limits }
}
