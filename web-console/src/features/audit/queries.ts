/** Who changed what. */
import { keepPreviousData, useInfiniteQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { api, unwrap, type Schemas } from '@/api/client'
import type { paths } from '@/api/schema'
import type { Filter } from '@/components/filters'

export type AuditEntry = Schemas['AuditEntry']
type AuditQuery = NonNullable<paths['/api/v1/staff/audit']['get']['parameters']['query']>

export const PAGE = 100

export function useAudit(filter: Ref<Filter>) {
  return useInfiniteQuery({
    queryKey: computed(() => ['audit', filter.value]),
    queryFn: ({ pageParam, signal }) =>
      unwrap(
        api.GET('/api/v1/staff/audit', {
          params: { query: { ...filter.value, before: pageParam, limit: PAGE } as AuditQuery },
          signal,
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
    placeholderData: keepPreviousData,
  })
}
