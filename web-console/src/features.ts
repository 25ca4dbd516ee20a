/** All features, in the order of the sidebar: one line each. */
import { account } from './features/account'
import { agents } from './features/agents'
import { audit } from './features/audit'
import { deliveries } from './features/deliveries'
import { device } from './features/device'
import { jobs } from './features/jobs'
import { overview } from './features/overview'
import { people } from './features/people'
import { projects } from './features/projects'
import { queues } from './features/queues'
import { repositories } from './features/repositories'
import { runs } from './features/runs'
import { schedules } from './features/schedules'
import { system } from './features/system'

export const features = [
  overview,
  runs,
  deliveries,
  jobs,
  queues,
  schedules,
  projects,
  repositories,
  agents,
  people,
  audit,
  system,
  account,
  device,
] as const
