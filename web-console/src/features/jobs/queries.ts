/** What the jobs' screens ask of the gateway, and what they have it do. */
import { keepPreviousData, useQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { useAction } from '@/api/action'
import { api, unwrap, type Schemas } from '@/api/client'
import { PAGE, usePages } from '@/api/pages'
import type { paths } from '@/api/schema'
import type { Filter } from '@/components/filters'
import { argsQuery } from './args'

export type JobLine = Schemas['JobLine']
export type Job = Schemas['Job']
export type JobState = Schemas['JobState']
type JobQuery = NonNullable<paths['/api/v1/staff/jobs']['get']['parameters']['query']>

export const jobKeys = {
  all: ['jobs'] as const,
  lists: ['jobs', 'list'] as const,
  one: (id: number) => ['jobs', 'one', id] as const,
  log: (id: number) => ['jobs', 'log', id] as const,
  count: (filter: Filter) => ['jobs', 'count', filter] as const,
  why: (id: number) => ['jobs', 'why', id] as const,
}

/** As the API takes it. */
export function jobQuery(filter: Filter): JobQuery {
  return { ...filter, ...(filter.args ? { args: argsQuery(filter.args) } : {}) } as JobQuery
}

/** The gateway counts for a part of a second at a time; so many times it is asked to go on. */
const COUNTS = 40

/** How many match; for those who may see all of them. What took several answers is counted anew less often. */
export function useJobCount(filter: Ref<Filter>, enabled: Ref<boolean>) {
  return useQuery({
    queryKey: computed(() => jobKeys.count(filter.value)),
    queryFn: async ({ signal }) => {
      let [count, before, answers] = [0, undefined as string | undefined, 0]
      for (;;) {
        const query = { ...jobQuery(filter.value), before }
        const found = await unwrap(api.GET('/api/v1/staff/jobs/count', { params: { query }, signal }))
        count += found.count
        answers += 1
        before = found.next ?? undefined
        if (before === undefined || answers === COUNTS) return { count, at_least: found.at_least, answers }
      }
    },
    enabled,
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => ((state.data?.answers ?? 1) > 1 ? 120_000 : 15_000),
  })
}

export function useJobs(filter: Ref<Filter>) {
  return usePages<JobLine>(
    computed(() => [...jobKeys.lists, filter.value]),
    (before, signal) =>
      unwrap(api.GET('/api/v1/staff/jobs', { params: { query: { ...jobQuery(filter.value), before, limit: PAGE } }, signal })),
  )
}

export function useJob(id: Ref<number>) {
  return useQuery({
    queryKey: computed(() => jobKeys.one(id.value)),
    queryFn: ({ signal }) => unwrap(api.GET('/api/v1/staff/jobs/{id}', { params: { path: { id: id.value } }, signal })),
  })
}

export function useWhy(id: Ref<number>, enabled: Ref<boolean>) {
  return useQuery({
    queryKey: computed(() => jobKeys.why(id.value)),
    queryFn: ({ signal }) => unwrap(api.GET('/api/v1/staff/jobs/{id}/why', { params: { path: { id: id.value } }, signal })),
    enabled,
    refetchInterval: 5_000,
  })
}

export type JobChange =
  | { action: 'retry' | 'cancel' | 'delete' }
  | { action: 'reschedule'; at?: string }
  | { action: 'priority'; priority: number }

/** The request of a change: sent, or shown as curl. */
export function changeRequest(id: number, change: JobChange): { method: 'POST' | 'DELETE'; path: string; body?: object } {
  const path = `/api/v1/staff/jobs/${id}`
  if (change.action === 'delete') return { method: 'DELETE', path }
  if (change.action === 'reschedule') return { method: 'POST', path: `${path}/reschedule`, body: { at: change.at } }
  if (change.action === 'priority') return { method: 'POST', path: `${path}/priority`, body: { priority: change.priority } }
  return { method: 'POST', path: `${path}/${change.action}` }
}

export function useJobChange() {
  return useAction(({ id, change }: { id: number; change: JobChange }): Promise<Schemas['JobDone']> => {
    const params = { path: { id } }
    switch (change.action) {
      case 'retry':
        return unwrap(api.POST('/api/v1/staff/jobs/{id}/retry', { params }))
      case 'cancel':
        return unwrap(api.POST('/api/v1/staff/jobs/{id}/cancel', { params }))
      case 'delete':
        return unwrap(api.DELETE('/api/v1/staff/jobs/{id}', { params }))
      case 'reschedule':
        return unwrap(api.POST('/api/v1/staff/jobs/{id}/reschedule', { params, body: { at: change.at } }))
      case 'priority':
        return unwrap(api.POST('/api/v1/staff/jobs/{id}/priority', { params, body: { priority: change.priority } }))
    }
  }, [jobKeys.all])
}
