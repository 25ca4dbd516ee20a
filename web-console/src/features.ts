/** All features, in the order of the sidebar: one line each. */
import { jobs } from './features/jobs'
import { overview } from './features/overview'
import { queues } from './features/queues'
import { schedules } from './features/schedules'

export const features = [overview, jobs, queues, schedules] as const
