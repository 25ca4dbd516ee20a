import { expect, it } from 'vitest'
import { fromForm, toForm, type LimitsForm } from './limits'

const none: LimitsForm = { maxRunning: '', maxRunningPerKey: '', rateJobs: '', rateSeconds: '', rateJobsPerKey: '', rateSecondsPerKey: '' }

it('goes there and back', () => {
  const limits = { max_running: 5, max_running_per_key: null, rate: { jobs: 10, period_ms: 500 }, rate_per_key: null }
  expect(fromForm(toForm(limits))).toEqual({ limits })
  expect(fromForm(none)).toEqual({ limits: { max_running: null, max_running_per_key: null, rate: null, rate_per_key: null } })
})

it('says what is wrong, and where', () => {
  expect(fromForm({ ...none, maxRunning: '0' })).toEqual({ mistakes: { maxRunning: 'whole' } })
  expect(fromForm({ ...none, maxRunningPerKey: '1.5' })).toEqual({ mistakes: { maxRunningPerKey: 'whole' } })
  expect(fromForm({ ...none, rateJobs: '3' })).toEqual({ mistakes: { rateSeconds: 'both' } })
  expect(fromForm({ ...none, rateSecondsPerKey: '1' })).toEqual({ mistakes: { rateJobsPerKey: 'both' } })
  expect(fromForm({ ...none, rateJobs: '3', rateSeconds: '-1' })).toEqual({ mistakes: { rateSeconds: 'positive' } })
})
