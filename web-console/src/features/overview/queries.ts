/** Everything at a glance. */
import { keepPreviousData, useQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { api, unwrap, type Schemas } from '@/api/client'

export type Overview = Schemas['Overview']
export type Window = Schemas['OverviewWindow']
export const WINDOWS: readonly Window[] = ['1h', '24h', '7d']

export const overviewKeys = { all: ['overview'] as const }

export function useOverview(window: Ref<Window>, queue: Ref<string | undefined>) {
  return useQuery({
    queryKey: computed(() => [...overviewKeys.all, window.value, queue.value]),
    queryFn: ({ signal }) =>
      unwrap(api.GET('/api/v1/staff/overview', { params: { query: { window: window.value, queue: queue.value } }, signal })),
    placeholderData: keepPreviousData,
    refetchInterval: 15_000,
  })
}
