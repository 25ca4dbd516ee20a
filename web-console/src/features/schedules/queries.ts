/** Schedules and their ticks. */
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { api, unwrap, type Schemas } from '@/api/client'

export type Schedule = Schemas['Schedule']

export const scheduleKeys = {
  all: ['schedules'] as const,
  list: ['schedules', 'list'] as const,
  one: (name: string) => ['schedules', 'one', name] as const,
  ticks: (name: string) => ['schedules', 'ticks', name] as const,
}

export function useSchedules() {
  return useInfiniteQuery({
    queryKey: scheduleKeys.list,
    queryFn: ({ pageParam, signal }) =>
      unwrap(api.GET('/api/v1/staff/schedules', { params: { query: { after: pageParam, limit: 100 } }, signal })),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
    refetchInterval: 10_000,
  })
}

export function useSchedule(name: Ref<string>) {
  return useQuery({
    queryKey: computed(() => scheduleKeys.one(name.value)),
    queryFn: ({ signal }) =>
      unwrap(api.GET('/api/v1/staff/schedules/{name}', { params: { path: { name: name.value } }, signal })),
    refetchInterval: 10_000,
  })
}

export function useTicks(name: Ref<string>) {
  return useInfiniteQuery({
    queryKey: computed(() => scheduleKeys.ticks(name.value)),
    queryFn: ({ pageParam, signal }) =>
      unwrap(
        api.GET('/api/v1/staff/schedules/{name}/ticks', {
          params: { path: { name: name.value }, query: { before: pageParam, limit: 100 } },
          signal,
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
    refetchInterval: 10_000,
  })
}

export type ScheduleAction = 'pause' | 'resume' | 'run' | 'remove'

export function useScheduleAction() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: ({ name, action, reason }: { name: string; action: ScheduleAction; reason?: string }): Promise<Schemas['ScheduleDone']> => {
      const params = { path: { name }, query: { reason } }
      switch (action) {
        case 'pause':
          return unwrap(api.POST('/api/v1/staff/schedules/{name}/pause', { params }))
        case 'resume':
          return unwrap(api.POST('/api/v1/staff/schedules/{name}/resume', { params }))
        case 'run':
          return unwrap(api.POST('/api/v1/staff/schedules/{name}/run', { params }))
        case 'remove':
          return unwrap(api.DELETE('/api/v1/staff/schedules/{name}', { params }))
      }
    },
    onSettled: () => queries.invalidateQueries({ queryKey: scheduleKeys.all }),
  })
}

/** The request, to be shown as curl. */
export function actionRequest(name: string, action: ScheduleAction): { method: string; path: string } {
  const path = `/api/v1/staff/schedules/${encodeURIComponent(name)}`
  return action === 'remove' ? { method: 'DELETE', path } : { method: 'POST', path: `${path}/${action}` }
}
