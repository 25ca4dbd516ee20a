/** What the deliveries' screens ask of the gateway, and what they have it do. */
import { useMutation, useQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { useAction } from '@/api/action'
import { api, unwrap, type Schemas } from '@/api/client'
import { PAGE, usePages } from '@/api/pages'
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

export function useDeliveries(filter: Ref<Filter>) {
  return usePages<DeliveryLine>(
    computed(() => [...deliveryKeys.lists, filter.value]),
    (before, signal) =>
      unwrap(
        api.GET('/api/v1/staff/deliveries', { params: { query: { ...filter.value, before, limit: PAGE } as DeliveryQuery }, signal }),
      ),
  )
}

export function useDelivery(id: Ref<string>, enabled?: Ref<boolean>) {
  return useQuery({
    enabled,
    queryKey: computed(() => deliveryKeys.one(id.value)),
    queryFn: ({ signal }) =>
      unwrap(api.GET('/api/v1/staff/deliveries/{id}', { params: { path: { id: id.value } }, signal })),
  })
}

function replay(id: string, isDry: boolean) {
  return unwrap(api.POST('/api/v1/staff/deliveries/{id}/replay', { params: { path: { id }, query: { dry_run: isDry } } }))
}

/** Says whether it could be; changes nothing. */
export function useDryReplay() {
  return useMutation({ mutationFn: (id: string) => replay(id, true) })
}

export function useReplay() {
  return useAction((id: string) => replay(id, false), [deliveryKeys.all])
}
