/** All features, in the order of the sidebar: one line each. */
import { jobs } from './features/jobs'

export const features = [jobs] as const
