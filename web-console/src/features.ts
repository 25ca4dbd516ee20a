/** All features, in the order of the sidebar: one line each. */
import { deliveries } from './features/deliveries'
import { device } from './features/device'
import { jobs } from './features/jobs'
import { overview } from './features/overview'
import { queues } from './features/queues'
import { runs } from './features/runs'
import { schedules } from './features/schedules'

export const features = [overview, runs, deliveries, jobs, queues, schedules, device] as const
