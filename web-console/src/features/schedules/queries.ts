/** Schedules and their ticks. */
import { useQuery } from '@tanstack/vue-query'
import { computed, ref, type Ref } from 'vue'
import { useAction } from '@/api/action'
import { api, unwrap, type Schemas } from '@/api/client'
import { withQuery } from '@/api/curl'
import { PAGE, usePages } from '@/api/pages'

export type Schedule = Schemas['Schedule']

export const scheduleKeys = {
  all: ['schedules'] as const,
  list: ['schedules', 'list'] as const,
  one: (name: string) => ['schedules', 'one', name] as const,
  ticks: (name: string) => ['schedules', 'ticks', name] as const,
}

/** The live stream doesn't tell of schedules. */
const REFETCH_MS = 10_000

export function useSchedules() {
  return usePages<Schedule>(
    ref(scheduleKeys.list),
    (after, signal) => unwrap(api.GET('/api/v1/staff/schedules', { params: { query: { after, limit: PAGE } }, signal })),
    REFETCH_MS,
  )
}

export function useSchedule(name: Ref<string>) {
  return useQuery({
    queryKey: computed(() => scheduleKeys.one(name.value)),
    queryFn: ({ signal }) =>
      unwrap(api.GET('/api/v1/staff/schedules/{name}', { params: { path: { name: name.value } }, signal })),
    refetchInterval: REFETCH_MS,
  })
}

export function useTicks(name: Ref<string>) {
  return usePages<Schemas['ScheduleTick']>(
    computed(() => scheduleKeys.ticks(name.value)),
    (before, signal) =>
      unwrap(
        api.GET('/api/v1/staff/schedules/{name}/ticks', {
          params: { path: { name: name.value }, query: { before, limit: PAGE } },
          signal,
        }),
      ),
    REFETCH_MS,
  )
}

export type ScheduleAction = 'pause' | 'resume' | 'run' | 'remove'

export function useScheduleAction() {
  return useAction(
    ({ name, action, reason }: { name: string; action: ScheduleAction; reason?: string }): Promise<Schemas['ScheduleDone']> => {
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
    [scheduleKeys.all],
  )
}

/** The request, to be shown as curl. */
export function actionRequest(name: string, action: ScheduleAction, reason: string): { method: string; path: string } {
  const path = `/api/v1/staff/schedules/${encodeURIComponent(name)}`
  const isRemoval = action === 'remove'
  return { method: isRemoval ? 'DELETE' : 'POST', path: withQuery(isRemoval ? path : `${path}/${action}`, { reason }) }
}
