/** What the runs' screens ask of the gateway, and what they have it do. */
import { useQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { useAction } from '@/api/action'
import { api, unwrap, type Schemas } from '@/api/client'
import { PAGE, usePages } from '@/api/pages'
import type { paths } from '@/api/schema'
import type { Filter } from '@/components/filters'

export type RunLine = Schemas['RunLine']
export type Run = Schemas['Run']
export type RunStatus = Schemas['RunStatus']
export type FlowEvent = Schemas['FlowEvent']
export type LogLine = Schemas['LogLine']
export type LogPage = Schemas['LogPage']
type RunQuery = NonNullable<paths['/api/v1/staff/runs']['get']['parameters']['query']>
type LogQuery = NonNullable<paths['/api/v1/staff/runs/{id}/log']['get']['parameters']['query']>

export const runKeys = {
  lists: ['runs', 'list'] as const,
  one: (id: number) => ['runs', 'one', id] as const,
  trace: (correlationId: string) => ['jobs', 'trace', correlationId] as const,
}

export function useRuns(filter: Ref<Filter>) {
  return usePages<RunLine>(
    computed(() => [...runKeys.lists, filter.value]),
    (before, signal) =>
      unwrap(api.GET('/api/v1/staff/runs', { params: { query: { ...filter.value, before, limit: PAGE } as RunQuery }, signal })),
  )
}

export function useRun(id: Ref<number>, enabled?: Ref<boolean>) {
  return useQuery({
    enabled,
    queryKey: computed(() => runKeys.one(id.value)),
    queryFn: ({ signal }) => unwrap(api.GET('/api/v1/staff/runs/{id}', { params: { path: { id: id.value } }, signal })),
  })
}

/** The jobs of one trace, the oldest first. */
export function useTraceJobs(correlationId: Ref<string>) {
  return useQuery({
    queryKey: computed(() => runKeys.trace(correlationId.value)),
    queryFn: async ({ signal }) => {
      const query = { correlation_id: correlationId.value, limit: 50 }
      const page = await unwrap(api.GET('/api/v1/staff/jobs', { params: { query }, signal }))
      return page.items.toReversed()
    },
  })
}

/** Lines of a log; see the gateway's `read_run_log`. */
export function readLog(id: number, query: LogQuery, signal?: AbortSignal): Promise<LogPage> {
  return unwrap(api.GET('/api/v1/staff/runs/{id}/log', { params: { path: { id }, query }, signal }))
}

/** Answers with the run that it is about then: the same, or the new one. */
export function useRunChange(verb: 'cancel' | 'retry') {
  return useAction(
    ({ id, reason }: { id: number; reason?: string }) => {
      const params = { path: { id }, query: { reason } }
      return unwrap(
        verb === 'cancel'
          ? api.POST('/api/v1/staff/runs/{id}/cancel', { params })
          : api.POST('/api/v1/staff/runs/{id}/retry', { params }),
      )
    },
    [['runs']],
  )
}
