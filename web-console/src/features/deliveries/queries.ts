/** What the deliveries' screens ask of the gateway, and what they have it do. */
import { keepPreviousData, useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { api, unwrap, type Schemas } from '@/api/client'
import type { paths } from '@/api/schema'
import type { Filter } from '@/components/filters'

export type DeliveryLine = Schemas['DeliveryLine']
export type Delivery = Schemas['Delivery']
export type DeliveryStatus = Schemas['DeliveryStatus']
type DeliveryQuery = NonNullable<paths['/api/v1/staff/deliveries']['get']['parameters']['query']>

export const deliveryKeys = {
  all: ['deliveries'] as const,
  lists: ['deliveries', 'list'] as const,
  one: (id: string) => ['deliveries', 'one', id] as const,
}

export const PAGE = 100

export function useDeliveries(filter: Ref<Filter>) {
  return useInfiniteQuery({
    queryKey: computed(() => [...deliveryKeys.lists, filter.value]),
    queryFn: ({ pageParam, signal }) =>
      unwrap(
        api.GET('/api/v1/staff/deliveries', {
          params: { query: { ...filter.value, before: pageParam, limit: PAGE } as DeliveryQuery },
          signal,
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
    placeholderData: keepPreviousData,
  })
}

export function useDelivery(id: Ref<string>) {
  return useQuery({
    queryKey: computed(() => deliveryKeys.one(id.value)),
    queryFn: ({ signal }) =>
      unwrap(api.GET('/api/v1/staff/deliveries/{id}', { params: { path: { id: id.value } }, signal })),
  })
}

/** A dry run changes nothing. */
export function useReplay() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: ({ id, isDry }: { id: string; isDry: boolean }) =>
      unwrap(api.POST('/api/v1/staff/deliveries/{id}/replay', { params: { path: { id }, query: { dry_run: isDry } } })),
    onSuccess: (_, { isDry }) => (isDry ? undefined : queries.invalidateQueries({ queryKey: deliveryKeys.all })),
  })
}
